//! `init`: makes a setting, and has a person prove that its recovery sheet was kept.

use super::reply::Reply;
use super::session::os_user;
use crate::domain::account::invitation::invite;
use crate::domain::local_time::LocalTime;
use crate::domain::{fresh, profile};
use crate::door::Doors;
use crate::settings::{Commands, ConsoleListener, DataDir, Reports, Settings, TabletsListener};
use crate::signing::keys::create_all;
use crate::signing::{RecoverySheet, private_file};
use crate::storage::{AuditEntry, Operator, Role, sql};
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::id::{OperatorId, SettingId};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

const TRIES: u32 = 3;
const TABLETS_PORT: u16 = 7443;

#[derive(clap::Args)]
pub(super) struct Args {
    /// What people call the nursery
    #[arg(long)]
    name: String,
    /// The first operator [default: the user of this machine]
    #[arg(long)]
    operator: Option<String>,
    /// What the first operator may do; repeat for several
    #[arg(long = "role", default_values = ["it_admin", "manager", "dsl"])]
    roles: Vec<Role>,
    /// Where to listen for tablets [default: 0.0.0.0, on the port of --address or 7443]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Host name or address and port by which tablets reach this machine [default: this machine's name]
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Where to listen for people
    #[arg(long, default_value = "127.0.0.1:7444")]
    console_listen: SocketAddr,
    /// Host name or address and port by which people reach this machine [default: where it listens for people]
    #[arg(long, value_name = "HOST:PORT")]
    console_address: Option<String>,
    /// Write the recovery sheet to a new file instead of showing it; take it off this machine
    #[arg(long, value_name = "FILE")]
    recovery_out: Option<PathBuf>,
    /// Do not ask for proof that the recovery sheet was kept
    #[arg(long)]
    recovery_kept: bool,
}

/// How somebody showed that the sheet was kept.
#[derive(Clone, Copy, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Proof {
    TypedBack,
    WrittenToFile,
    SaidKept,
}

pub(super) async fn run(args: Args, data: &DataDir, doors: &Doors) -> anyhow::Result<Reply> {
    let at_terminal = std::io::stdin().is_terminal();
    if args.recovery_out.is_none() && !args.recovery_kept && !at_terminal {
        bail!(
            "nobody is there to keep the recovery sheet: add --recovery-out FILE to write it to a file, or --recovery-kept if what is shown will be kept"
        );
    }
    let now = doors.clock.now();
    let settings = settings(&args, SettingId::from_uuid(fresh::ordered(now)))?;
    make_data_dir(data)?;

    let names = public_names(&settings);
    let created = create_all(data.dir(), settings.setting, &names, now)?;
    let proof = match prove(&args, &created.sheet) {
        Ok(proof) => proof,
        Err(error) => {
            // Nothing uses these keys yet, and nobody could ever recover them.
            let _ = std::fs::remove_dir_all(data.keys_dir());
            let _ = std::fs::remove_dir_all(data.signer_dir());
            return Err(error);
        }
    };

    let storage = sql::create(&data.database_path(), settings.setting, &settings.name, now).await?;
    let operator = Operator {
        id: OperatorId::from_uuid(fresh::ordered(now)),
        name: args.operator.unwrap_or_else(os_user),
        roles: args.roles.into_iter().collect::<BTreeSet<_>>(),
        created_at: now,
    };
    let who = format!("os:{}", os_user());
    let audit = AuditEntry {
        at: now,
        who: who.clone(),
        act: "init".to_owned(),
        subject: settings.setting.to_string(),
        detail: json!({ "operator": operator.name, "recovery": proof }),
    };
    storage.operator_add(&operator, &audit).await?;
    let invitation = invite(&storage, &operator, &who, now).await?;
    let (profile, _) = profile::apply(&storage, EARLY_YEARS, &who, now).await?;
    write(
        &data.recovery_proof_path(),
        &json!({ "proof": proof, "at": now }).to_string(),
    )?;
    // Last, so that a directory with settings is a whole one.
    write(&data.settings_path(), &settings.to_toml()?)?;

    let set_up = settings.console.set_up_link(&invitation.token);
    let json = json!({
        "set_up": { "link": set_up, "expires_at": invitation.expires_at },
        "setting": settings.setting,
        "name": settings.name,
        "data": data.dir(),
        "operator": { "id": operator.id, "name": operator.name, "roles": operator.roles },
        "profile": profile.name,
        "tablets": settings.tablets,
        "console": settings.console,
        "tablet_tls_pin": created.public.tablet_tls_pin,
        "recovery": { "proof": proof, "file": args.recovery_out },
    });
    let text = format!(
        "{} is ready in {}.\nTablets will reach it at {}, where it listens on {}; for people it listens on {}.\nNext: run `nestwarden-server signer` and `nestwarden-server serve`, then `nestwarden-server enrol-token create`.\nEvery control of the profile \"{}\" starts in observe: it says what it would do, and does nothing yet.\nIn a browser, {} makes their account with this link, good once, until {}:\n{set_up}",
        settings.name,
        data.dir().display(),
        settings.tablets.address,
        settings.tablets.listen,
        settings.console.listen,
        profile.name,
        operator.name,
        LocalTime::load(&storage).await?.at(invitation.expires_at),
    );
    Ok(Reply::new(json, text))
}

