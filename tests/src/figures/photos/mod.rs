//! How the photos engine bears many photos: the first look at a whole tablet, and a consent of thousands of photos lapsing.

mod album;
mod catalogue;
mod lapse;
mod meter;

use super::sample::Figure;
use anyhow::Result;
use std::io::Write as _;

const ROOM: &str = "Hedgehogs";

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    catalogued: usize,
    catalogued_bytes: usize,
    scans: usize,
    lapsing: usize,
    lapsing_bytes: usize,
    lapses: usize,
    /// Of the largest file.
    film_bytes: usize,
}

const MIB: usize = 1024 * 1024;

impl Size {
    /// What the product promises, in some twelve gigabytes of disk.
    pub(super) const FULL: Self = Self {
        catalogued: 100_000,
        catalogued_bytes: 64 * 1024,
        scans: 3,
        lapsing: 10_000,
        lapsing_bytes: 512 * 1024,
        lapses: 2,
        film_bytes: 256 * MIB,
    };
    /// To see that it works; the numbers say little.
    pub(super) const QUICK: Self = Self {
        catalogued: 2_000,
        catalogued_bytes: 16 * 1024,
        scans: 2,
        lapsing: 200,
        lapsing_bytes: 64 * 1024,
        lapses: 1,
        film_bytes: 32 * MIB,
    };
}

pub(super) fn measure(size: Size) -> Result<Vec<Figure>> {
    let mut figures = catalogue::measure(size)?;
    figures.extend(lapse::measure(size)?);
    Ok(figures)
}

/// Says what came of a round: the whole takes minutes.
fn narrate(what: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr(), "{what}")?)
}
