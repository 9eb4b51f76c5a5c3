//! The budgets, measured on this machine.

mod consent;
mod console;
mod exec;
mod fapolicyd;
mod footprint;
mod photos;
pub mod sample;

use anyhow::Result;
use sample::Figure;
use serde::Serialize;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// Measures budgets.
#[derive(Clone, Debug, clap::Args)]
pub struct FiguresArguments {
    /// Which; all when none is named.
    #[arg(value_enum)]
    names: Vec<Name>,
    /// Print them as one JSON object.
    #[arg(long)]
    json: bool,
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(10..=110))]
    rounds: u16,
    /// For how long the programs are left alone to measure what they take at rest.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=1440))]
    minutes: u64,
    /// Far fewer photos, tablets and events, to see that it works.
    #[arg(long)]
    quick: bool,
    /// Only one part of the figures of photos.
    #[arg(long, value_enum)]
    part: Option<photos::Part>,
    /// Another number of photos than is promised: to steer by, not to write down.
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..))]
    photos: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// From a withdrawal at the server to a photo that nobody can read on a connected tablet.
    Consent,
    /// How soon the console's pages answer with 10,000 tablets and 5 million events. Takes minutes and 12 GB.
    Console,
    /// What starting an approved program costs under the guard.
    Exec,
    /// What agent and server take at rest. Takes half an hour.
    Footprint,
    /// Many photos: the first scan, and thousands that lapse together. Takes ten minutes and 12 GB.
    Photos,
}

#[derive(Serialize)]
struct Figures {
    figures: Vec<Figure>,
}

pub fn run(arguments: &FiguresArguments) -> Result<ExitCode> {
    let all = [
        Name::Consent,
        Name::Console,
        Name::Exec,
        Name::Footprint,
        Name::Photos,
    ];
    let names = if arguments.names.is_empty() {
        &all[..]
    } else {
        &arguments.names
    };
    let rounds = usize::from(arguments.rounds);
    let mut figures = Vec::new();
    for name in names {
        figures.extend(match name {
            Name::Consent => consent::measure(rounds)?,
            Name::Console => console::measure(if arguments.quick {
                console::Size::QUICK
            } else {
                console::Size::FULL
            })?,
            Name::Exec => exec::measure(rounds)?,
            Name::Footprint => footprint::measure(Duration::from_mins(arguments.minutes))?,
            Name::Photos => {
                let size = if arguments.quick {
                    photos::Size::QUICK
                } else {
                    photos::Size::FULL
                };
                photos::measure(size.with(arguments.photos), arguments.part)?
            }
        });
    }
    let kept = figures.iter().all(|figure| figure.holds != Some(false));
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &Figures { figures })?;
        writeln!(out)?;
    } else {
        for figure in &figures {
            writeln!(out, "{figure}")?;
        }
    }
    Ok(if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
