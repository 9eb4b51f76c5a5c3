//! Use out of contact hours: the tablet is locked and use is reported.

use super::{Mode, PolicyError, RequirementId, Tighten, union};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HoursPolicy {
    #[serde(default)]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requirements: BTreeSet<RequirementId>,
    /// Whether the tablet locks outside contact hours.
    #[serde(default)]
    pub lock_outside_contact_hours: bool,
    /// Minutes before and after contact hours in which it stays open, for setting up and clearing away; 0 to 120.
    #[serde(default)]
    #[schemars(range(max = 120))]
    pub margin_minutes: u8,
}

impl HoursPolicy {
    pub(super) fn problems(&self, found: &mut Vec<PolicyError>) {
        if self.margin_minutes > 120 {
            found.push(PolicyError::new(
                "hours.margin_minutes",
                self.margin_minutes,
                "write 0 to 120",
            ));
        }
    }
}

impl Tighten for HoursPolicy {
    fn tighten(&self, other: &Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            requirements: union(&self.requirements, &other.requirements),
            lock_outside_contact_hours: self.lock_outside_contact_hours
                || other.lock_outside_contact_hours,
            margin_minutes: self.margin_minutes.min(other.margin_minutes),
        }
    }
}
