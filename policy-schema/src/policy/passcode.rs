//! The tablet's passcode: length, quality, history, age, and when it must change.

use super::{Mode, PolicyError, RequirementId, Tighten, lower, union};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// When a passcode must change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rotation {
    /// After `max_age_days`.
    Scheduled,
    /// When somebody leaves, a tablet is lost, or a passcode may be known.
    Event,
    #[default]
    Both,
}

impl Rotation {
    pub const fn is_scheduled(self) -> bool {
        matches!(self, Self::Scheduled | Self::Both)
    }

    pub const fn is_on_event(self) -> bool {
        matches!(self, Self::Event | Self::Both)
    }
}

/// Who chooses the passcode; a manager's is the stricter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SetBy {
    #[default]
    User,
    /// A shared tablet's code is set in the console and told to registered staff there.
    Manager,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PasscodePolicy {
    #[serde(default)]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requirements: BTreeSet<RequirementId>,
    /// Characters, 4 to 16.
    #[schemars(range(min = 4, max = 16))]
    pub min_length: u8,
    /// Letters as well as digits.
    #[serde(default)]
    pub alphanumeric: bool,
    /// Refuse 1234, repeats, dates and dictionary words.
    #[serde(default)]
    pub refuse_simple: bool,
    /// How many earlier passcodes may not be used again; 0 to 50.
    #[schemars(range(max = 50))]
    #[serde(default)]
    pub history: u8,
    #[serde(default)]
    pub rotation: Rotation,
    /// Days after which a passcode is overdue, 1 to 730; needed unless `rotation` is `event`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 730))]
    pub max_age_days: Option<u16>,
    /// Wrong tries after which the tablet locks and alerts; it never wipes. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 50))]
    pub max_failed_attempts: Option<u8>,
    /// Minutes of inactivity before the screen locks. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60))]
    pub auto_lock_minutes: Option<u8>,
    #[serde(default)]
    pub set_by: SetBy,
}

impl PasscodePolicy {
    pub(super) fn problems(&self, found: &mut Vec<PolicyError>) {
        if !(4..=16).contains(&self.min_length) {
            found.push(PolicyError::new(
                "passcode.min_length",
                self.min_length,
                "write 4 to 16",
            ));
        }
        if self.history > 50 {
            found.push(PolicyError::new(
                "passcode.history",
                self.history,
                "write 0 to 50",
            ));
        }
        match self.max_age_days {
            Some(days) if !(1..=730).contains(&days) => {
                found.push(PolicyError::new(
                    "passcode.max_age_days",
                    days,
                    "write 1 to 730",
                ));
            }
            None if self.rotation.is_scheduled() => found.push(PolicyError::new(
                "passcode.max_age_days",
                "absent",
                "rotation on a schedule needs an age; write 91 for a term of 13 weeks, or rotation = \"event\"",
            )),
            Some(_) | None => {}
        }
        if let Some(tries) = self.max_failed_attempts.filter(|t| !(3..=50).contains(t)) {
            found.push(PolicyError::new(
                "passcode.max_failed_attempts",
                tries,
                "write 3 to 50",
            ));
        }
        if let Some(minutes) = self.auto_lock_minutes.filter(|m| !(1..=60).contains(m)) {
            found.push(PolicyError::new(
                "passcode.auto_lock_minutes",
                minutes,
                "write 1 to 60",
            ));
        }
    }
}

impl Tighten for PasscodePolicy {
    fn tighten(&self, other: &Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            requirements: union(&self.requirements, &other.requirements),
            min_length: self.min_length.max(other.min_length),
            alphanumeric: self.alphanumeric || other.alphanumeric,
            refuse_simple: self.refuse_simple || other.refuse_simple,
            history: self.history.max(other.history),
            rotation: if self.rotation == other.rotation {
                self.rotation
            } else {
                Rotation::Both
            },
            max_age_days: lower(self.max_age_days, other.max_age_days),
            max_failed_attempts: lower(self.max_failed_attempts, other.max_failed_attempts),
            auto_lock_minutes: lower(self.auto_lock_minutes, other.auto_lock_minutes),
            set_by: self.set_by.max(other.set_by),
        }
    }
}
