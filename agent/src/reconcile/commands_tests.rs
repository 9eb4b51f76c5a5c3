use super::*;
use crate::paths::Paths;
use crate::testing::{Signer, enrolled};
use jiff::SignedDuration;
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldList};
use nestwarden_policy_schema::id::HoldId;

const DAY: SignedDuration = SignedDuration::from_hours(24);

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

/// One more command in the bundle, issued so many minutes after it.
fn also(bundle: &mut Bundle, kind: CommandKind, minutes: i64) -> CommandId {
    let id = CommandId::from_uuid(uuid::Uuid::now_v7());
    bundle.commands.push(ApprovedCommand {
        command: Command {
            id,
            device: bundle.device,
            kind,
            issued_at: bundle.issued_at + SignedDuration::from_mins(minutes),
            expires_at: bundle.expires_at,
        },
        approvals: Vec::new(),
    });
    id
}

fn only(kind: CommandKind, minutes: i64, signer: &Signer) -> (Bundle, CommandId) {
    let mut bundle = signer.content(1);
    let id = also(&mut bundle, kind, minutes);
    (bundle, id)
}

fn frozen(mut bundle: Bundle) -> Bundle {
    let hold = Hold {
        id: HoldId::from_uuid(uuid::Uuid::now_v7()),
        scope: HoldScope::Device {
            device: bundle.device,
        },
        category: HoldCategory::IllegalContent,
        opened_at: bundle.issued_at,
        review_by: bundle.expires_at,
    };
    bundle.holds = HoldList::new(bundle.issued_at, vec![hold]);
    bundle
}

/// What was said of a command, the oldest first.
fn said(ledger: &Ledger, of: CommandId) -> Vec<String> {
    let events = ledger.events_after(0, 100, usize::MAX).unwrap();
    let bodies = events.iter().filter_map(|event| event.body.as_deref());
    bodies
        .filter_map(|body| match serde_json::from_str(body) {
            Ok(EventBody::CommandOutcome { command, outcome }) if command == of => Some(outcome),
            _ => None,
        })
        .collect()
}

fn lost_since(ledger: &Ledger) -> Option<Timestamp> {
    ledger.loss().and_then(|word| word.lost_since)
}

#[test]
fn a_lost_tablet_stays_lost_without_the_command_across_restarts_and_asks_for_a_passcode() {
    let dir = tempfile::tempdir().unwrap();
    let (signer, paths) = (Signer::new(), Paths::new(dir.path()));
    let ledger = enrolled(&paths, &signer);
    let (bundle, _) = only(CommandKind::Lost, 0, &signer);
    carry_out(&ledger, &bundle, now()).unwrap();
    assert_eq!(lost_since(&ledger), Some(now()));
    assert_eq!(
        passcode_change_asked_at(&ledger).unwrap(),
        Some(bundle.issued_at)
    );
    carry_out(&ledger, &signer.content(2), now() + DAY).unwrap();
    assert_eq!(lost_since(&ledger), Some(now()));
    drop(ledger);
    let again = Ledger::open(&paths).unwrap();
    assert_eq!(lost_since(&again), Some(now()));
    carry_out(&again, &bundle, now() + DAY).unwrap();
    assert_eq!(lost_since(&again), Some(now()));
}

#[test]
fn only_a_later_found_ends_a_loss_and_a_loss_from_before_it_does_nothing_when_it_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let ledger = enrolled(&Paths::new(dir.path()), &signer);
    let (lost, lost_id) = only(CommandKind::Lost, 10, &signer);
    carry_out(&ledger, &lost, now()).unwrap();
    for minutes in [5, 10] {
        let (earlier, id) = only(CommandKind::Found, minutes, &signer);
        carry_out(&ledger, &earlier, now()).unwrap();
        assert_eq!(lost_since(&ledger), Some(now()), "{minutes}");
        assert!(said(&ledger, id)[0].starts_with("declined: it was marked as lost since"));
    }
    let (later, id) = only(CommandKind::Found, 20, &signer);
    carry_out(&ledger, &later, now()).unwrap();
    assert_eq!(lost_since(&ledger), None);
    assert!(said(&ledger, id)[0].starts_with("done: no longer held as lost"));
    assert!(said(&ledger, lost_id)[0].starts_with("done: was held as lost"));
    // As recorded and sent again, and as somebody kept it back.
    carry_out(&ledger, &lost, now()).unwrap();
    let (kept_back, id) = only(CommandKind::Lost, 15, &signer);
    carry_out(&ledger, &kept_back, now()).unwrap();
    assert_eq!(lost_since(&ledger), None);
    assert!(said(&ledger, id)[0].starts_with("declined: it was marked as found since"));
}

#[test]
fn lost_and_found_in_one_bundle_leave_the_later_word() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let ledger = enrolled(&Paths::new(dir.path()), &signer);
    let mut bundle = signer.content(1);
    also(&mut bundle, CommandKind::Found, 20);
    also(&mut bundle, CommandKind::Lost, 10);
    carry_out(&ledger, &bundle, now()).unwrap();
    assert_eq!(lost_since(&ledger), None);
}

