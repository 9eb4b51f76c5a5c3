//! What is to be done for tablets: passcodes that are the manager's to set, and those that somebody knows who left.

use super::Today;
use crate::domain::loss::{self, Loss};
use crate::domain::passcode::{is_done, is_managers, last_set};
use crate::domain::rollout::InForce;
use crate::storage::command::DONE;
use crate::storage::task::{TaskDraft, TaskKind};
use crate::storage::{CommandRow, Device, Role, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::command::CommandKind;
use nestwarden_policy_schema::control::{ControlName, Outcome, wording};
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::policy::{Mode, PasscodePolicy};

/// Who of the staff went last, and since when.
pub(super) type Gone = (EntryId, Timestamp);

/// A passcode is put before the manager this long before its time is over.
const AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A person looks at the tablet that is in trouble with a new version.
async fn stopped_rollouts(
    storage: &Storage,
    today: &Today<'_>,
    drafts: &mut Vec<TaskDraft>,
) -> Result<(), StorageError> {
    for rollout in storage.rollout_list().await? {
        let Some(stopped) = rollout.stopped else {
            continue;
        };
        let key = format!("rollout_stopped/{}/{}", rollout.profile, stopped.at);
        let due = today.calendar.local_date(stopped.at);
        let mut draft = today.draft(TaskKind::RolloutStopped, key, Role::Manager, due);
        draft.subject.device = Some(stopped.device);
        drafts.push(draft);
    }
    Ok(())
}

pub(super) async fn find(
    storage: &Storage,
    today: &Today<'_>,
    gone: Option<Gone>,
    drafts: &mut Vec<TaskDraft>,
) -> Result<(), StorageError> {
    let in_force = InForce::load(storage).await?;
    stopped_rollouts(storage, today, drafts).await?;
    for device in storage.device_list().await? {
        let profile = in_force.of(&device).filter(|_| device.revoked.is_none());
        let Some(profile) = profile else { continue };
        // Whoever went before the tablet came never knew its passcode.
        let gone = gone.filter(|(_, since)| device.enrolled_at < *since);
        let rows = storage.command_list(device.id).await?;
        if let Some(loss) = loss::of(&rows, today.now).filter(Loss::is_missing) {
            let key = format!("tablet_lost/{}/{}", device.id, loss.since);
            let due = Calendar::plus_days(today.calendar.local_date(loss.since), 1);
            let mut draft = today.draft(TaskKind::TabletLost, key, Role::Manager, due);
            draft.subject.device = Some(device.id);
            drafts.push(draft);
        }
        let Some(policy) = is_managers(profile, &device) else {
            let policy = profile.policy_with(&device.overrides).passcode;
            if let Some((who, since)) = policy.and_then(|policy| to_ask(&policy, &rows, gone)) {
                let key = format!("ask_passcode/{}/{who}/{since}", device.id);
                let due = today.calendar.local_date(since);
                let mut draft = today.draft(TaskKind::AskPasscode, key, Role::Manager, due);
                draft.subject.device = Some(device.id);
                drafts.push(draft);
            }
            continue;
        };
        let lacks = tells_that_it_lacks_one(storage, &device).await?;
        if let Some((why, due)) = cause(&policy, &rows, (lacks, gone), today.now) {
            let last = last_set(&rows).map_or_else(|| "none".to_owned(), |(id, _)| id.to_string());
            let key = format!("set_passcode/{}/{last}/{why}", device.id);
            let due = today.calendar.local_date(due);
            let mut draft = today.draft(TaskKind::SetPasscode, key, Role::Manager, due);
            draft.subject.device = Some(device.id);
            drafts.push(draft);
        }
    }
    Ok(())
}

/// What the tablet itself says, as it last did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lacks {
    Yes,
    No,
}

async fn tells_that_it_lacks_one(
    storage: &Storage,
    device: &Device,
) -> Result<Lacks, StorageError> {
    let told = storage.inventory_find(device.id).await?;
    let report = told.and_then(|told| {
        let mut reports = told.inventory.controls.into_iter();
        reports.find(|report| report.control == ControlName::Passcode)
    });
    let lacks = match report.map(|report| report.outcome) {
        Some(Outcome::Drifted { remaining, .. }) => remaining
            .iter()
            .any(|text| text.starts_with(wording::SET_IN_CONSOLE)),
        Some(
            Outcome::Unmanaged
            | Outcome::Observed { .. }
            | Outcome::Compliant
            | Outcome::Corrected { .. }
            | Outcome::Unsupported { .. }
            | Outcome::Unknown { .. },
        )
        | None => false,
    };
    Ok(if lacks { Lacks::Yes } else { Lacks::No })
}

/// Why one has to be set, and by when. Somebody who left comes before everything that waits.
fn cause(
    policy: &PasscodePolicy,
    rows: &[CommandRow],
    (lacks, gone): (Lacks, Option<Gone>),
    now: Timestamp,
) -> Option<(String, Timestamp)> {
    let last = last_set(rows).map(|(_, at)| at);
    let asked = rows
        .iter()
        .filter(|row| asks_for_passcode(row) && policy.rotation.is_on_event())
        .map(|row| &row.command.command)
        .filter(|command| last.is_none_or(|last| last < command.issued_at))
        .max_by_key(|command| command.issued_at);
    if let Some(asked) = asked {
        return Some((format!("asked/{}", asked.id), asked.issued_at));
    }
    // What was set before they went may have been told to them, too.
    let is_known = |since| {
        !rows
            .iter()
            .any(|row| is_done(row) && row.command.command.issued_at >= since)
    };
    if let Some((who, since)) =
        gone.filter(|(_, since)| policy.rotation.is_on_event() && is_known(*since))
    {
        return Some((format!("left/{who}"), since));
    }
    if lacks == Lacks::Yes {
        return Some(("lacking".to_owned(), now));
    }
    let age = policy
        .max_age_days
        .filter(|_| policy.rotation.is_scheduled())?;
    let due = last?.checked_add(DAY * i32::from(age)).ok()?;
    let is_near = due.duration_since(now) <= AHEAD;
    is_near.then_some(("age".to_owned(), due))
}

/// Whether the passcode in use is a bad one since this was issued: somebody asked for another, or the tablet was lost.
fn asks_for_passcode(row: &CommandRow) -> bool {
    match row.command.command.kind {
        CommandKind::RotatePasscode => row.cancelled.is_none(),
        CommandKind::Lost => row
            .outcome
            .as_ref()
            .is_some_and(|outcome| outcome.said.starts_with(DONE)),
        CommandKind::Refresh
        | CommandKind::Lock
        | CommandKind::Message { .. }
        | CommandKind::SetPasscode { .. }
        | CommandKind::Found
        | CommandKind::Unenrol
        | CommandKind::Wipe => false,
    }
}

/// Whether staff, whose own the passcode is, have to be asked for another one.
fn to_ask(policy: &PasscodePolicy, rows: &[CommandRow], gone: Option<Gone>) -> Option<Gone> {
    let gone = gone.filter(|_| policy.mode == Mode::Enforce && policy.rotation.is_on_event())?;
    let was_asked = rows
        .iter()
        .any(|row| asks_for_passcode(row) && row.command.command.issued_at >= gone.1);
    (!was_asked).then_some(gone)
}

#[cfg(test)]
#[path = "of_tablets_tests.rs"]
mod tests;
