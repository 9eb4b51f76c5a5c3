//! The server's program: the command line with the system's own doors.

use nestwarden_server::cli;
use nestwarden_server::door::Doors;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Doors::system())
}
