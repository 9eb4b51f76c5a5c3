//! What the events of one tablet say of its photos: what happened within a period, and how they stood at its end.

use super::figures::TabletCounts;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::consent::{Cause, Stage, Tagging};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{ConsentId, PhotoId};
use nestwarden_policy_schema::receipt::{ArtefactResult, Receipt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) struct Photos {
    begins: Timestamp,
    ends: Timestamp,
    known: Known,
    found: OfPhotos,
}

pub(super) type Known = BTreeMap<PhotoId, Photo>;

#[derive(Default)]
pub(super) struct OfPhotos {
    pub(super) destructions: Vec<SignedDuration>,
    pub(super) withdrawn: Vec<(ConsentId, Timestamp)>,
    /// Of photos taken in the period.
    pub(super) captured_at: Vec<Timestamp>,
    pub(super) by_stage: BTreeMap<Stage, u64>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Photo {
    /// By the tablet's word; before it told, when it was first seen. `None`: neither was told, or it is erased.
    captured_at: Option<Timestamp>,
    tagging: Tagging,
    /// A care record, or found at enrolment: nobody has to say who is in it.
    exempt: bool,
    found_at_enrolment: bool,
    stage: Stage,
    incomplete_since: Option<Timestamp>,
}

impl Photos {
    pub(super) fn new(begins: Timestamp, ends: Timestamp, known: Known) -> Self {
        Self {
            begins,
            ends,
            known,
            found: OfPhotos::default(),
        }
    }

    /// `within`: whether the event is of the period. Every other body is none of a photo, and says nothing here.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        within: bool,
        body: EventBody,
        counts: &mut TabletCounts,
    ) {
        if let EventBody::PhotoSeen { photo, .. } = body {
            self.photo(photo).captured_at.get_or_insert(at);
        } else if let EventBody::PhotoTagged { photo, tagging, .. } = body {
            self.photo(photo).tagging = tagging;
        } else if let EventBody::PhotoKnown { facts, .. } = body {
            let photo = self.photo(facts.photo);
            photo.captured_at = Some(facts.captured_at);
            photo.tagging = facts.subjects.tagging;
            photo.found_at_enrolment = facts.found_at_enrolment;
            photo.exempt = facts.care_record || facts.found_at_enrolment;
        } else if let EventBody::PhotoStage {
            photo,
            from,
            to,
            cause,
            observed_only,
        } = body
        {
            if within {
                count_stage(from, to, cause, observed_only, counts);
            }
            if !observed_only {
                let photo = self.photo(photo);
                photo.stage = to;
                photo.incomplete_since = None;
            }
        } else if let EventBody::PhotoIncomplete { photo, .. } = body {
            self.photo(photo).incomplete_since.get_or_insert(at);
        } else if let EventBody::Destroyed { receipt } = body {
            if within {
                self.destroyed(&receipt, counts);
            }
            let photo = self.photo(receipt.photo);
            photo.stage = Stage::Destroyed;
            photo.incomplete_since = None;
        }
    }

    pub(super) fn known(&self) -> Known {
        self.known.clone()
    }

    pub(super) fn finish(mut self, counts: &mut TabletCounts) -> OfPhotos {
        let older = |since: Timestamp, than: SignedDuration| self.ends.duration_since(since) > than;
        let age = |since: Timestamp| Some(minutes_begun(self.ends.duration_since(since)));
        let mut found = std::mem::take(&mut self.found);
        for photo in self.known.values() {
            *found.by_stage.entry(photo.stage).or_default() += 1;
            let is_sorted = matches!(photo.tagging, Tagging::Complete | Tagging::NoChild);
            let is_new = |at: &Timestamp| self.begins <= *at && *at < self.ends;
            let new = photo.captured_at.filter(is_new);
            if let Some(captured_at) = new.filter(|_| !photo.found_at_enrolment) {
                found.captured_at.push(captured_at);
                counts.captured += 1;
                counts.tagged += u64::from(is_sorted);
            }
            let waits = photo.tagging == Tagging::Untagged
                && !photo.exempt
                && matches!(photo.stage, Stage::Live | Stage::Withheld);
            counts.untagged += u64::from(waits);
            if let Some(captured_at) = photo.captured_at.filter(|_| waits) {
                counts.untagged_3_days += u64::from(older(captured_at, DAY * 3));
                counts.untagged_7_days += u64::from(older(captured_at, DAY * 7));
                counts.oldest_untagged_minutes =
                    counts.oldest_untagged_minutes.max(age(captured_at));
            }
            if let Some(since) = photo.incomplete_since {
                let (long, readable) = (older(since, DAY), photo.stage == Stage::Live);
                counts.incomplete += 1;
                counts.incomplete_24_hours += u64::from(long);
                counts.readable += u64::from(readable);
                counts.readable_24_hours += u64::from(readable && long);
                counts.oldest_incomplete_minutes = counts.oldest_incomplete_minutes.max(age(since));
                if readable {
                    counts.oldest_readable_minutes = counts.oldest_readable_minutes.max(age(since));
                }
            }
        }
        found
    }

    fn photo(&mut self, id: PhotoId) -> &mut Photo {
        self.known.entry(id).or_insert(Photo {
            captured_at: None,
            tagging: Tagging::Untagged,
            exempt: false,
            found_at_enrolment: false,
            stage: Stage::Live,
            incomplete_since: None,
        })
    }

    fn destroyed(&mut self, receipt: &Receipt, counts: &mut TabletCounts) {
        counts.destroyed += 1;
        let failed = |result| result == ArtefactResult::Failed;
        let unproven =
            receipt.rescan.found > 0 || receipt.artefacts.iter().any(|a| failed(a.result));
        counts.destroyed_unproven += u64::from(unproven);
        let Some(sealed_at) = receipt.sealed_at else {
            return;
        };
        let took = receipt.destroyed_at.duration_since(sealed_at);
        self.found.destructions.push(took);
        if let (Cause::Withdrawn, Some(consent)) = (receipt.cause, receipt.consent) {
            self.found.withdrawn.push((consent, sealed_at));
        }
    }
}

/// Rounded up, so that more than an hour is more than sixty of them; what is still ahead is none.
pub(super) fn minutes_begun(age: SignedDuration) -> u64 {
    let begun = i64::from(age.as_nanos() % 60_000_000_000 > 0);
    u64::try_from(age.as_mins() + begun).unwrap_or(0)
}

fn count_stage(
    from: Stage,
    to: Stage,
    cause: Option<Cause>,
    observed_only: bool,
    counts: &mut TabletCounts,
) {
    if observed_only {
        if let Some(cause) = cause.filter(|_| from == Stage::Live) {
            *counts.would_lapse.entry(cause).or_default() += 1;
        }
        return;
    }
    if from == Stage::Live && to > Stage::Live {
        match cause {
            Some(cause) => *counts.lapsed.entry(cause).or_default() += 1,
            None => counts.lapsed_no_cause += 1,
        }
    }
    counts.sealed += u64::from(to == Stage::Sealed);
    counts.brought_back += u64::from(to == Stage::Live && from > Stage::Live);
}
