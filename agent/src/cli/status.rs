//! `status`: what the running agent measured; without one, what was last recorded, and never as if it still held.

use super::Ended;
use super::ask::{self, AskError};
use super::print::{self, Output};
use crate::ledger::{Ledger, LedgerError};
use crate::local_api::Request;
use crate::paths::Paths;
use crate::status::{LastRecorded, Status};
use nestwarden_policy_schema::calendar::shown;
use nestwarden_policy_schema::control::{ControlReport, Outcome};
use std::fmt::Write as _;

pub(super) fn status(paths: &Paths, output: Output) -> anyhow::Result<Ended> {
    match ask::agent(paths, &Request::Status) {
        Ok(answer) => {
            let status: Status = serde_json::from_value(answer.clone())?;
            output.answer(&answer, || words(&status));
            Ok(Ended::Done)
        }
        Err(error @ AskError::NotRunning(_)) => {
            print::story(&error.to_string());
            without_agent(paths, output)
        }
        Err(error) => Err(error.into()),
    }
}

fn without_agent(paths: &Paths, output: Output) -> anyhow::Result<Ended> {
    if !paths.ledger_path().exists() {
        return Err(LedgerError::NotEnrolled.into());
    }
    let last = LastRecorded::read(&Ledger::open(paths)?)?;
    output.answer(&last, || {
        let local = |at| shown(at, last.time_zone.as_deref());
        let mut text = format!(
            "THE AGENT IS NOT RUNNING on {}. Nothing below says how the tablet stands now.\nLast seen {}, generation {}, {} events waiting for the server.\n",
            last.device_name,
            last.last_seen.map_or_else(|| "never".to_owned(), local),
            last.generation,
            last.events_waiting,
        );
        for report in &last.recorded {
            let _ = writeln!(
                text,
                "  {:<9} not checked; was {} at {}",
                report.control,
                report.outcome.name(),
                local(report.measured_at)
            );
        }
        text.trim_end().to_owned()
    });
    Ok(Ended::Failed)
}

fn words(status: &Status) -> String {
    let local = |at| shown(at, status.time_zone.as_deref());
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} (device {}), agent {}",
        status.device_name, status.device, status.agent_version
    );
    let _ = writeln!(
        text,
        "Policy: {}, generation {}{}",
        status.profile.as_deref().unwrap_or("none yet"),
        status.generation,
        if status.bundle_expired {
            "; EXPIRED, and still enforced"
        } else {
            ""
        }
    );
    if status.held_to_earlier {
        let _ = writeln!(
            text,
            "        THE SERVER'S DATA WAS PUT BACK from an earlier copy: the stricter of both is enforced and nothing is destroyed until somebody settles it there (`nestwarden-server put-back settle --reason …`)"
        );
    }
    if let Some(since) = status.lost_since {
        let _ = writeln!(
            text,
            "        MARKED AS LOST since {}: locked, camera off, photos out of sight, until the server says that it was found",
            local(since)
        );
    }
    let contact = status
        .last_contact
        .map_or_else(|| "never".to_owned(), local);
    let _ = writeln!(
        text,
        "Server: {}, last contact {contact}{}",
        status.server,
        match (&status.server_problem, status.revoked) {
            (_, true) => "; it NO LONGER ACCEPTS this tablet".to_owned(),
            (Some(problem), false) => format!("; {problem}"),
            (None, false) => String::new(),
        }
    );
    let _ = writeln!(
        text,
        "Time:   {}{}",
        local(status.now),
        status
            .clock_doubt
            .as_ref()
            .map_or_else(String::new, |doubt| format!(" IN DOUBT: {doubt}"))
    );
    let _ = writeln!(
        text,
        "Events: {} waiting for the server",
        status.events_waiting
    );
    let _ = writeln!(text, "Controls:");
    for report in &status.controls {
        let _ = writeln!(text, "  {}", control(report));
    }
    if let Some(locked_out) = &status.locked_out {
        let _ = writeln!(
            text,
            "Too many wrong passcodes ({}): whoever tries waits until {}",
            locked_out.tries,
            local(locked_out.until)
        );
    }
    let photos: Vec<String> = status
        .photos
        .iter()
        .map(|(stage, count)| format!("{count} {}", format!("{stage:?}").to_lowercase()))
        .collect();
    let _ = writeln!(
        text,
        "Photos: {}{}",
        if photos.is_empty() {
            "none".to_owned()
        } else {
            photos.join(", ")
        },
        if status.session.is_some() {
            "; a session is open"
        } else {
            ""
        }
    );
    text.trim_end().to_owned()
}

fn control(report: &ControlReport) -> String {
    let detail = match &report.outcome {
        Outcome::Unmanaged | Outcome::Compliant => String::new(),
        Outcome::Observed { would_change } if would_change.is_empty() => {
            ": observed only; nothing would change".to_owned()
        }
        Outcome::Observed { would_change } => {
            format!(": observed only; would {}", would_change.join("; "))
        }
        Outcome::Corrected { changed } => format!(": {}", changed.join("; ")),
        Outcome::Drifted { remaining, error } => format!(
            ": still to {}{}",
            remaining.join("; "),
            error
                .as_ref()
                .map_or_else(String::new, |error| format!(" ({error})"))
        ),
        Outcome::Unsupported { reason } => format!(": {reason}"),
        Outcome::Unknown { error } => format!(": {error}"),
    };
    format!(
        "{:<9} {}{detail}",
        report.control.as_str(),
        report.outcome.name()
    )
}
