//! Every reason there can be to remove a photo, each with its own times. One row of the lifecycle table per function.

use super::register::MISSING_GRACE_HOURS;
use super::verdict::{Cause, Due, Inquiry};
use super::{
    ChildEntry, ConsentStanding, ConsentState, LeaveReason, Purpose, Restriction, Tagging,
};
use crate::calendar::Calendar;
use crate::id::{ChildId, ConsentId};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// One reason to remove.
pub(super) struct Ground {
    pub(super) cause: Cause,
    child: Option<ChildId>,
    consent: Option<ConsentId>,
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

    pub(super) fn is_in_effect(&self, now: Timestamp) -> bool {
        self.withhold_at
            .or(self.seal_at)
            .is_some_and(|at| at <= now)
    }

    /// Whether leaving destruction to a person holds for every other reason too. The lease says nothing about the photo.
    pub(super) fn vetoes(&self) -> bool {
        self.cause != Cause::Lease
    }
}

/// Everything that speaks, now or later, against keeping the photo.
pub(super) fn all(inquiry: &Inquiry<'_>, usable: &BTreeSet<Purpose>) -> Vec<Ground> {
    if inquiry.photo.found_at_enrolment {
        return Vec::new();
    }
    let mut grounds: Vec<Ground> = leavers(inquiry).collect();
    if !inquiry.photo.care_record {
        grounds.extend(consent(inquiry, usable));
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
pub(super) fn lease_end(inquiry: &Inquiry<'_>) -> Option<Timestamp> {
    let since = inquiry.now.last_contact.unwrap_or(inquiry.register.as_of);
    Some(
        inquiry
            .calendar
            .after_opening_days(since, u32::from(inquiry.policy.lease_opening_days)),
    )
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
fn at_once(inquiry: &Inquiry<'_>, cause: Cause, at: Timestamp) -> Ground {
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
fn consent(inquiry: &Inquiry<'_>, usable: &BTreeSet<Purpose>) -> Vec<Ground> {
    let mut grounds: Vec<Ground> = inquiry
        .subjects
        .iter()
        .filter_map(|id| no_purpose_of(inquiry, *id))
        .collect();
    let nothing_in_common =
        grounds.is_empty() && usable.is_empty() && !inquiry.photo.subjects.unregistered_person;
    if nothing_in_common && !inquiry.policy.purposes.is_empty() {
        grounds.push(no_common_purpose(inquiry));
    }
    grounds
}

fn no_purpose_of(inquiry: &Inquiry<'_>, id: ChildId) -> Option<Ground> {
    let confirmed = inquiry.photo.subjects.confirmed.contains(&id);
    let Some(child) = inquiry.register.children.get(&id) else {
        return Some(not_on_register(inquiry, id, inquiry.photo.captured_at));
    };
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
    if permits_any || child.has_died() {
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
        by_time: true,
        ..ground
    }
}

fn no_common_purpose(inquiry: &Inquiry<'_>) -> Ground {
    let all_confirmed = inquiry
        .subjects
        .iter()
        .all(|id| inquiry.photo.subjects.confirmed.contains(id));
    if !all_confirmed {
        return possible_child(inquiry, None);
    }
    let lost = |cause| {
        inquiry.subjects.iter().find_map(|id| {
            let ground = confirmed_child(inquiry, *id, inquiry.register.children.get(id)?);
            (ground.cause == cause).then_some(ground)
        })
    };
    lost(Cause::Withdrawn)
        .or_else(|| lost(Cause::Expired))
        .unwrap_or_else(|| at_once(inquiry, Cause::NoCommonPurpose, inquiry.photo.captured_at))
}

/// Why a confirmed child's photo may not be used: the strongest of withdrawn, expired, never given.
fn confirmed_child(inquiry: &Inquiry<'_>, id: ChildId, child: &ChildEntry) -> Ground {
    let taken_at = inquiry.photo.captured_at;
    let standings: Vec<&ConsentStanding> = inquiry
        .policy
        .purposes
        .keys()
        .filter_map(|purpose| child.purposes.get(purpose))
        .collect();
    let in_state = |state| standings.iter().find(|s| s.state == state);
    if let Some(withdrawn) = in_state(ConsentState::Withdrawn) {
        let at = withdrawn
            .withdrawn_at
            .unwrap_or(taken_at)
            .max(taken_at)
            .min(inquiry.now.at);
        return Ground {
            child: Some(id),
            consent: withdrawn.consent,
            ..at_once(inquiry, Cause::Withdrawn, at)
        };
    }
    let ran_out = standings
        .iter()
        .filter(|s| s.state == ConsentState::Given)
        .filter_map(|s| Some((inquiry.calendar.end_of(s.valid_until?), s.consent)))
        .filter(|(end, _)| *end <= inquiry.now.at)
        .max();
    if let Some((end, consent)) = ran_out {
        let expired = at_once(inquiry, Cause::Expired, end.max(taken_at));
        return Ground {
            child: Some(id),
            consent,
            by_time: true,
            ..expired
        };
    }
    let (cause, standing) = match in_state(ConsentState::Expired) {
        Some(expired) => (Cause::Expired, Some(expired)),
        None => (Cause::NoConsent, standings.first()),
    };
    Ground {
        child: Some(id),
        consent: standing.and_then(|s| s.consent),
        ..at_once(inquiry, cause, taken_at)
    }
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
        let leaving = inquiry
            .register
            .children
            .get(id)?
            .leaves
            .filter(|l| l.reason == LeaveReason::Left)?;
        let last = Calendar::plus_days(leaving.date, u32::from(inquiry.policy.leaver_days));
        let left = at_once(
            inquiry,
            Cause::Left,
            inquiry.calendar.end_of(last).max(inquiry.photo.captured_at),
        );
        let destroy = Some(Grace::Days(inquiry.policy.destroy_unconfirmed_after_days));
        Some(Ground {
            child: Some(*id),
            destroy,
            by_time: true,
            ..left
        })
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
    let longest = usable
        .iter()
        .filter_map(|p| inquiry.policy.purposes.get(p))
        .max();
    let days = longest.map_or(inquiry.policy.max_age_days, |days| {
        (*days).min(inquiry.policy.max_age_days)
    });
    let mut grounds = vec![aged(
        Cause::MaximumAge,
        hours_after(inquiry.photo.captured_at, i64::from(days) * 24),
    )];
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
        lease_end(inquiry).filter(|end| *end <= inquiry.now.at)
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
