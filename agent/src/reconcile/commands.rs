//! Commands in a bundle: each carried out or declined once, whatever happens in between.

use crate::ledger::{Ledger, LedgerError, LedgerTx};
use jiff::Timestamp;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::command::{ApprovedCommand, CommandKind};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::trust::Anchors;

const ROTATE_KEY: &str = "passcode_change_asked_at";

/// Carries out what is new in `bundle`. Blocks.
pub(super) fn carry_out(
    ledger: &Ledger,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let anchors = ledger.anchors()?;
    bundle
        .commands
        .iter()
        .try_for_each(|approved| ledger.transaction(|tx| once(tx, approved, bundle, &anchors, now)))
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
    let done_key = format!("command/{}", approved.command.id);
    if tx.meta(&done_key)?.is_some() {
        return Ok(());
    }
    let outcome = match approved.verified(anchors, bundle.device, now) {
        Ok(command) => match &command.kind {
            // Taking the bundle over has every control measured.
            CommandKind::Refresh => "done".to_owned(),
            CommandKind::RotatePasscode => {
                let asked = command.issued_at.to_string();
                let newer = tx
                    .meta(ROTATE_KEY)?
                    .and_then(|known| known.parse::<Timestamp>().ok())
                    .is_none_or(|known| known < command.issued_at);
                if newer {
                    tx.set_meta(ROTATE_KEY, &asked)?;
                }
                "a new passcode is asked for at the next sign-in".to_owned()
            }
            CommandKind::Lock
            | CommandKind::Message { .. }
            | CommandKind::Lost
            | CommandKind::Found
            | CommandKind::Unenrol
            | CommandKind::Wipe => {
                "declined: this version of the agent cannot carry it out".to_owned()
            }
        },
        Err(error) => format!("declined: {error}"),
    };
    tx.set_meta(&done_key, &now.to_string())?;
    let event = EventBody::CommandOutcome {
        command: approved.command.id,
        outcome,
    };
    tx.record(now, &event).map(drop)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use crate::testing::{Signer, enrolled};
    use nestwarden_policy_schema::command::Command;
    use nestwarden_policy_schema::id::CommandId;

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
}
