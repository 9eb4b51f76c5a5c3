//! Withdrawals, recorded here and now.

use super::{fresh, register::Register};
use crate::storage::{AuditEntry, Child, RegisterChange, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::{
    ConsentRecord, ConsentSource, ConsentState, GivenBy, Method, Purpose,
};
use nestwarden_policy_schema::id::ConsentId;

/// Who withdrew, and how they said so.
#[derive(Clone, Copy, Debug)]
pub struct Withdrawal {
    pub given_by: GivenBy,
    pub method: Method,
}

#[derive(Clone, Debug)]
pub struct Withdrawn {
    pub child: Child,
    /// Those that stood otherwise; empty when all were withdrawn before.
    pub purposes: Vec<Purpose>,
    /// Children of the same family, whose consents stay as they are.
    pub siblings: Vec<Child>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    #[error("there is no child with reference \"{0}\"; `child list` shows those there are")]
    NoChild(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Withdraws `purposes` for one child. Those withdrawn already stay as they are.
pub async fn withdraw(
    storage: &Storage,
    reference: &str,
    purposes: &[Purpose],
    how: Withdrawal,
    who: &str,
    now: Timestamp,
) -> Result<Withdrawn, ConsentError> {
    let register = Register::load(storage).await?;
    let child = register
        .children
        .iter()
        .find(|c| c.reference == reference)
        .ok_or_else(|| ConsentError::NoChild(reference.chars().take(80).collect()))?;
    let standings = register.standings(child.id);
    let purposes: Vec<Purpose> = purposes
        .iter()
        .copied()
        .filter(|purpose| {
            standings
                .get(purpose)
                .is_none_or(|standing| standing.state != ConsentState::Withdrawn)
        })
        .collect();
    let siblings = register
        .children
        .iter()
        .filter(|c| c.id != child.id && c.family.is_some() && c.family == child.family)
        .cloned()
        .collect();
    if !purposes.is_empty() {
        let records = purposes
            .iter()
            .map(|&purpose| ConsentRecord {
                id: ConsentId::from_uuid(fresh::ordered(now)),
                child: child.id,
                purpose,
                state: ConsentState::Withdrawn,
                given_by: how.given_by,
                has_parental_responsibility: None,
                method: how.method,
                wording_version: None,
                answered_at: Some(now),
                recorded_at: now,
                valid_from: None,
                valid_until: None,
                withdrawn_at: Some(now),
                source: ConsentSource::Recorded,
            })
            .collect();
        let audit = AuditEntry {
            at: now,
            who: who.to_owned(),
            act: "consent.withdraw".to_owned(),
            subject: child.id.to_string(),
            detail: serde_json::json!({ "purposes": purposes }),
        };
        let change = RegisterChange {
            children: Vec::new(),
            records,
        };
        storage.register_change(&change, &audit).await?;
    }
    Ok(Withdrawn {
        child: child.clone(),
        purposes,
        siblings,
    })
}
