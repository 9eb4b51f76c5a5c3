//! Commands to tablets: asking for one back, for a new passcode, for everything to be measured, to lock, to show a message, to
//! hold itself as lost or not any more; and taking that back.

use super::local_time::LocalTime;
use super::{fresh, loss};
use crate::storage::{
    AuditEntry, Changed, CommandAdded, CommandRow, Device, HourlyLimit, Storage, StorageError,
};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::command::{
    ApprovedCommand, Command, CommandKind, MessageRefused, check_message,
};
use nestwarden_policy_schema::hold::HoldScope;
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::text::visible;

/// A tablet that does not come by within this time is not handed back.
pub const UNENROL_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A passcode that somebody knows who should not is asked for however late its tablet comes by.
const NEW_PASSCODE_WITHIN: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Whoever asks wants to know how things are now.
const REFRESH_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// A tablet that is locked later locks whoever works with it by then.
const LOCK_WITHIN: SignedDuration = SignedDuration::from_hours(1);
const MESSAGE_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Whoever has a lost tablet connects it when they like; and one that was found must not wait for a person again.
const LOSS_WITHIN: SignedDuration = SignedDuration::from_hours(90 * 24);

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
    Message(#[from] MessageRefused),
    #[error("\"{0}\" is marked as lost already; `device show` says how far that got")]
    LostAlready(String),
    #[error("\"{0}\" is not marked as lost")]
    NotLost(String),
    #[error(
        "the setting's limit of commands that keep tablets from use is reached for this hour, and nothing was asked of \"{name}\"; one more is taken in {minutes} minutes (`commands.disruptive_per_hour` in server.toml)"
    )]
    TooMany { name: String, minutes: i64 },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Asks for a tablet back. It hands itself back at its next contact.
pub async fn unenrol(
    storage: &Storage,
    device: &Device,
    limit: HourlyLimit,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    not_frozen(storage, device).await?;
    let what = (CommandKind::Unenrol, UNENROL_WITHIN);
    order(storage, device, what, limit, (audit, now)).await
}

/// Locks the sessions of a tablet now, at its next contact within the hour.
pub async fn lock(
    storage: &Storage,
    device: &Device,
    limit: HourlyLimit,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    not_frozen(storage, device).await?;
    let what = (CommandKind::Lock, LOCK_WITHIN);
    order(storage, device, what, limit, (audit, now)).await
}

/// Shows a text on a tablet until somebody there says that they read it.
pub async fn message(
    storage: &Storage,
    device: &Device,
    text: &str,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    check_message(text)?;
    not_frozen(storage, device).await?;
    let text = text.to_owned();
    let what = (CommandKind::Message { text }, MESSAGE_WITHIN);
    order(storage, device, what, UNLIMITED, (audit, now)).await
}

/// Marks a tablet as lost: from when it hears of it until it hears that it was found it is locked, its camera off and every
/// photo on it out of sight, with a network and without.
pub async fn lost(
    storage: &Storage,
    device: &Device,
    limit: HourlyLimit,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    not_frozen(storage, device).await?;
    let rows = storage.command_list(device.id).await?;
    let is_marked = loss::of(&rows, now).is_some_and(|loss| loss.stands());
    if is_marked {
        return Err(CommandError::LostAlready(device.name.clone()));
    }
    let what = (CommandKind::Lost, LOSS_WITHIN);
    order(storage, device, what, limit, (audit, now)).await
}

/// Says that a tablet was found. It never counts against a limit: it only undoes.
pub async fn found(
    storage: &Storage,
    device: &Device,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    not_frozen(storage, device).await?;
    let rows = storage.command_list(device.id).await?;
    if loss::of(&rows, now).is_none() {
        return Err(CommandError::NotLost(device.name.clone()));
    }
    let what = (CommandKind::Found, LOSS_WITHIN);
    order(storage, device, what, UNLIMITED, (audit, now)).await
}

async fn not_frozen(storage: &Storage, device: &Device) -> Result<(), CommandError> {
    if is_frozen(storage, device).await? {
        return Err(CommandError::Frozen(device.name.clone()));
    }
    Ok(())
}

/// For what disrupts no tablet.
const UNLIMITED: HourlyLimit = HourlyLimit(u32::MAX);

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
    limit: HourlyLimit,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    not_frozen(storage, device).await?;
    let what = (CommandKind::RotatePasscode, NEW_PASSCODE_WITHIN);
    order(storage, device, what, limit, (audit, now)).await
}

/// Has a tablet measure every control at its next contact, within an hour.
pub async fn refresh(
    storage: &Storage,
    device: &Device,
    audit: &AuditEntry,
    now: Timestamp,
) -> Result<Command, CommandError> {
    let what = (CommandKind::Refresh, REFRESH_WITHIN);
    order(storage, device, what, UNLIMITED, (audit, now)).await
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
        CommandKind::Lost => "to hold itself as lost",
        CommandKind::Found => "to hold itself as found",
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
    limit: HourlyLimit,
    (audit, now): (&AuditEntry, Timestamp),
) -> Result<Command, CommandError> {
    let name = || device.name.clone();
    let issued_at = match kind {
        CommandKind::Lost | CommandKind::Found => {
            let rows = storage.command_list(device.id).await?;
            loss::after_every_word(&rows, now)
        }
        CommandKind::Refresh
        | CommandKind::Lock
        | CommandKind::Message { .. }
        | CommandKind::RotatePasscode
        | CommandKind::SetPasscode { .. }
        | CommandKind::Unenrol
        | CommandKind::Wipe => now,
    };
    let command = Command {
        id: CommandId::from_uuid(fresh::ordered(now)),
        device: device.id,
        kind,
        issued_at,
        expires_at: now.checked_add(within).unwrap_or(Timestamp::MAX),
    };
    let approved = ApprovedCommand {
        command,
        approvals: Vec::new(),
    };
    match storage.command_add(&approved, limit, audit).await? {
        CommandAdded::Yes => Ok(approved.command),
        CommandAdded::Already => Err(CommandError::AskedAlready(name())),
        CommandAdded::Missing => Err(CommandError::Revoked(name())),
        CommandAdded::TooMany { until } => Err(CommandError::TooMany {
            name: name(),
            minutes: minutes_until(until, now),
        }),
    }
}

/// Whole minutes, never too few.
pub fn minutes_until(until: Timestamp, now: Timestamp) -> i64 {
    (until.duration_since(now).as_secs().max(0) + 59) / 60
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
