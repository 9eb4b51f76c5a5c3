//! From a withdrawal at the server to a photo that nobody can read on a connected tablet.

use super::sample::{Figure, Samples};
use crate::fleet::Fleet;
use crate::process::Programs;
use crate::register::Register;
use crate::{patience, profile};
use anyhow::{Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROOM: &str = "Hedgehogs";

/// What the product promises.
const TARGET_MS: f64 = 1000.0;

pub(super) fn measure(rounds: usize) -> Result<Vec<Figure>> {
    let today = crate::clock::system_now()
        .in_tz(crate::fleet::ZONE)?
        .date()
        .yesterday()?;
    let register = Register::of(today, rounds, ROOM);
    let programs = Programs::of_this_process()?;
    let mut fleet = Fleet::open(&programs, &profile::photos_only(), &register)?;
    fleet.enrol("tablet-1", profile::NAME, &[ROOM])?;
    let references: Vec<String> = register.references().map(str::to_owned).collect();
    let photos = references
        .iter()
        .zip(1..)
        .map(|(reference, seed)| taken(&fleet, reference, seed))
        .collect::<Result<Vec<_>>>()?;
    let mut from_command = Vec::new();
    let mut from_record = Vec::new();
    for (reference, photo) in references.iter().zip(&photos) {
        let begun = Instant::now();
        fleet.server.withdraw(reference)?;
        let recorded = Instant::now();
        unreadable(photo)?;
        from_command.push(begun.elapsed());
        from_record.push(recorded.elapsed());
    }
    // The command's own start and end are in the first figure, and not in the second: the true delay of the record lies
    // between them.
    let (command, record) = (
        Samples::milliseconds(&from_command),
        Samples::milliseconds(&from_record),
    );
    Ok(vec![
        figure("consent withdrawn to unreadable, median", command.median()).over(&command),
        figure(
            "consent withdrawn to unreadable, p99",
            command.quantile(0.99),
        )
        .at_most(TARGET_MS)
        .over(&command),
        figure("of that after the command ended, median", record.median()).over(&record),
        figure(
            "of that after the command ended, p99",
            record.quantile(0.99),
        )
        .over(&record),
    ])
}

fn figure(name: &str, value: f64) -> Figure {
    Figure::new(name, value, "ms")
}

fn taken(fleet: &Fleet, reference: &str, seed: u64) -> Result<PathBuf> {
    let tablet = &fleet.tablets[0];
    let path = tablet.take(&format!("{reference}.jpg"), seed)?;
    let id = tablet.photo_id(&path)?;
    tablet.tag(&id, &[fleet.server.child_id(reference)?])?;
    Ok(path)
}

/// Returns as soon as nothing opens under the photo's name.
fn unreadable(path: &Path) -> Result<()> {
    let end = Instant::now() + patience::PATIENCE;
    while File::open(path).is_ok() {
        if Instant::now() > end {
            bail!("still readable: {}", path.display());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}
