//! Commands in a bundle: each carried out or declined once, whatever happens in between.

use super::{handback, new_code};
use crate::ledger::{Ledger, LedgerError, LedgerTx};
use jiff::Timestamp;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::command::{ApprovedCommand, CommandKind};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::HoldScope;
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::policy::SetBy;
use nestwarden_policy_schema::trust::Anchors;

const ROTATE_KEY: &str = "passcode_change_asked_at";

/// Carries out what is new in `bundle`. Blocks.
pub(super) fn carry_out(
    ledger: &Ledger,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let anchors = ledger.anchors()?;
    bundle.commands.iter().try_for_each(|approved| {
        ledger.transaction(|tx| once(tx, approved, bundle, &anchors, now))
    })?;
    new_code::note_overdue(ledger, bundle, &anchors, now)
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
) -> Result<(), LedgerError> {
    let id = approved.command.id;
    if is_done(tx, id)? {
        return Ok(());
    }
    let outcome = match approved.verified(anchors, bundle.device, now) {
        Ok(command) => match &command.kind {
            // Taking the bundle over has every control measured.
            CommandKind::Refresh => "done".to_owned(),
            CommandKind::RotatePasscode => {
                ask_for_new_passcode(tx, command.issued_at)?;
                match bundle.policy.passcode.as_ref().map(|policy| policy.set_by) {
                    Some(SetBy::Manager) => {
                        "the passcode is overdue until somebody sets a new one in the console"
                    }
                    Some(SetBy::User) | None => "a new passcode is asked for at the next sign-in",
                }
                .to_owned()
            }
            CommandKind::Unenrol if is_frozen(bundle) => {
                "declined: a hold freezes this tablet, and nothing on it may change".to_owned()
            }
            // Does not come in this list.
            CommandKind::SetPasscode { .. } => return Ok(()),
            // Done, and told, once every control was given back.
            CommandKind::Unenrol => return handback::ask(tx, id, now),
            CommandKind::Lock
            | CommandKind::Message { .. }
            | CommandKind::Lost
            | CommandKind::Found
            | CommandKind::Wipe => {
                "declined: this version of the agent cannot carry it out".to_owned()
            }
        },
        Err(error) => format!("declined: {error}"),
    };
    note_outcome(tx, id, outcome, now)
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
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use crate::testing::{Signer, enrolled};
    use nestwarden_policy_schema::command::Command;
    use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldList};
    use nestwarden_policy_schema::id::HoldId;

    fn now() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().unwrap()
    }

    fn with_command(signer: &Signer, kind: CommandKind) -> Bundle {
        let mut bundle = signer.content(1);
        bundle.commands.push(ApprovedCommand {
            command: Command {
                id: CommandId::from_uuid(uuid::Uuid::now_v7()),
                device: signer.device,
                kind,
                issued_at: bundle.issued_at,
                expires_at: bundle.expires_at,
            },
            approvals: Vec::new(),
        });
        bundle
    }

    #[test]
    fn a_command_is_carried_out_once() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new();
        let ledger = enrolled(&Paths::new(dir.path()), &signer);
        let bundle = with_command(&signer, CommandKind::RotatePasscode);
        carry_out(&ledger, &bundle, now()).unwrap();
        carry_out(&ledger, &bundle, now()).unwrap();
        assert_eq!(ledger.head().unwrap().seq, 1);
        assert_eq!(
            passcode_change_asked_at(&ledger).unwrap(),
            Some(bundle.issued_at)
        );
    }

    #[test]
    fn a_wipe_nobody_approved_is_declined_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new();
        let ledger = enrolled(&Paths::new(dir.path()), &signer);
        carry_out(&ledger, &with_command(&signer, CommandKind::Wipe), now()).unwrap();
        let events = ledger.events_after(0, 10, usize::MAX).unwrap();
        let body = events[0].body.as_deref().unwrap();
        assert!(body.contains("needs two people"), "{body}");
    }

    #[test]
    fn a_tablet_is_to_be_handed_back_once_and_nothing_is_told_before_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new();
        let ledger = enrolled(&Paths::new(dir.path()), &signer);
        let bundle = with_command(&signer, CommandKind::Unenrol);
        carry_out(&ledger, &bundle, now()).unwrap();
        let asked = handback::asked(&ledger).unwrap().unwrap();
        assert_eq!(
            (asked.command, asked.done),
            (bundle.commands[0].command.id, None)
        );
        assert_eq!(ledger.head().unwrap().seq, 0);
        handback::finish(&ledger, now()).unwrap();
        handback::finish(&ledger, now()).unwrap();
        carry_out(&ledger, &bundle, now()).unwrap();
        assert_eq!(ledger.head().unwrap().seq, 1);
        let done = handback::asked(&ledger).unwrap().unwrap().done.unwrap();
        assert_eq!(done.told_by, 1);
    }

    #[test]
    fn a_tablet_that_a_hold_freezes_is_not_handed_back() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new();
        let ledger = enrolled(&Paths::new(dir.path()), &signer);
        let mut bundle = with_command(&signer, CommandKind::Unenrol);
        let hold = Hold {
            id: HoldId::from_uuid(uuid::Uuid::now_v7()),
            scope: HoldScope::Device {
                device: signer.device,
            },
            category: HoldCategory::IllegalContent,
            opened_at: bundle.issued_at,
            review_by: bundle.expires_at,
        };
        bundle.holds = HoldList::new(bundle.issued_at, vec![hold]);
        carry_out(&ledger, &bundle, now()).unwrap();
        assert_eq!(handback::asked(&ledger).unwrap(), None);
        let events = ledger.events_after(0, 10, usize::MAX).unwrap();
        let body = events[0].body.as_deref().unwrap();
        assert!(body.contains("declined: a hold freezes"), "{body}");
    }
}
