//! What starting an approved program costs under the guard: the same programs on three file systems, one that nobody
//! guards, ours, and one that fapolicyd guards, in alternated starts.

use super::fapolicyd::Fapolicyd;
use super::sample::{Figure, Samples};
use crate::fleet::Fleet;
use crate::machine::{Machine, STAFF};
use crate::patience::until;
use crate::process::{Programs, is_root};
use crate::profile;
use crate::register::Register;
use anyhow::{Context as _, Result, ensure};
use nestwarden_policy_schema::bytes::Digest;
use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROOM: &str = "Hedgehogs";

/// Starts of each program in each round.
const STARTS: usize = 60;

/// Programs started for the first time in each round.
const FIRST_STARTS: usize = 8;

/// More than any of the programs has.
const MOST_BYTES: usize = 1024 * 1024;

/// What a decision may add to a start that was decided before, and to one that was not.
const WARM_US: f64 = 5.0;
const COLD_US: f64 = 60.0;
const WARM_P99: f64 = 1.1;

/// A file system with the approved programs on it.
struct Place {
    warm: PathBuf,
    cold: Vec<PathBuf>,
    starts: Vec<Duration>,
    first_starts: Vec<Duration>,
    /// Of each round the median.
    rounds: Vec<f64>,
    first_rounds: Vec<f64>,
    /// Of each round the median of what reading and hashing such a program takes here, which no decision about a new
    /// content can do without.
    hash_rounds: Vec<f64>,
}

pub(super) fn measure(rounds: usize) -> Result<Vec<Figure>> {
    if !is_root() {
        let name = "approved program started, warm (unknown: needs root)";
        return Ok(vec![Figure::new(name, f64::NAN, "µs")]);
    }
    let programs = Programs::of_this_process()?;
    let today = crate::clock::system_now().in_tz(crate::fleet::ZONE)?.date();
    let register = Register::of(today.yesterday()?, 1, ROOM);
    let mut fleet = Fleet::open(&programs, &profile::everything(), &register)?;
    let root_dir = fleet.root_dir_of("tablet-1");
    fs::create_dir_all(&root_dir)?;
    let more = rounds * FIRST_STARTS;
    let machine = Machine::apart_with(&root_dir, more)?;
    fleet.enrol("tablet-1", profile::NAME, &[ROOM])?;
    until("the guard of programs to stand", || {
        Ok(machine.others_are_refused()?.then_some(()))
    })?;
    let ours = Place::new(
        machine.approved_program(),
        (0..more).map(|n| machine.approved_more(n)).collect(),
    );
    let free_dir = root_dir.with_file_name("unguarded");
    let free = ours.copied_to(&free_dir)?;
    let mut places = vec![free, ours];
    let peer_dir = root_dir.with_file_name("fapolicyd");
    let peer = Fapolicyd::prepare(&peer_dir).and_then(|ready| {
        let place = places[1].copied_to(ready.programs_dir())?;
        let approved = place.cold.iter().chain([&place.warm]);
        Ok((ready.start(approved)?, place))
    });
    let peer = peer.map(|(running, place)| {
        places.push(place);
        running
    });
    for round in 0..rounds {
        measure_round(&mut places, round)?;
    }
    let figures = figures_of(&places, peer.as_ref().err());
    // The file systems first, or their directories could not be removed.
    drop(peer);
    drop(machine);
    drop(fleet);
    figures
}

fn measure_round(places: &mut [Place], round: usize) -> Result<()> {
    let count = places.len();
    for start in 0..STARTS {
        for turn in 0..count {
            let place = &mut places[(turn + start + round) % count];
            place.starts.push(time_start(&place.warm)?);
        }
    }
    for start in 0..FIRST_STARTS {
        for turn in 0..count {
            let place = &mut places[(turn + start + round) % count];
            let program = &place.cold[round * FIRST_STARTS + start];
            place.first_starts.push(time_start(program)?);
        }
    }
    for place in places {
        let median = |all: &[Duration], last| {
            Samples::microseconds(&all[all.len().saturating_sub(last)..]).median()
        };
        place.rounds.push(median(&place.starts, STARTS));
        let first = median(&place.first_starts, FIRST_STARTS);
        place.first_rounds.push(first);
        let programs = &place.cold[round * FIRST_STARTS..][..FIRST_STARTS];
        let mut content = vec![1; MOST_BYTES];
        let hashed = programs
            .iter()
            .map(|program| time_hash(program, &mut content));
        let hashed = hashed.collect::<Result<Vec<_>>>()?;
        place.hash_rounds.push(median(&hashed, FIRST_STARTS));
    }
    Ok(())
}

