//! The one function that decides what becomes of a photo.
//!
//! It is asked again at every change (consents, holds, tags, policy, time) and answers from scratch: nothing it said
//! before binds it. The lifecycle that carries an answer out is the tablet's.

use super::grounds::{self, Ground};
use super::{ChildEntry, Purpose, RegisterSnapshot, Subjects, Tagging};
use crate::calendar::Calendar;
use crate::hold::{Hold, HoldList, HoldScope};
use crate::id::{ChildId, ConsentId, DeviceId, HoldId, PhotoId, StaffId};
use crate::policy::PhotosPolicy;
use crate::policy::photos::HOLD_LIST_MAX_AGE_HOURS;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is known about a photo, apart from the register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoFacts {
    pub photo: PhotoId,
    pub device: DeviceId,
    /// Trusted time at which it was taken, or first seen where that is not known.
    pub captured_at: Timestamp,
    pub subjects: Subjects,
    #[serde(default)]
    pub staff: Option<StaffId>,
    /// An allergy, medical or identity photo: rests on another lawful basis, so only leaving removes it.
    #[serde(default)]
    pub care_record: bool,
    /// Was on the tablet before it was enrolled: counted, and nothing until a manager decides.
    #[serde(default)]
    pub found_at_enrolment: bool,
    #[serde(default)]
    pub uploaded_at: Option<Timestamp>,
    /// When it was sealed; graces before destruction run from here.
    #[serde(default)]
    pub sealed_at: Option<Timestamp>,
    /// When it was last said who is in it. The time to object for somebody's sake runs from no earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagged_at: Option<Timestamp>,
}

/// The time as the tablet can vouch for it, and how the tablet stands with its setting at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedNow {
    pub at: Timestamp,
    /// The clock ran ahead and no server confirmed it: withhold, never seal for reasons of time, never destroy.
    pub doubtful: bool,
    /// The newest time the server signed for; `None` before the first.
    pub last_contact: Option<Timestamp>,
    /// Since when the tablet has been marked as lost; `None`: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_since: Option<Timestamp>,
    /// When the hold list was last known to be current; `None` before the first.
    pub holds_confirmed_at: Option<Timestamp>,
}

/// Why a photo may not stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A confirmed child's consent was withdrawn.
    Withdrawn,
    /// A confirmed child's consent ran out.
    Expired,
    /// A confirmed child never had a usable consent.
    NoConsent,
    /// Each permits something, but nothing in common.
    NoCommonPurpose,
    /// A child who may be in it has no usable consent.
    PossibleChild,
    /// The DSL set "do not photograph", or a restriction left no use.
    Restricted,
    Left,
    /// A child is not on the register, or was missing from it for 72 hours: withheld, never more.
    NotOnRegister,
    /// Somebody in it is not on the register.
    UnregisteredPerson,
    Untagged,
    Uploaded,
    MaximumAge,
    /// The tablet has been without the server for too long, or its clock is in doubt.
    Lease,
    /// Somebody marked the tablet as lost: withheld until it is found, and never more for that.
    Lost,
}

impl Cause {
    /// Whether somebody said that the child it is for the sake of is in the photo.
    pub const fn rests_on_names(self) -> bool {
        match self {
            Self::Withdrawn
            | Self::Expired
            | Self::NoConsent
            | Self::NoCommonPurpose
            | Self::Restricted
            | Self::Left => true,
            Self::PossibleChild
            | Self::NotOnRegister
            | Self::UnregisteredPerson
            | Self::Untagged
            | Self::Uploaded
            | Self::MaximumAge
            | Self::Lease
            | Self::Lost => false,
        }
    }
}

/// One stage of the lifecycle, when it is due, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    pub at: Timestamp,
    pub cause: Cause,
    /// The child and the record it rests on, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<ChildId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentId>,
}

/// When each stage is due. Absent: never, as far as is known now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub withhold: Option<Due>,
    pub seal: Option<Due>,
    /// Absent too until the photo is sealed, because the grace runs from there.
    pub destroy: Option<Due>,
}

/// Where a photo stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// A hold for illegal content covers it: nothing touches it at all.
    Frozen,
    /// Under any other hold nothing destroys it.
    Scheduled(Schedule),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    #[serde(flatten)]
    pub standing: Standing,
    /// Open holds that cover it.
    pub holds: Vec<HoldId>,
    /// Purposes of the setting that every subject permits.
    pub usable: BTreeSet<Purpose>,
    /// Purposes of the setting that somebody's answer blocks.
    pub blocked: BTreeSet<Purpose>,
    /// The next instant at which time alone may change the answer; `None` when none does.
    pub next_change: Option<Timestamp>,
}

