//! Passcodes between the moment they are set and the tablet's word on them.

use super::{Answer, AuditEntry, CommandAdded, CommandRow, HourlyLimit};
use jiff::Timestamp;
use nestwarden_policy_schema::command::ApprovedCommand;
use nestwarden_policy_schema::id::{CommandId, DeviceId};

/// A command to set a passcode, and what was sealed for its tablet.
#[derive(Clone, PartialEq, Eq)]
pub struct WaitingPasscode {
    pub row: CommandRow,
    /// `None`: it was erased.
    pub sealed: Option<Vec<u8>>,
}

/// What erasing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// Nothing of it is left, in the database's log neither.
    All,
    /// The rows are gone; somebody was reading, and the log still holds them.
    NotFromLog,
}

pub trait PasscodeStore: Send + Sync {
    /// Keeps a command and what is sealed for it. One to this device that waits is taken back by whoever acts, in the same
    /// moment. Never `Already`.
    fn passcode_add<'a>(
        &'a self,
        command: &'a ApprovedCommand,
        sealed: &'a [u8],
        limit: HourlyLimit,
        audit: &'a AuditEntry,
    ) -> Answer<'a, CommandAdded>;

    /// `None`: this device has no such command to set a passcode.
    fn passcode_find(
        &self,
        device: DeviceId,
        command: CommandId,
    ) -> Answer<'_, Option<WaitingPasscode>>;

    /// How many are kept whose command has ended at `now`: its outcome is known, it was taken back, it expired, or its device
    /// is revoked.
    fn passcode_ended(&self, now: Timestamp) -> Answer<'_, usize>;

    /// Removes those, and overwrites what they held, in the log too.
    fn passcode_erase_ended(&self, now: Timestamp) -> Answer<'_, Erased>;
}
