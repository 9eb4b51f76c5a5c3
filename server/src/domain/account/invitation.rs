//! Links with which an operator makes an account, or makes it anew: good once, for three days.

use super::audit;
use crate::domain::token::random_text;
use crate::storage::{AuditEntry, Invitation, Operator, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::OperatorId;

const LIFE: SignedDuration = SignedDuration::from_hours(72);

/// The only time the token itself is seen.
#[derive(Clone)]
pub struct NewInvitation {
    pub token: String,
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    #[error("the system gave no random bits")]
    Random,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// By which an invitation is kept and found. Its token has 128 random bits, as an enrolment token.
pub fn hash(token: &str) -> Digest {
    Digest::of_parts("nestwarden/invitation/v1", &[token.as_bytes()])
}

/// Ends the invitation there was. An account there was goes on until the new link is used.
pub async fn invite(
    storage: &Storage,
    operator: &Operator,
    who: &str,
    now: Timestamp,
) -> Result<NewInvitation, InvitationError> {
    let (new, invitation) = make(operator.id, now).ok_or(InvitationError::Random)?;
    let entry = AuditEntry {
        who: who.to_owned(),
        ..audit(operator, "operator.invite", serde_json::json!({}), now)
    };
    storage.invitation_put(&invitation, &entry).await?;
    Ok(new)
}

/// `None`: no random bits.
pub(super) fn make(operator: OperatorId, now: Timestamp) -> Option<(NewInvitation, Invitation)> {
    let token = random_text().ok()?;
    let expires_at = now.checked_add(LIFE).unwrap_or(Timestamp::MAX);
    let invitation = Invitation {
        hash: hash(&token),
        operator,
        expires_at,
        used_at: None,
    };
    Some((NewInvitation { token, expires_at }, invitation))
}

/// Whose it is; `None`: it cannot be used, or no longer.
pub async fn open(
    storage: &Storage,
    token: &str,
    now: Timestamp,
) -> Result<Option<Operator>, StorageError> {
    let found = storage.invitation_find(hash(token)).await?;
    Ok(found
        .filter(|(invitation, _)| invitation.used_at.is_none() && invitation.expires_at > now)
        .map(|(_, operator)| operator))
}
