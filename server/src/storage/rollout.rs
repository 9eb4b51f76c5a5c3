//! Versions of profiles that some tablets have before the others.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::id::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    pub profile: String,
    /// With the profile's name it says which one it is.
    pub begun_at: Timestamp,
    pub begun_by: String,
    /// TOML, exactly as it was written.
    pub source: String,
    /// The live version it was compared with.
    pub on_version: u64,
    /// `None`: it goes on.
    pub stopped: Option<Stopped>,
    pub tablets: BTreeMap<DeviceId, Joined>,
}

/// Why no more tablets get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    pub at: Timestamp,
    /// The first tablet in trouble.
    pub device: DeviceId,
    /// A sentence for people, without the tablet's name.
    pub why: String,
}

/// Since when a tablet has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub at: Timestamp,
    /// Controls that were not as they should be before.
    pub already: BTreeSet<ControlName>,
    /// A person said that it goes on although this tablet is in trouble: it neither stops it nor is waited for.
    pub excused: bool,
}

/// How a roll-out ended without being made live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    TakenBack,
    /// Another version was made live.
    Overtaken,
    /// It is the live version now.
    Live,
}

impl Ended {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TakenBack => "taken_back",
            Self::Overtaken => "overtaken",
            Self::Live => "live",
        }
    }
}

/// One under way is named by its profile and when it was begun. Every change is in the audit log in the same transaction, and is one to what bundles are made of.
pub trait RolloutStore: Send + Sync {
    /// Those under way, by profile.
    fn rollout_list(&self) -> Answer<'_, Vec<Rollout>>;

    /// What a tablet had before the others at `at`: the text, and since when. `None`: nothing.
    fn rollout_then(
        &self,
        device: DeviceId,
        at: Timestamp,
    ) -> Answer<'_, Option<(String, Timestamp)>>;

    /// `Already`: one of this profile is under way, or another version is live than `on_version`.
    fn rollout_begin<'a>(
        &'a self,
        rollout: &'a Rollout,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// More tablets get it. `Missing`: it is over; `Already`: it is stopped.
    fn rollout_add<'a>(
        &'a self,
        this: (&'a str, Timestamp),
        tablets: &'a BTreeMap<DeviceId, Joined>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// It goes to no more tablets. `Missing`: it is over; `Already`: it is stopped.
    fn rollout_stop<'a>(
        &'a self,
        this: (&'a str, Timestamp),
        stopped: &'a Stopped,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// It may go to more tablets again, and those in `excused` count no more. `Missing`: it is over; `Already`: it was not
    /// stopped.
    fn rollout_go_on<'a>(
        &'a self,
        this: (&'a str, Timestamp),
        excused: &'a BTreeSet<DeviceId>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Its tablets have the live version again. `Missing`: it is over.
    fn rollout_take_back<'a>(
        &'a self,
        this: (&'a str, Timestamp),
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
