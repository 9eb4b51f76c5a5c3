#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::storage::CommandOutcome;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::code::CodeReason;
use nestwarden_policy_schema::command::{ApprovedCommand, Command};
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use nestwarden_policy_schema::policy::Rotation;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_policy_schema::profile::PolicyProfile;
use uuid::Uuid;

fn day(number: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (20_000 + number))
}

fn row(kind: CommandKind, issued: i64, said: Option<&str>) -> CommandRow {
    let command = Command {
        id: CommandId::from_uuid(Uuid::from_u128(u128::try_from(issued).unwrap())),
        device: DeviceId::from_uuid(Uuid::from_u128(1)),
        kind,
        issued_at: day(issued),
        expires_at: day(issued + 7),
    };
    CommandRow {
        command: ApprovedCommand {
            command,
            approvals: Vec::new(),
        },
        ordered_by: "Kim".to_owned(),
        cancelled: None,
        outcome: said.map(|said| CommandOutcome {
            said: said.to_owned(),
            at: day(issued),
        }),
    }
}

fn set(issued: i64, said: Option<&str>) -> CommandRow {
    let kind = CommandKind::SetPasscode {
        reason: CodeReason::Due,
        commitment: Digest::ZERO,
    };
    row(kind, issued, said)
}

fn policy() -> PasscodePolicy {
    let profile = PolicyProfile::from_toml(EARLY_YEARS).unwrap();
    PasscodePolicy {
        rotation: Rotation::Both,
        max_age_days: Some(91),
        ..profile.policy.passcode.unwrap()
    }
}

fn due(rows: &[CommandRow], lacks: Lacks, now: i64) -> Option<Timestamp> {
    cause(&policy(), rows, (lacks, None), day(now)).map(|(_, due)| due)
}

const DONE: Option<&str> = Some("done: the new passcode is set");

#[test]
fn a_passcode_is_to_be_set_a_week_before_its_time_is_over() {
    let rows = [set(0, DONE)];
    assert_eq!(due(&rows, Lacks::No, 83), None);
    assert_eq!(due(&rows, Lacks::No, 84), Some(day(91)));
    assert_eq!(due(&rows, Lacks::No, 200), Some(day(91)));
}

#[test]
fn only_what_the_tablet_took_counts_as_set() {
    for (said, is_over) in [
        (None, false),
        (Some("refused: it was used before"), false),
        (DONE, true),
    ] {
        let rows = [set(0, DONE), set(90, said)];
        assert_eq!(due(&rows, Lacks::No, 91).is_none(), is_over, "{said:?}");
    }
}

#[test]
fn when_somebody_left_it_is_to_be_set_that_day_until_the_tablet_took_another() {
    let left = row(CommandKind::RotatePasscode, 10, Some("asked for"));
    let rows = [set(0, DONE), left.clone()];
    assert_eq!(due(&rows, Lacks::No, 11), Some(day(10)));
    let rows = [set(0, DONE), left, set(12, DONE)];
    assert_eq!(due(&rows, Lacks::No, 13), None);
}

#[test]
fn what_the_tablet_says_it_lacks_is_to_be_set_today() {
    assert_eq!(due(&[], Lacks::Yes, 5), Some(day(5)));
    assert_eq!(due(&[], Lacks::No, 5), None, "it has not said anything yet");
}

#[test]
fn a_rotation_by_schedule_only_knows_no_leavers_and_by_event_only_no_age() {
    let left = row(CommandKind::RotatePasscode, 10, None);
    let of = |rotation, now| {
        let policy = PasscodePolicy {
            rotation,
            ..policy()
        };
        cause(
            &policy,
            &[set(0, DONE), left.clone()],
            (Lacks::No, None),
            day(now),
        )
        .is_some()
    };
    assert!(!of(Rotation::Scheduled, 11) && of(Rotation::Event, 11));
    assert!(of(Rotation::Scheduled, 90));
}

#[test]
fn who_left_by_the_register_asks_for_a_passcode_that_was_set_after_they_went() {
    let who = EntryId::from_uuid(Uuid::from_u128(4));
    let gone = Some((who, day(10)));
    let of = |rows: &[CommandRow], rotation| {
        let policy = PasscodePolicy {
            rotation,
            ..policy()
        };
        cause(&policy, rows, (Lacks::No, gone), day(12)).map(|(_, due)| due)
    };
    // Chosen while they were here, so they may have been told, whenever the tablet took it.
    let mut told = set(9, DONE);
    told.outcome.as_mut().unwrap().at = day(11);
    assert_eq!(of(&[told], Rotation::Event), Some(day(10)));
    assert_eq!(of(&[set(11, DONE)], Rotation::Event), None);
    assert_eq!(of(&[set(11, None)], Rotation::Event), Some(day(10)));
    assert_eq!(of(&[set(9, DONE)], Rotation::Scheduled), None);
}

#[test]
fn where_staff_choose_it_themselves_the_tablet_is_asked_for_another_once_somebody_left() {
    let who = EntryId::from_uuid(Uuid::from_u128(4));
    let gone = Some((who, day(10)));
    let policy = PasscodePolicy {
        mode: Mode::Enforce,
        ..policy()
    };
    let asked = |day| row(CommandKind::RotatePasscode, day, None);
    assert_eq!(to_ask(&policy, &[], gone), gone);
    assert_eq!(to_ask(&policy, &[asked(9)], gone), gone);
    assert_eq!(to_ask(&policy, &[asked(10)], gone), None);
    assert_eq!(to_ask(&policy, &[], None), None);
    let watched = PasscodePolicy {
        mode: Mode::Observe,
        ..policy
    };
    assert_eq!(to_ask(&watched, &[], gone), None);
}

#[test]
fn a_tablet_that_was_held_as_lost_gets_another_passcode_and_one_that_declined_does_not() {
    let held = Some("done: held as lost until it is found");
    let of = |said| [set(1, DONE), row(CommandKind::Lost, 10, said)];
    assert_eq!(due(&of(held), Lacks::No, 11), Some(day(10)));
    assert_eq!(due(&of(None), Lacks::No, 11), None);
    assert_eq!(due(&of(Some("declined: a hold")), Lacks::No, 11), None);
    let mut again = of(held).to_vec();
    again.push(set(12, DONE));
    assert_eq!(due(&again, Lacks::No, 13), None);
}
