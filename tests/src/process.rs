//! The programs under test as processes: asked once and waited for, or kept running with their log in a file.

use crate::clock::CLOCK_VARIABLE;
use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Set for programs that must not outlive the harness.
pub const LEASH_VARIABLE: &str = "NESTWARDEN_HARNESS_LEASH";

/// How long one command may take.
const COMMAND_LIMIT: Duration = Duration::from_mins(2);

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Programs(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// The harness, which is both programs as well, with a clock that can be set.
    Harness(PathBuf),
    /// What is shipped, from the folder that they were built in. They know no clock but the machine's.
    Shipped(PathBuf),
}

impl Programs {
    pub fn at(harness_path: impl Into<PathBuf>) -> Self {
        Self(Kind::Harness(harness_path.into()))
    }

    /// For the demo and the figures, which are the harness themselves.
    pub fn of_this_process() -> Result<Self> {
        Ok(Self::at(std::env::current_exe()?))
    }

    /// The programs as they are shipped, which lie beside the harness once they were built.
    pub fn shipped() -> Result<Self> {
        let harness = std::env::current_exe()?;
        let dir = harness.parent().context("the harness lies nowhere")?;
        for name in ["nestwarden-agent", "nestwarden-server"] {
            let path = dir.join(name);
            ensure!(
                path.is_file(),
                "{} is not there: run `packaging/build` first",
                path.display()
            );
        }
        Ok(Self(Kind::Shipped(dir.to_owned())))
    }

    pub fn agent(&self, clock: &Path) -> Command {
        self.program("agent", clock)
    }

    pub fn server(&self, clock: &Path) -> Command {
        self.program("server", clock)
    }

    fn program(&self, which: &str, clock: &Path) -> Command {
        let mut command = match &self.0 {
            Kind::Harness(path) => {
                let mut command = Command::new(path);
                command.arg(which).env(CLOCK_VARIABLE, clock);
                command
            }
            Kind::Shipped(dir) => Command::new(dir.join(format!("nestwarden-{which}"))),
        };
        command.env_remove("NESTWARDEN_DATA").stdin(Stdio::null());
        command
    }
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The answer of a command with `--json`.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("not one JSON value: {:?}", self.stdout))
    }
}

/// Runs a command to its end, whatever that is.
pub fn ask(mut command: Command) -> Result<Answer> {
    let said = format!("{command:?}");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start {said}"))?;
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let Some(status) = wait(&mut child, COMMAND_LIMIT)? else {
        child.kill()?;
        child.wait()?;
        bail!("still running after {COMMAND_LIMIT:?}: {said}")
    };
    let gather = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Ok(Answer {
        status,
        stdout: gather(stdout),
        stderr: gather(stderr),
    })
}

/// Runs a command that has to succeed.
pub fn done(command: Command) -> Result<Answer> {
    let said = format!("{command:?}");
    let answer = ask(command)?;
    ensure!(
        answer.status.success(),
        "{} from {said}\n{}{}",
        answer.status,
        answer.stdout,
        answer.stderr
    );
    Ok(answer)
}

/// Runs a command with `--json` that has to succeed.
pub fn told(mut command: Command) -> Result<Value> {
    command.arg("--json");
    let said = format!("{command:?}");
    done(command)?.json().context(said)
}

fn reader(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for the end of `child`, `None` when it takes longer than `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A program that keeps running. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    log_path: PathBuf,
}

impl Running {
    /// What it says is added to the file at `log_path`.
    pub fn start(mut command: Command, name: &str, log_path: PathBuf) -> Result<Self> {
        let log = File::options().create(true).append(true).open(&log_path)?;
        let child = command
            .env(LEASH_VARIABLE, "1")
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("could not start {name}: {command:?}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log_path,
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its log once it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log_end()),
        }
    }

    /// SIGKILL: at whatever instruction it is.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits until it has put everything away.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        kill(
            Pid::from_raw(i32::try_from(self.child.id())?),
            Signal::SIGTERM,
        )?;
        match wait(&mut self.child, Duration::from_secs(30))? {
            Some(status) => Ok(status),
            None => bail!("{} does not end on SIGTERM:\n{}", self.name, self.log_end()),
        }
    }

    pub fn log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.log_path) {
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Whether the machine has a program of this name.
pub fn is_installed(program: impl AsRef<OsStr>) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program.as_ref()).is_file())
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Names a check that was not made, so that whoever runs the tests can hold it against the list of those that may be.
pub fn skip(name: &str, reason: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIP {name}: {reason}");
}
