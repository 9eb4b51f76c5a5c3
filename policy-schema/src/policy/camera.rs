//! The camera. Whatever the setting chooses, it is off out of contact hours.

use super::{Mode, RequirementId, Tighten, union};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Later is stricter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CameraUse {
    #[default]
    On,
    /// Only while a capture session is open.
    InSession,
    Off,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CameraPolicy {
    #[serde(default)]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requirements: BTreeSet<RequirementId>,
    #[serde(default)]
    pub camera: CameraUse,
}

impl Tighten for CameraPolicy {
    fn tighten(&self, other: &Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            requirements: union(&self.requirements, &other.requirements),
            camera: self.camera.max(other.camera),
        }
    }
}
