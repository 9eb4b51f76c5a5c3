//! What authenticators share, as it is kept: sealed to this server's release key, which lies in another file. A copy of the
//! database alone makes no code. With whom it is shared is sealed in, so that one person's row is no other's.

use super::totp;
use crate::signing::ReleaseKey;
use crate::signing::release;
use crate::storage::{AuditEntry, Erased, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::id::OperatorId;
use serde_json::json;
use zeroize::Zeroizing;

const ID_BYTES: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("this setting's release key cannot be used; restore `keys` from a backup")]
    Key,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// `None`: `recipient` is none.
pub(super) fn seal(recipient: &str, operator: OperatorId, totp: &Secret) -> Option<Vec<u8>> {
    let mut whole = Zeroizing::new(operator.as_uuid().as_bytes().to_vec());
    whole.extend_from_slice(totp.expose());
    release::seal(recipient, &whole)
}

/// `None`: it was sealed to another key or for somebody else, or was damaged.
pub(super) fn open(release: &ReleaseKey, operator: OperatorId, sealed: &[u8]) -> Option<Secret> {
    let whole = release.unseal(sealed)?;
    let (of, totp) = whole.split_at_checked(ID_BYTES)?;
    let is_theirs = of == operator.as_uuid().as_bytes() && totp.len() == totp::SECRET_BYTES;
    is_theirs.then(|| Secret::new(totp.to_vec()))
}

/// Where there is nothing to open: about as much work, so that how long an answer takes does not say so.
pub(super) fn take_as_long(release: &ReleaseKey) {
    drop(release::seal(
        &release.recipient(),
        &[0; ID_BYTES + totp::SECRET_BYTES],
    ));
}

/// Seals what was kept as it is by an earlier version; how many there were. `NotFromLog`: somebody reads, and the log of
/// the database still holds them.
pub async fn seal_all(
    storage: &Storage,
    recipient: &str,
    now: Timestamp,
) -> Result<(usize, Erased), SealError> {
    let plain = storage.totp_unsealed().await?;
    if plain.is_empty() {
        return Ok((0, Erased::All));
    }
    let sealed: Option<Vec<_>> = plain
        .iter()
        .map(|(operator, totp)| Some((*operator, seal(recipient, *operator, totp)?)))
        .collect();
    let sealed = sealed.ok_or(SealError::Key)?;
    let audit = AuditEntry {
        at: now,
        who: "server".to_owned(),
        act: "account.seal".to_owned(),
        subject: storage.setting().to_string(),
        detail: json!({ "accounts": sealed.len() }),
    };
    let erased = storage.totp_seal(&sealed, &audit).await?;
    Ok((sealed.len(), erased))
}
