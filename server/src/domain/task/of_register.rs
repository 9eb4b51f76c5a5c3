//! What the register asks of people.

use super::Today;
use crate::domain::register::Register;
use crate::storage::task::{Over, Task, TaskDraft, TaskKind};
use crate::storage::{Child, Role};
use jiff::SignedDuration;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::record::resolve;
use nestwarden_policy_schema::consent::register::MISSING_GRACE_HOURS;
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentRecord, ConsentSource, ConsentState, LeaveReason, RegisterSnapshot,
};
use nestwarden_policy_schema::id::ChildId;

/// Days before its end at which a consent is put before somebody again.
const EXPIRY_REMINDERS: [i32; 3] = [7, 14, 30];
/// The leaver's pack is offered from this many days before the last day on.
const PACK_AHEAD_DAYS: u32 = 14;
/// A withdrawal older than this was seen to, or its photos are gone.
const WITHDRAWAL_TOLD_DAYS: i64 = 7;

pub(super) fn find(today: &Today<'_>, entries: &RegisterSnapshot, drafts: &mut Vec<TaskDraft>) {
    for child in &today.register.children {
        let Some(entry) = entries.children.get(&child.id) else {
            continue;
        };
        let before = drafts.len();
        if entry.has_died() {
            died(today, entry, drafts);
        } else {
            leaving(today, entry, drafts);
            if !is_gone(today, entry) {
                missing(today, entry, drafts);
                standings(today, entry, drafts);
            }
            withdrawals(today, child, drafts);
        }
        for draft in &mut drafts[before..] {
            draft.subject.child = Some(child.id);
            draft.key = format!("{}/{}", child.id, draft.key);
        }
    }
}

fn is_gone(today: &Today<'_>, entry: &ChildEntry) -> bool {
    entry
        .leaves
        .is_some_and(|leaving| leaving.date < today.date)
}

fn died(today: &Today<'_>, entry: &ChildEntry, drafts: &mut Vec<TaskDraft>) {
    let date = entry.leaves.map_or(today.date, |leaving| leaving.date);
    let key = format!("child_died/{date}");
    drafts.push(today.draft(TaskKind::ChildDied, key, Role::Manager, today.in_days(7)));
}

fn leaving(today: &Today<'_>, entry: &ChildEntry, drafts: &mut Vec<TaskDraft>) {
    let Some(leaving) = entry.leaves.filter(|l| l.reason == LeaveReason::Left) else {
        return;
    };
    if leaving.date <= today.in_days(PACK_AHEAD_DAYS) {
        let key = format!("leavers_pack/{}", leaving.date);
        drafts.push(today.draft(TaskKind::LeaversPack, key, Role::Manager, leaving.date));
    }
}

fn missing(today: &Today<'_>, entry: &ChildEntry, drafts: &mut Vec<TaskDraft>) {
    let Some(since) = entry.missing_since else {
        return;
    };
    let end = since + SignedDuration::from_hours(MISSING_GRACE_HOURS);
    let due = today.calendar.local_date(end);
    let key = format!("child_missing/{since}");
    drafts.push(today.draft(TaskKind::ChildMissing, key, Role::Manager, due));
}

fn standings(today: &Today<'_>, entry: &ChildEntry, drafts: &mut Vec<TaskDraft>) {
    for (purpose, standing) in &entry.purposes {
        let consent = standing.consent.map(|id| id.to_string());
        let consent = consent.unwrap_or_default();
        let found = match (standing.state, standing.valid_until) {
            (ConsentState::Conflicted, _) => {
                let key = format!("conflicted/{purpose}/{consent}");
                let due = today.in_days(7);
                Some(today.draft(TaskKind::ConsentConflicted, key, Role::Manager, due))
            }
            (ConsentState::Given, Some(until)) if until >= today.date => {
                let days = today
                    .date
                    .until(until)
                    .map_or(i32::MAX, |span| span.get_days());
                let reminder = EXPIRY_REMINDERS.into_iter().find(|within| days <= *within);
                reminder.map(|within| {
                    let key = format!("expiring/{purpose}/{consent}/{within}");
                    today.draft(TaskKind::ConsentExpiring, key, Role::Manager, until)
                })
            }
            _ => None,
        };
        drafts.extend(found.map(|mut draft| {
            draft.subject.purpose = Some(*purpose);
            draft.subject.consent = standing.consent;
            draft
        }));
    }
}

/// One for what was withdrawn together, so that the DSL looks before anything is gone.
fn withdrawals(today: &Today<'_>, child: &Child, drafts: &mut Vec<TaskDraft>) {
    let told = SignedDuration::from_hours(24 * WITHDRAWAL_TOLD_DAYS);
    let latest = latest_withdrawal(today.register, child.id)
        .filter(|record| today.now.duration_since(record.recorded_at) < told);
    if let Some(record) = latest {
        let key = format!("withdrawal/{}", record.recorded_at);
        let due = Calendar::plus_days(today.calendar.local_date(record.recorded_at), 1);
        let mut draft = today.draft(TaskKind::Withdrawal, key, Role::Dsl, due);
        draft.subject.consent = Some(record.id);
        drafts.push(draft);
    }
}

/// The last of those withdrawals that still stand.
fn latest_withdrawal(register: &Register, child: ChildId) -> Option<&ConsentRecord> {
    let records = register.records_of(child);
    let standing = resolve(records);
    records
        .iter()
        .filter(|record| record.source == ConsentSource::Recorded || record.withdrawn_at.is_some())
        .filter(|record| {
            let now = standing.get(&record.purpose);
            now.is_some_and(|now| {
                now.state == ConsentState::Withdrawn && now.consent == Some(record.id)
            })
        })
        .max_by_key(|record| (record.recorded_at, record.id))
}

/// A child has one open task, that of the last withdrawal. It waits for the DSL while anything of the child is withdrawn,
/// also where only what an earlier one took away still is.
pub(super) fn withdrawal_over(register: &Register, task: &Task) -> Option<Over> {
    let child = task.subject.child?;
    if !register.children.iter().any(|known| known.id == child) {
        return None;
    }
    let records = register.records_of(child);
    let own = records
        .iter()
        .find(|record| Some(record.id) == task.subject.consent);
    let since = own.map_or(task.created_at, |record| record.recorded_at);
    if let Some(latest) = latest_withdrawal(register, child) {
        return (latest.recorded_at > since).then_some(Over::Superseded);
    }
    // Where another parent's Yes only makes a conflict, photos go all the same.
    let standing = resolve(records);
    let mut withdrawn = records
        .iter()
        .filter(|record| record.state == ConsentState::Withdrawn && record.recorded_at == since);
    withdrawn
        .all(|record| {
            let now = standing.get(&record.purpose);
            now.is_some_and(|now| now.state == ConsentState::Given)
        })
        .then_some(Over::GivenAgain)
}
