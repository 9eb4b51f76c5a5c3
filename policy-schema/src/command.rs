//! Commands to one tablet. Destructive ones carry approvals that the server cannot make by itself; those that keep people
//! from their work are limited in number, on the server and again on the tablet.

use crate::bytes::Digest;
use crate::code::CodeReason;
use crate::envelope::{Signable, Signed, SignedError, verify_ed25519};
use crate::id::{ApproverId, CommandId, DeviceId};
use crate::text::is_unseen;
use crate::trust::Anchors;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum CommandKind {
    /// Measure and report everything now.
    Refresh,
    /// Whoever sits at the tablet has to unlock it anew.
    Lock,
    /// Shown on the tablet until somebody there says that they read it; see [`check_message`].
    Message { text: String },
    /// The passcode must change at the next sign-in.
    RotatePasscode,
    /// The staff's passcode becomes the one that was set in the console. The tablet fetches it by itself and holds it to
    /// `commitment`, see [`code`](crate::code).
    SetPasscode {
        reason: CodeReason,
        commitment: Digest,
    },
    /// Locked, camera off, every photo out of sight and a new passcode due, until a [`Found`](Self::Found) that was issued
    /// later. One person, reversible.
    Lost,
    /// Ends every loss that was issued before.
    Found,
    /// Hands the tablet back: our files go, previous values return.
    Unenrol,
    /// Erases the tablet.
    Wipe,
}

impl CommandKind {
    /// Why the passcode is replaced; `None`: it is not.
    pub const fn passcode_reason(&self) -> Option<CodeReason> {
        match self {
            Self::SetPasscode { reason, .. } => Some(*reason),
            Self::Refresh
            | Self::Lock
            | Self::Message { .. }
            | Self::RotatePasscode
            | Self::Lost
            | Self::Found
            | Self::Unenrol
            | Self::Wipe => None,
        }
    }

    /// As it is written in a command.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Lock => "lock",
            Self::Message { .. } => "message",
            Self::RotatePasscode => "rotate_passcode",
            Self::SetPasscode { .. } => "set_passcode",
            Self::Lost => "lost",
            Self::Found => "found",
            Self::Unenrol => "unenrol",
            Self::Wipe => "wipe",
        }
    }

    /// Whether it keeps people from their work, so that only so many are carried out within an hour. `Found` does not: it
    /// only undoes, and must never wait.
    pub const fn is_disruptive(&self) -> bool {
        match self {
            Self::Lock
            | Self::RotatePasscode
            | Self::SetPasscode { .. }
            | Self::Lost
            | Self::Unenrol
            | Self::Wipe => true,
            Self::Refresh | Self::Message { .. } | Self::Found => false,
        }
    }

    /// Whether it needs the word of two people whom the server cannot speak for.
    pub const fn is_destructive(&self) -> bool {
        match self {
            Self::Wipe => true,
            Self::Refresh
            | Self::Lock
            | Self::Message { .. }
            | Self::RotatePasscode
            | Self::SetPasscode { .. }
            | Self::Lost
            | Self::Found
            | Self::Unenrol => false,
        }
    }
}

/// How many commands of one kind that [disrupt](CommandKind::is_disruptive) a tablet carries out within an hour, whatever
/// its server asks.
pub const DISRUPTIVE_PER_HOUR_ON_TABLET: usize = 4;

/// Of a message, in characters.
pub const MESSAGE_CHARS: usize = 500;

/// How what a tablet says of a command begins. It says `TAKEN` and `SHOWN` of messages only, and something after it; every
/// other word is its last.
pub mod said {
    /// Carried out, and seen to be.
    pub const DONE: &str = "done";
    /// Will never be carried out.
    pub const DECLINED: &str = "declined";
    /// Tried, and seen not to be so.
    pub const FAILED: &str = "failed";
    /// Kept on the tablet; nobody saw it yet.
    pub const TAKEN: &str = "taken";
    /// On the screen of the tablet; nobody said that they read it.
    pub const SHOWN: &str = "shown";

    /// Whether the tablet says more of the same command later.
    pub fn is_interim(said: &str) -> bool {
        said.starts_with(TAKEN) || said.starts_with(SHOWN)
    }
}

