//! The consent of one child lapses, and with it thousands of photos: all at once out of sight, then sealed.

use super::meter::{self, Memory};
use super::{ROOM, Size, album, catalogue};
use crate::figures::sample::{Figure, Samples};
use crate::fleet::Fleet;
use crate::process::{Programs, done, is_installed};
use crate::profile;
use crate::register::Register;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const WITHHELD_MS: f64 = 1000.0;
const STATUS_MS: f64 = 100.0;
/// By how much one round differs from another anyway.
const SAME_MIB: f64 = 4.0;
/// No slower than this many times the peer.
const TIMES: f64 = 3.0;

#[derive(Default)]
struct Rounds {
    withheld: Vec<Duration>,
    sealed: Vec<Duration>,
    age: Vec<Duration>,
    answers: Vec<Duration>,
    /// MiB above what the agent had before, at most: with a tenth of the photos, and with all of them.
    grown_tenth: f64,
    grown: f64,
    /// With one large file.
    grown_film: f64,
}

pub(super) fn measure(size: Size) -> Result<Vec<Figure>> {
    let programs = Programs::of_this_process()?;
    let today = crate::clock::system_now().in_tz(crate::fleet::ZONE)?.date();
    // Each round has a room to itself: whoever said No in an earlier one must not be possible in its photos, or they
    // would be withheld before they are asked about.
    let register = (0..size.lapses + 2).fold(Register::new(today.yesterday()?), |all, round| {
        all.child(&format!("C{round:03}"), &room(round))
    });
    let mut fleet = Fleet::open(&programs, &profile::photos_only(), &register)?;
    let references: Vec<String> = register.references().map(str::to_owned).collect();
    let mut rounds = Rounds::default();
    let tenth = Size {
        lapsing: size.lapsing / 10,
        ..size
    };
    rounds.grown_tenth = round(
        &mut fleet,
        (0, &references[0]),
        tenth,
        &mut Rounds::default(),
    )?;
    let film = Size {
        lapsing: 1,
        lapsing_bytes: size.film_bytes,
        ..size
    };
    rounds.grown_film = round(
        &mut fleet,
        (1, &references[1]),
        film,
        &mut Rounds::default(),
    )?;
    for (number, reference) in references.iter().enumerate().skip(2) {
        let grown = round(&mut fleet, (number, reference), size, &mut rounds)?;
        rounds.grown = rounds.grown.max(grown);
    }
    Ok(figures(&rounds))
}

fn figures(rounds: &Rounds) -> Vec<Figure> {
    let withheld = Samples::milliseconds(&rounds.withheld);
    let sealed = Samples::milliseconds(&rounds.sealed);
    let answers = Samples::milliseconds(&rounds.answers);
    let mut all = vec![
        Figure::new(
            "consent withdrawn to all withheld, median",
            withheld.median(),
            "ms",
        )
        .at_most(WITHHELD_MS)
        .over(&withheld),
    ];
    all.push(if rounds.age.is_empty() {
        let name = "all sealed, median (unknown: needs the program age)";
        Figure::new(name, f64::NAN, "ms")
    } else {
        let age = Samples::milliseconds(&rounds.age);
        Figure::new("all sealed, median", sealed.median(), "ms")
            .at_most(TIMES * age.median())
            .beside(age.median())
            .over(&sealed)
    });
    all.extend([
        Figure::new("status answered meanwhile, median", answers.median(), "ms").over(&answers),
        Figure::new(
            "status answered meanwhile, p99",
            answers.quantile(0.99),
            "ms",
        )
        .at_most(STATUS_MS)
        .over(&answers),
        Figure::new(
            "agent grown by a tenth of them, at most",
            rounds.grown_tenth,
            "MiB",
        ),
        Figure::new("agent grown by all of them, at most", rounds.grown, "MiB")
            .at_most(rounds.grown_tenth + SAME_MIB),
        Figure::new(
            "agent grown by one large file, at most",
            rounds.grown_film,
            "MiB",
        )
        .at_most(rounds.grown_tenth + SAME_MIB),
    ]);
    all
}

fn room(round: usize) -> String {
    format!("{ROOM} {round}")
}

