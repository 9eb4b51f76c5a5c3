//! The tablet's program: the command line with the system's own clock.

use nestwarden_agent::door::Doors;
use nestwarden_agent::platform::SystemClock;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let doors = Doors {
        clock: Arc::new(SystemClock),
    };
    nestwarden_agent::cli::run(std::env::args_os(), doors)
}