/// How far a photo has to have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Live,
    Withheld,
    Sealed,
    Destroyed,
}

impl Verdict {
    /// The stage a photo has to be in at `now`, with what asks for it; `Live` without one. `None` while it is frozen:
    /// it stays where it is, neither further nor back.
    ///
    /// Destruction waits while the clock is in doubt, on a closed day, and without a hold list of the last 24 hours.
    pub fn due(&self, calendar: &Calendar, now: &TrustedNow) -> Option<(Stage, Option<Due>)> {
        let Standing::Scheduled(schedule) = &self.standing else {
            return None;
        };
        let reached = |due: Option<Due>| due.filter(|due| due.at <= now.at);
        Some(
            if let Some(due) = reached(schedule.destroy).filter(|_| may_destroy(calendar, now)) {
                (Stage::Destroyed, Some(due))
            } else if let Some(due) = reached(schedule.seal) {
                (Stage::Sealed, Some(due))
            } else if let Some(due) = reached(schedule.withhold) {
                (Stage::Withheld, Some(due))
            } else {
                (Stage::Live, None)
            },
        )
    }
}

/// Whether anything at all may be destroyed at `now`.
pub fn may_destroy(calendar: &Calendar, now: &TrustedNow) -> bool {
    !now.doubtful
        && calendar.is_opening_day(calendar.local_date(now.at))
        // A list confirmed later than now belongs to another clock.
        && now
            .holds_confirmed_at
            .is_some_and(|at| at <= now.at && now.at <= holds_fresh_until(at))
}

/// The last instant at which a hold list confirmed at `at` counts as current.
fn holds_fresh_until(at: Timestamp) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(HOLD_LIST_MAX_AGE_HOURS))
        .unwrap_or(Timestamp::MAX)
}

/// Decides what becomes of one photo at `now`.
pub fn verdict(
    photo: &PhotoFacts,
    register: &RegisterSnapshot,
    holds: &HoldList,
    policy: &PhotosPolicy,
    calendar: &Calendar,
    now: &TrustedNow,
) -> Verdict {
    let subjects = photo
        .subjects
        .all(register, calendar.local_date(photo.captured_at));
    let inquiry = Inquiry {
        photo,
        register,
        policy,
        calendar,
        now,
        subjects: &subjects,
    };
    let usable = inquiry.usable();
    let blocked = policy
        .purposes
        .keys()
        .copied()
        .filter(|p| !usable.contains(p))
        .collect();
    let covering: Vec<&Hold> = holds
        .holds
        .iter()
        .filter(|hold| inquiry.is_covered_by(hold))
        .collect();
    let grounds = grounds::all(&inquiry);
    let standing = if covering.iter().any(|hold| hold.category.freezes()) {
        Standing::Frozen
    } else {
        let schedule = inquiry.schedule(&grounds);
        Standing::Scheduled(Schedule {
            destroy: schedule.destroy.filter(|_| covering.is_empty()),
            ..schedule
        })
    };
    let next_change = inquiry.next_change(&grounds, &standing);
    Verdict {
        standing,
        holds: covering.iter().map(|hold| hold.id).collect(),
        usable,
        blocked,
        next_change,
    }
}

/// One question with everything it rests on.
pub(super) struct Inquiry<'a> {
    pub(super) photo: &'a PhotoFacts,
    pub(super) register: &'a RegisterSnapshot,
    pub(super) policy: &'a PhotosPolicy,
    pub(super) calendar: &'a Calendar,
    pub(super) now: &'a TrustedNow,
    pub(super) subjects: &'a BTreeSet<ChildId>,
}

