//! The main job on a fresh machine: a tablet enrols, is held to its profile, a consent lapses and its photo goes. Everything
//! that is reported was looked at from outside: files, exit codes, rows in the server's database, receipts that verify.

pub mod month;
mod report;
mod story;
mod way_in;

pub use way_in::WayIn;

use crate::machine::Machine;
use crate::patience;
use crate::process::{Programs, is_root};
use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use tokio::signal::unix::{SignalKind, signal};

/// Shows the main job in a directory of its own.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArguments {
    /// End when everything was shown, instead of staying up.
    #[arg(long)]
    once: bool,
    /// Print what was found as one JSON object.
    #[arg(long)]
    json: bool,
    /// Where to put everything; it must not exist. Removed at the end.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What ends the demo.
enum Ending {
    Told(Result<()>),
    Interrupted,
}

pub fn run(arguments: &DemoArguments) -> Result<ExitCode> {
    let dir = Directory::make(arguments.dir.as_deref())?;
    let root_dir = dir.0.join("tablet-1/root");
    std::fs::create_dir_all(&root_dir)?;
    // Before any thread starts: a mount namespace belongs to a thread.
    let machine = if is_root() {
        Machine::apart(&root_dir).map_err(|error| format!("{error:#}"))
    } else {
        Err("needs root, for a file system of its own".to_owned())
    };
    let (end, ended) = mpsc::channel();
    let interrupted = end.clone();
    std::thread::spawn(move || {
        if wait_for_interrupt().is_ok() {
            let _ = interrupted.send(Ending::Interrupted);
        }
    });
    let stage = story::Stage {
        dir: dir.0.clone(),
        programs: Programs::of_this_process()?,
        machine,
        stay: !arguments.once,
        json: arguments.json,
    };
    let story = std::thread::spawn(move || {
        let _ = end.send(Ending::Told(story::tell(&stage)));
    });
    match ended.recv()? {
        Ending::Told(Ok(())) => Ok(ExitCode::SUCCESS),
        Ending::Told(Err(error)) => {
            if arguments.json {
                let told = serde_json::json!({ "error": format!("{error:#}") });
                writeln!(std::io::stdout(), "{told}")?;
            }
            Err(error)
        }
        Ending::Interrupted => {
            say("stopping, and removing what the demo made");
            // Whoever still tells it would make again what is removed.
            patience::give_up();
            story.thread().unpark();
            let _ = ended.recv_timeout(patience::PATIENCE);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn wait_for_interrupt() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        Ok(())
    })
}

/// Narrates.
fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
}

/// The demo's directory; removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn make(wanted: Option<&Path>) -> Result<Self> {
        let dir = match wanted {
            Some(dir) => {
                std::fs::create_dir(dir)
                    .with_context(|| format!("could not make {}", dir.display()))?;
                std::path::absolute(dir)?
            }
            None => tempfile::Builder::new()
                .prefix("nestwarden-demo-")
                .tempdir()?
                .keep(),
        };
        // Staff of the tablet have to get to its programs.
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self(dir))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let root_dir = self.0.join("tablet-1/root");
        let _ = nix::mount::umount2(&root_dir, nix::mount::MntFlags::MNT_DETACH);
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            say(format!("could not remove {}: {error}", self.0.display()));
        }
    }
}
