//! What tablets were told to do.

use super::{Answer, AuditEntry, Changed};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::command::ApprovedCommand;
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use serde::Serialize;

/// The beginning of what a tablet says of a command that it carried out.
pub use nestwarden_policy_schema::command::said::DONE;

/// How many commands that disrupt tablets a setting gives within an hour, those that were taken back too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourlyLimit(pub u32);

impl HourlyLimit {
    pub const WITHIN: SignedDuration = SignedDuration::from_hours(1);
}

impl Default for HourlyLimit {
    fn default() -> Self {
        Self(20)
    }
}

/// What became of a new command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandAdded {
    Yes,
    /// The same was asked of its tablet before, without an outcome yet, not taken back, and not expired when this one was
    /// issued.
    Already,
    /// No such device, or it is revoked.
    Missing,
    /// The hour's limit is reached; from then on one more is taken.
    TooMany {
        until: Timestamp,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandRow {
    pub command: ApprovedCommand,
    pub ordered_by: String,
    /// By whom and when it was taken back. Its tablet may have had it already.
    pub cancelled: Option<Cancelled>,
    /// `None`: the tablet has not told yet.
    pub outcome: Option<CommandOutcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cancelled {
    pub by: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandOutcome {
    /// In the tablet's words.
    pub said: String,
    /// Trusted time of the tablet.
    pub at: Timestamp,
}

pub trait CommandStore: Send + Sync {
    /// Every command to this device, the oldest first.
    fn command_list(&self, device: DeviceId) -> Answer<'_, Vec<CommandRow>>;

    /// Commands to any device whose outcome is not known and which were not taken back, expired ones too.
    fn command_waiting(&self) -> Answer<'_, Vec<ApprovedCommand>>;

    /// Commands to any device that say that it is lost or was found, the oldest first; all there are.
    fn command_losses(&self) -> Answer<'_, Vec<CommandRow>>;

    /// `limit` is of the setting, and counts only where the command disrupts its tablet.
    fn command_add<'a>(
        &'a self,
        command: &'a ApprovedCommand,
        limit: HourlyLimit,
        audit: &'a AuditEntry,
    ) -> Answer<'a, CommandAdded>;

    /// Takes a command back, by and at what `audit` says. `Missing`: no such command. `Already`: it was, or its outcome is
    /// known.
    fn command_cancel<'a>(
        &'a self,
        device: DeviceId,
        command: CommandId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
