//! What starting an approved program costs under the guard: the same program on two file systems, one guarded, in
//! alternated rounds.

use super::sample::{Figure, Samples};
use crate::fleet::Fleet;
use crate::machine::{Machine, STAFF};
use crate::patience::until;
use crate::process::{Programs, is_root};
use crate::profile;
use crate::register::Register;
use anyhow::{Result, ensure};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROOM: &str = "Hedgehogs";

/// More than anybody notices, less than any app takes to draw its first window.
const EXTRA_US: f64 = 200.0;

/// Starts in each round.
const STARTS: usize = 10;

pub(super) fn measure(rounds: usize) -> Result<Vec<Figure>> {
    let name = "approved program started, median";
    if !is_root() {
        let unmeasured = Figure::new(format!("{name} (unknown: needs root)"), f64::NAN, "µs");
        return Ok(vec![unmeasured]);
    }
    let programs = Programs::of_this_process()?;
    let today = crate::clock::system_now().in_tz(crate::fleet::ZONE)?.date();
    let register = Register::of(today.yesterday()?, 1, ROOM);
    let mut fleet = Fleet::open(&programs, &profile::everything(), &register)?;
    let root_dir = fleet.root_dir_of("tablet-1");
    fs::create_dir_all(&root_dir)?;
    let machine = Machine::apart(&root_dir)?;
    fleet.enrol("tablet-1", profile::NAME, &[ROOM])?;
    until("the guard of programs to stand", || {
        Ok(machine.others_are_refused()?.then_some(()))
    })?;
    let guarded = machine.approved_program();
    let free = root_dir.with_file_name("unguarded-program");
    fs::copy(&guarded, &free)?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for _ in 0..STARTS {
            with.push(start(&guarded)?);
        }
        for _ in 0..STARTS {
            without.push(start(&free)?);
        }
    }
    let (with, without) = (
        Samples::microseconds(&with),
        Samples::microseconds(&without),
    );
    let figure = |name: &str, share| {
        let peer = without.quantile(share);
        Figure::new(name, with.quantile(share), "µs")
            .beside(peer)
            .over(&with)
    };
    let peer = without.median();
    // The file system first, or its directory could not be removed.
    drop(machine);
    drop(fleet);
    Ok(vec![
        figure(name, 0.5).at_most(peer + EXTRA_US),
        figure("approved program started, p99", 0.99),
    ])
}

/// From asking for the program to its end.
fn start(program: &Path) -> Result<Duration> {
    let begun = Instant::now();
    let status = Command::new(program)
        .uid(STAFF)
        .gid(STAFF)
        .current_dir("/")
        .stdin(Stdio::null())
        .status()?;
    ensure!(
        status.success(),
        "{} ended with {status}",
        program.display()
    );
    Ok(begun.elapsed())
}
