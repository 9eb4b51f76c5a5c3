//! Every reason there can be to remove a photo, each with its own times. One row of the lifecycle table per function.

use super::loss::{Loss, confirmed_child, latest_loss, latest_possible_loss};
use super::register::MISSING_GRACE_HOURS;
use super::verdict::{Cause, Due, Inquiry};
use super::{ChildEntry, Purpose, Restriction, Tagging};
use crate::calendar::Calendar;
use crate::id::{ChildId, ConsentId};
use jiff::{SignedDuration, Timestamp};

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
pub(super) fn all(inquiry: &Inquiry<'_>) -> Vec<Ground> {
    let mut grounds: Vec<Ground> = lost(inquiry).into_iter().collect();
    if inquiry.photo.found_at_enrolment {
        return grounds;
    }
    grounds.extend(leavers(inquiry));
    if !inquiry.photo.care_record {
        grounds.extend(consent(inquiry));
        grounds.extend(unregistered_person(inquiry));
        grounds.extend(untagged(inquiry));
        grounds.extend(retention(inquiry));
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
    let subjects = &inquiry.photo.subjects;
    if inquiry.subjects.is_empty() {
        // Nobody is known to be in it, and nobody said that no child is.
        let nobody_looked = subjects.tagging != Tagging::NoChild && !subjects.unregistered_person;
        return nobody_looked
            .then(|| possible_child(inquiry, None))
            .into_iter()
            .collect();
    }
    let absent = inquiry
        .subjects
        .iter()
        .filter_map(|id| absence(inquiry, *id));
    let of_one: Vec<Ground> = listed(inquiry)
        .filter_map(|(id, child)| no_purpose_of(inquiry, id, child))
        .collect();
    let of_all = no_common_purpose(inquiry, &of_one);
    absent.chain(of_all).chain(of_one).collect()
}

/// The subjects on the register. Those who died count with what was said of them.
pub(super) fn listed<'a>(inquiry: &Inquiry<'a>) -> impl Iterator<Item = (ChildId, &'a ChildEntry)> {
    inquiry
        .subjects
        .iter()
        .filter_map(|id| Some((*id, inquiry.register.children.get(id)?)))
}

fn no_purpose_of(inquiry: &Inquiry<'_>, id: ChildId, child: &ChildEntry) -> Option<Ground> {
    let confirmed = inquiry.photo.subjects.confirmed.contains(&id);
    if confirmed && child.restriction == Restriction::DoNotPhotograph {
        return Some(restricted(inquiry, id));
    }
    let (calendar, now) = (inquiry.calendar, inquiry.asked_at(child));
    let any = |permits: &dyn Fn(Purpose) -> bool| {
        let mut purposes = inquiry.policy.purposes.keys();
        purposes.any(|p| permits(*p))
    };
    if any(&|p| child.answers_yes(p, calendar, now)) {
        return None;
    }
    let answered = |p| {
        let standing = child.purposes.get(&p);
        standing.is_some_and(|standing| standing.permits(calendar, now))
    };
    Some(if confirmed && any(&answered) {
        // The parents said Yes to something; only the restriction says No.
        restricted(inquiry, id)
    } else if confirmed {
        confirmed_child(inquiry, id, child)
    } else {
        possible_child(inquiry, Some(id))
    })
}

/// Out of use at once, and gone on the word of the DSL only.
fn restricted(inquiry: &Inquiry<'_>, id: ChildId) -> Ground {
    Ground {
        child: Some(id),
        destroy: None,
        ..at_once(inquiry, Cause::Restricted, inquiry.taken_at())
    }
}

/// A child who is not on the register, or was missing from it for too long.
fn absence(inquiry: &Inquiry<'_>, id: ChildId) -> Option<Ground> {
    let Some(child) = inquiry.register.children.get(&id) else {
        return Some(not_on_register(inquiry, id, inquiry.taken_at()));
    };
    let at = hours_after(child.missing_since?, MISSING_GRACE_HOURS);
    child
        .is_missing_too_long(inquiry.asked_at(child))
        .then(|| not_on_register(inquiry, id, at))
}

/// An absence is not a withdrawal: withheld, never more.
fn not_on_register(inquiry: &Inquiry<'_>, id: ChildId, at: Timestamp) -> Ground {
    let ground = at_once(inquiry, Cause::NotOnRegister, at.max(inquiry.taken_at()));
    Ground {
        child: Some(id),
        seal_at: None,
        destroy: None,
        ..ground
    }
}