/// Why a text cannot be shown on a tablet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageRefused {
    #[error("the message says nothing")]
    Empty,
    #[error("the message has {0} characters; {MESSAGE_CHARS} are the most")]
    TooLong(usize),
    #[error(
        "the message holds a character that cannot be seen, or a line break; write it in one line"
    )]
    Unseen,
}

/// Whether `text` can be shown on a tablet as it is: one line, nothing hidden in it.
pub fn check_message(text: &str) -> Result<(), MessageRefused> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(MessageRefused::Empty);
    }
    if length > MESSAGE_CHARS {
        return Err(MessageRefused::TooLong(length));
    }
    if text.chars().any(is_unseen) {
        return Err(MessageRefused::Unseen);
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub id: CommandId,
    pub device: DeviceId,
    #[serde(flatten)]
    pub kind: CommandKind,
    pub issued_at: Timestamp,
    /// Not carried out from here on.
    pub expires_at: Timestamp,
}

impl Signable for Command {
    const DOMAIN: &'static str = "nestwarden/command/v1";
}

/// A command and the statements of those who approve it, each over the whole command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedCommand {
    pub command: Command,
    #[serde(default)]
    pub approvals: Vec<Signed>,
}

/// Approvals a destructive command needs, of different people.
pub const APPROVALS_NEEDED: usize = 2;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    #[error("the command is for device {theirs}, this is {ours}")]
    OtherDevice { ours: DeviceId, theirs: DeviceId },
    #[error("the command expired at {0}")]
    Expired(Timestamp),
    #[error(transparent)]
    Message(#[from] MessageRefused),
    #[error("an approval does not verify: {0}")]
    Approval(SignedError),
    #[error("an approval is for another command")]
    OtherCommand,
    #[error("{given} of {APPROVALS_NEEDED} approvals: a destructive command needs two people")]
    TooFewApprovals { given: usize },
}

impl From<ApprovalError> for CommandError {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::Signature(error) => Self::Approval(error),
            ApprovalError::OtherStatement => Self::OtherCommand,
        }
    }
}

/// Why an approval counts for nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApprovalError {
    #[error(transparent)]
    Signature(#[from] SignedError),
    #[error("it is for something else")]
    OtherStatement,
}

/// Who approved `statement`, by the keys in `anchors`: each person once, whatever keys they have.
pub fn approved_by<T: Signable + PartialEq>(
    approvals: &[Signed],
    anchors: &Anchors,
    statement: &T,
) -> Result<BTreeSet<ApproverId>, ApprovalError> {
    let mut people = BTreeSet::new();
    for approval in approvals {
        let approver = anchors
            .approvers
            .iter()
            .find(|a| a.key.key_id() == approval.key_id)
            .ok_or(SignedError::UnknownKey(approval.key_id))?;
        let said: T = verify_ed25519(approval, &[&approver.key])?;
        if said != *statement {
            return Err(ApprovalError::OtherStatement);
        }
        people.insert(approver.id);
    }
    Ok(people)
}

impl ApprovedCommand {
    /// The command, if it may be carried out on `device` at `now`.
    ///
    /// A setting that named no approvers cannot have anything destructive carried out at all.
    pub fn verified(
        &self,
        anchors: &Anchors,
        device: DeviceId,
        now: Timestamp,
    ) -> Result<&Command, CommandError> {
        if self.command.device != device {
            return Err(CommandError::OtherDevice {
                ours: device,
                theirs: self.command.device,
            });
        }
        if self.command.expires_at <= now {
            return Err(CommandError::Expired(self.command.expires_at));
        }
        if let CommandKind::Message { text } = &self.command.kind {
            check_message(text)?;
        }
        if !self.command.kind.is_destructive() {
            return Ok(&self.command);
        }
        let people = approved_by(&self.approvals, anchors, &self.command)?;
        if people.len() < APPROVALS_NEEDED {
            return Err(CommandError::TooFewApprovals {
                given: people.len(),
            });
        }
        Ok(&self.command)
    }
}
