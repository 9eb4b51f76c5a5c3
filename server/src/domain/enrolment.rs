//! How a tablet becomes known, and how it stays so: enrolment with a single-use token, renewal, renewal after expiry.

use crate::signing::DeviceCa;
use crate::signing::ca::{CaError, Issued};
use crate::storage::token::token_hash;
use crate::storage::{Changed, Device, DeviceKey, EnrolOutcome, EnrolToken, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::device_api::{EnrolRequest, RenewExpiredRequest, renewal_message};
use nestwarden_policy_schema::enrol_link::is_token;
use nestwarden_policy_schema::id::DeviceId;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use uuid::Uuid;

/// How long a nonce for renewal after expiry may be used.
pub const NONCE_LIFE: SignedDuration = SignedDuration::from_mins(5);
/// Most nonces that may be outstanding at once.
const MAX_NONCES: u64 = 1000;
/// Longest version, platform and the like that a tablet may call itself, in characters.
const MAX_TEXT_CHARS: usize = 120;
/// Keys that may renew after expiry, the newest first. Two, because a tablet may have missed the answer to its last renewal.
const RENEWING_KEYS: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    #[error("this enrolment token was not issued here; make a new one with `enrol-token create`")]
    TokenUnknown,
    #[error("this enrolment token was used before; make a new one with `enrol-token create`")]
    TokenUsed,
    #[error("this enrolment token has expired; make a new one with `enrol-token create`")]
    TokenExpired,
    #[error("`{field}` is empty, longer than 120 characters or has control characters")]
    Text { field: &'static str },
    #[error("this device is not enrolled here; enrol it again with a new token")]
    DeviceUnknown,
    #[error("this device was revoked; enrol it again with a new token")]
    DeviceRevoked,
    #[error(
        "the nonce was never issued, was used, or is older than five minutes; ask for a new one"
    )]
    Nonce,
    #[error("too many renewals are under way; try again in five minutes")]
    TooManyNonces,
    #[error("the request is not signed by the key of the expired certificate")]
    Signature,
    #[error("the system gave no random bits")]
    Random,
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error("failed to enrol or renew")]
    Storage(#[from] StorageError),
}

#[derive(Debug)]
pub struct Enrolled {
    pub device: Device,
    pub issued: Issued,
}

/// Uses the token up and makes the device known, or changes nothing.
pub async fn enrol(
    storage: &Storage,
    ca: &DeviceCa,
    request: &EnrolRequest,
    now: Timestamp,
) -> Result<Enrolled, EnrolmentError> {
    let fields = [
        ("agent_version", &request.agent_version),
        ("platform", &request.platform),
        ("time_zone_data", &request.time_zone_data),
    ];
    for (field, text) in fields {
        check_text(field, text)?;
    }
    if !is_token(&request.token) {
        return Err(EnrolmentError::TokenUnknown);
    }
    // Looked up by digest: how long that takes says nothing about the token.
    let hash = token_hash(&request.token);
    let token = storage
        .token_find(hash)
        .await?
        .ok_or(EnrolmentError::TokenUnknown)?;
    check_token(&token, now)?;
    let id = DeviceId::from_uuid(Uuid::new_v4());
    let issued = ca.issue(&request.csr.0, id, now)?;
    let device = Device {
        id,
        name: token.name,
        profile: token.profile,
        rooms: token.rooms,
        overrides: Vec::new(),
        platform: request.platform.clone(),
        agent_version: request.agent_version.clone(),
        time_zone_data: request.time_zone_data.clone(),
        enrolled_at: now,
        last_seen_at: None,
        revoked: None,
    };
    // Judged again there, within the change: two tablets may have come with the same token at once.
    match storage
        .token_redeem(hash, &device, &device_key(id, &issued, now))
        .await?
    {
        EnrolOutcome::Enrolled => Ok(Enrolled { device, issued }),
        EnrolOutcome::TokenUnknown => Err(EnrolmentError::TokenUnknown),
        EnrolOutcome::TokenUsed => Err(EnrolmentError::TokenUsed),
        EnrolOutcome::TokenExpired => Err(EnrolmentError::TokenExpired),
    }
}

/// A certificate for a new key of a device that has shown the one in use.
pub async fn renew(
    storage: &Storage,
    ca: &DeviceCa,
    device: DeviceId,
    csr: &[u8],
    now: Timestamp,
) -> Result<Issued, EnrolmentError> {
    let issued = ca.issue(csr, device, now)?;
    match storage
        .device_key_add(&device_key(device, &issued, now))
        .await?
    {
        Changed::Yes | Changed::Already => Ok(issued),
        Changed::Missing => Err(EnrolmentError::DeviceRevoked),
    }
}

/// A nonce for [`renew_expired`]: 128 random bits in hex.
pub async fn renewal_nonce(storage: &Storage, now: Timestamp) -> Result<String, EnrolmentError> {
    if storage.nonce_count(now).await? >= MAX_NONCES {
        return Err(EnrolmentError::TooManyNonces);
    }
    let mut random = [0; 16];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| EnrolmentError::Random)?;
    let nonce = format!("{:032x}", u128::from_be_bytes(random));
    storage.nonce_put(&nonce, now + NONCE_LIFE, now).await?;
    Ok(nonce)
}

/// A certificate for a tablet that slept past its expiry and proves that it still has its key.
pub async fn renew_expired(
    storage: &Storage,
    ca: &DeviceCa,
    request: &RenewExpiredRequest,
    now: Timestamp,
) -> Result<Issued, EnrolmentError> {
    if !storage.nonce_take(&request.nonce, now).await? {
        return Err(EnrolmentError::Nonce);
    }
    let keys = storage.device_keys(request.device).await?;
    let message = renewal_message(&request.nonce, &request.csr.0);
    let is_signed = keys.iter().take(RENEWING_KEYS).any(|key| {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.public_key)
            .verify(&message, &request.signature.0)
            .is_ok()
    });
    let device = storage.device_find(request.device).await?;
    match device {
        None => Err(EnrolmentError::DeviceUnknown),
        // Whether it was revoked is told only to who holds its key.
        Some(_) if !is_signed => Err(EnrolmentError::Signature),
        Some(device) if device.revoked.is_some() => Err(EnrolmentError::DeviceRevoked),
        Some(device) => renew(storage, ca, device.id, &request.csr.0, now).await,
    }
}

fn check_token(token: &EnrolToken, now: Timestamp) -> Result<(), EnrolmentError> {
    if token.used_at.is_some() {
        return Err(EnrolmentError::TokenUsed);
    }
    if token.expires_at <= now {
        return Err(EnrolmentError::TokenExpired);
    }
    Ok(())
}

fn check_text(field: &'static str, text: &str) -> Result<(), EnrolmentError> {
    let too_long = text.chars().nth(MAX_TEXT_CHARS).is_some();
    if text.trim().is_empty()
        || too_long
        || text.chars().any(nestwarden_policy_schema::text::is_unseen)
    {
        return Err(EnrolmentError::Text { field });
    }
    Ok(())
}

fn device_key(device: DeviceId, issued: &Issued, now: Timestamp) -> DeviceKey {
    DeviceKey {
        device,
        public_key: issued.public_key.clone(),
        certificate: issued.certificate.clone(),
        issued_at: now,
        expires_at: issued.not_after,
    }
}
