//! What registers of the setting came to at an instant: lines written later do not count.

use super::figures::{AupFigures, CustodyFigures};
use super::minutes;
use crate::domain::registers::aup::{Audience, AupVersion};
use crate::domain::registers::custody::Custody;
use crate::domain::registers::staff::Staff;
use crate::domain::registers::{Entry, Kept, every};
use crate::storage::{Storage, StorageError, Which};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::id::EntryId;

/// `None`: no tablet was ever signed out.
pub(super) async fn custody(
    storage: &Storage,
    calendar: Option<&Calendar>,
    ends: Timestamp,
) -> Result<Option<CustodyFigures>, StorageError> {
    let entries = as_at::<Custody>(every(storage, Which::All).await?, ends);
    if entries.is_empty() {
        return Ok(None);
    }
    let mut found = CustodyFigures::default();
    for (_, custody) in entries {
        let due = custody.out.due;
        found.out += u64::from(custody.back_at.is_none());
        if custody.is_overdue(ends) {
            found.overdue += 1;
            found.longest_minutes = found.longest_minutes.max(minutes(ends.duration_since(due)));
            found.past_close += u64::from(closed_at(calendar, due) <= ends);
        }
    }
    Ok(Some(found))
}

/// The end of contact on the day of `at`; where nobody says when that is, the end of the day.
fn closed_at(calendar: Option<&Calendar>, at: Timestamp) -> Timestamp {
    let Some(calendar) = calendar else {
        return at;
    };
    let day = calendar.local_date(at);
    let contact = calendar.contact_on(day);
    let closes = contact.into_iter().map(|(_, to)| to).max();
    closes.map_or_else(|| calendar.end_of(day), |closes| closes.max(at))
}

/// `None`: no policy for staff was in force, or nobody worked here.
pub(super) async fn aup(
    storage: &Storage,
    last_day: Date,
    ends: Timestamp,
) -> Result<Option<AupFigures>, StorageError> {
    let versions = as_at::<AupVersion>(every(storage, Which::All).await?, ends);
    let in_force = versions.iter().filter(|(_, version)| {
        let is_of_staff = version.audience == Audience::Staff && !version.is_withdrawn;
        is_of_staff && version.from <= last_day
    });
    let Some((current, version)) = in_force.max_by_key(|(id, version)| (version.from, *id)) else {
        return Ok(None);
    };
    let staff = as_at::<Staff>(every(storage, Which::All).await?, ends);
    let working = staff
        .iter()
        .map(|(_, one)| one)
        .filter(|one| one.is_here(last_day) && one.suspended_at.is_none());
    let mut found = AupFigures::default();
    for one in working {
        let is_enough = one.acknowledged.contains_key(current);
        let has_time = last_day <= version.grace_until() && !one.acknowledged.is_empty();
        found.staff += 1;
        found.acknowledged += u64::from(is_enough || has_time);
    }
    Ok((found.staff > 0).then_some(found))
}

/// Each entry as its lines made it before `ends`.
fn as_at<E: Entry>(kept: Vec<Kept<E>>, ends: Timestamp) -> Vec<(EntryId, E)> {
    let of_entry = |kept: Kept<E>| {
        let mut now = None;
        // Each line was taken after those before it, so none is refused here.
        for line in kept.lines.iter().take_while(|line| line.at < ends) {
            now = E::after(now.take(), &line.act, line.at).ok();
        }
        Some((kept.id, now?))
    };
    kept.into_iter().filter_map(of_entry).collect()
}
