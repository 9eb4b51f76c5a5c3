//! The register as a tablet is told of it: random ids, no names, and only what a verdict needs.

use super::{ConsentStanding, ConsentState, Purpose};
use crate::calendar::{Calendar, Day};
use crate::id::ChildId;
use crate::text;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A room of the setting: 1 to 60 characters, compared as written after trimming.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct RoomName(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a room name; write 1 to 60 characters")]
pub struct RoomNameError(String);

impl RoomName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RoomName {
    type Err = RoomNameError;
    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let trimmed = written.trim();
        if trimmed.is_empty()
            || trimmed.chars().count() > 60
            || trimmed.chars().any(text::is_unseen)
        {
            let text: String = written.chars().take(80).collect();
            return Err(RoomNameError(text::visible(&text).into_owned()));
        }
        Ok(Self(trimmed.to_owned()))
    }
}

impl<'de> Deserialize<'de> for RoomName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Set by the DSL; why is never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restriction {
    #[default]
    None,
    NoExternal,
    DoNotPhotograph,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    Left,
    /// Every deletion stops; the manager decides with the family.
    Died,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Last local day.
    pub date: Date,
    pub reason: LeaveReason,
}

/// What was known of a child when their death was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeDeath {
    pub recorded_at: Timestamp,
    /// The last day, where the child had left before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Date>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEntry {
    pub rooms: BTreeSet<RoomName>,
    /// Days on which the child is booked. Empty: not known, so possibly every day.
    #[serde(default)]
    pub attends: BTreeSet<Day>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<Leaving>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_death: Option<BeforeDeath>,
    #[serde(default)]
    pub restriction: Restriction,
    /// When the child was first missing from an import; `None` while listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// A purpose that is absent was never answered.
    #[serde(default)]
    pub purposes: BTreeMap<Purpose, ConsentStanding>,
}

/// Hours for which a child missing from the file still counts as listed.
pub const MISSING_GRACE_HOURS: i64 = 72;

impl ChildEntry {
    /// Whether this child is booked on the local day `date` in one of `rooms` (empty: anywhere).
    pub fn may_be_present(&self, rooms: &BTreeSet<RoomName>, date: Date) -> bool {
        let booked = self.attends.is_empty() || self.attends.contains(&Day::of(date));
        booked && self.uses(rooms) && self.is_enrolled(date)
    }

    /// Whether this child is in one of `rooms` (empty: anywhere).
    pub fn uses(&self, rooms: &BTreeSet<RoomName>) -> bool {
        rooms.is_empty() || self.rooms.is_empty() || !self.rooms.is_disjoint(rooms)
    }

    /// Whether this child had started and not yet left on the local day `date`.
    pub fn is_enrolled(&self, date: Date) -> bool {
        self.starts.is_none_or(|starts| starts <= date)
            && self.leaves.is_none_or(|leaving| date <= leaving.date)
    }

    /// Whether `purpose` is permitted for this child at `now`.
    pub fn permits(&self, purpose: Purpose, calendar: &Calendar, now: Timestamp) -> bool {
        !self.is_missing_too_long(now) && self.answers_yes(purpose, calendar, now)
    }

    /// Whether `purpose` is given and not restricted at `now`, whether or not the child is still listed.
    pub fn answers_yes(&self, purpose: Purpose, calendar: &Calendar, now: Timestamp) -> bool {
        self.gives(purpose)
            && self
                .purposes
                .get(&purpose)
                .is_some_and(|standing| standing.permits(calendar, now))
    }

    /// Whether `purpose` was given and is not restricted, whatever the date.
    pub fn gives(&self, purpose: Purpose) -> bool {
        let unrestricted = match self.restriction {
            Restriction::None => true,
            Restriction::NoExternal => !purpose.is_external(),
            Restriction::DoNotPhotograph => false,
        };
        let standing = self.purposes.get(&purpose);
        unrestricted && standing.is_some_and(|s| s.state == ConsentState::Given)
    }

    pub fn has_died(&self) -> bool {
        self.leaves
            .is_some_and(|leaving| leaving.reason == LeaveReason::Died)
    }

    /// The last day of a child who left, also of one who died afterwards.
    pub fn left_on(&self) -> Option<Date> {
        let leaving = self.leaves?;
        match leaving.reason {
            LeaveReason::Left => Some(leaving.date),
            LeaveReason::Died => self.before_death?.left,
        }
    }

    /// From here on time changes nothing any more about what is said of a child who died: the end of that day, or when it
    /// was recorded. `None` for the living.
    pub fn time_stopped_at(&self, calendar: &Calendar) -> Option<Timestamp> {
        let died = self.leaves.filter(|l| l.reason == LeaveReason::Died)?;
        let recorded_at = self.before_death.map(|before| before.recorded_at);
        Some(calendar.end_of(died.date)).max(recorded_at)
    }

    pub fn is_missing_too_long(&self, now: Timestamp) -> bool {
        self.missing_since.is_some_and(|since| {
            now.duration_since(since) >= jiff::SignedDuration::from_hours(MISSING_GRACE_HOURS)
        })
    }
}

/// Every child of the setting, as of a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterSnapshot {
    pub as_of: Timestamp,
    pub children: BTreeMap<ChildId, ChildEntry>,
}
