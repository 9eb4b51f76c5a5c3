//! Tokens with which other programs act for somebody: each for some acts, and for a time.

use super::fresh;
use super::token::random_text;
use crate::storage::api_token::{ApiToken, NewApiToken, Scope, api_token_hash};
use crate::storage::{AuditEntry, Changed, Operator, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::ApiTokenId;
use nestwarden_policy_schema::text::is_unseen;
use serde_json::json;
use std::collections::BTreeSet;

pub const DEFAULT_DAYS: u16 = 90;
pub const MOST_DAYS: u16 = 366;
const NAME_CHARS: usize = 60;
/// Good ones of one person.
const MOST: usize = 20;
/// How exactly it is noted that a token is used.
const USED_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What a token is to be.
pub struct Wanted<'a> {
    /// Which program gets it.
    pub name: &'a str,
    pub scopes: BTreeSet<Scope>,
    pub days: u16,
}

/// The only time the token itself is seen.
pub struct Created {
    pub id: ApiTokenId,
    pub text: String,
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum ApiTokenError {
    #[error(
        "`--for` has to say which program gets the token, in 1 to {NAME_CHARS} characters on one line"
    )]
    Name,
    #[error("a token is for something: say `--scope`")]
    NoScope,
    #[error("a token is good for 1 to {MOST_DAYS} days, not {0}")]
    Days(u16),
    #[error(
        "{0} has {MOST} tokens that are good; revoke one that nobody needs, as `operator token list` shows them"
    )]
    TooMany(String),
    #[error("there is no operator \"{0}\" any more; nothing was changed")]
    Gone(String),
    #[error("there is no token {0}; `operator token list` shows those there are")]
    Missing(ApiTokenId),
    #[error("the system gave no random bits")]
    Random,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Gives out a token, and writes down who made it for whom. Nothing is kept of its text but a digest.
///
/// # Errors
/// A name, scope or number of days that is none; too many good tokens; somebody who was removed meanwhile.
pub async fn create(
    storage: &Storage,
    operator: &Operator,
    wanted: Wanted<'_>,
    who: &str,
    now: Timestamp,
) -> Result<Created, ApiTokenError> {
    let name = wanted.name.trim();
    if !(1..=NAME_CHARS).contains(&name.chars().count()) || name.chars().any(is_unseen) {
        return Err(ApiTokenError::Name);
    }
    if wanted.scopes.is_empty() {
        return Err(ApiTokenError::NoScope);
    }
    if !(1..=MOST_DAYS).contains(&wanted.days) {
        return Err(ApiTokenError::Days(wanted.days));
    }
    let text = random_text().map_err(|_| ApiTokenError::Random)?;
    let life = SignedDuration::from_hours(24 * i64::from(wanted.days));
    let new = NewApiToken {
        id: ApiTokenId::from_uuid(fresh::ordered(now)),
        operator: operator.id,
        hash: api_token_hash(&text),
        name: name.to_owned(),
        scopes: wanted.scopes,
        created_at: now,
        expires_at: now.checked_add(life).unwrap_or(Timestamp::MAX),
    };
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "api_token.create".to_owned(),
        subject: operator.id.to_string(),
        detail: json!({
            "token": new.id, "for": name, "scopes": new.scopes, "expires_at": new.expires_at,
        }),
    };
    match storage.api_token_add(&new, MOST, &audit).await? {
        Changed::Yes => Ok(Created {
            id: new.id,
            text,
            expires_at: new.expires_at,
        }),
        Changed::Already => Err(ApiTokenError::TooMany(operator.name.clone())),
        Changed::Missing => Err(ApiTokenError::Gone(operator.name.clone())),
    }
}

/// `false`: it was revoked before.
pub async fn revoke(
    storage: &Storage,
    token: ApiTokenId,
    who: &str,
    now: Timestamp,
) -> Result<bool, ApiTokenError> {
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "api_token.revoke".to_owned(),
        subject: token.to_string(),
        detail: json!({}),
    };
    match storage.api_token_revoke(token, &audit).await? {
        Changed::Yes => Ok(true),
        Changed::Already => Ok(false),
        Changed::Missing => Err(ApiTokenError::Missing(token)),
    }
}

/// What whoever shows a token may do with it. Only who holds one learns which of these it is.
pub enum Judged {
    Good(Operator),
    /// Never given out here.
    Unknown,
    Revoked,
    Expired,
    /// Good, and for other acts.
    OutOfScope,
}

/// Whose token `text` is, and whether it is good for `scope` now. Notes its use, to the minute; where that cannot be written
/// the answer is the same.
pub async fn judge(
    storage: &Storage,
    text: &str,
    scope: Scope,
    now: Timestamp,
) -> Result<Judged, StorageError> {
    let Some(token) = storage.api_token_find(api_token_hash(text)).await? else {
        return Ok(Judged::Unknown);
    };
    if token.revoked_at.is_some() {
        return Ok(Judged::Revoked);
    }
    // A clock that was set back must not make a token last longer.
    if now >= token.expires_at || now < token.created_at {
        return Ok(Judged::Expired);
    }
    if !token.scopes.contains(&scope) {
        return Ok(Judged::OutOfScope);
    }
    // On a full disk what is only read is still answered.
    if let Err(error) = note_use(storage, &token, now).await {
        tracing::warn!(%error, "when a token was last used cannot be noted");
    }
    Ok(Judged::Good(token.operator))
}

async fn note_use(storage: &Storage, token: &ApiToken, now: Timestamp) -> Result<(), StorageError> {
    let noted = token.last_used_at;
    if noted.is_none_or(|at| now.duration_since(at) >= USED_EVERY) {
        storage.api_token_used(token.id, now).await?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "api_token_tests.rs"]
mod tests;