/// One tablet full of photos of one child; how much its agent grew, at most.
fn round(
    fleet: &mut Fleet,
    (number, reference): (usize, &str),
    size: Size,
    rounds: &mut Rounds,
) -> Result<f64> {
    let name = format!("lapse-{number}");
    let at = fleet.enrol(&name, profile::NAME, &[&room(number)])?;
    let album = fleet.root_dir_of("album");
    fs::create_dir_all(&album)?;
    album::fill(&album, size.lapsing, size.lapsing_bytes, number as u64)?;
    if is_installed("age") {
        let recipients = album.with_file_name("recipients");
        rounds.age.push(encrypt(&album, &recipients)?);
    }
    let child = fleet.server.child_id(reference)?;
    let tablet = &mut fleet.tablets[at];
    tablet.tell(["photos", "rescan"])?;
    let pictures = tablet.pictures_dir();
    fs::rename(&album, pictures.join("camera"))?;
    let ledger = tablet.ledger();
    let count = |sql: &str| ledger.number(sql).unwrap_or(0);
    let all = i64::try_from(size.lapsing)?;
    catalogue::wait(|| count("SELECT count(*) FROM photo") == all)?;
    // Ten thousand photos are not tagged by hand.
    tablet.stop()?;
    ledger.change(&format!(
        "INSERT INTO photo_tag (photo, child) SELECT id, '{child}' FROM photo; UPDATE photo SET tagging = 'complete'"
    ))?;
    tablet.start()?;
    tablet.tell(["photos", "rescan"])?;
    // A tablet has told of its photos long before; here it would still be telling of all of them.
    let untold = "SELECT count(*) FROM events WHERE acknowledged_at IS NULL";
    catalogue::wait(|| ledger.number(untold).is_ok_and(|left| left == 0))?;
    let before = meter::memory(tablet, Memory::Resident)?;
    meter::forget_peak(tablet)?;
    let tablet = &fleet.tablets[at];
    let server = &fleet.server;
    let ((withheld, sealed), answers) = meter::asked_during(tablet, || {
        let begun = Instant::now();
        // The command itself waits for word from every tablet, and those of earlier rounds have been switched off.
        let withheld = std::thread::scope(|scope| {
            let command = scope.spawn(|| server.withdraw(reference));
            catalogue::wait(|| album::is_empty(&pictures).unwrap_or(false))?;
            let withheld = begun.elapsed();
            let ended = command.join();
            ended.map_err(|_| anyhow::anyhow!("withdrawing failed"))??;
            anyhow::Ok(withheld)
        })?;
        let open = "SELECT count(*) FROM photo_file WHERE state <> 'dropped'";
        catalogue::wait(|| {
            std::thread::sleep(Duration::from_millis(100));
            ledger.number(open).is_ok_and(|open| open == 0)
        })?;
        Ok((withheld, begun.elapsed()))
    })?;
    super::narrate(&format!(
        "{} photos of {} KiB: withheld after {withheld:?}, sealed after {sealed:?}; the peer {:?}",
        size.lapsing,
        size.lapsing_bytes / 1024,
        rounds.age.last()
    ))?;
    rounds.withheld.push(withheld);
    rounds.sealed.push(sealed);
    rounds.answers.extend(answers);
    let grown = meter::memory(tablet, Memory::Peak)? - before;
    // Gone before the next one needs the room.
    fleet.tablets[at].stop()?;
    fs::remove_dir_all(fleet.tablets[at].root_dir())?;
    Ok(grown)
}

/// The peer: the `age` program on every photo in turn, to two recipients.
fn encrypt(album: &Path, recipients: &Path) -> Result<Duration> {
    let keys: String = (0..2)
        .map(|_| {
            let made = done(Command::new("age-keygen"))?;
            let public = made
                .stdout
                .lines()
                .find_map(|line| line.strip_prefix("# public key: "));
            Ok(format!("{}\n", public.context("no public key")?))
        })
        .collect::<Result<_>>()?;
    fs::write(recipients, keys)?;
    let out = recipients.with_extension("age");
    let begun = Instant::now();
    for folder in fs::read_dir(album)? {
        for photo in fs::read_dir(folder?.path())? {
            let mut age = Command::new("age");
            age.arg("-R").arg(recipients).arg("-o").arg(&out);
            let ended = age.arg(photo?.path()).status()?;
            anyhow::ensure!(ended.success(), "age ended with {ended}");
            fs::remove_file(&out)?;
        }
    }
    Ok(begun.elapsed())
}
