//! The command line. Each command is a file; this is the table of them, and what they share.

mod api_token;
mod app;
mod child;
mod consent;
mod delivery;
mod device;
mod doctor;
mod doctor_box;
mod evidence;
mod export;
mod hold;
mod import;
mod init;
mod loss;
mod mail;
mod mapping;
mod operator;
mod passcode;
mod photo;
mod profile;
mod put_back;
mod reply;
mod report;
mod rollout;
mod serve;
mod session;
mod status;
mod subject_access;
mod task;
mod token;
mod verify_report;
mod video;

use crate::door::Doors;
use crate::settings::DataDir;
use clap::{Parser, Subcommand};
use reply::Reply;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const DEFAULT_DATA: &str = "/var/lib/nestwarden-server";
const DATA_VARIABLE: &str = "NESTWARDEN_DATA";
const LOG_VARIABLE: &str = "NESTWARDEN_LOG";

/// Holds per-device profiles and consents for a nursery setting, and tells its tablets.
#[derive(Parser)]
#[command(name = "nestwarden-server", version, max_term_width = 100)]
struct Cli {
    /// The data directory [default: $NESTWARDEN_DATA, else /var/lib/nestwarden-server]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    /// The operator who acts; without it the log names the user of this machine
    #[arg(long = "as", global = true, value_name = "OPERATOR")]
    acting: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new setting: database, keys, first operator
    Init(init::Args),
    /// Serve tablets and people until told to stop
    Serve,
    /// Run the signer: the process with the key that tablets believe
    Signer(serve::SignerArgs),
    /// Let a tablet enrol
    #[command(subcommand)]
    EnrolToken(token::Action),
    /// What tablets are held to
    #[command(subcommand)]
    Profile(profile::Action),
    /// New versions of profiles that some tablets have before the others
    #[command(subcommand)]
    Rollout(rollout::Action),
    /// The consent register
    #[command(subcommand)]
    Consent(consent::Action),
    /// Children: who is on the register, and what is said of them beside consent
    #[command(subcommand)]
    Child(child::Action),
    /// Tablets
    #[command(subcommand)]
    Device(device::Action),
    /// Photos, as tablets tell of them
    #[command(subcommand)]
    Photo(photo::Action),
    /// What people have to do
    #[command(subcommand)]
    Task(task::Action),
    /// Apps that were asked for, and what was decided
    #[command(subcommand)]
    App(app::Action),
    /// Videos that were watched in full, and until when each is approved
    #[command(subcommand)]
    Video(video::Action),
    /// Legal holds
    #[command(subcommand)]
    Hold(hold::Action),
    /// A child's photos for the family: asked for by two people, reviewed on the tablets
    #[command(subcommand)]
    SubjectAccess(subject_access::Action),
    /// This server's data was put back from an earlier copy
    #[command(subcommand)]
    PutBack(put_back::Action),
    /// People who run the server
    #[command(subcommand)]
    Operator(operator::Action),
    /// E-mail to people: what is on its way, and whether it arrives
    #[command(subcommand)]
    Mail(mail::Action),
    /// Who changed what, the newest first
    Audit(operator::AuditArgs),
    /// What tablets reported
    #[command(subcommand)]
    Events(evidence::Action),
    /// Check the evidence: every chain, signed head and receipt; or a report
    Verify(evidence::VerifyArgs),
    /// Make a safeguarding report: what a week, a month or any days came to
    Report(report::Args),
    /// Check this installation
    Doctor,
    /// How the setting stands
    Status,
}

/// Runs one command. Exit code 0: done; 1: failed; 2: wrong use.
pub fn run(args: impl Iterator<Item = OsString>, doors: Doors) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is no failure. Nothing is left to do where neither can be written.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    log_to_stderr();
    let json = cli.json;
    let answered = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(answer(cli, doors)));
    match answered {
        Ok(reply) => reply.print(json),
        Err(error) => Reply::failure(&error).print(json),
    }
}

async fn answer(cli: Cli, doors: Doors) -> anyhow::Result<Reply> {
    let data = DataDir::new(
        cli.data
            .or_else(|| std::env::var_os(DATA_VARIABLE).map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA)),
    );
    let json = cli.json;
    let open = || session::Session::open(&data, &doors, cli.acting.as_deref());
    match cli.command {
        Command::SubjectAccess(subject_access::Action::Key { out }) => {
            subject_access::key(&out, &data)
        }
        Command::SubjectAccess(subject_access::Action::Open(args)) => {
            subject_access::open(&args, &data)
        }
        Command::SubjectAccess(action) => subject_access::run(action, &open().await?).await,
        Command::Init(args) => init::run(args, &data, &doors).await,
        Command::Serve => Box::pin(serve::run(&data, &doors, json)).await,
        Command::Signer(args) => serve::signer(args, &data, &doors).await,
        Command::Doctor => doctor::run(&data, &doors).await,
        Command::Verify(args) => evidence::verify(args, &data, &doors).await,
        Command::EnrolToken(action) => token::run(action, &open().await?).await,
        Command::Profile(action) => profile::run(action, &open().await?).await,
        Command::Rollout(action) => rollout::run(action, &open().await?).await,
        Command::Consent(action) => consent::run(action, &open().await?).await,
        Command::Child(action) => child::run(action, &open().await?).await,
        Command::Device(action) => device::run(action, &open().await?).await,
        Command::Photo(action) => photo::run(action, &open().await?).await,
        Command::Task(action) => task::run(action, &open().await?).await,
        Command::App(action) => app::run(action, &open().await?).await,
        Command::Video(action) => video::run(action, &open().await?).await,
        Command::Hold(action) => hold::run(action, &open().await?).await,
        Command::PutBack(action) => put_back::run(action, &open().await?).await,
        Command::Operator(action) => operator::run(action, &open().await?).await,
        Command::Mail(action) => mail::run(action, &open().await?).await,
        Command::Audit(args) => operator::audit(args, &open().await?).await,
        Command::Events(action) => evidence::run(action, &open().await?).await,
        Command::Report(args) => report::run(args, &open().await?).await,
        Command::Status => status::run(&open().await?).await,
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new("warn,nestwarden_server=info"));
    // Fails only where a subscriber is set already, in tests.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
}
