//! A server whose data was put back from an earlier copy has forgotten decisions that a tablet still knows. Nothing they
//! tightened may come loose because of that, and nothing decided since may be kept from the tablet: so until a person
//! settles it, a tablet is held to the stricter of both.

use crate::bundle::Bundle;
use crate::bytes::Digest;
use crate::consent::register::MISSING_GRACE_HOURS;
use crate::consent::{
    ChildEntry, ConsentStanding, ConsentState, LeaveReason, Leaving, RegisterSnapshot,
    TagCorrection,
};
use crate::generation::Generation;
use crate::hold::HoldList;
use crate::id::PhotoId;
use crate::policy::Tighten as _;
use crate::roster;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A bundle that a tablet enforced and its server never issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    pub generation: Generation,
    /// SHA-256 of its signed text; `None` from an agent that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Bundle {
    /// This bundle, no looser than `held` in anything that a decision can loosen: policy, exceptions, register, holds,
    /// who may have it, and what was said of photos. Calendar, keys and commands are those of this bundle.
    #[must_use]
    pub fn no_looser_than(self, held: &Self) -> Self {
        let policy = self.policy.tighten(&held.policy);
        // Two sound policies may come to one that locks everybody out; what is held to already does not.
        let is_sound = policy.problems().is_empty();
        Self {
            policy: if is_sound {
                policy
            } else {
                held.policy.clone()
            },
            exceptions: self
                .exceptions
                .into_iter()
                .filter(|exception| held.exceptions.contains(exception))
                .collect(),
            rooms: anywhere_or_union(&self.rooms, &held.rooms),
            register: stricter_register(self.register, &held.register),
            holds: united(&self.holds, &held.holds),
            roster: roster::stricter(self.roster, &held.roster),
            corrections: newest_of_each(self.corrections, &held.corrections),
            found_photos: self
                .found_photos
                .filter(|found| held.found_photos == Some(*found)),
            // One that was cancelled since may be open again on the server.
            access_requests: self
                .access_requests
                .into_iter()
                .filter(|access| held.access_requests.contains(access))
                .collect(),
            ..self
        }
    }
}

fn stricter_register(new: RegisterSnapshot, held: &RegisterSnapshot) -> RegisterSnapshot {
    let as_of = new.as_of;
    let mut children: BTreeMap<_, _> = held
        .children
        .iter()
        .filter(|(id, _)| !new.children.contains_key(id))
        .map(|(id, entry)| (*id, unsettled(entry.clone(), as_of)))
        .collect();
    children.extend(new.children.into_iter().map(|(id, entry)| {
        let entry = match held.children.get(&id) {
            Some(held) => stricter(&entry, held),
            None => unsettled(entry, as_of),
        };
        (id, entry)
    }));
    RegisterSnapshot { as_of, children }
}

/// A child of whom only one side knows: still somebody who may be in a photo, and as one who is not on the register, whose
/// photos are withheld and nothing more.
fn unsettled(entry: ChildEntry, as_of: Timestamp) -> ChildEntry {
    let grace = SignedDuration::from_hours(MISSING_GRACE_HOURS);
    let since = as_of.checked_sub(grace).unwrap_or(Timestamp::MIN);
    ChildEntry {
        missing_since: Some(entry.missing_since.map_or(since, |known| known.min(since))),
        ..entry
    }
}

fn stricter(new: &ChildEntry, held: &ChildEntry) -> ChildEntry {
    let purposes: BTreeSet<_> = new
        .purposes
        .keys()
        .chain(held.purposes.keys())
        .copied()
        .collect();
    let standing = |entry: &ChildEntry, purpose| {
        let found = entry.purposes.get(purpose).cloned();
        found.unwrap_or(ConsentStanding::UNANSWERED)
    };
    ChildEntry {
        rooms: anywhere_or_union(&new.rooms, &held.rooms),
        attends: anywhere_or_union(&new.attends, &held.attends),
        starts: new.starts.zip(held.starts).map(|(a, b)| a.min(b)),
        leaves: stricter_leaving(new.leaves, held.leaves),
        before_death: new.before_death.or(held.before_death),
        restriction: new.restriction.max(held.restriction),
        missing_since: earliest(new.missing_since, held.missing_since),
        purposes: purposes
            .iter()
            .map(|purpose| {
                let both = stricter_standing(standing(new, purpose), standing(held, purpose));
                (*purpose, both)
            })
            .collect(),
    }
}

fn stricter_standing(new: ConsentStanding, held: ConsentStanding) -> ConsentStanding {
    match (new.state, held.state) {
        (ConsentState::Given, ConsentState::Given) => ConsentStanding {
            valid_from: new.valid_from.max(held.valid_from),
            valid_until: earliest(new.valid_until, held.valid_until),
            ..new
        },
        (ConsentState::Given, _) => held,
        (_, _) => new,
    }
}

/// A death stops every deletion, so it stands; else the earlier day.
fn stricter_leaving(new: Option<Leaving>, held: Option<Leaving>) -> Option<Leaving> {
    let died = |leaving: &Leaving| leaving.reason == LeaveReason::Died;
    new.filter(died).or(held.filter(died)).or_else(|| {
        [new, held]
            .into_iter()
            .flatten()
            .min_by_key(|leaving| leaving.date)
    })
}

fn earliest<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

/// Empty stands for all.
fn anywhere_or_union<T: Ord + Clone>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> BTreeSet<T> {
    if a.is_empty() || b.is_empty() {
        BTreeSet::new()
    } else {
        a.union(b).cloned().collect()
    }
}

fn united(new: &HoldList, held: &HoldList) -> HoldList {
    let mut holds = new.holds.clone();
    let known: BTreeSet<_> = holds.iter().map(|hold| hold.id).collect();
    let lost = held.holds.iter().filter(|hold| !known.contains(&hold.id));
    holds.extend(lost.cloned());
    HoldList::new(new.as_of, holds)
}

fn newest_of_each(new: Vec<TagCorrection>, held: &[TagCorrection]) -> Vec<TagCorrection> {
    let mut newest: BTreeMap<PhotoId, TagCorrection> = BTreeMap::new();
    for word in held.iter().cloned().chain(new) {
        let is_newer = newest
            .get(&word.photo)
            .is_none_or(|known| known.decided_at <= word.decided_at);
        if is_newer {
            newest.insert(word.photo, word);
        }
    }
    newest.into_values().collect()
}
