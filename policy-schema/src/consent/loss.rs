//! What a child permitted once and does not any more, and what that means for the photo.

use super::grounds::{Ground, at_once, leaver, listed};
use super::verdict::{Cause, Inquiry};
use super::{ChildEntry, ConsentStanding, ConsentState, Purpose};
use crate::id::{ChildId, ConsentId};
use jiff::Timestamp;

/// A purpose that a child permitted once and does not any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loss {
    pub(super) at: Timestamp,
    /// Somebody said so; else a last day came. Of two at one instant somebody's word counts.
    by_word: bool,
    cause: Cause,
    pub(super) child: ChildId,
    consent: Option<ConsentId>,
    pub(super) purpose: Purpose,
}

impl Loss {
    pub(super) fn ground(self, inquiry: &Inquiry<'_>) -> Ground {
        let at = self.at.max(inquiry.taken_at());
        Ground {
            child: Some(self.child),
            consent: self.consent,
            by_time: !self.by_word,
            ..at_once(inquiry, self.cause, at)
        }
    }
}

/// The last loss of those that count, of a confirmed child's.
pub(super) fn latest_loss(inquiry: &Inquiry<'_>, counts: impl Fn(&Loss) -> bool) -> Option<Loss> {
    let confirmed = &inquiry.photo.subjects.confirmed;
    latest_loss_of(inquiry, |id| confirmed.contains(&id), counts)
}

/// Likewise, of a child who may be in it.
pub(super) fn latest_possible_loss(
    inquiry: &Inquiry<'_>,
    counts: impl Fn(&Loss) -> bool,
) -> Option<Loss> {
    let confirmed = &inquiry.photo.subjects.confirmed;
    latest_loss_of(inquiry, |id| !confirmed.contains(&id), counts)
}

fn latest_loss_of(
    inquiry: &Inquiry<'_>,
    of: impl Fn(ChildId) -> bool,
    counts: impl Fn(&Loss) -> bool,
) -> Option<Loss> {
    listed(inquiry)
        .filter(|(id, _)| of(*id))
        .flat_map(|(id, child)| losses(inquiry, id, child))
        .filter(counts)
        .max()
}

fn losses<'a>(
    inquiry: &Inquiry<'a>,
    id: ChildId,
    child: &'a ChildEntry,
) -> impl Iterator<Item = Loss> + 'a {
    let (calendar, now, taken_at) = (inquiry.calendar, inquiry.now.at, inquiry.taken_at());
    let asked_at = inquiry.asked_at(child);
    let purposes = inquiry.policy.purposes.keys();
    purposes.filter_map(move |purpose| {
        let standing = child.purposes.get(purpose)?;
        let (at, cause) = match standing.state {
            ConsentState::Withdrawn => (
                standing.withdrawn_at.unwrap_or(taken_at).min(now),
                Cause::Withdrawn,
            ),
            ConsentState::Given if child.gives(*purpose) => {
                let end = calendar.end_of(standing.valid_until?);
                (end <= asked_at).then_some((end, Cause::Expired))?
            }
            ConsentState::Refused | ConsentState::Conflicted => {
                (standing.withdrawn_at?.min(now), Cause::Withdrawn)
            }
            ConsentState::Expired => (standing.withdrawn_at?.min(now), Cause::Expired),
            ConsentState::Unanswered => (standing.withdrawn_at?.min(now), Cause::NoConsent),
            ConsentState::Given | ConsentState::EndedLeaver => return None,
        };
        Some(Loss {
            at,
            by_word: standing.state != ConsentState::Given,
            cause,
            child: id,
            consent: standing.consent,
            purpose: *purpose,
        })
    })
}

/// Why a confirmed child's photo may not be used: the last consent that was lost, or that there never was one.
pub(super) fn confirmed_child(inquiry: &Inquiry<'_>, id: ChildId, child: &ChildEntry) -> Ground {
    // While a Yes without its dates would do, only the clock says No.
    let only_dates_deny = inquiry.policy.purposes.keys().any(|p| child.gives(*p));
    if let Some(loss) = losses(inquiry, id, child).max() {
        return Ground {
            by_time: only_dates_deny,
            ..loss.ground(inquiry)
        };
    }
    let taken_at = inquiry.taken_at();
    let standings: Vec<&ConsentStanding> = inquiry
        .policy
        .purposes
        .keys()
        .filter_map(|purpose| child.purposes.get(purpose))
        .collect();
    let in_state = |state| standings.iter().find(|s| s.state == state);
    if let Some((ended, left)) = in_state(ConsentState::EndedLeaver).zip(leaver(inquiry, id, child))
    {
        // Out of use, but not gone before the leaver's pack was offered.
        return Ground {
            consent: ended.consent,
            withhold_at: Some(taken_at),
            ..left
        };
    }
    let (cause, standing) = match in_state(ConsentState::Expired) {
        Some(expired) => (Cause::Expired, Some(expired)),
        None => (Cause::NoConsent, standings.first()),
    };
    Ground {
        child: Some(id),
        consent: standing.and_then(|s| s.consent),
        by_time: only_dates_deny,
        ..at_once(inquiry, cause, taken_at)
    }
}