fn figures_of(places: &[Place], no_peer: Option<&anyhow::Error>) -> Result<Vec<Figure>> {
    let (free, ours) = places
        .split_first()
        .and_then(|(free, rest)| Some((free, rest.first()?)))
        .context("nothing was measured")?;
    let warm = |place: &Place| Samples::microseconds(&place.starts);
    let cold = |place: &Place| Samples::microseconds(&place.first_starts);
    let free_p99 = warm(free).quantile(0.99);
    let mut figures = vec![
        Figure::new(
            "approved program started, warm, median",
            warm(ours).median(),
            "µs",
        )
        .beside(warm(free).median()),
        more_than(
            free,
            ours,
            "our guard adds, warm",
            |p| &p.rounds,
            Some(WARM_US),
        ),
        Figure::new(
            "approved program started, warm, p99",
            warm(ours).quantile(0.99),
            "µs",
        )
        .beside(free_p99)
        .at_most(free_p99 * WARM_P99),
        Figure::new(
            "approved program started for the first time, median",
            cold(ours).median(),
            "µs",
        )
        .beside(cold(free).median()),
        more_than(
            free,
            ours,
            "our guard adds, first time",
            |p| &p.first_rounds,
            None,
        ),
        besides_hashing(free, ours),
    ];
    if let Some(peer) = places.get(2) {
        figures.extend([
            more_than(free, peer, "fapolicyd adds, warm", |p| &p.rounds, None),
            Figure::new("fapolicyd, warm, p99", warm(peer).quantile(0.99), "µs"),
            more_than(
                free,
                peer,
                "fapolicyd adds, first time",
                |p| &p.first_rounds,
                None,
            ),
        ]);
    } else if let Some(error) = no_peer {
        figures.push(Figure::new(
            format!("fapolicyd (unknown: {error:#})"),
            f64::NAN,
            "µs",
        ));
    }
    Ok(figures)
}

/// The median over the rounds of how much more one place took than the other, with its interval.
fn more_than(
    free: &Place,
    place: &Place,
    name: &str,
    rounds: fn(&Place) -> &[f64],
    target: Option<f64>,
) -> Figure {
    let pairs = rounds(place).iter().zip(rounds(free));
    let more = Samples::of_differences(pairs.map(|(with, without)| with - without).collect());
    let figure = Figure::new(name, more.median(), "µs");
    let (interval, count) = (more.median_interval(), more.len());
    match target {
        Some(target) => figure.surely_at_most(target, interval, count),
        None => figure.within(interval, count),
    }
}

/// The same for first starts, without what hashing takes.
fn besides_hashing(free: &Place, ours: &Place) -> Figure {
    let rounds = ours.first_rounds.iter().zip(&free.first_rounds);
    let rest = rounds
        .zip(&ours.hash_rounds)
        .map(|((with, without), hashing)| with - without - hashing);
    let more = Samples::of_differences(rest.collect());
    Figure::new("of that, besides hashing it", more.median(), "µs").surely_at_most(
        COLD_US,
        more.median_interval(),
        more.len(),
    )
}

impl Place {
    fn new(warm: PathBuf, cold: Vec<PathBuf>) -> Self {
        Self {
            warm,
            cold,
            starts: Vec::new(),
            first_starts: Vec::new(),
            rounds: Vec::new(),
            first_rounds: Vec::new(),
            hash_rounds: Vec::new(),
        }
    }

    fn copied_to(&self, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let copy = |from: &PathBuf| {
            let to = dir.join(from.file_name().context("a program without a name")?);
            fs::copy(from, &to).with_context(|| format!("cannot copy to {}", to.display()))?;
            Ok(to)
        };
        Ok(Self::new(
            copy(&self.warm)?,
            self.cold.iter().map(copy).collect::<Result<_>>()?,
        ))
    }
}

/// The least that knowing a content takes: reading it into memory that is there, and hashing it.
fn time_hash(program: &Path, content: &mut [u8]) -> Result<Duration> {
    let mut file = fs::File::open(program)?;
    let begun = Instant::now();
    let mut length = 0;
    while length < content.len() {
        match file.read(&mut content[length..])? {
            0 => break,
            count => length += count,
        }
    }
    std::hint::black_box(Digest::sha256(&content[..length]));
    let took = begun.elapsed();
    ensure!(length < content.len(), "{} is too large", program.display());
    Ok(took)
}

/// From asking for the program to its end.
fn time_start(program: &Path) -> Result<Duration> {
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
