//! Every reason there can be to remove a photo, each with its own times. One row of the lifecycle table per function.

use super::loss::{Loss, confirmed_child, latest_loss};
use super::register::MISSING_GRACE_HOURS;
use super::verdict::{Cause, Due, Inquiry};
use super::{ChildEntry, LeaveReason, Purpose, Restriction, Tagging};
use crate::calendar::Calendar;
use crate::id::{ChildId, ConsentId};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// One reason to remove.
pub(super) struct Ground {
    pub(super) cause: Cause,
    pub(super) child: Option<ChildId>,
    pub(super) consent: Option<ConsentId>,
    pub(super) withhold_at: Option<Timestamp>,
    pub(super) seal_at: Option<Timestamp>,
    /// From sealing on; `None`: never for this reason.
    pub(super) destroy: Option<Grace>,
    /// Whether the times come from the clock rather than from somebody's word.
    pub(super) by_time: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Grace {
    OpeningDays(u16),
    Days(u16),
    Hours(u16),
}

impl Grace {
    pub(super) fn after(self, calendar: &Calendar, from: Timestamp) -> Timestamp {
        match self {
            Self::OpeningDays(days) => calendar.after_opening_days(from, u32::from(days)),
            Self::Days(days) => hours_after(from, i64::from(days) * 24),
            Self::Hours(hours) => hours_after(from, i64::from(hours)),
        }
    }
}

impl Ground {
    pub(super) fn due(&self, at: Timestamp) -> Due {
        Due {
            at,
            cause: self.cause,
            child: self.child,
            consent: self.consent,
        }
    }
}

/// Everything that speaks, now or later, against keeping the photo.
pub(super) fn all(inquiry: &Inquiry<'_>, usable: &BTreeSet<Purpose>) -> Vec<Ground> {
    if inquiry.photo.found_at_enrolment {
        return Vec::new();
    }
    let mut grounds: Vec<Ground> = leavers(inquiry).collect();
    if !inquiry.photo.care_record {
        grounds.extend(consent(inquiry));
        grounds.extend(unregistered_person(inquiry));
        grounds.extend(untagged(inquiry));
        grounds.extend(retention(inquiry, usable));
        grounds.extend(lease(inquiry));
    }
    grounds
}

/// Whether a subject died, which stops every deletion.
pub(super) fn any_died(inquiry: &Inquiry<'_>) -> bool {
    inquiry
        .subjects
        .iter()
        .filter_map(|id| inquiry.register.children.get(id))
        .any(ChildEntry::has_died)
}

/// When the tablet has been without the server for too long.
pub(super) fn lease_end(inquiry: &Inquiry<'_>) -> Timestamp {
    let since = inquiry.now.last_contact.unwrap_or(inquiry.register.as_of);
    inquiry
        .calendar
        .after_opening_days(since, u32::from(inquiry.policy.lease_opening_days))
}

/// The instants at which time alone changes what a child permits.
pub(super) fn instants_of(child: &ChildEntry, calendar: &Calendar) -> Vec<Timestamp> {
    let missing = child
        .missing_since
        .map(|since| hours_after(since, MISSING_GRACE_HOURS));
    let consents = child.purposes.values().flat_map(|s| {
        [
            s.valid_from.map(|d| calendar.start_of(d)),
            s.valid_until.map(|d| calendar.end_of(d)),
        ]
    });
    consents.chain([missing]).flatten().collect()
}

fn hours_after(from: Timestamp, hours: i64) -> Timestamp {
    from.checked_add(SignedDuration::from_hours(hours))
        .unwrap_or(Timestamp::MAX)
}

/// Withheld and sealed from `at`, destroyed some opening days after sealing.
pub(super) fn at_once(inquiry: &Inquiry<'_>, cause: Cause, at: Timestamp) -> Ground {
    Ground {
        cause,
        child: None,
        consent: None,
        withhold_at: Some(at),
        seal_at: Some(at),
        destroy: Some(Grace::OpeningDays(
            inquiry.policy.destroy_after_opening_days,
        )),
        by_time: false,
    }
}

/// Children without whom, or between whom, no purpose is left.
fn consent(inquiry: &Inquiry<'_>) -> Vec<Ground> {
    let grounds: Vec<Ground> = inquiry
        .subjects
        .iter()
        .filter_map(|id| no_purpose_of(inquiry, *id))
        .collect();
    if !grounds.is_empty() || inquiry.photo.subjects.unregistered_person {
        return grounds;
    }
    if inquiry.subjects.is_empty() {
        // Nobody is known to be in it, and nobody said that no child is.
        let nobody_looked = inquiry.photo.subjects.tagging != Tagging::NoChild;
        return nobody_looked
            .then(|| possible_child(inquiry, None))
            .into_iter()
            .collect();
    }
    let in_common = |permits: &dyn Fn(&ChildEntry, Purpose) -> bool| {
        let purposes = &mut inquiry.policy.purposes.keys();
        purposes.any(|p| living(inquiry).all(|(_, child)| permits(child, *p)))
    };
    if in_common(&|child, p| child.permits(p, inquiry.calendar, inquiry.now.at)) {
        return Vec::new();
    }
    let ground = no_common_purpose(inquiry);
    let only_dates_deny = in_common(&ChildEntry::gives);
    vec![Ground {
        by_time: ground.by_time || only_dates_deny,
        ..ground
    }]
}

/// The subjects on the register for whom consent still has a meaning.
pub(super) fn living<'a>(inquiry: &Inquiry<'a>) -> impl Iterator<Item = (ChildId, &'a ChildEntry)> {
    inquiry
        .subjects
        .iter()
        .filter_map(|id| Some((*id, inquiry.register.children.get(id)?)))
        .filter(|(_, child)| !child.has_died())
}