impl Inquiry<'_> {
    /// Never later than now: a photo taken while the clock ran ahead is no less a photo when the clock is right again.
    pub(super) fn taken_at(&self) -> Timestamp {
        self.photo.captured_at.min(self.now.at)
    }

    /// The moment at which a child's answers are asked. For one who died time has stopped, so that no last day that comes
    /// after the death counts; one that came before the photo was sealed does.
    pub(super) fn asked_at(&self, child: &ChildEntry) -> Timestamp {
        self.last_asked_at(child)
            .map_or(self.now.at, |last| self.now.at.min(last))
    }

    /// The last moment at which the answers of a child who died are asked. `None` for the living.
    pub(super) fn last_asked_at(&self, child: &ChildEntry) -> Option<Timestamp> {
        let stopped = child.time_stopped_at(self.calendar)?;
        Some(stopped.max(self.photo.sealed_at.unwrap_or(stopped)))
    }

    fn usable(&self) -> BTreeSet<Purpose> {
        let nobody_known =
            self.subjects.is_empty() && self.photo.subjects.tagging != Tagging::NoChild;
        if nobody_known || self.photo.subjects.unregistered_person {
            return BTreeSet::new();
        }
        let all_permit = |purpose: &Purpose| {
            self.subjects.iter().all(|id| {
                let child = self.register.children.get(id);
                child.is_some_and(|child| child.permits(*purpose, self.calendar, self.now.at))
            })
        };
        self.policy
            .purposes
            .keys()
            .copied()
            .filter(all_permit)
            .collect()
    }

    fn is_covered_by(&self, hold: &Hold) -> bool {
        match &hold.scope {
            HoldScope::Photo { photo } => *photo == self.photo.photo,
            HoldScope::Child { child } => self.subjects.contains(child),
            HoldScope::Device { device } => *device == self.photo.device,
            HoldScope::Staff { staff } => self.photo.staff == Some(*staff),
            HoldScope::Window { from, to } => {
                *from <= self.photo.captured_at && self.photo.captured_at < *to
            }
        }
    }

    /// The earliest of every stage over all grounds, minus what must wait for a person or for a clock that can be trusted.
    fn schedule(&self, grounds: &[Ground]) -> Schedule {
        let earliest = |stage: fn(&Ground) -> Option<Timestamp>| {
            grounds
                .iter()
                .filter_map(|g| Some(g.due(stage(g)?)))
                .min_by_key(|due| (due.at, due.cause))
        };
        let died = grounds::any_died(self);
        let is_sealed = self.photo.sealed_at.is_some();
        // A death stops what leads to deletion, and opens nothing that was sealed before.
        let stopped = died && !is_sealed;
        let withhold = earliest(if stopped {
            |g| g.withhold_at
        } else {
            |g| g.withhold_at.or(g.seal_at)
        });
        let dated_by_a_clock_in_doubt = |g: &&Ground| g.by_time && self.now.doubtful;
        let seal = grounds
            .iter()
            .filter(|g| !stopped && !dated_by_a_clock_in_doubt(g))
            .filter_map(|g| Some(g.due(g.seal_at?)))
            .min_by_key(|due| (due.at, due.cause));
        // What one reason leaves to a person, no other reason takes from them.
        let left_to_a_person = grounds.iter().any(|g| g.destroy.is_none());
        let destroy = self
            .photo
            .sealed_at
            .filter(|_| !left_to_a_person && !died && !self.now.doubtful)
            .and_then(|sealed_at| {
                grounds
                    .iter()
                    .filter_map(|g| {
                        let seal_at = g.seal_at.filter(|at| *at <= self.now.at)?;
                        let named_at = self.photo.tagged_at.filter(|_| g.cause.rests_on_names());
                        let from = named_at.max(Some(seal_at.max(sealed_at)))?;
                        Some(g.due(g.destroy?.after(self.calendar, from)))
                    })
                    .min_by_key(|due| (due.at, due.cause))
            });
        Schedule {
            withhold,
            seal,
            destroy,
        }
    }

    fn next_change(&self, grounds: &[Ground], standing: &Standing) -> Option<Timestamp> {
        let mut instants: Vec<Timestamp> = grounds
            .iter()
            .flat_map(|g| [g.withhold_at, g.seal_at])
            .flatten()
            .collect();
        if let Standing::Scheduled(Schedule {
            destroy: Some(due), ..
        }) = standing
        {
            // One that is overdue waits for the next opening day, which where midnight is skipped begins after the last ended.
            let today = self.calendar.local_date(self.now.at);
            let tomorrow = Calendar::plus_days(today, 1);
            let midnights = [
                self.calendar.end_of(today),
                self.calendar.start_of(tomorrow),
            ];
            instants.extend(midnights.map(|midnight| due.at.max(midnight)));
            instants.push(due.at);
            if let Some(at) = self.now.holds_confirmed_at {
                let stale = holds_fresh_until(at).checked_add(SignedDuration::from_nanos(1));
                instants.push(at);
                instants.extend(stale.ok());
            }
        }
        instants.push(grounds::lease_end(self));
        for child in self
            .subjects
            .iter()
            .filter_map(|id| self.register.children.get(id))
        {
            instants.extend(grounds::instants_of(child, self.calendar));
        }
        instants.into_iter().filter(|at| *at > self.now.at).min()
    }
}
