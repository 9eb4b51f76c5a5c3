//! One tablet, confined to a directory, with its agent as a process.

use super::make_dir;
use crate::clock::ClockHand;
use crate::database::Database;
use crate::jpeg::Photo;
use crate::patience::until;
use crate::process::{Answer, Programs, Running, ask, done, told};
use anyhow::{Context as _, Result};
use jiff::civil::datetime;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Where staff's photos land on every invented tablet.
pub const PICTURES: &str = "home/staff/Pictures";

#[derive(Debug)]
pub struct Tablet {
    name: String,
    root_dir: PathBuf,
    log_path: PathBuf,
    programs: Programs,
    clock: Arc<ClockHand>,
    agent: Option<Running>,
}

impl Tablet {
    pub(super) fn new(
        dir: &Path,
        name: &str,
        programs: &Programs,
        clock: Arc<ClockHand>,
    ) -> Result<Self> {
        let tablet = Self {
            name: name.to_owned(),
            root_dir: dir.join("root"),
            log_path: dir.join("agent.log"),
            programs: programs.clone(),
            clock,
            agent: None,
        };
        make_dir(&tablet.pictures_dir())?;
        // Many tablets run on one machine here.
        let settings_dir = tablet.root_dir.join("etc/nestwarden");
        make_dir(&settings_dir)?;
        fs::write(settings_dir.join("agent.toml"), "page_port = 0\n")?;
        Ok(tablet)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn root_dir(&self) -> &Path {
        &self.root_dir
    }

    pub fn pictures_dir(&self) -> PathBuf {
        self.root_dir.join(PICTURES)
    }

    pub fn ledger(&self) -> Database {
        Database::at(self.root_dir.join("var/lib/nestwarden/ledger.db"))
    }

    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.programs.agent(self.clock.path());
        command.arg("--root").arg(&self.root_dir).args(arguments);
        command
    }

    /// Runs a command that has to succeed, and gives its JSON.
    pub fn tell<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Value> {
        told(self.command(arguments))
    }

    /// Runs a command that may fail.
    pub fn ask<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Answer> {
        ask(self.command(arguments))
    }

    pub fn enrol(&self, link: &str) -> Result<()> {
        done(self.command(["enrol", link]))?;
        Ok(())
    }

    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_until_running()
    }

    /// Starts the agent and does not wait for it.
    pub fn launch(&mut self) -> Result<()> {
        self.agent = Some(Running::start(
            self.command(["run"]),
            &self.name,
            self.log_path.clone(),
        )?);
        Ok(())
    }

    pub fn wait_until_running(&mut self) -> Result<()> {
        until("the agent's socket", || {
            self.check()?;
            Ok(self.is_running().then_some(()))
        })
    }

    /// Whether the agent answers; without one `status` tells what the ledger last recorded.
    fn is_running(&self) -> bool {
        self.status()
            .is_ok_and(|status| status.get("running") != Some(&Value::Bool(false)))
    }

    /// An error when the agent has ended.
    pub fn check(&mut self) -> Result<()> {
        self.agent.as_mut().map_or(Ok(()), Running::check)
    }

    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut agent) = self.agent.take() {
            agent.stop()?;
        }
        Ok(())
    }

    /// SIGKILL to the agent.
    pub fn kill(&mut self) -> Result<()> {
        self.agent.take().map_or(Ok(()), |mut agent| agent.kill())
    }

    pub fn agent_id(&self) -> Option<u32> {
        self.agent.as_ref().map(Running::id)
    }

    pub fn status(&self) -> Result<Value> {
        self.tell(["status"])
    }

    pub fn generation(&self) -> Result<u64> {
        let status = self.status()?;
        status
            .get("generation")
            .and_then(Value::as_u64)
            .with_context(|| format!("no generation in {status}"))
    }

    pub fn wait_for_bundle(&mut self) -> Result<()> {
        until("the first bundle", || {
            self.check()?;
            Ok((self.generation()? > 0).then_some(()))
        })
    }

    /// Waits until the server has every event.
    pub fn wait_until_reported(&mut self) -> Result<()> {
        until("every event at the server", || {
            self.check()?;
            let waiting = self
                .ledger()
                .number("SELECT count(*) FROM events WHERE acknowledged_at IS NULL")?;
            Ok((waiting == 0).then_some(()))
        })
    }

    /// Takes a photo as the camera does: written beside its place, then renamed into it.
    pub fn take(&self, name: &str, seed: u64) -> Result<PathBuf> {
        let path = self.pictures_dir().join(name);
        let beside = self.pictures_dir().join(format!(".{name}.part"));
        fs::write(&beside, content(seed))?;
        fs::rename(&beside, &path)?;
        Ok(path)
    }

    /// Every photo the agent knows.
    pub fn photos(&self) -> Result<Vec<Value>> {
        let listed = self.tell(["photos", "list"])?;
        listed
            .get("photos")
            .unwrap_or(&listed)
            .as_array()
            .cloned()
            .with_context(|| format!("no list of photos in {listed}"))
    }

    /// The id of the photo at `path`, once the agent has seen it.
    pub fn photo_id(&self, path: &Path) -> Result<String> {
        until("the agent to see a photo", || self.known_photo_id(path))
    }

    /// The id of the photo that is, or was until it was destroyed, at `path`.
    pub fn known_photo_id(&self, path: &Path) -> Result<Option<String>> {
        let inside = path.strip_prefix(&self.root_dir)?.to_string_lossy();
        let sql = format!("SELECT photo FROM photo_file WHERE path = CAST('{inside}' AS BLOB)");
        Ok(self.ledger().texts(&sql)?.pop())
    }

    /// Says that exactly these children are in a photo.
    pub fn tag(&self, photo: &str, children: &[String]) -> Result<()> {
        let mut arguments = vec!["photos", "tag", photo, "--complete"];
        for child in children {
            arguments.extend(["--child", child]);
        }
        self.tell(arguments)?;
        Ok(())
    }

    pub fn log(&self) -> String {
        fs::read(&self.log_path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

/// The photo that every tablet takes from this seed.
pub fn content(seed: u64) -> Vec<u8> {
    Photo::small(seed, datetime(2026, 9, 1, 10, 30, 0, 0)).jpeg()
}
