//! Subject access requests for photos, and what tablets answered. The photos' ciphertexts are files, see [`super::received`].

use super::hold::HoldAct;
use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::access::{AccessRequest, ApprovedAccess, Reviewed};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::{AccessRequestId, ChildId, DeviceId, PhotoId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessRow {
    pub id: AccessRequestId,
    pub child: ChildId,
    pub recipient: String,
    pub max_photos: u32,
    pub asked: HoldAct,
    pub expires_at: Timestamp,
    /// The second person; from then on tablets are told.
    pub agreed: Option<HoldAct>,
    pub cancelled: Option<HoldAct>,
    /// First written to an archive.
    pub handed_over: Option<HoldAct>,
    /// What was received is gone from this server.
    pub purged: Option<HoldAct>,
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessState {
    WaitsForSecondPerson,
    /// Photos are being reviewed and received.
    Open,
    Cancelled,
    /// Its time is over, or it was closed.
    Ended,
}

impl AccessRow {
    pub fn state(&self, now: Timestamp) -> AccessState {
        if self.cancelled.is_some() {
            AccessState::Cancelled
        } else if self.purged.is_some() || self.expires_at <= now {
            AccessState::Ended
        } else if self.agreed.is_some() {
            AccessState::Open
        } else {
            AccessState::WaitsForSecondPerson
        }
    }

    /// As tablets are told of it; `None` while it is not open.
    pub fn told(&self, now: Timestamp) -> Option<ApprovedAccess> {
        let agreed = self.agreed.clone()?;
        (self.state(now) == AccessState::Open).then(|| ApprovedAccess {
            request: AccessRequest {
                id: self.id,
                child: self.child,
                recipient: self.recipient.clone(),
                asked_by: self.asked.by.clone(),
                asked_at: self.asked.at,
                agreed_by: agreed.by,
                agreed_at: agreed.at,
                expires_at: self.expires_at,
                max_photos: self.max_photos,
            },
            approvals: Vec::new(),
        })
    }
}

/// A tablet that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AskedTablet {
    pub device: DeviceId,
    /// Photos in which somebody said the child is, when it was agreed to.
    pub photos: u64,
    /// When its reviewer had finished, as the tablet told.
    pub finished_at: Option<Timestamp>,
}

/// What is known of one photo of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AskedPhoto {
    pub device: DeviceId,
    pub photo: PhotoId,
    /// `None`: the tablet did not tell yet.
    pub reviewed: Option<Reviewed>,
    /// Of the ciphertext, as the tablet's record has it.
    pub told_sha256: Option<Digest>,
    pub received: Option<Received>,
}

/// A ciphertext that is, or was, on this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Received {
    pub bytes: u64,
    pub sha256: Digest,
    pub at: Timestamp,
}

pub trait AccessStore: Send + Sync {
    /// Every request, the oldest first.
    fn access_list(&self) -> Answer<'_, Vec<AccessRow>>;

    /// `None`: no such request.
    fn access_find(&self, request: AccessRequestId) -> Answer<'_, Option<AccessRow>>;

    fn access_ask<'a>(&'a self, row: &'a AccessRow, audit: &'a AuditEntry) -> Answer<'a, ()>;

    /// Notes the second person, and which tablets are asked. `Already`: somebody agreed before, it was cancelled, or the
    /// same person asked.
    fn access_agree<'a>(
        &'a self,
        request: AccessRequestId,
        act: &'a HoldAct,
        tablets: &'a BTreeMap<DeviceId, u64>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// `Already`: it was cancelled before, or what was received is gone.
    fn access_cancel<'a>(
        &'a self,
        request: AccessRequestId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// `Already`: an archive was made before; the first stands, and the audit entry is kept all the same.
    fn access_hand_over<'a>(
        &'a self,
        request: AccessRequestId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Notes that what was received is gone. `Already`: noted before.
    fn access_purged<'a>(
        &'a self,
        request: AccessRequestId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Which tablets are asked for which requests, closed ones too.
    fn access_asked(&self) -> Answer<'_, BTreeMap<AccessRequestId, BTreeSet<DeviceId>>>;

    fn access_tablets(&self, request: AccessRequestId) -> Answer<'_, Vec<AskedTablet>>;

    /// By tablet and photo; those of which nothing was told are not listed.
    fn access_photos(&self, request: AccessRequestId) -> Answer<'_, Vec<AskedPhoto>>;

    /// Notes that a ciphertext is on disk. `Missing`: the request is not open at `now` any more, or was never this
    /// tablet's; nothing was written, and the file must go.
    fn access_received<'a>(
        &'a self,
        request: AccessRequestId,
        device: DeviceId,
        photo: PhotoId,
        received: Received,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
