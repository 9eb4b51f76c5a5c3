//! Tokens with which other programs act for somebody. Only a digest of a token is kept.

use super::{Answer, AuditEntry, Changed, Operator};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::{ApiTokenId, OperatorId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a token is for. What its person may not do, it may not do either.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "kebab-case")]
pub enum Scope {
    /// Read which tablets there are.
    ReadTablets,
    /// Import the register.
    Import,
}

impl Scope {
    /// As commands and errors name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadTablets => "read-tablets",
            Self::Import => "import",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiToken {
    pub id: ApiTokenId,
    pub operator: OperatorId,
    /// See [`api_token_hash`].
    pub hash: Digest,
    /// Which program has it.
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    pub created_at: Timestamp,
    /// Not accepted from here on.
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    pub id: ApiTokenId,
    /// Also somebody who was removed; then it was revoked, too.
    pub operator: Operator,
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// To the minute. `None`: never yet.
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// By which a token is kept and found. It has 128 random bits, as an enrolment token.
pub fn api_token_hash(token: &str) -> Digest {
    Digest::of_parts("nestwarden/operator-token/v1", &[token.as_bytes()])
}

pub trait ApiTokenStore: Send + Sync {
    /// `Already`: this person has `most` that are good. `Missing`: no such person, or they were removed.
    fn api_token_add<'a>(
        &'a self,
        token: &'a NewApiToken,
        most: usize,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// By person and time. Those that are good no more, too.
    fn api_token_list(&self) -> Answer<'_, Vec<ApiToken>>;

    /// `None`: never given out here. Revoked and expired ones are found.
    fn api_token_find(&self, hash: Digest) -> Answer<'_, Option<ApiToken>>;

    fn api_token_used(&self, token: ApiTokenId, at: Timestamp) -> Answer<'_, ()>;

    /// `Already`: it was revoked before.
    fn api_token_revoke<'a>(
        &'a self,
        token: ApiTokenId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
