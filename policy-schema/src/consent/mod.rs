//! The consent register as a tablet sees it, the records it is resolved from, and the verdict on a photo.

mod grounds;
mod loss;
pub mod record;
pub mod register;
pub mod subjects;
mod tighten;
pub mod verdict;

pub use record::{ConsentRecord, ConsentSource, ConsentStanding, ConsentState, GivenBy, Method};
pub use register::{
    BeforeDeath, ChildEntry, LeaveReason, Leaving, RegisterSnapshot, Restriction, RoomName,
};
pub use subjects::{FoundDecision, FoundPhotos, Subjects, TagCorrection, Tagging};
pub use verdict::{
    Cause, Due, PhotoFacts, Schedule, Stage, Standing, TrustedNow, Verdict, may_destroy, verdict,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a photo may be used for. Each is asked and answered by itself.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    OwnLearningJournal,
    OtherChildrensJournals,
    DisplayInSetting,
    Website,
    SocialMedia,
    Press,
    Marketing,
    Training,
}

impl Purpose {
    pub const ALL: [Self; 8] = [
        Self::OwnLearningJournal,
        Self::OtherChildrensJournals,
        Self::DisplayInSetting,
        Self::Website,
        Self::SocialMedia,
        Self::Press,
        Self::Marketing,
        Self::Training,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OwnLearningJournal => "own_learning_journal",
            Self::OtherChildrensJournals => "other_childrens_journals",
            Self::DisplayInSetting => "display_in_setting",
            Self::Website => "website",
            Self::SocialMedia => "social_media",
            Self::Press => "press",
            Self::Marketing => "marketing",
            Self::Training => "training",
        }
    }

    /// Whether the photo leaves the setting for this use; `Restriction::NoExternal` refuses these.
    pub const fn is_external(self) -> bool {
        match self {
            Self::OwnLearningJournal
            | Self::OtherChildrensJournals
            | Self::DisplayInSetting
            | Self::Training => false,
            Self::Website | Self::SocialMedia | Self::Press | Self::Marketing => true,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no purpose.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "\"{0}\" is not a purpose; write one of own_learning_journal, other_childrens_journals, display_in_setting, website, social_media, press, marketing, training"
)]
pub struct PurposeParseError(String);

impl std::str::FromStr for Purpose {
    type Err = PurposeParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|p| p.as_str() == text)
            .ok_or_else(|| PurposeParseError(text.chars().take(80).collect()))
    }
}