#[test]
fn a_frozen_tablet_is_neither_locked_nor_marked_and_the_wish_is_declined() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let ledger = enrolled(&Paths::new(dir.path()), &signer);
    for kind in [CommandKind::Lock, CommandKind::Lost, CommandKind::Found] {
        let (bundle, id) = only(kind, 0, &signer);
        assert_eq!(carry_out(&ledger, &frozen(bundle), now()).unwrap(), []);
        assert!(said(&ledger, id)[0].starts_with("declined: a hold freezes this tablet"));
    }
    assert_eq!(ledger.loss(), None);
}

#[test]
fn the_fifth_of_a_kind_within_an_hour_is_declined_until_the_hour_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let ledger = enrolled(&Paths::new(dir.path()), &signer);
    for minutes in 0..4 {
        let (bundle, id) = only(CommandKind::RotatePasscode, minutes, &signer);
        let at = now() + SignedDuration::from_mins(minutes);
        carry_out(&ledger, &bundle, at).unwrap();
        assert!(said(&ledger, id)[0].contains("new passcode"));
    }
    let (fifth, id) = only(CommandKind::RotatePasscode, 10, &signer);
    let later = now() + SignedDuration::from_mins(10);
    carry_out(&ledger, &fifth, later).unwrap();
    assert_eq!(
        said(&ledger, id),
        ["declined: this tablet did that 4 times within an hour already; ask again in 50 minutes"]
    );
    // Of another kind, and what only undoes.
    let (lost, _) = only(CommandKind::Lost, 10, &signer);
    carry_out(&ledger, &lost, later).unwrap();
    assert_eq!(lost_since(&ledger), Some(later));
    for minutes in 11..20 {
        let (found, _) = only(CommandKind::Found, minutes, &signer);
        carry_out(&ledger, &found, later).unwrap();
        assert_eq!(lost_since(&ledger), None);
    }
    let (again, id) = only(CommandKind::RotatePasscode, 70, &signer);
    carry_out(&ledger, &again, now() + SignedDuration::from_mins(60)).unwrap();
    assert!(said(&ledger, id)[0].contains("new passcode"));
}

#[test]
fn a_loss_that_goes_on_counts_once_however_often_its_command_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let ledger = enrolled(&Paths::new(dir.path()), &signer);
    let (lost, id) = only(CommandKind::Lost, 0, &signer);
    for _ in 0..9 {
        carry_out(&ledger, &lost, now()).unwrap();
    }
    assert_eq!(said(&ledger, id), [""; 0]);
    assert_eq!(lost_since(&ledger), Some(now()));
}

#[test]
fn a_message_waits_across_restarts_until_somebody_read_it_and_each_step_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let (signer, paths) = (Signer::new(), Paths::new(dir.path()));
    let ledger = enrolled(&paths, &signer);
    let text = "Please bring me to the office.".to_owned();
    let (bundle, id) = only(CommandKind::Message { text: text.clone() }, 0, &signer);
    carry_out(&ledger, &bundle, now()).unwrap();
    drop(ledger);
    let ledger = Ledger::open(&paths).unwrap();
    carry_out(&ledger, &bundle, now()).unwrap();
    let shown = messages::show(&ledger, now()).unwrap();
    assert_eq!((shown.len(), &shown[0].text), (1, &text));
    messages::show(&ledger, now() + DAY).unwrap();
    messages::note_read(&ledger, id, now()).unwrap();
    messages::note_read(&ledger, id, now()).unwrap();
    assert_eq!(messages::unread(&ledger).unwrap(), []);
    carry_out(&ledger, &bundle, now()).unwrap();
    let said = said(&ledger, id);
    let begins: Vec<&str> = said
        .iter()
        .map(|s| s.split([':', ' ']).next().unwrap())
        .collect();
    assert_eq!(begins, ["taken", "shown", "done"]);
}

#[test]
fn twenty_messages_wait_and_one_more_is_declined() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let ledger = enrolled(&Paths::new(dir.path()), &signer);
    let mut bundle = signer.content(1);
    for n in 0..21 {
        let text = format!("Message {n}");
        also(&mut bundle, CommandKind::Message { text }, n);
    }
    carry_out(&ledger, &bundle, now()).unwrap();
    let unread = messages::unread(&ledger).unwrap();
    assert_eq!((unread.len(), unread[0].text.as_str()), (20, "Message 0"));
    let last = bundle.commands[20].command.id;
    assert!(said(&ledger, last)[0].starts_with("declined: 20 messages wait unread"));
}

#[test]
fn a_message_that_hides_something_is_declined() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let ledger = enrolled(&Paths::new(dir.path()), &signer);
    let text = "Call\u{202e}me".to_owned();
    let (bundle, id) = only(CommandKind::Message { text }, 0, &signer);
    carry_out(&ledger, &bundle, now()).unwrap();
    assert_eq!(messages::unread(&ledger).unwrap(), []);
    assert!(said(&ledger, id)[0].starts_with("declined: the message holds a character"));
}
