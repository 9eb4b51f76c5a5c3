//! What tablets were told to do.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::command::ApprovedCommand;
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use serde::Serialize;

/// The beginning of what a tablet says of a command that it carried out.
pub const DONE: &str = "done";

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

    /// `Missing`: no such device, or it is revoked. `Already`: the same was asked of it before, without an outcome yet, not
    /// taken back, and not expired when this command was issued.
    fn command_add<'a>(
        &'a self,
        command: &'a ApprovedCommand,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Takes a command back, by and at what `audit` says. `Missing`: no such command. `Already`: it was, or its outcome is
    /// known.
    fn command_cancel<'a>(
        &'a self,
        device: DeviceId,
        command: CommandId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
