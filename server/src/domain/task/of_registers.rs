//! What the registers of staff, policy and custody want done. No name is in a task.

use super::Today;
use crate::domain::registers::aup::{Audience, AupVersion, current};
use crate::domain::registers::custody::{Count, Custody, with_several};
use crate::domain::registers::staff::Staff;
use crate::domain::registers::{Kept, list};
use crate::storage::task::{TaskDraft, TaskKind};
use crate::storage::{Operator, Role, Storage, StorageError, Which};
use jiff::Timestamp;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::id::EntryId;

/// A course is put before the manager this many days before it runs out.
const COURSE_AHEAD_DAYS: u32 = 30;

pub(super) async fn find(
    storage: &Storage,
    today: &Today<'_>,
    staff: &[Kept<Staff>],
    drafts: &mut Vec<TaskDraft>,
) -> Result<(), StorageError> {
    courses(today, staff, drafts);
    access(today, staff, &storage.operator_list().await?, drafts);
    let versions = list::<AupVersion>(storage, Which::Open).await?;
    policy(today, staff, &versions, drafts);
    let out = list::<Custody>(storage, Which::Open).await?;
    for (person, times) in with_several(&out) {
        let times: Vec<String> = times.iter().map(EntryId::to_string).collect();
        let key = format!("pin_on_two_tablets/{person}/{}", times.join("+"));
        let mut draft = today.draft(TaskKind::PinOnTwoTablets, key, Role::Manager, today.date);
        draft.subject.entry = Some(person);
        drafts.push(draft);
    }
    for kept in out {
        let out = &kept.now.out;
        if !kept.now.is_overdue(today.now) {
            continue;
        }
        let key = format!("custody_overdue/{}/{}", kept.id, out.due);
        let due = today.calendar.local_date(out.due);
        let mut draft = today.draft(TaskKind::CustodyOverdue, key, Role::Manager, due);
        draft.subject.device = Some(out.device);
        drafts.push(draft);
    }
    let counts = list::<Count>(storage, Which::All).await?;
    // One from a clock that was ahead is not the last for ever.
    let mut counts = counts.iter().filter(|kept| kept.begun_at <= today.now);
    let Some(last) = counts.next() else {
        return Ok(());
    };
    for device in &last.now.missing {
        let key = format!("tablet_missing/{}/{device}", last.id);
        let mut draft = today.draft(TaskKind::TabletMissing, key, Role::Manager, last.now.day);
        draft.subject.device = Some(*device);
        drafts.push(draft);
    }
    Ok(())
}

fn courses(today: &Today<'_>, staff: &[Kept<Staff>], drafts: &mut Vec<TaskDraft>) {
    for kept in staff.iter().filter(|kept| kept.now.is_here(today.date)) {
        for (course, taken) in &kept.now.courses {
            let Some(until) = taken.until else { continue };
            if until > today.in_days(COURSE_AHEAD_DAYS) {
                continue;
            }
            let key = format!("course_ends/{}/{course}/{until}", kept.id);
            let mut draft = today.draft(TaskKind::CourseEnds, key, Role::Manager, until);
            draft.subject.entry = Some(kept.id);
            drafts.push(draft);
        }
    }
}

/// Shutting somebody out is left to a person: by itself it could shut out whoever would let them in again.
fn access(
    today: &Today<'_>,
    staff: &[Kept<Staff>],
    people: &[Operator],
    drafts: &mut Vec<TaskDraft>,
) {
    for kept in staff {
        let Some(since) = kept.now.out_since(today.calendar) else {
            continue;
        };
        let signs_in = |id| people.iter().any(|person| person.id == id);
        let Some(operator) = kept.now.post.operator.filter(|id| signs_in(*id)) else {
            continue;
        };
        if since > today.now {
            continue;
        }
        let key = format!("end_access/{}/{operator}/{since}", kept.id);
        let mut draft = today.draft(TaskKind::EndAccess, key, Role::Manager, today.date);
        draft.subject.entry = Some(kept.id);
        drafts.push(draft);
    }
}

fn policy(
    today: &Today<'_>,
    staff: &[Kept<Staff>],
    versions: &[Kept<AupVersion>],
    drafts: &mut Vec<TaskDraft>,
) {
    let Some(version) = current(versions, Audience::Staff, today.date) else {
        return;
    };
    let waits = staff.iter().any(|kept| {
        let one = &kept.now;
        let is_working = one.is_here(today.date) && one.suspended_at.is_none();
        is_working && !one.acknowledged.contains_key(&version.id)
    });
    if waits {
        let key = format!("aup_outstanding/{}", version.id);
        let due = version.now.grace_until();
        let mut draft = today.draft(TaskKind::AupOutstanding, key, Role::Manager, due);
        draft.subject.entry = Some(version.id);
        drafts.push(draft);
    }
}

/// The last who went, and since when they should know no passcode any more. `None`: nobody went yet.
pub(super) fn last_gone(
    staff: &[Kept<Staff>],
    calendar: &Calendar,
    now: Timestamp,
) -> Option<(EntryId, Timestamp)> {
    let gone = staff.iter().filter_map(|kept| {
        let since = kept.now.out_since(calendar)?;
        (since <= now).then_some((kept.id, since))
    });
    gone.max_by_key(|(_, since)| *since)
}

#[cfg(test)]
#[path = "of_registers_tests.rs"]
mod tests;
