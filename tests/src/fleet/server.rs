//! The setting's server: `serve` and `signer` as processes, and the commands an operator gives.

use super::make_dir;
use crate::clock::ClockHand;
use crate::database::Database;
use crate::patience::until;
use crate::ports::Port;
use crate::process::{Answer, Programs, Running, ask, told};
use crate::register::Register;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Who acts in every command that asks for a person.
pub const DSL: &str = "Dana Lead";

#[derive(Debug)]
pub struct Server {
    data_dir: PathBuf,
    log_dir: PathBuf,
    programs: Programs,
    clock: Arc<ClockHand>,
    tablets_port: Port,
    console_port: Port,
    set_up_link: String,
    serve: Option<Running>,
    signer: Option<Running>,
}

impl Server {
    pub(super) fn init(dir: &Path, programs: &Programs, clock: Arc<ClockHand>) -> Result<Self> {
        let log_dir = dir.join("logs");
        make_dir(&log_dir)?;
        let mut server = Self {
            data_dir: dir.join("server"),
            log_dir,
            programs: programs.clone(),
            clock,
            tablets_port: Port::claim()?,
            console_port: Port::claim()?,
            set_up_link: String::new(),
            serve: None,
            signer: None,
        };
        let tablets = server.tablets_address().to_string();
        let console = server.console_address().to_string();
        let sheet = dir.join("recovery-sheet.txt");
        let made = told(server.command([
            "init",
            "--recovery-out",
            &sheet.to_string_lossy(),
            "--name",
            "Little Acorns",
            "--operator",
            DSL,
            "--listen",
            &tablets,
            "--address",
            &tablets,
            "--console-listen",
            &console,
        ]))?;
        let link = made["set_up"]["link"].as_str();
        server.set_up_link = link
            .map(str::to_owned)
            .context("no link for the first account")?;
        Ok(server)
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn console_address(&self) -> SocketAddr {
        self.console_port.address()
    }

    /// With which the first operator makes their account for the console.
    pub fn set_up_link(&self) -> &str {
        &self.set_up_link
    }

    pub fn tablets_address(&self) -> SocketAddr {
        self.tablets_port.address()
    }

    pub fn database(&self) -> Database {
        Database::at(self.data_dir.join("nestwarden.db"))
    }

    /// Makes enrolment links say `address`, so that something can stand between tablets and the server.
    pub fn be_reached_at(&self, address: SocketAddr) -> Result<()> {
        let path = self.data_dir.join("server.toml");
        let settings = fs::read_to_string(&path)?;
        let ours = format!("address = \"{}\"", self.tablets_address());
        anyhow::ensure!(settings.contains(&ours), "{settings}");
        Ok(fs::write(
            &path,
            settings.replace(&ours, &format!("address = \"{address}\"")),
        )?)
    }

    /// Has the console go by a name that leads to where it listens, from its next start.
    pub fn call_console(&self, name: &str) -> Result<String> {
        let path = self.data_dir.join("server.toml");
        let settings = fs::read_to_string(&path)?;
        let listens = format!("listen = \"{}\"", self.console_address());
        anyhow::ensure!(settings.contains(&listens), "{settings}");
        let address = format!("{name}:{}", self.console_address().port());
        let both = format!("{listens}\naddress = \"{address}\"");
        fs::write(&path, settings.replace(&listens, &both))?;
        Ok(format!("https://{address}"))
    }

    pub fn start(&mut self) -> Result<()> {
        self.start_signer()?;
        self.start_serve()
    }

    pub fn start_signer(&mut self) -> Result<()> {
        self.launch_signer()?;
        let socket = self.data_dir.join("signer/signer.sock");
        self.wait_for("the signer's socket", |_| {
            UnixStream::connect(&socket).is_ok()
        })
    }

    /// Starts the signer and does not wait for it.
    pub fn launch_signer(&mut self) -> Result<()> {
        let log = self.log_dir.join("signer.log");
        self.signer = Some(Running::start(self.command(["signer"]), "signer", log)?);
        Ok(())
    }

    pub fn start_serve(&mut self) -> Result<()> {
        self.launch_serve()?;
        self.wait_until_listening()
    }

    /// Starts `serve` and does not wait for it.
    pub fn launch_serve(&mut self) -> Result<()> {
        let log = self.log_dir.join("serve.log");
        self.serve = Some(Running::start(self.command(["serve"]), "serve", log)?);
        Ok(())
    }

    pub fn wait_until_listening(&mut self) -> Result<()> {
        let address = self.tablets_address();
        self.wait_for("the tablets' listener", |_| {
            TcpStream::connect(address).is_ok()
        })
    }

    fn wait_for(&mut self, what: &str, is_there: impl Fn(&Self) -> bool) -> Result<()> {
        until(what, || {
            for running in [&mut self.serve, &mut self.signer].into_iter().flatten() {
                running.check()?;
            }
            Ok(is_there(self).then_some(()))
        })
    }

    /// Ends both processes as the system would.
    pub fn stop(&mut self) -> Result<()> {
        for mut running in [self.serve.take(), self.signer.take()]
            .into_iter()
            .flatten()
        {
            running.stop()?;
        }
        Ok(())
    }

    /// SIGKILL to `serve`.
    pub fn kill_serve(&mut self) -> Result<()> {
        self.serve.take().map_or(Ok(()), |mut serve| serve.kill())
    }

    /// SIGKILL to the signer.
    pub fn kill_signer(&mut self) -> Result<()> {
        self.signer
            .take()
            .map_or(Ok(()), |mut signer| signer.kill())
    }

    pub fn serve_id(&self) -> Option<u32> {
        self.serve.as_ref().map(Running::id)
    }

    pub fn signer_id(&self) -> Option<u32> {
        self.signer.as_ref().map(Running::id)
    }

    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.programs.server(self.clock.path());
        command.arg("--data").arg(&self.data_dir).args(arguments);
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

    pub fn apply_profile(&self, toml: &str) -> Result<()> {
        let path = self.data_dir.with_file_name("profile.toml");
        fs::write(&path, toml)?;
        self.tell([OsStr::new("profile"), OsStr::new("apply"), path.as_os_str()])?;
        Ok(())
    }

    pub fn import(&self, register: &Register) -> Result<Value> {
        let path = self.data_dir.with_file_name("register.csv");
        fs::write(&path, register.csv())?;
        self.tell([
            OsStr::new("consent"),
            OsStr::new("import"),
            path.as_os_str(),
        ])
    }

    /// Withdraws every consent of one child.
    pub fn withdraw(&self, reference: &str) -> Result<Value> {
        self.tell(["consent", "withdraw", reference])
    }

    /// The random id by which tablets know a child.
    pub fn child_id(&self, reference: &str) -> Result<String> {
        let sql = format!("SELECT child_id FROM children WHERE reference = '{reference}'");
        let found = self.database().texts(&sql)?.pop();
        found.with_context(|| format!("no child {reference} on the register"))
    }

    pub fn enrol_link(&self, name: &str, profile: &str, rooms: &[&str]) -> Result<String> {
        let mut arguments = vec![
            "enrol-token",
            "create",
            "--name",
            name,
            "--profile",
            profile,
        ];
        for room in rooms {
            arguments.extend(["--room", room]);
        }
        let answer = self.tell(arguments)?;
        let link = answer.get("link").and_then(Value::as_str);
        link.map(str::to_owned)
            .with_context(|| format!("no link in {answer}"))
    }

    pub fn log(&self) -> String {
        [&self.serve, &self.signer]
            .into_iter()
            .flatten()
            .map(Running::log)
            .collect()
    }
}
