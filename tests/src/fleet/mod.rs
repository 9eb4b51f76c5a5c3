//! A whole setting in one directory: a server with its signer, and tablets, each a process of its own, with real TLS
//! between them and one hand on every clock.

mod server;
mod tablet;

pub use server::{DSL, Server};
pub use tablet::{PICTURES, Tablet, content};

use crate::clock::ClockHand;
use crate::process::Programs;
use crate::register::Register;
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use jiff::civil::Weekday;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The time zone of every invented setting.
pub const ZONE: &str = "Europe/London";

/// A setting. Everything in it ends and is removed when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    pub server: Server,
    pub tablets: Vec<Tablet>,
    clock: Arc<ClockHand>,
    programs: Programs,
    dir: PathBuf,
    /// Removed last.
    kept: Option<tempfile::TempDir>,
}

impl Fleet {
    /// A setting in a directory of its own beneath the system's temporary one: server and signer running, the profile
    /// applied, the register imported, no tablet yet. It is Monday, ten o'clock.
    pub fn open(programs: &Programs, profile: &str, register: &Register) -> Result<Self> {
        let kept = tempfile::Builder::new()
            .prefix("nestwarden-fleet-")
            .tempdir()?;
        let mut fleet = Self::open_in(kept.path(), programs)?;
        fleet.kept = Some(kept);
        fleet.server.start()?;
        fleet.server.apply_profile(profile)?;
        fleet.server.import(register)?;
        Ok(fleet)
    }

    /// A setting in `dir`, with nothing running yet.
    pub fn open_in(dir: &Path, programs: &Programs) -> Result<Self> {
        let clock = Arc::new(ClockHand::new(dir.join("clock.json"))?);
        clock.advance_to(first_moment()?)?;
        let server = Server::init(dir, programs, Arc::clone(&clock))?;
        Ok(Self {
            server,
            tablets: Vec::new(),
            clock,
            programs: programs.clone(),
            dir: dir.to_owned(),
            kept: None,
        })
    }

    /// Where the file system of the tablet with this name begins.
    pub fn root_dir_of(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("root")
    }

    pub fn clock(&self) -> &ClockHand {
        &self.clock
    }

    /// A tablet that nobody enrolled yet.
    pub fn new_tablet(&self, name: &str) -> Result<Tablet> {
        let dir = self.dir.join(name);
        make_dir(&dir)?;
        Tablet::new(&dir, name, &self.programs, Arc::clone(&self.clock))
    }

    /// Enrols a tablet with `profile` for `rooms` and starts its agent; returns its place in `tablets`.
    pub fn enrol(&mut self, name: &str, profile: &str, rooms: &[&str]) -> Result<usize> {
        let mut tablet = self.new_tablet(name)?;
        let link = self.server.enrol_link(name, profile, rooms)?;
        tablet.enrol(&link)?;
        tablet.start()?;
        tablet.wait_for_bundle()?;
        self.tablets.push(tablet);
        Ok(self.tablets.len() - 1)
    }

    /// Fails when any program logged something that somebody would have to act on.
    pub fn check_logs(&self) -> Result<()> {
        let tablets = self.tablets.iter().map(Tablet::log);
        let alarming: Vec<String> = tablets
            .chain([self.server.log()])
            .flat_map(|log| {
                let lines = log.lines().filter(|line| line.contains("ERROR"));
                lines.map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        ensure!(alarming.is_empty(), "{}", alarming.join("\n"));
        Ok(())
    }
}

/// When every setting begins.
pub fn first_moment() -> Result<Timestamp> {
    next_monday(crate::clock::system_now())
}

/// Ten o'clock on the Monday after `now`: an opening day in contact hours, with the week before it.
fn next_monday(now: Timestamp) -> Result<Timestamp> {
    let today = now.in_tz(ZONE)?.date();
    let monday = today.nth_weekday(1, Weekday::Monday)?;
    Ok(monday.at(10, 0, 0, 0).in_tz(ZONE)?.timestamp())
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .with_context(|| format!("could not make {}", dir.display()))
}
