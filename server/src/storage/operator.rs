//! People who run the server.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::OperatorId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Role {
    ItAdmin,
    Manager,
    /// The lead for safeguarding.
    Dsl,
    Deputy,
    Auditor,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operator {
    pub id: OperatorId,
    /// Unique in the setting.
    pub name: String,
    pub roles: BTreeSet<Role>,
    pub created_at: Timestamp,
}

/// By which an operator's token for the admin API is kept and found. It has 128 random bits, as an enrolment token.
pub fn operator_token_hash(token: &str) -> Digest {
    Digest::of_parts("nestwarden/operator-token/v1", &[token.as_bytes()])
}

pub trait OperatorStore: Send + Sync {
    /// By name.
    fn operator_list(&self) -> Answer<'_, Vec<Operator>>;

    /// `None`: nobody of that name.
    fn operator_by_name<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Operator>>;

    /// `Already`: the name is taken.
    fn operator_add<'a>(
        &'a self,
        operator: &'a Operator,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Replaces the token of an operator, if there was one. `Missing`: no such operator.
    fn operator_token_set<'a>(
        &'a self,
        operator: OperatorId,
        hash: Digest,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// `None`: no operator has this token.
    fn operator_by_token(&self, hash: Digest) -> Answer<'_, Option<Operator>>;
}
