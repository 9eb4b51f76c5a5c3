//! The signed bundles issued to each tablet.

use super::Answer;
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedBundle {
    pub device: DeviceId,
    pub generation: Generation,
    /// Of what the bundle says, without generation and times: equal contents are not issued again.
    pub content_digest: Digest,
    pub holds_digest: Digest,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub signed: Signed,
}

/// A bundle that was issued once, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastBundle {
    pub generation: Generation,
    pub payload_digest: Digest,
    pub issued_at: Timestamp,
}

pub trait BundleStore: Send + Sync {
    /// `None`: nothing was issued to this device yet.
    fn bundle_newest(&self, device: DeviceId) -> Answer<'_, Option<IssuedBundle>>;

    /// Every generation, the lowest first.
    fn bundle_history(&self, device: DeviceId) -> Answer<'_, Vec<PastBundle>>;

    /// Keeps a bundle and forgets the text of older ones. `false`: this or a higher generation is stored, and nothing
    /// was written.
    fn bundle_put<'a>(&'a self, bundle: &'a IssuedBundle) -> Answer<'a, bool>;

    /// Devices, not revoked, whose newest bundle was issued at or before `at`.
    fn bundle_issued_until(&self, at: Timestamp) -> Answer<'_, Vec<DeviceId>>;
}
