//! The command line: parse, do, say. Standard output is the answer, standard error the story; 0 done, 1 failed, 2 wrong
//! use.

mod ask;
mod doctor;
mod enrol;
mod page;
mod print;
mod status;
mod unenrol;

use crate::door::Doors;
use crate::local_api::Request;
use crate::paths::Paths;
use crate::photos::listing::Tags;
use crate::settings::Settings;
use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use nestwarden_policy_schema::consent::{RoomName, Tagging};
use nestwarden_policy_schema::enrol_link::EnrolLinkError;
use nestwarden_policy_schema::id::{ChildId, PhotoId};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The guard of app control is this same program, started by the running agent.
const APPS_GUARD: &str = "apps-guard";
/// How long a thread that hangs in the operating system may keep the agent from ending.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Holds this tablet to its setting's policy.
#[derive(Parser)]
#[command(name = "nestwarden-agent", version)]
struct Cli {
    /// Work on this directory as if it were a whole tablet
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Enrol this tablet with the link or code from `nestwarden-server enrol-token create`
    Enrol {
        // Read by us: clap would repeat a link it cannot read, and with it the token.
        link: String,
    },
    /// Run the agent in the foreground until it is told to stop
    Run,
    /// Say how this tablet stands
    Status,
    /// Start or end a capture session
    #[command(subcommand)]
    Session(Session),
    /// List photos, or say who is in one
    #[command(subcommand)]
    Photos(Photos),
    /// Give the link to the tablet's page
    Page {
        /// Open it in this tablet's browser
        #[arg(long)]
        open: bool,
    },
    /// Check what the agent depends on
    Doctor,
    /// Say how far handing this tablet back is, which only its setting can ask for
    Unenrol,
    /// Give every control back, before the package is removed
    #[command(hide = true)]
    Release,
}

#[derive(Subcommand)]
enum Session {
    /// From now on photos belong to these rooms
    Start {
        /// A room; give one `--room` for each. Without any: the rooms of the tablet
        #[arg(long = "room", value_name = "ROOM")]
        rooms: Vec<RoomName>,
    },
    /// Photos belong to no session any more
    End,
}

