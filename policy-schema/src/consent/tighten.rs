//! What is known of a photo that is out of use, when its tablet says something else of it afterwards.

use super::{PhotoFacts, Subjects, Tagging};

impl PhotoFacts {
    /// These facts, with what `later` adds to them. Nothing that was said is taken back, so that no word of a tablet opens
    /// what is sealed: that takes a person at the server.
    #[must_use]
    pub fn tightened_by(&self, later: &Self) -> Self {
        Self {
            subjects: self.subjects.tightened_by(&later.subjects),
            staff: self.staff.or(later.staff),
            care_record: self.care_record && later.care_record,
            found_at_enrolment: self.found_at_enrolment && later.found_at_enrolment,
            uploaded_at: self.uploaded_at.or(later.uploaded_at),
            sealed_at: self.sealed_at.or(later.sealed_at),
            tagged_at: self.tagged_at.max(later.tagged_at),
            ..self.clone()
        }
    }
}

impl Subjects {
    fn tightened_by(&self, later: &Self) -> Self {
        let union = |a: &std::collections::BTreeSet<_>, b: &std::collections::BTreeSet<_>| {
            a.union(b).copied().collect()
        };
        Self {
            tagging: more_may_be_in_it(self.tagging, later.tagging),
            confirmed: union(&self.confirmed, &later.confirmed),
            unregistered_person: self.unregistered_person || later.unregistered_person,
            rooms: self.rooms.clone(),
            possible_when_taken: union(&self.possible_when_taken, &later.possible_when_taken),
        }
    }
}

/// Untagged and partial say alike that others may be in it, `Partial` with names.
fn more_may_be_in_it(before: Tagging, later: Tagging) -> Tagging {
    match (before, later) {
        (Tagging::Partial, _) | (_, Tagging::Partial) => Tagging::Partial,
        (Tagging::Untagged, Tagging::Complete) | (Tagging::Complete, Tagging::Untagged) => {
            Tagging::Partial
        }
        (Tagging::Untagged, _) | (_, Tagging::Untagged) => Tagging::Untagged,
        (Tagging::Complete, _) | (_, Tagging::Complete) => Tagging::Complete,
        (Tagging::NoChild, Tagging::NoChild) => Tagging::NoChild,
    }
}
