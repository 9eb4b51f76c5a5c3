//! Whom a tablet believes: signing keys, approvers, the server's TLS key, and the setting's offline recovery key.

use crate::bytes::{Base64, Digest};
use crate::envelope::{Signable, Signed, SignedError, verify_ed25519};
use crate::id::{ApproverId, SettingId};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a public key: the SHA-256 of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An Ed25519 public key, 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SigningPublicKey(pub Base64);

impl SigningPublicKey {
    pub fn key_id(&self) -> KeyId {
        KeyId(Digest::sha256(&self.0.0))
    }

    /// Whether it has the length of a key.
    pub fn is_well_formed(&self) -> bool {
        self.0.0.len() == ring::signature::ED25519_PUBLIC_KEY_LEN
    }

    /// Whether `signature` over `message` was made by the holder of this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0.0)
            .verify(message, signature)
            .is_ok()
    }
}

/// The SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469): what a tablet pins, so that renewing a certificate with
/// the same key changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpkiPin(pub Digest);

/// A person who may approve destructive commands with a key that the server does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    pub id: ApproverId,
    pub key: SigningPublicKey,
}

/// What a tablet got at enrolment, and since then only by statements signed by what it already had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchors {
    pub setting: SettingId,
    /// Grows with every change; a lower one is refused.
    pub version: u64,
    /// Keys that may sign bundles and statements of time. Never empty.
    pub signing: Vec<SigningPublicKey>,
    /// The offline key that may replace everything here.
    pub recovery: SigningPublicKey,
    pub approvers: Vec<Approver>,
    pub server_pins: Vec<SpkiPin>,
}

impl Signable for Anchors {
    const DOMAIN: &'static str = "nestwarden/anchors/v1";
}

/// How far one update by a signing key may advance the version. Whoever steals a signing key could otherwise use up every
/// number that the recovery key needs to put things right.
pub const MAX_VERSION_STEP: u64 = 1000;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AnchorsError {
    #[error(transparent)]
    Signature(#[from] SignedError),
    #[error("the new anchors belong to setting {theirs}, this tablet to {ours}")]
    OtherSetting { ours: SettingId, theirs: SettingId },
    #[error("the new anchors are version {theirs}, this tablet has {ours}")]
    NotNewer { ours: u64, theirs: u64 },
    #[error("the new anchors change who approves or recovers, which only the recovery key may do")]
    NotByRecovery,
    #[error(
        "the new anchors jump from version {ours} to {theirs}, more than {MAX_VERSION_STEP} at once"
    )]
    VersionLeap { ours: u64, theirs: u64 },
    #[error("the new anchors name no signing key")]
    NoSigningKey,
    #[error("the new anchors name no key of the server, so nothing could be reached any more")]
    NoServerPin,
    #[error("the new anchors name a key that is not one: {0}")]
    NotAKey(KeyId),
}

impl Anchors {
    pub fn signing_key(&self, id: KeyId) -> Option<&SigningPublicKey> {
        self.signing.iter().find(|key| key.key_id() == id)
    }

    /// Takes over newer anchors. The old signing keys may rotate signing keys and pins; approvers and the recovery key
    /// change only by the recovery key, so that a server that was taken over cannot appoint its own approvers.
    pub fn updated(&self, update: &Signed) -> Result<Self, AnchorsError> {
        let keys: Vec<&SigningPublicKey> = self.signing.iter().chain([&self.recovery]).collect();
        let new: Self = verify_ed25519(update, &keys)?;
        if new.setting != self.setting {
            return Err(AnchorsError::OtherSetting {
                ours: self.setting,
                theirs: new.setting,
            });
        }
        if new.version <= self.version {
            return Err(AnchorsError::NotNewer {
                ours: self.version,
                theirs: new.version,
            });
        }
        if new.signing.is_empty() {
            return Err(AnchorsError::NoSigningKey);
        }
        if new.server_pins.is_empty() {
            return Err(AnchorsError::NoServerPin);
        }
        if let Some(key) = new.malformed_key() {
            return Err(AnchorsError::NotAKey(key));
        }
        let by_recovery = update.key_id == self.recovery.key_id();
        if by_recovery {
            return Ok(new);
        }
        if new.version - self.version > MAX_VERSION_STEP {
            return Err(AnchorsError::VersionLeap {
                ours: self.version,
                theirs: new.version,
            });
        }
        if new.approvers != self.approvers || new.recovery != self.recovery {
            return Err(AnchorsError::NotByRecovery);
        }
        Ok(new)
    }

    fn malformed_key(&self) -> Option<KeyId> {
        let approvers = self.approvers.iter().map(|approver| &approver.key);
        let mut keys = self.signing.iter().chain([&self.recovery]).chain(approvers);
        keys.find(|key| !key.is_well_formed())
            .map(SigningPublicKey::key_id)
    }
}