#[derive(Subcommand)]
enum Photos {
    /// Every photo on this tablet: its stage, what comes next, who may be in it and where its files are
    List,
    /// Say who is in a photo
    Tag {
        photo: PhotoId,
        #[command(flatten)]
        who: Who,
    },
    /// Look at every photo again now
    Rescan,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Who {
    /// A child who is in it; give one `--child` for each
    #[arg(long = "child", value_name = "ID")]
    children: Vec<ChildId>,
    /// These are all the children in it
    #[arg(long, conflicts_with = "no_child")]
    complete: bool,
    /// Somebody looked, and there is no child in it
    #[arg(long, conflicts_with = "children")]
    no_child: bool,
    /// Somebody in it is not on the register
    #[arg(long)]
    unregistered_person: bool,
    /// An allergy, medical or identity photo
    #[arg(long)]
    care_record: bool,
}

/// What a command ended with.
pub(crate) enum Ended {
    Done,
    /// It said why already.
    Failed,
    /// Likewise.
    WrongUse,
}

/// Runs one command line. The first argument is the program's name.
pub fn run(args: impl Iterator<Item = OsString>, doors: Doors) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    if args.get(1).map(OsString::as_os_str) == Some(OsStr::new(APPS_GUARD)) {
        return crate::platform::guard::main(args.into_iter().skip(2));
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output and is no failure; clap knows which is which.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = cli.json;
    match execute(cli, doors) {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Failed) => ExitCode::FAILURE,
        Ok(Ended::WrongUse) => ExitCode::from(2),
        Err(error) => {
            let text = format!("{error:#}");
            if json {
                print::answer(&serde_json::json!({ "error": text }));
            }
            print::story(&format!("failed: {text}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli, doors: Doors) -> anyhow::Result<Ended> {
    let paths = paths(&cli.root)?;
    let settings = Settings::read(&paths)?;
    let output = print::Output { json: cli.json };
    match cli.command {
        Command::Enrol { link } => match link.parse() {
            Ok(link) => {
                log_to_stderr("warn");
                blocking_on(enrol::enrol(&paths, &link, &doors, output))
            }
            Err(error) => {
                let error: EnrolLinkError = error;
                print::story(&error.to_string());
                Ok(Ended::WrongUse)
            }
        },
        Command::Run => {
            crate::platform::memory::keep_small();
            log_to_stderr(settings.log.as_str());
            blocking_on(async {
                crate::wiring::run(paths, settings, doors).await?;
                Ok(Ended::Done)
            })
        }
        Command::Status => status::status(&paths, output),
        Command::Session(Session::Start { rooms }) => {
            let rooms = rooms.into_iter().collect();
            let answer = ask::agent(&paths, &Request::SessionStart { rooms })?;
            output.answer(&answer, || "The session is open.".to_owned());
            Ok(Ended::Done)
        }
        Command::Session(Session::End) => {
            let answer = ask::agent(&paths, &Request::SessionEnd)?;
            output.answer(&answer, || {
                format!("The session has ended with {} photos.", answer["photos"])
            });
            Ok(Ended::Done)
        }
        Command::Photos(Photos::List) => {
            let answer = ask::agent(&paths, &Request::PhotosList)?;
            output.answer(&answer, || print::photos(&answer));
            Ok(Ended::Done)
        }
        Command::Photos(Photos::Tag { photo, who }) => {
            let tags = who.tags();
            let answer = ask::agent(&paths, &Request::PhotosTag { photo, tags })?;
            output.answer(&answer, || "Noted.".to_owned());
            Ok(Ended::Done)
        }
        Command::Photos(Photos::Rescan) => {
            let answer = ask::agent(&paths, &Request::Rescan)?;
            output.answer(&answer, || "Every photo was looked at again.".to_owned());
            Ok(Ended::Done)
        }
        Command::Page { open: false } => page::say(&paths, output),
        Command::Page { open: true } => page::open(&paths),
        Command::Unenrol => unenrol::unenrol(&paths, output),
        Command::Release => {
            log_to_stderr("warn");
            blocking_on(unenrol::release(&paths, &doors, output))
        }
        Command::Doctor => {
            log_to_stderr("error");
            blocking_on(doctor::doctor(&paths, &doors, output))
        }
    }
}

impl Who {
    fn tags(self) -> Tags {
        let tagging = if self.no_child {
            Tagging::NoChild
        } else if self.complete {
            Tagging::Complete
        } else if self.children.is_empty() && !self.unregistered_person {
            Tagging::Untagged
        } else {
            Tagging::Partial
        };
        let confirmed: BTreeSet<ChildId> = self.children.into_iter().collect();
        Tags {
            tagging,
            confirmed,
            unregistered_person: self.unregistered_person,
            care_record: self.care_record,
        }
    }
}

fn paths(root: &Path) -> anyhow::Result<Paths> {
    let absolute = std::path::absolute(root)
        .with_context(|| format!("`--root {}` is not a directory's path", root.display()))?;
    if !absolute.is_dir() {
        bail!(
            "`--root {}` is not a directory; make it first",
            root.display()
        );
    }
    Ok(Paths::new(absolute))
}

fn blocking_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the event loop")?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WAIT);
    done
}

fn log_to_stderr(level: &str) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::prelude::*;
    // Other people's crates are quieter than ours.
    let usual = format!("warn,nestwarden_agent={level}");
    let wanted = std::env::var("NESTWARDEN_LOG").ok();
    let targets = wanted.and_then(|wanted| wanted.parse::<Targets>().ok());
    let targets = targets.or_else(|| usual.parse().ok()).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_filter(targets);
    // A second call in one process finds a subscriber in place, which is as good.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    const PHOTO: &str = "0192e4a1-7c3b-7d10-8f2e-5a6b7c8d9e0f";

    fn tags(args: &[&str]) -> Result<Tags, clap::Error> {
        let line = ["nestwarden-agent", "photos", "tag", PHOTO];
        let cli = Cli::try_parse_from(line.iter().chain(args))?;
        let Command::Photos(Photos::Tag { who, .. }) = cli.command else {
            unreachable!("parsed as another command");
        };
        Ok(who.tags())
    }

    #[test]
    fn children_alone_are_some_of_those_in_it_and_complete_makes_them_all() {
        assert_eq!(tags(&["--child", PHOTO]).unwrap().tagging, Tagging::Partial);
        assert_eq!(
            tags(&["--child", PHOTO, "--complete"]).unwrap().tagging,
            Tagging::Complete
        );
        assert_eq!(tags(&["--no-child"]).unwrap().tagging, Tagging::NoChild);
    }

    #[test]
    fn contradictions_and_silence_are_wrong_use() {
        assert_eq!(tags(&[]).unwrap_err().exit_code(), 2);
        assert!(tags(&["--no-child", "--child", PHOTO]).is_err());
        assert!(tags(&["--no-child", "--complete"]).is_err());
    }

    #[test]
    fn a_link_that_was_cut_off_is_wrong_use_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let doors = Doors {
            clock: std::sync::Arc::new(crate::platform::SystemClock),
        };
        let cut = ["enrol", "nestwarden://enrol?server=x"];
        let line = ["nestwarden-agent", "--root", root].into_iter().chain(cut);
        let cli = Cli::try_parse_from(line).unwrap();
        assert!(matches!(execute(cli, doors).unwrap(), Ended::WrongUse));
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
    }
}
