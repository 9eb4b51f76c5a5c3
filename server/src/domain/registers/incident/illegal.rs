//! Illegal content on a tablet: the tablet is frozen before anything else, and the rest is done step by step.

use super::{Act, Facts, ILLEGAL_READERS, Kind};
use crate::domain::command;
use crate::domain::hold::{self, HoldError, REVIEW_WITHIN_DAYS};
use crate::domain::registers::circle::Circle;
use crate::domain::registers::words::Words;
use crate::domain::registers::{Hand, Refused, RegisterError, Registers};
use crate::storage::{AuditEntry, Device, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::command::CommandKind;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{EntryId, HoldId, OperatorId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// In the order in which they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Out of everybody's reach, where nobody looks at it.
    Isolate,
    /// Everybody who knows was told neither to look, copy, send on, print nor delete.
    HandsOff,
    Police,
    Lado,
    Regulator,
}

impl Step {
    pub const ALL: [Self; 5] = [
        Self::Isolate,
        Self::HandsOff,
        Self::Police,
        Self::Lado,
        Self::Regulator,
    ];

    /// From when it was noticed.
    pub const fn within(self) -> SignedDuration {
        match self {
            Self::Isolate | Self::HandsOff | Self::Police => SignedDuration::from_hours(1),
            Self::Lado => SignedDuration::from_hours(24),
            // Within 14 days of the incident (statutory framework for the early years, 3.9).
            Self::Regulator => SignedDuration::from_hours(14 * 24),
        }
    }

    pub fn due(self, facts: &Facts) -> Timestamp {
        facts
            .noticed_at
            .checked_add(self.within())
            .unwrap_or(Timestamp::MAX)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum IllegalError {
    #[error("illegal content is for the DSL and deputies")]
    NotDsl,
    #[error(transparent)]
    Register(#[from] RegisterError),
    #[error(transparent)]
    Hold(#[from] HoldError),
    #[error(transparent)]
    Command(#[from] command::CommandError),
}

impl From<StorageError> for IllegalError {
    fn from(error: StorageError) -> Self {
        Self::Register(error.into())
    }
}

/// Freezes the tablet first and writes afterwards: what fails in between leaves a tablet held, which nobody is harmed by.
/// Commands that would change the tablet are taken back.
pub async fn begin(
    registers: &Registers<'_>,
    device: Option<&Device>,
    facts: Facts,
    (words, concern, without): (&Words, Option<EntryId>, &BTreeSet<OperatorId>),
    hand: Hand<'_>,
) -> Result<EntryId, IllegalError> {
    let circle = Circle::of(ILLEGAL_READERS).without(without);
    if !circle.admits(hand.by) {
        return Err(IllegalError::NotDsl);
    }
    // Judged before anything is done.
    facts.check(hand.now).map_err(RegisterError::from)?;
    if words.is_empty() {
        return Err(RegisterError::from(Refused::at("facts", "Fill this in.")).into());
    }
    let hold = match device {
        Some(device) => Some(freeze(registers.storage, device, hand).await?),
        None => None,
    };
    let act = Act::Open {
        kind: Kind::IllegalContent,
        facts,
        concern,
        hold,
    };
    Ok(registers
        .begin::<super::Incident>(&act, words, Some(&circle), hand)
        .await?)
}

/// One that is open already is enough.
async fn freeze(
    storage: &Storage,
    device: &Device,
    hand: Hand<'_>,
) -> Result<HoldId, IllegalError> {
    let scope = HoldScope::Device { device: device.id };
    let known = storage.hold_list().await?.into_iter().find(|row| {
        row.released.is_none() && row.hold.category.freezes() && row.hold.scope == scope
    });
    let hold = if let Some(row) = known {
        row.hold.id
    } else {
        let category = HoldCategory::IllegalContent;
        let (by, now) = (hand.by, hand.now);
        hold::open(storage, scope, category, REVIEW_WITHIN_DAYS, by, now)
            .await?
            .id
    };
    for row in storage.command_list(device.id).await? {
        let is_harmless = row.command.command.kind == CommandKind::Refresh;
        if is_harmless || !command::waits(&row, hand.now) {
            continue;
        }
        let id = row.command.command.id;
        let audit = AuditEntry {
            at: hand.now,
            who: hand.by.name.clone(),
            act: "device.cancel".to_owned(),
            subject: device.id.to_string(),
            detail: serde_json::json!({ "command": id, "hold": hold }),
        };
        match command::cancel(storage, device, id, &audit).await {
            // Answered or taken back meanwhile.
            Ok(()) | Err(command::CommandError::Over(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(hold)
}