/// Each permits something, and nothing is left that all permit: first between the confirmed, then with those who may be
/// in it. `of_one` are the grounds of children who permit nothing at all.
fn no_common_purpose(inquiry: &Inquiry<'_>, of_one: &[Ground]) -> Option<Ground> {
    let confirmed = &inquiry.photo.subjects.confirmed;
    let in_common = |counts: &dyn Fn(ChildId) -> bool,
                     yes: &dyn Fn(&ChildEntry, Purpose) -> bool| {
        inquiry.policy.purposes.keys().any(|p| {
            let mut those = listed(inquiry).filter(|(id, _)| counts(*id));
            those.all(|(_, child)| yes(child, *p))
        })
    };
    let now = |child: &ChildEntry, p: Purpose| {
        child.answers_yes(p, inquiry.calendar, inquiry.asked_at(child))
    };
    let whatever_the_date = |child: &ChildEntry, p: Purpose| child.gives(p);
    let named = |id: ChildId| confirmed.contains(&id);
    let is_named = |ground: &Ground| ground.child.is_some_and(named);
    if in_common(&named, &now) {
        let with_possible = of_one.is_empty() && !in_common(&|_| true, &now);
        return with_possible.then(|| possible_child(inquiry, None));
    }
    if of_one.iter().any(is_named) {
        return None;
    }
    let taken_at = inquiry.taken_at();
    let ground = latest_loss(inquiry, |loss| loss.at > taken_at).map_or_else(
        || at_once(inquiry, Cause::NoCommonPurpose, taken_at),
        |loss| loss.ground(inquiry),
    );
    Some(Ground {
        by_time: in_common(&named, &whatever_the_date),
        ..ground
    })
}

/// Somebody who may be in it permits nothing: withheld at once, sealed when nobody said otherwise for days.
fn possible_child(inquiry: &Inquiry<'_>, child: Option<ChildId>) -> Ground {
    Ground {
        child,
        withhold_at: Some(inquiry.taken_at()),
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
        withhold_at: Some(inquiry.taken_at()),
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
                .after_opening_days(inquiry.taken_at(), days),
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
    let last = Calendar::plus_days(child.left_on()?, u32::from(inquiry.policy.leaver_days));
    let at = inquiry.calendar.end_of(last).max(inquiry.taken_at());
    // One that is still to come before time stops is said before it comes.
    if inquiry.last_asked_at(child).is_some_and(|last| last < at) {
        return None;
    }
    Some(Ground {
        child: Some(id),
        destroy: Some(Grace::Days(inquiry.policy.destroy_unconfirmed_after_days)),
        by_time: true,
        ..at_once(inquiry, Cause::Left, at)
    })
}

/// The longest retention among the purposes in use, the maximum age, and the confirmed upload.
fn retention(inquiry: &Inquiry<'_>) -> Vec<Ground> {
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
        hours_after(inquiry.taken_at(), i64::from(days) * 24)
    };
    let end = retained_until(retained_days(inquiry));
    // Kept for a longer purpose until that one was lost: it goes for that reason, with that reason's time to object.
    let kept_by_it = |loss: &Loss| {
        let its_end = inquiry.policy.purposes.get(&loss.purpose);
        end < loss.at && its_end.is_some_and(|days| loss.at < retained_until(*days))
    };
    // That every other use is over by its age is the clock's word, whoever's the loss is.
    let by_loss = latest_loss(inquiry, kept_by_it)
        .map(|loss| Ground {
            by_time: true,
            ..loss.ground(inquiry)
        })
        .or_else(|| {
            latest_possible_loss(inquiry, kept_by_it).map(|loss| may_be_lost(inquiry, loss))
        });
    let mut grounds = vec![by_loss.unwrap_or_else(|| aged(Cause::MaximumAge, end))];
    if let Some(at) = inquiry.photo.uploaded_at {
        grounds.push(aged(
            Cause::Uploaded,
            hours_after(at, i64::from(inquiry.policy.after_upload_hours)),
        ));
    }
    grounds
}

/// Days after capture for which a purpose keeps the photo. Whatever ends a use, an absence or the last day of a consent,
/// never makes them more.
fn retained_days(inquiry: &Inquiry<'_>) -> u16 {
    let days_where = |yes: &dyn Fn(ChildId, &ChildEntry, Purpose) -> bool| -> Vec<u16> {
        let purposes = inquiry.policy.purposes.iter();
        purposes
            .filter(|(p, _)| listed(inquiry).all(|(id, child)| yes(id, child, **p)))
            .map(|(_, days)| *days)
            .collect()
    };
    let in_use =
        days_where(&|_, child, p| child.answers_yes(p, inquiry.calendar, inquiry.asked_at(child)));
    let confirmed = &inquiry.photo.subjects.confirmed;
    let until_its_last_day = || {
        days_where(&|id, child, p| !confirmed.contains(&id) && child.gives(p))
            .into_iter()
            .min()
    };
    let in_use = in_use.into_iter().max();
    in_use
        .or_else(until_its_last_day)
        .unwrap_or(inquiry.policy.max_age_days)
}

/// What a child who may be in it took away: withheld at once, sealed when nobody said otherwise for days.
fn may_be_lost(inquiry: &Inquiry<'_>, loss: Loss) -> Ground {
    let ground = possible_child(inquiry, Some(loss.child));
    Ground {
        withhold_at: Some(loss.at),
        seal_at: ground.seal_at.max(Some(loss.at)),
        ..ground
    }
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

/// Whoever found the tablet is to find no photo in use, whatever sort it is; once it is back, so are they.
fn lost(inquiry: &Inquiry<'_>) -> Option<Ground> {
    inquiry.now.lost_since.map(|since| Ground {
        cause: Cause::Lost,
        child: None,
        consent: None,
        withhold_at: Some(since.min(inquiry.now.at)),
        seal_at: None,
        destroy: None,
        by_time: false,
    })
}
