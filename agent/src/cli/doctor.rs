//! `doctor`: checks what the agent depends on, and says what to do about what is wrong.

use super::Ended;
use super::ask;
use super::print::Output;
use crate::door::Doors;
use crate::identity::{Identity, IdentityStore, KeySeal, tls_config};
use crate::ledger::Ledger;
use crate::local_api::Request;
use crate::paths::Paths;
use crate::sync::server::Server;
use nestwarden_policy_schema::device_api::{EVENTS_PATH, EventBatch, EventsAck};
use serde::Serialize;
use std::fmt::Write as _;

/// Less than this, and photos may soon not be sealed.
const LITTLE_DISK_BYTES: u64 = 500 * 1024 * 1024;

#[derive(Serialize)]
struct Finding {
    check: &'static str,
    result: Judgement,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Judgement {
    Fine,
    /// Works, with less than could be had.
    Limited,
    Wrong,
    /// Could not be checked.
    Unknown,
}

pub(super) async fn doctor(paths: &Paths, doors: &Doors, output: Output) -> anyhow::Result<Ended> {
    let mut findings = vec![privileges(), kernel(), disk(paths)];
    let identity = match IdentityStore::new(paths).load() {
        Ok(Some(identity)) => {
            findings.extend(enrolment(&identity));
            Some(identity)
        }
        Ok(None) => {
            findings.push(finding(
                "enrolment",
                Judgement::Wrong,
                "this tablet is not enrolled; run `nestwarden-agent enrol LINK`",
            ));
            None
        }
        Err(error) => {
            findings.push(finding(
                "enrolment",
                Judgement::Wrong,
                crate::whole_text(&error),
            ));
            None
        }
    };
    if let Some(identity) = &identity {
        let ledger = ledger(paths, &mut findings);
        findings.extend(ledger.as_ref().map(|ledger| vaults(paths, ledger)));
        findings.push(certificate(identity, ledger.as_ref(), doors));
        findings.push(server(identity, ledger.as_ref()).await);
        findings.push(running(paths));
    }
    let is_well = findings
        .iter()
        .all(|f| matches!(f.result, Judgement::Fine | Judgement::Limited));
    output.answer(
        &serde_json::json!({ "well": is_well, "checks": findings }),
        || words(&findings),
    );
    Ok(if is_well { Ended::Done } else { Ended::Failed })
}

fn finding(check: &'static str, result: Judgement, detail: impl Into<String>) -> Finding {
    Finding {
        check,
        result,
        detail: detail.into(),
    }
}

fn privileges() -> Finding {
    if nix::unistd::geteuid().is_root() {
        finding("privileges", Judgement::Fine, "runs as root")
    } else {
        finding(
            "privileges",
            Judgement::Limited,
            "does not run as root: what needs root reads unsupported or unknown",
        )
    }
}

fn kernel() -> Finding {
    match sysinfo::System::kernel_version() {
        Ok(version) => finding("kernel", Judgement::Fine, version),
        Err(_) => finding(
            "kernel",
            Judgement::Unknown,
            "its version could not be read",
        ),
    }
}

fn disk(paths: &Paths) -> Finding {
    let near = paths
        .state_dir()
        .ancestors()
        .find(|dir| dir.exists())
        .map_or_else(|| paths.root_dir().to_owned(), std::path::Path::to_owned);
    match crate::platform::disk_free_bytes(&near) {
        Some(free) if free < LITTLE_DISK_BYTES => finding(
            "disk",
            Judgement::Wrong,
            format!(
                "{} MiB free; make room, or photos may not be sealed",
                free / 1024 / 1024
            ),
        ),
        Some(free) => finding(
            "disk",
            Judgement::Fine,
            format!("{} MiB free", free / 1024 / 1024),
        ),
        None => finding(
            "disk",
            Judgement::Unknown,
            "its free space could not be read",
        ),
    }
}

fn enrolment(identity: &Identity) -> [Finding; 2] {
    let enrolment = &identity.enrolment;
    let seal = match identity.seal {
        KeySeal::Machine => finding(
            "device key",
            Judgement::Fine,
            "sealed to this machine by systemd-creds",
        ),
        KeySeal::FileOnly => finding(
            "device key",
            Judgement::Limited,
            "readable by root alone, not sealed: a copy of the disk holds it",
        ),
    };
    let enrolled = finding(
        "enrolment",
        Judgement::Fine,
        format!(
            "\"{}\" (device {}) with the server at {}",
            enrolment.device_name, enrolment.device, enrolment.server
        ),
    );
    [enrolled, seal]
}

fn ledger(paths: &Paths, findings: &mut Vec<Finding>) -> Option<Ledger> {
    let ledger = match Ledger::open(paths) {
        Ok(ledger) => ledger,
        Err(error) => {
            findings.push(finding(
                "ledger",
                Judgement::Wrong,
                crate::whole_text(&error),
            ));
            return None;
        }
    };
    let mut problems = ledger.take_problems();
    match ledger.integrity() {
        Ok(more) => problems.extend(more),
        Err(error) => problems.push(crate::whole_text(&error)),
    }
    if let Err(problem) = chain_holds(&ledger) {
        problems.push(problem);
    }
    findings.push(if problems.is_empty() {
        let head = ledger.head().map_or(0, |head| head.seq);
        finding(
            "ledger",
            Judgement::Fine,
            format!("whole; {head} events recorded"),
        )
    } else {
        finding("ledger", Judgement::Wrong, problems.join("; "))
    });
    Some(ledger)
}

fn vaults(paths: &Paths, ledger: &Ledger) -> Finding {
    match crate::photos::strays(ledger, paths) {
        Ok(found) => match found.first() {
            None => finding("vaults", Judgement::Fine, "hold what the record says"),
            Some(first) => finding(
                "vaults",
                Judgement::Wrong,
                format!(
                    "{} files are in no record, `{first}` for one: a record that was lost left them, or somebody put them there. They stay where only root can go; look through them, and decide with the safeguarding lead what becomes of each",
                    found.len()
                ),
            ),
        },
        Err(error) => finding("vaults", Judgement::Unknown, crate::whole_text(&error)),
    }
}

/// Checks every event that is still here, from the oldest on.
fn chain_holds(ledger: &Ledger) -> Result<(), String> {
    const AT_ONCE: usize = 1000;
    let said = |error: &dyn std::error::Error| crate::whole_text(error);
    let Some(enrolment) = ledger.enrolment().map_err(|e| said(&e))? else {
        return Ok(());
    };
    let mut position = ledger.oldest_position().map_err(|e| said(&e))?;
    loop {
        let events = ledger
            .events_after(position.seq, AT_ONCE, usize::MAX)
            .map_err(|e| said(&e))?;
        if events.is_empty() {
            return Ok(());
        }
        for event in &events {
            // A record that went on from the server's leaves out what only the server has.
            if event.continues_record() {
                position = event.follows();
            }
            position = event
                .verify(enrolment.device, position)
                .map_err(|e| said(&e))?;
        }
    }
}

fn certificate(identity: &Identity, ledger: Option<&Ledger>, doors: &Doors) -> Finding {
    // The last time seen never runs ahead of the truth, and the wall clock may be set to anything.
    let seen = ledger.and_then(|l| crate::clock::last_seen(l).ok().flatten());
    let now = seen.unwrap_or_else(|| doors.clock.wall());
    let end = identity.not_after;
    if end <= now {
        finding(
            "certificate",
            Judgement::Wrong,
            format!("ended at {end}; the running agent renews it when it reaches the server"),
        )
    } else {
        finding("certificate", Judgement::Fine, format!("good until {end}"))
    }
}

async fn server(identity: &Identity, ledger: Option<&Ledger>) -> Finding {
    let pins = ledger
        .and_then(|ledger| ledger.anchors().ok())
        .unwrap_or_else(|| identity.enrolment.anchors.clone())
        .server_pins;
    let asked = async {
        let tls = tls_config(pins, Some(identity)).map_err(|e| crate::whole_text(&e))?;
        let server =
            Server::new(&identity.enrolment.server, tls).map_err(|e| crate::whole_text(&e))?;
        // Without events it only asks how far the server has got.
        let empty = EventBatch {
            events: Vec::new(),
            head: None,
        };
        let answer: EventsAck = server
            .post(EVENTS_PATH, &empty)
            .await
            .map_err(|e| crate::whole_text(&e))?;
        Ok::<EventsAck, String>(answer)
    };
    match asked.await {
        Ok(answer) => match ledger.map(|ledger| crate::sync::difference(ledger, answer)) {
            Some(Ok(Some(differs))) => finding(
                "server",
                Judgement::Wrong,
                format!(
                    "answers; {differs}; the running agent lets its record go on from the server's within the hour"
                ),
            ),
            Some(Err(error)) => finding("server", Judgement::Unknown, crate::whole_text(&error)),
            Some(Ok(None)) | None => finding(
                "server",
                Judgement::Fine,
                format!(
                    "answers; it has events up to {}, the same as here",
                    answer.on_disk
                ),
            ),
        },
        Err(problem) => finding("server", Judgement::Wrong, problem),
    }
}

fn running(paths: &Paths) -> Finding {
    match ask::agent(paths, &Request::Status) {
        Ok(answer) => match answer["clock_doubt"].as_str() {
            Some(doubt) => finding(
                "agent",
                Judgement::Wrong,
                format!("runs, and its clock is in doubt: {doubt}; connect it to the server"),
            ),
            None => finding("agent", Judgement::Fine, "runs, and vouches for its clock"),
        },
        Err(error) => finding("agent", Judgement::Wrong, crate::whole_text(&error)),
    }
}

fn words(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.result {
            Judgement::Fine => "fine   ",
            Judgement::Limited => "limited",
            Judgement::Wrong => "WRONG  ",
            Judgement::Unknown => "unknown",
        };
        let _ = writeln!(text, "{mark}  {:<12} {}", finding.check, finding.detail);
    }
    text.trim_end().to_owned()
}