fn no_purpose_of(inquiry: &Inquiry<'_>, id: ChildId) -> Option<Ground> {
    let confirmed = inquiry.photo.subjects.confirmed.contains(&id);
    let Some(child) = inquiry.register.children.get(&id) else {
        return Some(not_on_register(inquiry, id, inquiry.photo.captured_at));
    };
    if child.has_died() {
        return None;
    }
    if confirmed && child.restriction == Restriction::DoNotPhotograph {
        let restricted = at_once(inquiry, Cause::Restricted, inquiry.photo.captured_at);
        return Some(Ground {
            child: Some(id),
            destroy: None,
            ..restricted
        });
    }
    let permits_any = inquiry
        .policy
        .purposes
        .keys()
        .any(|p| child.permits(*p, inquiry.calendar, inquiry.now.at));
    if permits_any {
        None
    } else if let Some(since) = child
        .missing_since
        .filter(|_| child.is_missing_too_long(inquiry.now.at))
    {
        Some(not_on_register(
            inquiry,
            id,
            hours_after(since, MISSING_GRACE_HOURS),
        ))
    } else if confirmed {
        Some(confirmed_child(inquiry, id, child))
    } else {
        Some(possible_child(inquiry, Some(id)))
    }
}

/// An absence is not a withdrawal: withheld, never more.
fn not_on_register(inquiry: &Inquiry<'_>, id: ChildId, at: Timestamp) -> Ground {
    let ground = at_once(
        inquiry,
        Cause::NotOnRegister,
        at.max(inquiry.photo.captured_at),
    );
    Ground {
        child: Some(id),
        seal_at: None,
        destroy: None,
        ..ground
    }
}

fn no_common_purpose(inquiry: &Inquiry<'_>) -> Ground {
    let confirmed = &inquiry.photo.subjects.confirmed;
    if living(inquiry).any(|(id, _)| !confirmed.contains(&id)) {
        return possible_child(inquiry, None);
    }
    let taken_at = inquiry.photo.captured_at;
    latest_loss(inquiry, |loss| loss.at > taken_at).map_or_else(
        || at_once(inquiry, Cause::NoCommonPurpose, taken_at),
        |loss| loss.ground(inquiry),
    )
}

/// Somebody who may be in it permits nothing: withheld at once, sealed when nobody said otherwise for days.
fn possible_child(inquiry: &Inquiry<'_>, child: Option<ChildId>) -> Ground {
    Ground {
        child,
        withhold_at: Some(inquiry.photo.captured_at),
        ..nobody_said(inquiry, Cause::PossibleChild)
    }
}

