//! Locking the tablet because somebody asked for it: by the same door as out of contact hours, and told as it was read back.

use super::commands::note_outcome;
use super::limit;
use super::pass::HeldControl;
use crate::control::Situation;
use crate::control::hours::Because;
use crate::door::ClockDoor;
use crate::ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::command::CommandKind;
use nestwarden_policy_schema::command::said::{DECLINED, DONE, FAILED};
use nestwarden_policy_schema::control::{ControlName, Outcome};
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::policy::Mode;
use std::sync::Arc;
use std::time::Duration;

/// A desktop says that it is locked a moment after it was told to be.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const LOOKS: usize = 12;

/// Locks every session of staff; what was seen of it, as the server is told.
pub(super) async fn lock(
    controls: &[Arc<HeldControl>],
    bundle: &Bundle,
    situation: &Situation,
    door: &dyn ClockDoor,
) -> String {
    let Some(hours) = controls.iter().find(|c| c.name() == ControlName::Hours) else {
        return format!("{DECLINED}: nothing on this tablet can lock its sessions");
    };
    let outcome = hours.hold(bundle, asked(situation, Mode::Enforce)).await;
    let mut said = told(&outcome);
    for _ in 0..LOOKS {
        if said.is_some() {
            break;
        }
        door.sleep(LOOK_AGAIN).await;
        let seen = hours.hold(bundle, asked(situation, Mode::Observe)).await;
        let is_locked =
            matches!(&seen, Outcome::Observed { would_change } if would_change.is_empty());
        said = is_locked.then(locked);
    }
    said.unwrap_or_else(|| format!("{FAILED}: it was told to lock, and still reads unlocked"))
}

/// Notes what came of locking for each of these.
pub(super) fn note(
    ledger: &Ledger,
    commands: &[CommandId],
    said: &str,
    now: Timestamp,
) -> Result<(), LedgerError> {
    ledger.transaction(|tx| {
        limit::count(tx, &CommandKind::Lock, now)?;
        commands
            .iter()
            .try_for_each(|command| note_outcome(tx, *command, said.to_owned(), now))
    })
}

/// The situation in which the tablet is locked, this once.
fn asked(situation: &Situation, mode: Mode) -> Situation {
    let mut situation = situation.clone();
    situation.locked.get_or_insert(Because::Asked);
    situation.policy.hours.get_or_insert_default().mode = mode;
    situation
}

/// `None`: it may still become so by itself.
fn told(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Compliant => Some(format!("{DONE}: no session was open and unlocked")),
        Outcome::Corrected { .. } => Some(locked()),
        Outcome::Unsupported { reason } => Some(format!("{DECLINED}: {reason}")),
        Outcome::Unknown { error } => Some(format!(
            "{FAILED}: whether its sessions are locked cannot be read: {error}"
        )),
        Outcome::Drifted { .. } | Outcome::Observed { .. } | Outcome::Unmanaged => None,
    }
}

fn locked() -> String {
    format!("{DONE}: locked, and read back as locked")
}
