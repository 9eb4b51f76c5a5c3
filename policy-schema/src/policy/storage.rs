//! Removable media, transfer by cable, and the encryption of the tablet's own disk.

use super::{Allowed, Mode, RequirementId, Tighten, union};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoragePolicy {
    #[serde(default)]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requirements: BTreeSet<RequirementId>,
    /// USB sticks and memory cards.
    #[serde(default)]
    pub removable_media: Allowed,
    /// Being read by a computer over a cable.
    #[serde(default)]
    pub usb_transfer: Allowed,
    /// Disk encryption can only be observed; an unencrypted disk is reported, never changed.
    #[serde(default)]
    pub require_encryption: bool,
}

impl Tighten for StoragePolicy {
    fn tighten(&self, other: &Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            requirements: union(&self.requirements, &other.requirements),
            removable_media: self.removable_media.max(other.removable_media),
            usb_transfer: self.usb_transfer.max(other.usb_transfer),
            require_encryption: self.require_encryption || other.require_encryption,
        }
    }
}
