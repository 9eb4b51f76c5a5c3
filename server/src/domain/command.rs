//! Commands to tablets: asking for one back, for a new passcode, for everything to be measured; and taking that back.

use super::fresh;
use super::local_time::LocalTime;
use crate::storage::{AuditEntry, Changed, CommandRow, Device, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::hold::HoldScope;
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::text::visible;

/// A tablet that does not come by within this time is not handed back.
pub const UNENROL_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A passcode that somebody knows who should not is asked for however late its tablet comes by.
const NEW_PASSCODE_WITHIN: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Whoever asks wants to know how things are now.
const REFRESH_WITHIN: SignedDuration = SignedDuration::from_hours(1);

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
    #[error("\"{0}\" was not asked for that; `device show` says what it was asked for")]
    NotAsked(String),
    #[error("there is nothing to take back: it was taken back before, or \"{0}\" has answered")]
    Over(String),
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
    if is_frozen(storage, device).await? {
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

/// Whether a hold of a kind that freezes may concern what is on this tablet.
pub async fn is_frozen(storage: &Storage, device: &Device) -> Result<bool, StorageError> {
    let holds = storage.hold_list().await?;
    Ok(holds
        .iter()
        .filter(|row| row.released.is_none() && row.hold.category.freezes())
        .any(|row| match row.hold.scope {
            HoldScope::Device { device: held } => held == device.id,
            HoldScope::Photo { .. }
            | HoldScope::Child { .. }
            | HoldScope::Staff { .. }
            | HoldScope::Window { .. } => true,
        }))
}

/// Asks for a new passcode at the next sign-in, in contact hours too: somebody left who knew it, or it is known to others.
pub async fn new_passcode(
    storage: &Storage,
    device: &Device,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    if is_frozen(storage, device).await? {
        return Err(CommandError::Frozen(device.name.clone()));
    }
    let what = (CommandKind::RotatePasscode, NEW_PASSCODE_WITHIN);
    order(storage, device, what, audit, now).await
}

/// Has a tablet measure every control at its next contact, within an hour.
pub async fn refresh(
    storage: &Storage,
    device: &Device,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    let what = (CommandKind::Refresh, REFRESH_WITHIN);
    order(storage, device, what, audit, now).await
}

/// Takes a command back. A tablet that has it already may still carry it out, and then says so.
pub async fn cancel(
    storage: &Storage,
    device: &Device,
    command: CommandId,
    audit: &AuditEntry,
) -> Result<(), CommandError> {
    let name = || device.name.clone();
    match storage.command_cancel(device.id, command, audit).await? {
        Changed::Yes => Ok(()),
        Changed::Already => Err(CommandError::Over(name())),
        Changed::Missing => Err(CommandError::NotAsked(name())),
    }
}

/// What was asked of a tablet, as it goes on after "asked".
pub const fn asked(kind: &CommandKind) -> &'static str {
    match kind {
        CommandKind::Refresh => "to measure everything",
        CommandKind::Lock => "to lock",
        CommandKind::Message { .. } => "to show a message",
        CommandKind::RotatePasscode => "for a new passcode",
        CommandKind::SetPasscode { .. } => "to take the passcode that was set here",
        CommandKind::Lost => "to go into loss mode",
        CommandKind::Found => "to leave loss mode",
        CommandKind::Unenrol => "to hand itself back",
        CommandKind::Wipe => "to erase itself",
    }
}

/// How far a command got.
pub fn progress(row: &CommandRow, local: &LocalTime, now: Timestamp) -> String {
    let command = &row.command.command;
    match (&row.outcome, &row.cancelled) {
        (Some(outcome), None) => {
            format!("{}, at {}", visible(&outcome.said), local.at(outcome.at))
        }
        (Some(outcome), Some(cancelled)) => format!(
            "{}, at {}, although {} took it back at {}: it had it already",
            visible(&outcome.said),
            local.at(outcome.at),
            cancelled.by,
            local.at(cancelled.at)
        ),
        (None, Some(cancelled)) => format!(
            "taken back by {} at {}; if it had it already, what came of it is said here",
            cancelled.by,
            local.at(cancelled.at)
        ),
        (None, None) if command.expires_at <= now => {
            format!("expired at {}", local.at(command.expires_at))
        }
        (None, None) => format!(
            "waits for its next contact, until {}",
            local.at(command.expires_at)
        ),
    }
}

/// Whether it can still be taken back.
pub fn waits(row: &CommandRow, now: Timestamp) -> bool {
    row.outcome.is_none() && row.cancelled.is_none() && now < row.command.command.expires_at
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::CommandOutcome;
    use nestwarden_policy_schema::id::DeviceId;
    use uuid::Uuid;

    #[test]
    fn what_a_tablet_says_of_a_command_forges_no_line_after_it() {
        let at = Timestamp::UNIX_EPOCH;
        let command = Command {
            id: CommandId::from_uuid(Uuid::from_u128(1)),
            device: DeviceId::from_uuid(Uuid::from_u128(2)),
            kind: CommandKind::Refresh,
            issued_at: at,
            expires_at: at,
        };
        let row = CommandRow {
            command: ApprovedCommand {
                command,
                approvals: Vec::new(),
            },
            ordered_by: "Dana Lead".to_owned(),
            cancelled: None,
            outcome: Some(CommandOutcome {
                said: "done\n2: asked to hand itself back\u{1b}[2K".to_owned(),
                at,
            }),
        };
        assert_eq!(
            progress(&row, &LocalTime::utc(), at),
            "done\\u{a}2: asked to hand itself back\\u{1b}[2K, at 1 Jan 1970, 00:00 UTC"
        );
    }
}
