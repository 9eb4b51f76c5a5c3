//! Commands: for one tablet, for a time, and destructive ones only on the word of two people.

use crate::nursery::{at, device};
use crate::papers::{
    APPROVER_A, APPROVER_B, RECOVERY, SIGNING, STRANGER, anchors, approver, command, key, public,
};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::code::CodeReason;
use nestwarden_policy_schema::command::{
    ApprovedCommand, Command, CommandError, CommandKind, MESSAGE_CHARS, MessageRefused,
    check_message,
};
use nestwarden_policy_schema::envelope::{SignedError, sign};
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use nestwarden_policy_schema::trust::Anchors;
use uuid::Uuid;

fn wipe(approvals: &[(Command, u8)]) -> ApprovedCommand {
    ApprovedCommand {
        command: command(CommandKind::Wipe),
        approvals: approvals
            .iter()
            .map(|(command, by)| sign(command, &key(*by)).unwrap())
            .collect(),
    }
}

fn carried_out(command: &ApprovedCommand) -> Result<Command, CommandError> {
    command
        .verified(&anchors(), device(), at("2026-03-02T09:30:00Z"))
        .cloned()
}

#[test]
fn a_destructive_command_needs_two_people() {
    let this = command(CommandKind::Wipe);
    let by = |keys: &[u8]| {
        carried_out(&wipe(
            &keys.iter().map(|k| (this.clone(), *k)).collect::<Vec<_>>(),
        ))
    };
    assert_eq!(by(&[APPROVER_A, APPROVER_B]), Ok(this.clone()));
    assert_eq!(by(&[]), Err(CommandError::TooFewApprovals { given: 0 }));
    assert_eq!(
        by(&[APPROVER_A]),
        Err(CommandError::TooFewApprovals { given: 1 })
    );
    assert_eq!(
        by(&[APPROVER_A, APPROVER_A]),
        Err(CommandError::TooFewApprovals { given: 1 })
    );
    for stranger in [SIGNING, RECOVERY, STRANGER] {
        let unknown = SignedError::UnknownKey(public(stranger).key_id());
        assert_eq!(
            by(&[APPROVER_A, stranger]),
            Err(CommandError::Approval(unknown))
        );
    }
    let other = Command {
        id: CommandId::from_uuid(Uuid::from_u128(1)),
        ..this.clone()
    };
    let mixed = wipe(&[(this, APPROVER_A), (other, APPROVER_B)]);
    assert_eq!(carried_out(&mixed), Err(CommandError::OtherCommand));
}

#[test]
fn one_person_with_two_keys_or_two_names_for_one_key_is_one_person() {
    let this = command(CommandKind::Wipe);
    let approved = wipe(&[(this.clone(), APPROVER_A), (this, APPROVER_B)]);
    for approvers in [
        vec![approver(1, APPROVER_A), approver(1, APPROVER_B)],
        Vec::new(),
    ] {
        let anchors = Anchors {
            approvers,
            ..anchors()
        };
        assert!(
            approved
                .verified(&anchors, device(), at("2026-03-02T09:30:00Z"))
                .is_err()
        );
    }
    let twice = wipe(&[
        (command(CommandKind::Wipe), APPROVER_A),
        (command(CommandKind::Wipe), APPROVER_A),
    ]);
    let anchors = Anchors {
        approvers: vec![approver(1, APPROVER_A), approver(2, APPROVER_A)],
        ..anchors()
    };
    assert!(
        twice
            .verified(&anchors, device(), at("2026-03-02T09:30:00Z"))
            .is_err()
    );
}

#[test]
fn a_command_is_for_one_tablet_and_for_a_time() {
    for kind in [
        CommandKind::Refresh,
        CommandKind::Lock,
        CommandKind::Message {
            text: "x".to_owned(),
        },
        CommandKind::RotatePasscode,
        CommandKind::SetPasscode {
            reason: CodeReason::Due,
            commitment: Digest::ZERO,
        },
        CommandKind::Lost,
        CommandKind::Found,
        CommandKind::Unenrol,
    ] {
        let plain = ApprovedCommand {
            command: command(kind),
            approvals: Vec::new(),
        };
        assert!(carried_out(&plain).is_ok());
        let other = DeviceId::from_uuid(Uuid::from_u128(1));
        let now = at("2026-03-02T09:30:00Z");
        assert!(matches!(
            plain.verified(&anchors(), other, now),
            Err(CommandError::OtherDevice { .. })
        ));
        let end = plain.command.expires_at;
        assert_eq!(
            plain.verified(&anchors(), device(), end),
            Err(CommandError::Expired(end))
        );
    }
}

#[test]
fn a_message_is_one_line_of_500_characters_with_nothing_hidden_in_it() {
    let long = "ä".repeat(MESSAGE_CHARS);
    for (text, said) in [
        ("Please bring Ladybird-1 to the office.", Ok(())),
        (&long, Ok(())),
        (" \u{a0}", Err(MessageRefused::Empty)),
        (&format!("{long}."), Err(MessageRefused::TooLong(501))),
        ("Call\nme", Err(MessageRefused::Unseen)),
        ("\u{1b}[2JHello", Err(MessageRefused::Unseen)),
        ("Hello\u{202e}olleh", Err(MessageRefused::Unseen)),
    ] {
        assert_eq!(check_message(text), said, "{text:?}");
        let message = ApprovedCommand {
            command: command(CommandKind::Message {
                text: text.to_owned(),
            }),
            approvals: Vec::new(),
        };
        let carried_out = carried_out(&message).map(drop);
        assert_eq!(carried_out, said.map_err(CommandError::Message));
    }
}

/// One of each kind.
pub(crate) fn kinds() -> [CommandKind; 9] {
    [
        CommandKind::Refresh,
        CommandKind::Lock,
        CommandKind::Message {
            text: "Please bring me to the office.".to_owned(),
        },
        CommandKind::RotatePasscode,
        CommandKind::SetPasscode {
            reason: CodeReason::Loss,
            commitment: Digest([7; 32]),
        },
        CommandKind::Lost,
        CommandKind::Found,
        CommandKind::Unenrol,
        CommandKind::Wipe,
    ]
}

#[test]
fn a_kind_is_named_as_it_is_written() {
    for kind in kinds() {
        let written = serde_json::to_value(&kind).unwrap();
        assert_eq!(written["do"], kind.name());
    }
}

#[test]
fn what_keeps_people_from_their_work_is_limited_and_what_undoes_it_is_not() {
    let limited: Vec<&str> = kinds()
        .iter()
        .filter(|kind| kind.is_disruptive())
        .map(CommandKind::name)
        .collect();
    assert_eq!(
        limited,
        [
            "lock",
            "rotate_passcode",
            "set_passcode",
            "lost",
            "unenrol",
            "wipe"
        ]
    );
}
