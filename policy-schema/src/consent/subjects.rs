//! Who is in a photo.

use super::{RegisterSnapshot, RoomName};
use crate::id::ChildId;
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
}

impl Subjects {
    /// The children booked on `date` in the rooms.
    pub fn possible(&self, register: &RegisterSnapshot, date: Date) -> BTreeSet<ChildId> {
        register
            .children
            .iter()
            .filter(|(_, child)| child.may_be_present(&self.rooms, date))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whose consent counts: the confirmed where tagging is complete, else also everyone who may be in it.
    pub fn all(&self, register: &RegisterSnapshot, date: Date) -> BTreeSet<ChildId> {
        match self.tagging {
            Tagging::Complete | Tagging::NoChild => self.confirmed.clone(),
            Tagging::Untagged | Tagging::Partial => self
                .possible(register, date)
                .union(&self.confirmed)
                .copied()
                .collect(),
        }
    }
}