fn untagged(inquiry: &Inquiry<'_>) -> Option<Ground> {
    let subjects = &inquiry.photo.subjects;
    let nobody_named = subjects.confirmed.is_empty() && !subjects.unregistered_person;
    (nobody_named && subjects.tagging != Tagging::NoChild)
        .then(|| nobody_said(inquiry, Cause::Untagged))
}

/// No use until resolved, and only a person can resolve it.
fn unregistered_person(inquiry: &Inquiry<'_>) -> Option<Ground> {
    inquiry.photo.subjects.unregistered_person.then(|| Ground {
        withhold_at: Some(inquiry.photo.captured_at),
        destroy: None,
        ..nobody_said(inquiry, Cause::UnregisteredPerson)
    })
}

/// Sealed after the days in which somebody could have said who is in it.
fn nobody_said(inquiry: &Inquiry<'_>, cause: Cause) -> Ground {
    let days = u32::from(inquiry.policy.untagged_opening_days);
    Ground {
        cause,
        child: None,
        consent: None,
        withhold_at: None,
        seal_at: Some(
            inquiry
                .calendar
                .after_opening_days(inquiry.photo.captured_at, days),
        ),
        destroy: Some(Grace::Days(inquiry.policy.destroy_unconfirmed_after_days)),
        by_time: true,
    }
}

fn leavers<'a>(inquiry: &'a Inquiry<'_>) -> impl Iterator<Item = Ground> + 'a {
    inquiry.photo.subjects.confirmed.iter().filter_map(|id| {
        let child = inquiry.register.children.get(id)?;
        leaver(inquiry, *id, child)
    })
}

pub(super) fn leaver(inquiry: &Inquiry<'_>, id: ChildId, child: &ChildEntry) -> Option<Ground> {
    let leaving = child.leaves.filter(|l| l.reason == LeaveReason::Left)?;
    let last = Calendar::plus_days(leaving.date, u32::from(inquiry.policy.leaver_days));
    let at = inquiry.calendar.end_of(last).max(inquiry.photo.captured_at);
    Some(Ground {
        child: Some(id),
        destroy: Some(Grace::Days(inquiry.policy.destroy_unconfirmed_after_days)),
        by_time: true,
        ..at_once(inquiry, Cause::Left, at)
    })
}

/// The longest retention among the usable purposes, the maximum age, and the confirmed upload.
fn retention(inquiry: &Inquiry<'_>, usable: &BTreeSet<Purpose>) -> Vec<Ground> {
    let aged = |cause, at| Ground {
        cause,
        child: None,
        consent: None,
        withhold_at: None,
        seal_at: Some(at),
        destroy: Some(Grace::Hours(24)),
        by_time: true,
    };
    let retained_until = |days: u16| {
        let days = days.min(inquiry.policy.max_age_days);
        hours_after(inquiry.photo.captured_at, i64::from(days) * 24)
    };
    let longest = usable
        .iter()
        .filter_map(|p| inquiry.policy.purposes.get(p))
        .max();
    let end = retained_until(*longest.unwrap_or(&inquiry.policy.max_age_days));
    // Kept for a longer purpose until that one was lost: it goes for that reason, with that reason's time to object.
    let kept_by_it = |loss: &Loss| {
        let its_end = inquiry.policy.purposes.get(&loss.purpose);
        end < loss.at && its_end.is_some_and(|days| loss.at < retained_until(*days))
    };
    let mut grounds = vec![
        latest_loss(inquiry, kept_by_it)
            .map_or_else(|| aged(Cause::MaximumAge, end), |loss| loss.ground(inquiry)),
    ];
    if let Some(at) = inquiry.photo.uploaded_at {
        grounds.push(aged(
            Cause::Uploaded,
            hours_after(at, i64::from(inquiry.policy.after_upload_hours)),
        ));
    }
    grounds
}

/// Withheld while the tablet cannot know better; the first contact restores.
fn lease(inquiry: &Inquiry<'_>) -> Option<Ground> {
    let at = if inquiry.now.doubtful {
        Some(inquiry.now.at)
    } else {
        Some(lease_end(inquiry)).filter(|end| *end <= inquiry.now.at)
    };
    at.map(|at| Ground {
        cause: Cause::Lease,
        child: None,
        consent: None,
        withhold_at: Some(at),
        seal_at: None,
        destroy: None,
        by_time: true,
    })
}
