//! Bluetooth, nearby sharing, NFC, hotspot and Wi-Fi Direct.

use super::{Allowed, Mode, RequirementId, Tighten, union};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RadiosPolicy {
    #[serde(default)]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requirements: BTreeSet<RequirementId>,
    #[serde(default)]
    pub bluetooth: Allowed,
    /// AirDrop, Quick Share, Windows nearby sharing, LocalSend, GNOME and KDE sharing.
    #[serde(default)]
    pub nearby_sharing: Allowed,
    #[serde(default)]
    pub nfc: Allowed,
    #[serde(default)]
    pub hotspot: Allowed,
    #[serde(default)]
    pub wifi_direct: Allowed,
}

impl Tighten for RadiosPolicy {
    fn tighten(&self, other: &Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            requirements: union(&self.requirements, &other.requirements),
            bluetooth: self.bluetooth.max(other.bluetooth),
            nearby_sharing: self.nearby_sharing.max(other.nearby_sharing),
            nfc: self.nfc.max(other.nfc),
            hotspot: self.hotspot.max(other.hotspot),
            wifi_direct: self.wifi_direct.max(other.wifi_direct),
        }
    }
}
