//! A tablet that comes with many photos: the first look at them, and every later one.

use super::meter::{self, Memory};
use super::{ROOM, Size, album};
use crate::figures::sample::{Figure, Samples};
use crate::fleet::Fleet;
use crate::process::Programs;
use crate::profile;
use crate::register::Register;
use anyhow::{Result, bail, ensure};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const AGENT_MIB: f64 = 30.0;
/// No slower than this many times the peer.
const TIMES: f64 = 2.0;
const PATIENCE: Duration = Duration::from_mins(5);
/// Whoever looks more often takes the processor from what is measured.
const LOOKS_EVERY: Duration = Duration::from_millis(10);

/// What is in memory before a round, for us and for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Cached,
    OnDisk,
}

pub(super) fn measure(size: Size) -> Result<Vec<Figure>> {
    let programs = Programs::of_this_process()?;
    let today = crate::clock::system_now().in_tz(crate::fleet::ZONE)?.date();
    let register = Register::of(today.yesterday()?, 60, ROOM);
    let mut fleet = Fleet::open(&programs, &profile::photos_only(), &register)?;
    // Handed from tablet to tablet; each sees it for the first time.
    let album = fleet.root_dir_of("album");
    fs::create_dir_all(&album)?;
    album::fill(&album, size.catalogued, size.catalogued_bytes, 0)?;
    super::narrate(&format!("{} photos made", size.catalogued))?;
    let mut figures = Vec::new();
    let mut peak = 0_f64;
    for (content, name) in [
        (Content::Cached, "first scan, content in memory, median"),
        (Content::OnDisk, "first scan, content on disk, median"),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..size.scans {
            prepare(&album, content)?;
            theirs.push(album::read_heads(&album)?);
            prepare(&album, content)?;
            let name = format!("{content:?}-{round}").to_lowercase();
            ours.push(first_scan(&mut fleet, &name, &album, size.catalogued)?);
            let at = fleet.tablets.len() - 1;
            super::narrate(&format!(
                "first scan, {content:?}, round {}: {:?}; the peer {:?}",
                round + 1,
                ours[round],
                theirs[round]
            ))?;
            peak = peak.max(meter::memory(&fleet.tablets[at], Memory::Peak)?);
            let is_last = content == Content::OnDisk && round + 1 == size.scans;
            if !is_last {
                fleet.tablets[at].stop()?;
                fs::rename(fleet.tablets[at].pictures_dir(), &album)?;
            }
        }
        let (ours, theirs) = (Samples::milliseconds(&ours), Samples::milliseconds(&theirs));
        figures.push(
            Figure::new(name, ours.median(), "ms")
                .at_most(TIMES * theirs.median())
                .beside(theirs.median())
                .over(&ours),
        );
    }
    let tablet = &fleet.tablets[fleet.tablets.len() - 1];
    let (opened, took) = opened_again(tablet.pictures_dir().as_path(), || {
        let begun = Instant::now();
        tablet.tell(["photos", "rescan"])?;
        Ok(begun.elapsed())
    })?;
    let resident = meter::memory(tablet, Memory::Resident)?;
    figures.extend([
        Figure::new("photos opened by a later scan", opened, "files").at_most(0.0),
        Figure::new("a later scan", took.as_secs_f64() * 1e3, "ms"),
        Figure::new("agent with them, resident", resident, "MiB").at_most(AGENT_MIB),
        Figure::new("agent during the first scan, at most", peak, "MiB"),
    ]);
    Ok(figures)
}

fn prepare(album: &Path, content: Content) -> Result<()> {
    match content {
        Content::Cached => album::read_heads(album).map(|_| ()),
        Content::OnDisk => album::evict(album),
    }
}

/// From when the agent takes note of the roots to when it has looked at everything in them.
fn first_scan(fleet: &mut Fleet, name: &str, album: &Path, photos: usize) -> Result<Duration> {
    let mut tablet = fleet.new_tablet(name)?;
    let link = fleet.server.enrol_link(name, profile::NAME, &[ROOM])?;
    tablet.enrol(&link)?;
    fs::remove_dir(tablet.pictures_dir())?;
    fs::rename(album, tablet.pictures_dir())?;
    tablet.launch()?;
    let roots = |sql: &str| tablet.ledger().number(sql).unwrap_or(0) > 0;
    wait(|| roots("SELECT count(*) FROM photo_root"))?;
    let begun = Instant::now();
    wait(|| roots("SELECT count(*) FROM photo_root WHERE done = 1"))?;
    let took = begun.elapsed();
    let known = tablet.ledger().number("SELECT count(*) FROM photo")?;
    ensure!(known == i64::try_from(photos)?, "{known} are catalogued");
    fleet.tablets.push(tablet);
    Ok(took)
}

pub(super) fn wait(mut until: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !until() {
        if Instant::now() > end {
            bail!("it took longer than {PATIENCE:?}");
        }
        std::thread::sleep(LOOKS_EVERY);
    }
    Ok(())
}

/// How many files beneath `dir` anybody opened during `work`.
fn opened_again<T>(dir: &Path, work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let watch = Inotify::init(InitFlags::IN_NONBLOCK)?;
    for folder in fs::read_dir(dir)? {
        let folder = folder?;
        if folder.file_type()?.is_dir() {
            watch.add_watch(&folder.path(), AddWatchFlags::IN_OPEN)?;
        }
    }
    let done = work()?;
    let mut opened = 0_u32;
    while let Ok(events) = watch.read_events() {
        let of_files = |event: &&nix::sys::inotify::InotifyEvent| {
            !event.mask.contains(AddWatchFlags::IN_ISDIR)
        };
        opened += u32::try_from(events.iter().filter(of_files).count())?;
    }
    Ok((f64::from(opened), done))
}
