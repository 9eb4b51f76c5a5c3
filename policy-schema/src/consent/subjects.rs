//! Who is in a photo.

use super::{ChildEntry, RegisterSnapshot, RoomName};
use crate::id::{ChildId, PhotoId};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far a person got in saying who is in a photo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tagging {
    #[default]
    Untagged,
    /// Some are named, others may be in it.
    Partial,
    /// Everybody in it is named.
    Complete,
    /// Somebody looked, and there is no child in it.
    NoChild,
}

/// Who is, or may be, in a photo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subjects {
    pub tagging: Tagging,
    pub confirmed: BTreeSet<ChildId>,
    /// "Someone not on the register": no use until resolved.
    #[serde(default)]
    pub unregistered_person: bool,
    /// The rooms of the session it was taken in; without a session, of the tablet; empty: the whole setting.
    #[serde(default)]
    pub rooms: BTreeSet<RoomName>,
    /// [`Subjects::possible`] as it was when the photo was taken. A later register only ever adds to these, so that a
    /// child who changes rooms or days afterwards does not drop out of the photo.
    #[serde(default)]
    pub possible_when_taken: BTreeSet<ChildId>,
}

/// A manager's word on who is in a photo; it replaces what was said on the tablet before, also where that loosens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagCorrection {
    pub photo: PhotoId,
    pub tagging: Tagging,
    #[serde(default)]
    pub confirmed: BTreeSet<ChildId>,
    #[serde(default)]
    pub unregistered_person: bool,
    #[serde(default)]
    pub care_record: bool,
    /// Tags given later than this stand.
    pub decided_at: Timestamp,
}

/// A manager's decision on the photos that were on a tablet before it was enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundPhotos {
    pub decision: FoundDecision,
    pub decided_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundDecision {
    /// They stay as they are.
    Leave,
    /// They count as taken, by nobody who said who is in them, at the moment of the decision.
    Sort,
}

impl Subjects {
    /// Who may have been there on `date`, by the first of these that names anybody: the children booked that day in the
    /// rooms; those of the rooms; those of the setting; everyone on the register.
    pub fn possible(&self, register: &RegisterSnapshot, date: Date) -> BTreeSet<ChildId> {
        let questions: [&dyn Fn(&ChildEntry) -> bool; 4] = [
            &|child| child.may_be_present(&self.rooms, date),
            &|child| child.is_enrolled(date) && child.uses(&self.rooms),
            &|child| child.is_enrolled(date),
            &|_| true,
        ];
        questions
            .into_iter()
            .map(|may_be| those(register, may_be))
            .find(|children| !children.is_empty())
            .unwrap_or_default()
    }

    /// Whether nobody may be in it but the confirmed.
    pub fn names_everybody(&self) -> bool {
        match self.tagging {
            Tagging::NoChild => true,
            // "Everybody is named", and nobody was: nobody said who is in it.
            Tagging::Complete => !self.confirmed.is_empty() || self.unregistered_person,
            Tagging::Untagged | Tagging::Partial => false,
        }
    }

    /// Whose consent counts: the confirmed where tagging is complete, else also everyone who may be in it.
    pub fn all(&self, register: &RegisterSnapshot, date: Date) -> BTreeSet<ChildId> {
        if self.names_everybody() {
            return self.confirmed.clone();
        }
        let mut all = self.possible(register, date);
        all.extend(&self.possible_when_taken);
        all.extend(&self.confirmed);
        all
    }
}

fn those(register: &RegisterSnapshot, may_be: &dyn Fn(&ChildEntry) -> bool) -> BTreeSet<ChildId> {
    register
        .children
        .iter()
        .filter(|(_, child)| may_be(child))
        .map(|(id, _)| *id)
        .collect()
}
