//! How the photos engine bears many photos: the first look at a whole tablet, and a consent of thousands of photos lapsing.

mod album;
mod catalogue;
mod lapse;
mod meter;

use super::sample::Figure;
use anyhow::Result;
use std::io::Write as _;

const ROOM: &str = "Hedgehogs";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// The first look at many photos, and every later one.
    FirstScan,
    /// Photos that lapse together: out of sight, then sealed.
    Lapse,
}

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

    /// With another number of photos.
    pub(super) fn with(self, photos: Option<u32>) -> Self {
        let Some(photos) = photos.and_then(|photos| usize::try_from(photos).ok()) else {
            return self;
        };
        Self {
            catalogued: photos,
            lapsing: photos,
            ..self
        }
    }
}

/// Both parts if none is named.
pub(super) fn measure(size: Size, part: Option<Part>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if part.is_none_or(|part| part == Part::FirstScan) {
        figures.extend(catalogue::measure(size)?);
    }
    if part.is_none_or(|part| part == Part::Lapse) {
        figures.extend(lapse::measure(size)?);
    }
    Ok(figures)
}

/// Says what came of a round: the whole takes minutes.
fn narrate(what: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr(), "{what}")?)
}
