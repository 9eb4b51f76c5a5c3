//! Tablets that are marked as lost: since when, by whom, and what they themselves said of it. It follows from the commands
//! alone, as it does on the tablet: of all words the newest holds.

use super::local_time::LocalTime;
use crate::storage::command::DONE;
use crate::storage::{CommandRow, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::command::{ApprovedCommand, CommandKind};
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use nestwarden_policy_schema::text::visible;
use serde::Serialize;
use std::collections::HashMap;

/// A tablet that somebody marked as lost, and that is not known to have heard that it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The command that marks it.
    pub command: CommandId,
    /// When somebody said that it is lost.
    pub since: Timestamp,
    pub by: String,
    pub state: LossState,
}

/// How far the word got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum LossState {
    /// The tablet has not heard of it yet.
    Unheard { until: Timestamp },
    /// It did not hear of it in time.
    Expired { at: Timestamp },
    /// It holds itself as lost since.
    Held { since: Timestamp },
    /// It heard of it, and is not held.
    NotHeld { said: String, at: Timestamp },
    /// Somebody said that it was found, and the tablet, which holds itself as lost, has not heard of that.
    Found {
        by: String,
        at: Timestamp,
        held_since: Timestamp,
        /// The word's time is over: it has to be said anew.
        expired: bool,
    },
}

impl Loss {
    /// Since when the tablet holds itself as lost, by its own word; `None`: it does not, as far as is known.
    pub fn held_since(&self) -> Option<Timestamp> {
        match &self.state {
            LossState::Held { since } => Some(*since),
            LossState::Found { held_since, .. } => Some(*held_since),
            LossState::Unheard { .. } | LossState::Expired { .. } | LossState::NotHeld { .. } => {
                None
            }
        }
    }

    /// Whether somebody still looks for it.
    pub fn is_missing(&self) -> bool {
        match &self.state {
            LossState::Found { .. } => false,
            LossState::Held { .. }
            | LossState::Unheard { .. }
            | LossState::Expired { .. }
            | LossState::NotHeld { .. } => true,
        }
    }

    /// Whether the word stands, so that it need not be said again.
    pub fn stands(&self) -> bool {
        match &self.state {
            LossState::Held { .. } | LossState::Unheard { .. } => true,
            LossState::Expired { .. } | LossState::NotHeld { .. } | LossState::Found { .. } => {
                false
            }
        }
    }

    /// What there is to say of it, with what to do.
    pub fn says(&self, local: &LocalTime) -> String {
        let marked = format!(
            "marked as lost since {} by {}",
            local.at(self.since),
            self.by
        );
        match &self.state {
            LossState::Unheard { until } => format!(
                "{marked}. The tablet has not heard of it yet, and is held as before until it does; it may hear of it until {}. Find it, or report its loss",
                local.at(*until)
            ),
            LossState::Expired { at } => format!(
                "{marked}. The tablet did not hear of it until {}: mark it as lost again if it still is",
                local.at(*at)
            ),
            LossState::Held { since } => format!(
                "{marked}. It has been locked, its camera off and its photos out of sight since {}. Find it, or report its loss",
                local.at(*since)
            ),
            LossState::NotHeld { said, at } => format!(
                "{marked}, but it is not held as lost. It said at {}: {}",
                local.at(*at),
                visible(said)
            ),
            LossState::Found {
                by, at, expired, ..
            } => {
                let heard = if *expired {
                    "did not hear of it in time, and stays locked: say it again"
                } else {
                    "stays locked until it hears of it: connect it to the network"
                };
                format!(
                    "{marked}, and found at {} by {by}. The tablet {heard}",
                    local.at(*at)
                )
            }
        }
    }
}

/// Every tablet that is marked as lost.
pub async fn all(
    storage: &Storage,
    now: Timestamp,
) -> Result<HashMap<DeviceId, Loss>, StorageError> {
    let lost = by_tablet(storage).await?.into_iter();
    Ok(lost
        .filter_map(|(device, rows)| Some((device, of(&rows, now)?)))
        .collect())
}

