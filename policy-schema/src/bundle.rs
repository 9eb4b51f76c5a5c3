//! What a tablet is told: everything it needs to enforce on its own until the next bundle.

use crate::access::ApprovedAccess;
use crate::bytes::{Digest, Secret};
use crate::calendar::Calendar;
use crate::command::ApprovedCommand;
use crate::consent::{FoundPhotos, RegisterSnapshot, RoomName, TagCorrection};
use crate::control::ControlName;
use crate::envelope::{Signable, Signed};
use crate::generation::Generation;
use crate::hold::HoldList;
use crate::id::{DeviceId, SettingId};
use crate::policy::{DatedException, Policy};
use crate::put_back::PutBack;
use crate::roster::{AupNotice, CustodyWord, RosterEntry};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Something a control needs the agent to be able to do. Names are added, never reused.
pub type Feature = String;

/// Features this version of the schema can express; an agent built with it understands all of them.
pub const FEATURES: [&str; 8] = [
    "passcode.1",
    "apps.1",
    "radios.1",
    "storage.1",
    "camera.1",
    "hours.1",
    "photos.1",
    REVIEW_FEATURE,
];

/// Photos can be reviewed for a subject access request. Needed only by a bundle that carries one.
pub const REVIEW_FEATURE: &str = "photos.2";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    pub setting: SettingId,
    pub device: DeviceId,
    pub generation: Generation,
    pub issued_at: Timestamp,
    /// After this the bundle stays enforced and the tablet alarms.
    pub expires_at: Timestamp,
    /// What the setting is called, for whoever finds the tablet; absent from older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting_name: Option<String>,
    /// The tablet's name as staff know it.
    pub device_name: String,
    /// The rooms the tablet is used in; empty: the whole setting.
    pub rooms: BTreeSet<RoomName>,
    pub profile: String,
    pub calendar: Calendar,
    /// The profile and its overrides, merged; exceptions apply on top, on the tablet's own clock.
    pub policy: Policy,
    #[serde(default)]
    pub exceptions: Vec<DatedException>,
    /// What each control needs of the agent. One that lacks any reads `unsupported: agent too old`.
    #[serde(default)]
    pub requires: BTreeMap<ControlName, BTreeSet<Feature>>,
    pub register: RegisterSnapshot,
    pub holds: HoldList,
    /// Who works here. Where nobody on it has a PIN, the office signs tablets out.
    #[serde(default)]
    pub roster: BTreeSet<RosterEntry>,
    /// Absent: no policy for staff is in force, or the server is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aup: Option<AupNotice>,
    /// Absent: the server is older, and knows only what was signed out in the office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<CustodyWord>,
    #[serde(default)]
    pub commands: Vec<ApprovedCommand>,
    /// Commands to set a passcode. Apart from the others, because an agent that does not know them could not read a list
    /// with one in it; it passes over this field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passcode_orders: Vec<ApprovedCommand>,
    /// Of photos of this tablet, by photo; at most one each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<TagCorrection>,
    /// Absent: nobody decided yet, and they are only counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_photos: Option<FoundPhotos>,
    /// The tablet enforced what this server never issued: its data was put back from an earlier copy. Until a person
    /// settles it the tablet keeps the stricter of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<PutBack>,
    /// Requests for photos that this tablet may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_requests: Vec<ApprovedAccess>,
    /// Keys the hash by which copies of a photo are recognised; 32 bytes.
    pub photo_hash_key: Secret,
    /// age recipients a photo is sealed to: the server's release key and the setting's offline recovery key.
    pub release_recipient: String,
    pub recovery_recipient: String,
    /// Newer anchors, signed by what the tablet already trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<Signed>,
}

impl Signable for Bundle {
    const DOMAIN: &'static str = "nestwarden/bundle/v1";
}

/// What the server vouches for in every answer, the empty one too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeStatement {
    pub time: Timestamp,
    pub setting: SettingId,
    pub device: DeviceId,
    /// The newest generation issued for this device.
    pub generation: Generation,
    /// Of the hold list in that generation; equal digests prove the tablet's list current.
    pub holds_digest: Digest,
    /// As the request gave it, so that an old answer cannot be replayed.
    pub request_nonce: String,
}

impl Signable for TimeStatement {
    const DOMAIN: &'static str = "nestwarden/time/v1";
}
