//! How far a tablet is with a version that it has before the others.

use crate::domain::compliance::{Compliance, STALE_AFTER, Standing};
use crate::domain::local_time::LocalTime;
use crate::storage::Joined;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome, wording};
use serde::Serialize;
use std::collections::BTreeSet;

/// A tablet that was heard with the new version counts as fallen silent after this much of contact time without a word:
/// twice what makes a report old, so that one missed report stops nothing.
const SILENT_AFTER: SignedDuration = SignedDuration::from_mins(32);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "progress", content = "why", rename_all = "snake_case")]
pub enum Progress {
    /// Not heard since it was given the version.
    Waits,
    /// Heard, and not everything was measured under it yet.
    OnItsWay,
    /// It took it over, and everything asked for was read back since, but for what could not be before either.
    Holds { but_for: BTreeSet<ControlName> },
    /// A sentence for people, without the tablet's name.
    Trouble(String),
    /// It was shut out, and takes no part any more.
    ShutOut,
}

/// What is known at `now` of a tablet that `joined`, and is held to a profile with this calendar.
pub fn of(
    found: &Compliance,
    joined: &Joined,
    calendar: &Calendar,
    (now, local): (Timestamp, &LocalTime),
) -> Progress {
    if found.standing == Standing::Revoked {
        return Progress::ShutOut;
    }
    let Some(reported_at) = found.reported_at.filter(|at| *at > joined.at) else {
        return Progress::Waits;
    };
    if is_silent(reported_at, calendar, now) {
        let at = local.at(reported_at);
        return Progress::Trouble(format!("it was heard last at {at}, with the new version"));
    }
    if found.bundle_behind && now.duration_since(reported_at) < STALE_AFTER {
        let says = "it reports, and does not take the new version over";
        return Progress::Trouble(says.to_owned());
    }
    if found.generation_applied < found.generation_issued {
        return Progress::OnItsWay;
    }
    let mut all_measured = true;
    let mut but_for = BTreeSet::new();
    for control in &found.controls {
        if control.mode.is_none() {
            continue;
        }
        let since = control
            .report
            .as_ref()
            .filter(|report| report.measured_at > joined.at);
        match since {
            None => all_measured = false,
            Some(report) => {
                match trouble(report) {
                    Some(_) if joined.already.contains(&control.control) => {
                        but_for.insert(control.control);
                    }
                    Some(why) => return Progress::Trouble(why),
                    None if is_unread(report) => {
                        but_for.insert(control.control);
                    }
                    None => {}
                }
                // It was measured by the rules before.
                all_measured &= report.outcome != Outcome::Unmanaged;
            }
        }
    }
    if all_measured {
        Progress::Holds { but_for }
    } else {
        Progress::OnItsWay
    }
}

/// Controls that are not as they should be, whatever they are held to.
pub fn in_trouble(found: &Compliance) -> BTreeSet<ControlName> {
    let reports = found.controls.iter().filter_map(|c| c.report.as_ref());
    reports
        .filter(|report| trouble(report).is_some())
        .map(|report| report.control)
        .collect()
}

/// Watched only, and a part of it could not be read.
fn is_unread(report: &ControlReport) -> bool {
    let Outcome::Observed { would_change } = &report.outcome else {
        return false;
    };
    would_change
        .iter()
        .any(|what| what.starts_with(wording::UNREAD))
}

fn trouble(report: &ControlReport) -> Option<String> {
    let control = report.control;
    match &report.outcome {
        Outcome::Drifted { remaining, .. } if remaining.is_empty() => {
            Some(format!("{control} is not as the new version wants it"))
        }
        Outcome::Drifted { remaining, .. } => Some(format!(
            "{control} is not as the new version wants it: {}",
            remaining.join("; ")
        )),
        Outcome::Unsupported { reason } => {
            Some(format!("{control} cannot be held there: {reason}"))
        }
        Outcome::Unknown { error } => Some(format!("{control} cannot be read: {error}")),
        Outcome::Unmanaged
        | Outcome::Observed { .. }
        | Outcome::Compliant
        | Outcome::Corrected { .. } => None,
    }
}

/// Whether staff have been with children for a while, and nothing was heard all that time.
fn is_silent(reported_at: Timestamp, calendar: &Calendar, now: Timestamp) -> bool {
    let today = calendar.local_date(now);
    calendar.contact_on(today).into_iter().any(|(from, to)| {
        from <= now && now < to && now.duration_since(reported_at.max(from)) >= SILENT_AFTER
    })
}
