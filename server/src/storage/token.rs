//! Single-use enrolment tokens. Only a digest of a token is kept.

use super::{Answer, AuditEntry, Device, DeviceKey};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::DeviceId;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolToken {
    /// See [`token_hash`].
    pub hash: Digest,
    /// The name the tablet will have.
    pub name: String,
    pub profile: String,
    pub rooms: BTreeSet<RoomName>,
    pub created_at: Timestamp,
    /// Not accepted from here on.
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    /// The tablet it let in.
    pub used_by: Option<DeviceId>,
}

/// What became of a try to enrol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolOutcome {
    Enrolled,
    TokenUnknown,
    TokenUsed,
    TokenExpired,
}

/// By which a token is kept and found. A token has 128 random bits, so a plain digest cannot be guessed back.
pub fn token_hash(token: &str) -> Digest {
    Digest::of_parts("nestwarden/enrol-token/v1", &[token.as_bytes()])
}

pub trait TokenStore: Send + Sync {
    fn token_create<'a>(&'a self, token: &'a EnrolToken, audit: &'a AuditEntry) -> Answer<'a, ()>;

    /// `None`: never issued here. Used and expired ones are found.
    fn token_find(&self, hash: Digest) -> Answer<'_, Option<EnrolToken>>;

    /// Uses the token up and adds the device with its first key, or changes nothing.
    fn token_redeem<'a>(
        &'a self,
        hash: Digest,
        device: &'a Device,
        key: &'a DeviceKey,
    ) -> Answer<'a, EnrolOutcome>;
}
