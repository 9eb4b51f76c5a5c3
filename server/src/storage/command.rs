//! What tablets were told to do.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::command::ApprovedCommand;
use nestwarden_policy_schema::id::DeviceId;
use serde::Serialize;

/// The beginning of what a tablet says of a command that it carried out.
pub const DONE: &str = "done";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandRow {
    pub command: ApprovedCommand,
    pub ordered_by: String,
    /// `None`: the tablet has not told yet.
    pub outcome: Option<CommandOutcome>,
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

    /// Commands to any device whose outcome is not known, expired ones too.
    fn command_waiting(&self) -> Answer<'_, Vec<ApprovedCommand>>;

    /// `Missing`: no such device, or it is revoked. `Already`: the same was asked of it before, without an outcome yet and
    /// not expired when this command was issued.
    fn command_add<'a>(
        &'a self,
        command: &'a ApprovedCommand,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
