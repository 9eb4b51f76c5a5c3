//! Commands to tablets: asking for one back, and for a new passcode.

use super::fresh;
use crate::storage::{AuditEntry, Changed, Device, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::hold::HoldScope;
use nestwarden_policy_schema::id::CommandId;

/// A tablet that does not come by within this time is not handed back.
pub const UNENROL_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A passcode that somebody knows who should not is asked for however late its tablet comes by.
const NEW_PASSCODE_WITHIN: SignedDuration = SignedDuration::from_hours(90 * 24);

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(
        "\"{0}\" is shut out already; it hears nothing any more. Remove the agent's package on the tablet itself, as root"
    )]
    Revoked(String),
    #[error(
        "a hold for illegal content is open, and nothing on \"{0}\" may change; release the hold first (`hold list`)"
    )]
    Frozen(String),
    #[error(
        "\"{0}\" was asked for that already and has not answered yet; `device show` says until when it may"
    )]
    AskedAlready(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Asks for a tablet back. It hands itself back at its next contact.
pub async fn unenrol(
    storage: &Storage,
    device: &Device,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    let name = || device.name.clone();
    let holds = storage.hold_list().await?;
    let freezes = holds
        .iter()
        .filter(|row| row.released.is_none() && row.hold.category.freezes())
        .any(|row| match row.hold.scope {
            HoldScope::Device { device: held } => held == device.id,
            HoldScope::Photo { .. }
            | HoldScope::Child { .. }
            | HoldScope::Staff { .. }
            | HoldScope::Window { .. } => true,
        });
    if freezes {
        return Err(CommandError::Frozen(name()));
    }
    order(
        storage,
        device,
        (CommandKind::Unenrol, UNENROL_WITHIN),
        audit,
        now,
    )
    .await
}

/// Asks for a new passcode at the next sign-in, in contact hours too: somebody left who knew it, or it is known to others.
pub async fn new_passcode(
    storage: &Storage,
    device: &Device,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    let what = (CommandKind::RotatePasscode, NEW_PASSCODE_WITHIN);
    order(storage, device, what, audit, now).await
}

async fn order(
    storage: &Storage,
    device: &Device,
    (kind, within): (CommandKind, SignedDuration),
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    let name = || device.name.clone();
    let command = Command {
        id: CommandId::from_uuid(fresh::ordered(now)),
        device: device.id,
        kind,
        issued_at: now,
        expires_at: now.checked_add(within).unwrap_or(Timestamp::MAX),
    };
    let approved = ApprovedCommand {
        command,
        approvals: Vec::new(),
    };
    match storage.command_add(&approved, audit).await? {
        Changed::Yes => Ok(approved.command),
        Changed::Already => Err(CommandError::AskedAlready(name())),
        Changed::Missing => Err(CommandError::Revoked(name())),
    }
}
