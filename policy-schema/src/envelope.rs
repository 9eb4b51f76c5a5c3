//! Signed statements. What is signed is the exact text that travels, so nothing has to be re-encoded to be checked, and
//! every kind of statement has its own domain, so that none can be passed off as another.

use crate::bundle::Bundle;
use crate::bytes::{Base64, Digest};
use crate::generation::Generation;
use crate::id::{DeviceId, SettingId};
use crate::roster;
use crate::trust::{Anchors, KeyId, SigningPublicKey};
use ring::signature::Ed25519KeyPair;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A statement that is signed as a whole.
pub trait Signable: Serialize + DeserializeOwned {
    /// Names the kind and version of statement; part of what is signed.
    const DOMAIN: &'static str;
}

/// A statement with a signature that nobody checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The statement as JSON text, exactly as signed.
    pub payload: String,
    pub key_id: KeyId,
    pub signature: Base64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignedError {
    #[error("the statement is signed by key {0}, which this side does not trust")]
    UnknownKey(KeyId),
    #[error("the signature does not match the statement")]
    BadSignature,
    #[error("the statement is signed, but cannot be read: {0}")]
    Unreadable(String),
    #[error("the statement could not be written as JSON: {0}")]
    Unwritable(String),
}

/// The bytes a signature covers: the domain, a zero byte, the payload.
pub fn message_of(domain: &str, payload: &str) -> Vec<u8> {
    [domain.as_bytes(), &[0], payload.as_bytes()].concat()
}

/// Signs `statement` with an Ed25519 key (RFC 8032; deterministic).
pub fn sign<T: Signable>(statement: &T, key: &Ed25519KeyPair) -> Result<Signed, SignedError> {
    use ring::signature::KeyPair as _;
    let payload =
        serde_json::to_string(statement).map_err(|e| SignedError::Unwritable(e.to_string()))?;
    let signature = key.sign(&message_of(T::DOMAIN, &payload));
    let key_id = KeyId(Digest::sha256(key.public_key().as_ref()));
    Ok(Signed {
        payload,
        key_id,
        signature: Base64(signature.as_ref().to_vec()),
    })
}

/// Reads a statement if one of `keys` signed it as a `T`.
pub fn verify_ed25519<T: Signable>(
    signed: &Signed,
    keys: &[&SigningPublicKey],
) -> Result<T, SignedError> {
    let key = keys
        .iter()
        .find(|key| key.key_id() == signed.key_id)
        .ok_or(SignedError::UnknownKey(signed.key_id))?;
    if !key.verifies(&message_of(T::DOMAIN, &signed.payload), &signed.signature.0) {
        return Err(SignedError::BadSignature);
    }
    serde_json::from_str(&signed.payload).map_err(|e| SignedError::Unreadable(e.to_string()))
}

/// A bundle whose signature, setting, device and generation were checked. Only [`verify_bundle`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBundle {
    bundle: Bundle,
    signed: Signed,
    digest: Digest,
}

impl VerifiedBundle {
    /// What is to be enforced: as signed, or tighter.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// As received, for the ledger.
    pub fn signed(&self) -> &Signed {
        &self.signed
    }

    pub fn generation(&self) -> Generation {
        self.bundle.generation
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The same signed bundle, held to be no looser than another one that was verified.
    #[must_use]
    pub fn no_looser_than(self, held: &Self) -> Self {
        Self {
            bundle: self.bundle.no_looser_than(&held.bundle),
            ..self
        }
    }
}

/// What a tablet already has, against which a bundle is judged.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    pub generation: Generation,
    pub digest: Digest,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BundleError {
    #[error(transparent)]
    Signature(#[from] SignedError),
    #[error("the bundle belongs to setting {theirs}, this tablet to {ours}")]
    OtherSetting { ours: SettingId, theirs: SettingId },
    #[error("the bundle is for device {theirs}, this is {ours}")]
    OtherDevice { ours: DeviceId, theirs: DeviceId },
    #[error("the bundle is generation {theirs}, this tablet has already had {ours}")]
    LowerGeneration {
        ours: Generation,
        theirs: Generation,
    },
    #[error("two different bundles claim generation {0}")]
    SameGenerationOtherContent(Generation),
    #[error("the bundle would lock the tablet out or loosen it by mistake: {0}")]
    Unsound(String),
}

/// Checks a bundle. `newest` is the newest this tablet ever verified; `None` only before the first.
///
/// Expiry is no reason to refuse: an expired bundle stays enforced, and the tablet alarms.
pub fn verify_bundle(
    signed: Signed,
    anchors: &Anchors,
    device: DeviceId,
    newest: Option<Newest>,
) -> Result<VerifiedBundle, BundleError> {
    let keys: Vec<&SigningPublicKey> = anchors.signing.iter().collect();
    let bundle: Bundle = verify_ed25519(&signed, &keys)?;
    let digest = Digest::sha256(signed.payload.as_bytes());
    if bundle.setting != anchors.setting {
        return Err(BundleError::OtherSetting {
            ours: anchors.setting,
            theirs: bundle.setting,
        });
    }
    if bundle.device != device {
        return Err(BundleError::OtherDevice {
            ours: device,
            theirs: bundle.device,
        });
    }
    if let Some(newest) = newest {
        if bundle.generation < newest.generation {
            return Err(BundleError::LowerGeneration {
                ours: newest.generation,
                theirs: bundle.generation,
            });
        }
        if bundle.generation == newest.generation && digest != newest.digest {
            return Err(BundleError::SameGenerationOtherContent(bundle.generation));
        }
    }
    bundle
        .calendar
        .validate()
        .map_err(|e| BundleError::Unsound(e.to_string()))?;
    if let Some(problem) = bundle.policy.problems().into_iter().next() {
        return Err(BundleError::Unsound(problem.to_string()));
    }
    roster::check(&bundle.roster, bundle.aup.as_ref(), bundle.custody.as_ref())
        .map_err(|e| BundleError::Unsound(e.to_string()))?;
    Ok(VerifiedBundle {
        bundle,
        signed,
        digest,
    })
}
