//! Enrolled tablets and every key they had.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::policy::Policy;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    pub id: DeviceId,
    /// As staff know it.
    pub name: String,
    pub profile: String,
    /// Empty: the whole setting.
    pub rooms: BTreeSet<RoomName>,
    /// Each only tightens the profile.
    pub overrides: Vec<Policy>,
    pub platform: String,
    pub agent_version: String,
    pub time_zone_data: String,
    pub enrolled_at: Timestamp,
    /// `None`: nothing was heard since enrolment.
    pub last_seen_at: Option<Timestamp>,
    pub revoked: Option<Revocation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revocation {
    pub at: Timestamp,
    pub reason: String,
}

/// A key the device CA certified for a tablet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKey {
    pub device: DeviceId,
    /// Uncompressed P-256 point, 65 bytes.
    pub public_key: Vec<u8>,
    /// X.509 in DER.
    pub certificate: Vec<u8>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

pub trait DeviceStore: Send + Sync {
    /// By name, revoked ones too.
    fn device_list(&self) -> Answer<'_, Vec<Device>>;

    /// `None`: never enrolled here. A revoked device is found, with its revocation.
    fn device_find(&self, device: DeviceId) -> Answer<'_, Option<Device>>;

    /// Notes that something was heard from it, to the minute. A device that is missing is ignored.
    fn device_seen(&self, device: DeviceId, at: Timestamp) -> Answer<'_, ()>;

    /// Every key, the newest first. Empty: no such device.
    fn device_keys(&self, device: DeviceId) -> Answer<'_, Vec<DeviceKey>>;

    /// Adds the key of a renewal. `Missing`: no such device, or it is revoked.
    fn device_key_add<'a>(&'a self, key: &'a DeviceKey) -> Answer<'a, Changed>;

    fn device_revoke<'a>(
        &'a self,
        device: DeviceId,
        revocation: &'a Revocation,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    fn device_set_rooms<'a>(
        &'a self,
        device: DeviceId,
        rooms: &'a BTreeSet<RoomName>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    fn device_set_overrides<'a>(
        &'a self,
        device: DeviceId,
        overrides: &'a [Policy],
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
