//! What people decided about photos: who is in one, what becomes of those found at enrolment, and which sealed one may be
//! opened.

use super::hold::HoldAct;
use super::{Answer, AuditEntry};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{FoundPhotos, TagCorrection};
use nestwarden_policy_schema::id::{DeviceId, PhotoId};

/// Somebody's wish to open a sealed photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsealDecision {
    pub device: DeviceId,
    pub photo: PhotoId,
    pub reason: String,
    pub asked: HoldAct,
    /// The second person, where the photo is under a hold.
    pub confirmed: Option<HoldAct>,
}

/// A key that is about to be given for one sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsealing {
    pub device: DeviceId,
    pub photo: PhotoId,
    /// Of the header stanza that held the key.
    pub stanza: Digest,
    /// When the tablet said it sealed the photo.
    pub sealed_at: Option<Timestamp>,
    pub at: Timestamp,
}

/// Whether a key may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsealingKept {
    Yes,
    /// This file was opened as another photo, or another file as this photo. Nothing was written.
    OtherFile,
}

pub trait DecisionStore: Send + Sync {
    /// The newest of each photo.
    fn correction_list(&self) -> Answer<'_, Vec<(DeviceId, TagCorrection)>>;

    fn correction_put<'a>(
        &'a self,
        device: DeviceId,
        correction: &'a TagCorrection,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()>;

    fn found_list(&self) -> Answer<'_, Vec<(DeviceId, FoundPhotos)>>;

    fn found_put<'a>(
        &'a self,
        device: DeviceId,
        found: &'a FoundPhotos,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()>;

    /// `None`: nobody asked.
    fn unseal_decision(
        &self,
        device: DeviceId,
        photo: PhotoId,
    ) -> Answer<'_, Option<UnsealDecision>>;

    /// Replaces an earlier wish for the same photo.
    fn unseal_decide<'a>(
        &'a self,
        decision: &'a UnsealDecision,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()>;

    /// Binds a sealed file to the photo as which it is opened, with the audit entry, before its key goes out. The same
    /// again is harmless.
    fn unseal_keep<'a>(
        &'a self,
        unsealing: &'a Unsealing,
        audit: &'a AuditEntry,
    ) -> Answer<'a, UnsealingKept>;
}