/// The words by which tablets hold themselves as lost. Bundles go on carrying them, for a tablet whose record is lost.
pub async fn in_force(storage: &Storage) -> Result<Vec<ApprovedCommand>, StorageError> {
    let mut words = Vec::new();
    for rows in by_tablet(storage).await?.into_values() {
        // Whether a word's time is over does not matter here: this one was heard.
        let Some(loss) = of(&rows, Timestamp::MIN).filter(|loss| loss.held_since().is_some())
        else {
            continue;
        };
        let is_it =
            |row: &CommandRow| row.command.command.id == loss.command && row.outcome.is_some();
        words.extend(rows.into_iter().filter(is_it).map(|row| row.command));
    }
    words.sort_by_key(|word| (word.command.device, word.command.id));
    Ok(words)
}

async fn by_tablet(storage: &Storage) -> Result<HashMap<DeviceId, Vec<CommandRow>>, StorageError> {
    let mut of_tablets: HashMap<DeviceId, Vec<CommandRow>> = HashMap::new();
    for row in storage.command_losses().await? {
        let rows = of_tablets.entry(row.command.command.device).or_default();
        rows.push(row);
    }
    Ok(of_tablets)
}

/// By all commands to one tablet, whatever they ask for; `None`: it is not marked as lost.
pub fn of(rows: &[CommandRow], now: Timestamp) -> Option<Loss> {
    let mut words: Vec<&CommandRow> = rows.iter().filter(|row| counts(row)).collect();
    words.sort_by_key(|row| (row.command.command.issued_at, row.command.command.id));
    let mut loss: Option<Loss> = None;
    for row in words {
        loss = match row.command.command.kind {
            CommandKind::Lost => Some(lost(row, loss, now)),
            CommandKind::Found => loss.and_then(|loss| found(row, loss, now)),
            CommandKind::Refresh
            | CommandKind::Lock
            | CommandKind::Message { .. }
            | CommandKind::RotatePasscode
            | CommandKind::SetPasscode { .. }
            | CommandKind::Unenrol
            | CommandKind::Wipe => loss,
        };
    }
    loss
}

/// The date of a new word: of all the later one holds, also over one from a clock that was ahead.
pub fn after_every_word(rows: &[CommandRow], now: Timestamp) -> Timestamp {
    let words = rows.iter().filter(|row| is_word(row));
    let last = words.map(|row| row.command.command.issued_at).max();
    let next = last.and_then(|last| last.checked_add(SignedDuration::from_micros(1)).ok());
    next.map_or(now, |next| next.max(now))
}

/// What was taken back counts only where the tablet had it already.
fn counts(row: &CommandRow) -> bool {
    is_word(row) && (row.cancelled.is_none() || is_done(row))
}

fn is_word(row: &CommandRow) -> bool {
    let kind = &row.command.command.kind;
    matches!(kind, CommandKind::Lost | CommandKind::Found)
}

fn is_done(row: &CommandRow) -> bool {
    let outcome = row.outcome.as_ref();
    outcome.is_some_and(|outcome| outcome.said.starts_with(DONE))
}

/// Another word while it is lost keeps since when it is.
fn lost(row: &CommandRow, before: Option<Loss>, now: Timestamp) -> Loss {
    let command = &row.command.command;
    let held_before = before.as_ref().and_then(Loss::held_since);
    let state = match (&row.outcome, held_before) {
        (Some(outcome), _) if is_done(row) => LossState::Held {
            since: held_before.unwrap_or(outcome.at),
        },
        (_, Some(since)) => LossState::Held { since },
        (Some(outcome), None) => LossState::NotHeld {
            said: outcome.said.clone(),
            at: outcome.at,
        },
        (None, None) if command.expires_at <= now => LossState::Expired {
            at: command.expires_at,
        },
        (None, None) => LossState::Unheard {
            until: command.expires_at,
        },
    };
    let before = before.filter(Loss::is_missing);
    let (since, by) = before.map_or_else(
        || (command.issued_at, row.ordered_by.clone()),
        |before| (before.since, before.by),
    );
    Loss {
        command: command.id,
        since,
        by,
        state,
    }
}

/// `None`: it is not lost any more.
fn found(row: &CommandRow, loss: Loss, now: Timestamp) -> Option<Loss> {
    let command = &row.command.command;
    let Some(held_since) = loss.held_since() else {
        // It may still hear both words, of which the later holds.
        return None;
    };
    match &row.outcome {
        Some(_) if is_done(row) => None,
        // It declined, and holds itself as lost as before.
        Some(_) => Some(loss),
        None => Some(Loss {
            state: LossState::Found {
                by: row.ordered_by.clone(),
                at: command.issued_at,
                held_since,
                expired: command.expires_at <= now,
            },
            ..loss
        }),
    }
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;
