//! Commands in a bundle: each carried out or declined once, whatever happens in between.

use super::{handback, limit, loss, messages, new_code};
use crate::ledger::{Ledger, LedgerError, LedgerTx};
use jiff::Timestamp;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::command::said::{DECLINED, DONE};
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::HoldScope;
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::policy::SetBy;
use nestwarden_policy_schema::trust::Anchors;

const ROTATE_KEY: &str = "passcode_change_asked_at";

/// Carries out what is new in `bundle`; the commands to lock the tablet, which the caller does. Blocks.
pub(super) fn carry_out(
    ledger: &Ledger,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<Vec<CommandId>, LedgerError> {
    let anchors = ledger.anchors()?;
    let mut to_lock = Vec::new();
    for approved in &bundle.commands {
        let done = ledger.transaction(|tx| once(tx, approved, bundle, &anchors, now))?;
        if done == Act::Lock {
            to_lock.push(approved.command.id);
        }
    }
    new_code::note_overdue(ledger, bundle, &anchors, now)?;
    Ok(to_lock)
}

/// What is left to do for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Nothing,
    Lock,
}

/// From `since` on the passcode in use is a bad one.
pub(super) fn ask_for_new_passcode(tx: &LedgerTx<'_>, since: Timestamp) -> Result<(), LedgerError> {
    let newer = tx
        .meta(ROTATE_KEY)?
        .and_then(|known| known.parse::<Timestamp>().ok())
        .is_none_or(|known| known < since);
    if newer {
        tx.set_meta(ROTATE_KEY, &since.to_string())?;
    }
    Ok(())
}

/// Since when a new passcode has been asked for; `None`: nobody did.
pub(super) fn passcode_change_asked_at(ledger: &Ledger) -> Result<Option<Timestamp>, LedgerError> {
    let text = ledger.read(|sql| crate::ledger::meta(sql, ROTATE_KEY))?;
    Ok(text.and_then(|text| text.parse().ok()))
}

fn once(
    tx: &LedgerTx<'_>,
    approved: &ApprovedCommand,
    bundle: &Bundle,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Act, LedgerError> {
    let id = approved.command.id;
    if is_done(tx, id)? {
        return Ok(Act::Nothing);
    }
    let refused = match approved.verified(anchors, bundle.device, now) {
        Ok(command) => match refusal(tx, command, bundle, now)? {
            Some(why) => why,
            None => return carry_out_one(tx, command, bundle, now),
        },
        Err(error) => error.to_string(),
    };
    note_outcome(tx, id, format!("{DECLINED}: {refused}"), now)?;
    Ok(Act::Nothing)
}

/// Why a command that is the server's is not carried out; `None`: it is.
fn refusal(
    tx: &LedgerTx<'_>,
    command: &Command,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<Option<String>, LedgerError> {
    let changes_something = match &command.kind {
        CommandKind::Unenrol | CommandKind::Lock | CommandKind::Lost | CommandKind::Found => true,
        // A new passcode is only due by it, and nothing is done about that while the tablet is frozen.
        CommandKind::RotatePasscode
        | CommandKind::Refresh
        | CommandKind::Message { .. }
        | CommandKind::SetPasscode { .. }
        | CommandKind::Wipe => false,
    };
    if changes_something && is_frozen(bundle) {
        let why = "a hold freezes this tablet, and nothing on it may change";
        return Ok(Some(why.to_owned()));
    }
    if is_under_way(tx, command)? {
        return Ok(None);
    }
    limit::refusal(tx, &command.kind, now)
}

/// Whether it was begun, and only its end is missing: it is not another one.
fn is_under_way(tx: &LedgerTx<'_>, command: &Command) -> Result<bool, LedgerError> {
    Ok(match &command.kind {
        CommandKind::Unenrol => handback::is_asked(tx)?,
        CommandKind::Lost => tx.loss()?.is_some_and(|word| word.command == *command),
        CommandKind::Refresh
        | CommandKind::Lock
        | CommandKind::Message { .. }
        | CommandKind::RotatePasscode
        | CommandKind::SetPasscode { .. }
        | CommandKind::Found
        | CommandKind::Wipe => false,
    })
}

fn carry_out_one(
    tx: &LedgerTx<'_>,
    command: &Command,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<Act, LedgerError> {
    let (id, kind) = (command.id, &command.kind);
    let outcome = match kind {
        // Taking the bundle over has every control measured.
        CommandKind::Refresh => DONE.to_owned(),
        CommandKind::RotatePasscode => {
            ask_for_new_passcode(tx, command.issued_at)?;
            limit::count(tx, kind, now)?;
            match bundle.policy.passcode.as_ref().map(|policy| policy.set_by) {
                Some(SetBy::Manager) => {
                    "the passcode is overdue until somebody sets a new one in the console"
                }
                Some(SetBy::User) | None => "a new passcode is asked for at the next sign-in",
            }
            .to_owned()
        }
        // Does not come in this list.
        CommandKind::SetPasscode { .. } => return Ok(Act::Nothing),
        // Done, and told, once every control was given back.
        CommandKind::Unenrol => {
            if !is_under_way(tx, command)? {
                limit::count(tx, kind, now)?;
            }
            handback::ask(tx, id, now)?;
            return Ok(Act::Nothing);
        }
        CommandKind::Lock => return Ok(Act::Lock),
        CommandKind::Message { text } => {
            messages::keep(tx, id, (text, command.issued_at), now)?;
            return Ok(Act::Nothing);
        }
        CommandKind::Lost => {
            let is_new = !is_under_way(tx, command)?;
            match loss::lost(tx, command, bundle, now)? {
                loss::Heard::Said(said) => said,
                loss::Heard::Holds => {
                    if is_new {
                        limit::count(tx, kind, now)?;
                    }
                    return Ok(Act::Nothing);
                }
            }
        }
        CommandKind::Found => match loss::found(tx, command, now)? {
            loss::Heard::Said(said) => said,
            loss::Heard::Holds => return Ok(Act::Nothing),
        },
        CommandKind::Wipe => {
            format!("{DECLINED}: this version of the agent cannot carry it out")
        }
    };
    note_outcome(tx, id, outcome, now)?;
    Ok(Act::Nothing)
}

/// Nothing more is done for `command`, and what came of it is told.
pub(super) fn note_outcome(
    tx: &LedgerTx<'_>,
    command: CommandId,
    outcome: String,
    now: Timestamp,
) -> Result<(), LedgerError> {
    note_done(tx, command, now)?;
    let event = EventBody::CommandOutcome { command, outcome };
    tx.record(now, &event).map(drop)
}

pub(super) fn note_done(
    tx: &LedgerTx<'_>,
    command: CommandId,
    now: Timestamp,
) -> Result<(), LedgerError> {
    tx.set_meta(&done_key(command), &now.to_string())
}

pub(super) fn is_done(tx: &LedgerTx<'_>, command: CommandId) -> Result<bool, LedgerError> {
    Ok(tx.meta(&done_key(command))?.is_some())
}

fn done_key(command: CommandId) -> String {
    format!("command/{command}")
}

/// Whether a hold of a kind that freezes may concern what is on this tablet.
pub(super) fn is_frozen(bundle: &Bundle) -> bool {
    let holds = bundle.holds.holds.iter();
    holds
        .filter(|hold| hold.category.freezes())
        .any(|hold| match hold.scope {
            HoldScope::Device { device } => device == bundle.device,
            HoldScope::Photo { .. }
            | HoldScope::Child { .. }
            | HoldScope::Staff { .. }
            | HoldScope::Window { .. } => true,
        })
}

#[cfg(test)]
#[path = "commands_tests.rs"]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests;
