//! The harness: the demo, the figures, and the programs under test with a clock that a file moves.

use anyhow::Result;
use clap::{Parser, Subcommand};
use nestwarden_agent::door::Doors as AgentDoors;
use nestwarden_server::door::Doors as ServerDoors;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use system_tests::clock::FileClock;
use system_tests::process::LEASH_VARIABLE;
use system_tests::{demo, figures};

/// Shows and measures the whole product.
#[derive(Parser)]
#[command(name = "harness")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    Demo(demo::DemoArguments),
    Figures(figures::FiguresArguments),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let harness = arguments.next().unwrap_or_default();
    let first = arguments.next();
    let under_test = match first.as_ref().and_then(|word| word.to_str()) {
        Some("agent") => agent(arguments),
        Some("server") => server(arguments),
        // The agent under test starts its own program again, which is this one. That has to come before any thread.
        Some("apps-guard") => Ok(nestwarden_agent::platform::guard::main(arguments)),
        Some(_) | None => {
            // `cargo demo -- --once` passes its dashes on; they say only that what follows is for the demo.
            let rest: Vec<OsString> = arguments.collect();
            let rest = rest.strip_prefix(&[OsString::from("--")]).unwrap_or(&rest);
            main_part(
                [harness]
                    .into_iter()
                    .chain(first)
                    .chain(rest.iter().cloned()),
            )
        }
    };
    under_test.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "{error:#}");
        ExitCode::FAILURE
    })
}

fn main_part(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => match arguments.part {
            Part::Demo(arguments) => demo::run(&arguments),
            Part::Figures(arguments) => figures::run(&arguments),
        },
        Err(refused) => refused.exit(),
    }
}

fn agent(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    leash()?;
    let doors = AgentDoors {
        clock: Arc::new(FileClock::from_environment()?),
    };
    let arguments = [OsString::from("nestwarden-agent")]
        .into_iter()
        .chain(arguments);
    Ok(nestwarden_agent::cli::run(arguments, doors))
}

fn server(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    leash()?;
    let doors = ServerDoors {
        clock: Arc::new(FileClock::from_environment()?),
    };
    let arguments = [OsString::from("nestwarden-server")]
        .into_iter()
        .chain(arguments);
    Ok(nestwarden_server::cli::run(arguments, doors))
}

/// Ends this process with whoever started it, so that nothing is left over when a test is killed.
fn leash() -> Result<()> {
    if std::env::var_os(LEASH_VARIABLE).is_some() {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    }
    Ok(())
}