fn settings(args: &Args, setting: SettingId) -> anyhow::Result<Settings> {
    // What has no port is refused below, as an address.
    let told = args.address.as_deref().and_then(|address| {
        let (_, port) = address.rsplit_once(':')?;
        port.parse::<u16>().ok()
    });
    let anywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listen = args
        .listen
        .unwrap_or_else(|| anywhere(told.unwrap_or(TABLETS_PORT)));
    let address = args.address.clone().unwrap_or_else(|| {
        let machine = rustix::system::uname();
        let name = machine.nodename().to_string_lossy();
        format!("{name}:{}", listen.port())
    });
    let settings = Settings {
        setting,
        name: args.name.trim().to_owned(),
        tablets: TabletsListener { listen, address },
        console: ConsoleListener {
            address: args.console_address.clone(),
            ..ConsoleListener::listening(args.console_listen)
        },
        import: None,
        outside_help: None,
        mail: None,
        commands: Commands::default(),
        reports: Reports::default(),
    };
    // As it will be read.
    Settings::from_toml(&settings.to_toml()?).map_err(anyhow::Error::msg)
}

/// By which the certificates say they may be reached.
fn public_names(settings: &Settings) -> Vec<String> {
    let host = |address: &str| {
        let (host, _) = address.rsplit_once(':').unwrap_or((address, ""));
        host.trim_matches(['[', ']']).to_owned()
    };
    let mut names = vec![host(&settings.tablets.address)];
    names.extend(settings.console.address.as_deref().map(host));
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    names.dedup();
    names
}

fn make_data_dir(data: &DataDir) -> anyhow::Result<()> {
    for path in [data.settings_path(), data.database_path(), data.keys_dir()] {
        if path.exists() {
            bail!(
                "`{}` exists already; a setting is made once. Choose an empty directory with --data",
                path.display()
            );
        }
    }
    let dir = data.dir();
    if !dir.exists() {
        if let Some(parent) = dir.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("failed to create `{}`", parent.display()))?;
        }
        private_file::create_dir(dir)
            .with_context(|| format!("failed to create `{}`", dir.display()))?;
    }
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(dir, private)
        .with_context(|| format!("failed to make `{}` private", dir.display()))
}

fn write(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    private_file::create(path, text.as_bytes())
        .with_context(|| format!("failed to write `{}`", path.display()))
}

/// Hands over the sheet, once.
fn prove(args: &Args, sheet: &RecoverySheet) -> anyhow::Result<Proof> {
    if let Some(path) = &args.recovery_out {
        write(path, &sheet.to_string())?;
        narrate(&format!(
            "The recovery sheet is in `{}`. Take it off this machine: whoever has it can replace the keys tablets trust.",
            path.display()
        ));
        return Ok(Proof::WrittenToFile);
    }
    narrate(&sheet.to_string());
    if args.recovery_kept {
        return Ok(Proof::SaidKept);
    }
    for _ in 0..TRIES {
        narrate(
            "Write it down now. To show that you have it, type the last group of the root key:",
        );
        let mut typed = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut typed)
            .context("failed to read what was typed")?;
        if typed.trim().eq_ignore_ascii_case(&sheet.check_group()) {
            return Ok(Proof::TypedBack);
        }
        narrate("That is not it.");
    }
    bail!("the recovery sheet was not kept, so nothing was made; run `init` again")
}

fn narrate(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use clap::Parser as _;
    use uuid::Uuid;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn listens(arguments: &[&str]) -> SocketAddr {
        let line = ["init", "--name", "Little Acorns"];
        let line = Line::parse_from(line.iter().chain(arguments));
        let settings = settings(&line.args, SettingId::from_uuid(Uuid::from_u128(1)));
        settings.unwrap().tablets.listen
    }

    #[test]
    fn tablets_are_listened_for_on_the_port_they_are_told() {
        for (arguments, expected) in [
            (&[][..], "0.0.0.0:7443"),
            (&["--address", "box.local:27443"], "0.0.0.0:27443"),
            (&["--address", "[fd00::1]:27443"], "0.0.0.0:27443"),
            // Another machine hands the port on.
            (
                &["--address", "box.local:443", "--listen", "10.0.0.2:7443"],
                "10.0.0.2:7443",
            ),
        ] {
            let listens = listens(arguments);
            assert_eq!(listens.to_string(), expected, "{arguments:?}");
        }
    }
}
