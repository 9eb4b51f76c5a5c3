//! The controls a tablet is held to, by name, and what was found when each was last measured.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One part of a tablet that a policy governs.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ControlName {
    Passcode,
    Apps,
    Radios,
    Storage,
    Camera,
    Hours,
    Photos,
}

impl ControlName {
    pub const ALL: [Self; 7] = [
        Self::Passcode,
        Self::Apps,
        Self::Radios,
        Self::Storage,
        Self::Camera,
        Self::Hours,
        Self::Photos,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passcode => "passcode",
            Self::Apps => "apps",
            Self::Radios => "radios",
            Self::Storage => "storage",
            Self::Camera => "camera",
            Self::Hours => "hours",
            Self::Photos => "photos",
        }
    }
}

impl fmt::Display for ControlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was found when a control was last held to its policy.
///
/// Only `Compliant` and `Corrected` may ever be shown as fine: both rest on a reading taken after the last change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The policy says nothing about this control.
    Unmanaged,
    /// Observe mode: what enforcing would have changed, in plain words; empty when nothing.
    Observed { would_change: Vec<String> },
    /// Read, and as the policy wants it.
    Compliant,
    /// Was not as the policy wants it, was changed, and was read back as it should be.
    Corrected { changed: Vec<String> },
    /// Is not as the policy wants it, also after trying.
    Drifted {
        remaining: Vec<String>,
        error: Option<String>,
    },
    /// This tablet or this version of the agent cannot do it.
    Unsupported { reason: String },
    /// Could not be read.
    Unknown { error: String },
}

impl Outcome {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unmanaged => "unmanaged",
            Self::Observed { .. } => "observed",
            Self::Compliant => "compliant",
            Self::Corrected { .. } => "corrected",
            Self::Drifted { .. } => "drifted",
            Self::Unsupported { .. } => "unsupported",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Whether this may be shown as fine.
    pub const fn is_compliant(&self) -> bool {
        matches!(self, Self::Compliant | Self::Corrected { .. })
    }
}

/// What agents say within the plain words of an outcome where a report counts it. Agents and server write and read these.
pub mod wording {
    /// Ends what is said of an account whose passcode should have been changed.
    pub const OVERDUE: &str = "is overdue until somebody changes it";
    /// Ends what would be, or could not be, done with an account whose passcode is due.
    pub const NEW_PASSCODE: &str = "choose a new passcode at the next sign-in";
    /// Begins what is said of an account whose passcode somebody has to set in the console.
    pub const SET_IN_CONSOLE: &str = "set a new passcode in the console for account";
    /// Begins what is said of a disk that is not encrypted.
    pub const ENCRYPT: &str = "encrypt the disk behind";
    /// What could not be read of it.
    pub const WHETHER_ENCRYPTED: &str = "whether the disk is encrypted";
    /// Begins what is said of anything that could not be read.
    pub const UNREAD: &str = "check";
}

/// An outcome with the trusted time of the reading it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlReport {
    pub control: ControlName,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub measured_at: Timestamp,
}
