//! Sessions: 256 random bits in the browser, a digest of them here. Over after half an hour without a request, after ten
//! hours in any case, and when somebody ends them.

use super::audit;
use crate::storage::{Operator, Session, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use std::fmt::Write as _;

pub const IDLE: SignedDuration = SignedDuration::from_mins(30);
pub const LIFE: SignedDuration = SignedDuration::from_hours(10);
/// For how long after signing in somebody may change how they sign in.
const FRESH: SignedDuration = SignedDuration::from_mins(15);
/// How exactly it is noted that a session goes on.
const SEEN_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// 256 random bits in hexadecimal; `None`: the system gave none.
pub fn new_secret() -> Option<String> {
    let mut bytes = [0_u8; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

pub(super) fn hash(secret: &str) -> Digest {
    Digest::of_parts("nestwarden/session/v1", &[secret.as_bytes()])
}

/// What the forms of a page carry, so that no other site can send them: worked out from what only this browser has.
pub fn form_token(secret: &str) -> String {
    Digest::of_parts("nestwarden/form-token/v1", &[secret.as_bytes()]).to_string()
}

/// Who it is; `None`: the session is over, or never was.
pub async fn of(
    storage: &Storage,
    secret: &str,
    now: Timestamp,
) -> Result<Option<Session>, StorageError> {
    let hash = hash(secret);
    let Some(session) = storage.session_find(hash).await? else {
        return Ok(None);
    };
    // A clock that was set back must not make a session last longer.
    if now >= session.ends_at
        || now.duration_since(session.seen_at) >= IDLE
        || now < session.begun_at
    {
        return Ok(None);
    }
    if now.duration_since(session.seen_at) >= SEEN_EVERY {
        storage.session_seen(hash, now).await?;
    }
    Ok(Some(session))
}

/// Whether somebody signed in so shortly ago that it is still them at the machine.
pub fn is_fresh(begun_at: Timestamp, now: Timestamp) -> bool {
    now >= begun_at && now.duration_since(begun_at) < FRESH
}

pub async fn end(
    storage: &Storage,
    secret: &str,
    by: &Operator,
    now: Timestamp,
) -> Result<(), StorageError> {
    let entry = audit(by, "account.sign_out", json!({}), now);
    storage.session_end(hash(secret), &entry).await
}

/// Ends the session a browser had, whosever it was, once somebody signed in there anew.
pub async fn end_replaced(
    storage: &Storage,
    secret: &str,
    now: Timestamp,
) -> Result<(), StorageError> {
    let Some(before) = storage.session_find(hash(secret)).await? else {
        return Ok(());
    };
    let entry = audit(
        &before.operator,
        "account.sign_out",
        json!({ "by": "a new sign-in" }),
        now,
    );
    storage.session_end(hash(secret), &entry).await
}

/// Ends every session of `operator`, wherever it is; how many there were.
pub async fn end_all(
    storage: &Storage,
    operator: &Operator,
    who: &str,
    now: Timestamp,
) -> Result<u64, StorageError> {
    let entry = crate::storage::AuditEntry {
        who: who.to_owned(),
        ..audit(operator, "account.sign_out_everywhere", json!({}), now)
    };
    storage.session_end_all(operator.id, &entry).await
}
