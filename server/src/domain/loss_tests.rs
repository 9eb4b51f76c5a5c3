#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::command;
use crate::storage::testing::{TestStorage, TestTablet, audit, now};
use crate::storage::{Cancelled, CommandOutcome, HourlyLimit};
use jiff::SignedDuration;
use nestwarden_policy_schema::command::Command;
use nestwarden_policy_schema::event::EventBody;
use uuid::Uuid;

fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
}

fn row(minute: i64, kind: CommandKind, said: Option<&str>) -> CommandRow {
    CommandRow {
        command: ApprovedCommand {
            command: Command {
                id: CommandId::from_uuid(Uuid::from_u128(minute.unsigned_abs().into())),
                device: DeviceId::from_uuid(Uuid::from_u128(2)),
                kind,
                issued_at: at(minute),
                expires_at: at(minute + 1000),
            },
            approvals: Vec::new(),
        },
        ordered_by: format!("Kim {minute}"),
        cancelled: None,
        outcome: said.map(|said| CommandOutcome {
            said: said.to_owned(),
            at: at(minute + 1),
        }),
    }
}

const HELD: Option<&str> = Some("done: held as lost until it is found; locked; camera off");
const BACK: Option<&str> = Some("done: no longer held as lost");

fn lost(minute: i64, said: Option<&str>) -> CommandRow {
    row(minute, CommandKind::Lost, said)
}

fn found(minute: i64, said: Option<&str>) -> CommandRow {
    row(minute, CommandKind::Found, said)
}

fn state(rows: &[CommandRow], now: i64) -> Option<LossState> {
    of(rows, at(now)).map(|loss| loss.state)
}

#[tokio::test]
async fn a_tablet_that_was_marked_by_a_clock_that_was_ahead_is_found_all_the_same() {
    let test = TestStorage::create().await;
    let tablet = TestTablet::enrol(&test.storage).await;
    let device = test.storage.device_find(tablet.id).await.unwrap().unwrap();
    let ahead = now() + SignedDuration::from_hours(24 * 400);
    let (storage, log) = (&test.storage, audit("device"));
    let limit = HourlyLimit::default();
    let lost = command::lost(storage, &device, limit, &log, ahead);
    let lost = lost.await.unwrap();
    let found = command::found(storage, &device, &log, now()).await.unwrap();
    assert!(found.issued_at > lost.issued_at);
    let rows = storage.command_list(tablet.id).await.unwrap();
    assert_eq!(of(&rows, now()), None);
    let again = command::lost(storage, &device, limit, &log, now());
    assert!(again.await.unwrap().issued_at > found.issued_at);
    let rows = storage.command_list(tablet.id).await.unwrap();
    assert!(of(&rows, now()).is_some());
}

#[test]
fn a_tablet_is_marked_from_the_word_on_and_held_from_its_own() {
    assert_eq!(state(&[], 10), None);
    let unheard = LossState::Unheard { until: at(1010) };
    assert_eq!(state(&[lost(10, None)], 11), Some(unheard));
    let expired = LossState::Expired { at: at(1010) };
    assert_eq!(state(&[lost(10, None)], 1010), Some(expired));
    let held = LossState::Held { since: at(11) };
    assert_eq!(state(&[lost(10, HELD)], 5000), Some(held));
    let declined = state(&[lost(10, Some("declined: a hold"))], 20);
    assert!(matches!(declined, Some(LossState::NotHeld { .. })));
}

#[test]
fn found_ends_it_once_the_tablet_says_so_and_at_once_where_it_never_heard() {
    assert_eq!(state(&[lost(10, HELD), found(20, BACK)], 30), None);
    assert_eq!(state(&[lost(10, None), found(20, None)], 30), None);
    let waits = of(&[lost(10, HELD), found(20, None)], at(30)).unwrap();
    assert!(!waits.is_missing());
    assert_eq!(waits.held_since(), Some(at(11)));
    let said = waits.says(&LocalTime::utc());
    assert!(
        said.contains("found at 1 Jan 1970, 00:20 UTC by Kim 20"),
        "{said}"
    );
    let declined = found(20, Some("declined: a hold freezes this tablet"));
    let still = state(&[lost(10, HELD), declined], 30);
    assert_eq!(still, Some(LossState::Held { since: at(11) }));
}

#[test]
fn a_word_that_was_taken_back_counts_only_where_the_tablet_had_it() {
    let taken_back = |row: CommandRow| CommandRow {
        cancelled: Some(Cancelled {
            by: "Kim".to_owned(),
            at: at(12),
        }),
        ..row
    };
    assert_eq!(state(&[taken_back(lost(10, None))], 30), None);
    let held = state(&[taken_back(lost(10, HELD))], 30);
    assert_eq!(held, Some(LossState::Held { since: at(11) }));
    let rows = [lost(10, HELD), taken_back(found(20, None))];
    assert_eq!(state(&rows, 30), Some(LossState::Held { since: at(11) }));
}

#[test]
fn lost_again_after_it_was_found_is_another_loss_and_lost_twice_is_one() {
    let twice = of(&[lost(10, HELD), lost(20, None)], at(30)).unwrap();
    assert_eq!((twice.since, twice.by.as_str()), (at(10), "Kim 10"));
    assert_eq!(twice.state, LossState::Held { since: at(11) });
    let rows = [
        found(5, BACK),
        lost(10, HELD),
        found(20, BACK),
        lost(30, None),
    ];
    let again = of(&rows, at(40)).unwrap();
    assert_eq!((again.since, again.by.as_str()), (at(30), "Kim 30"));
    // The tablet still holds itself as lost for the one before.
    let rows = [lost(10, HELD), found(20, None), lost(30, None)];
    let again = of(&rows, at(40)).unwrap();
    assert_eq!((again.since, again.by.as_str()), (at(30), "Kim 30"));
    assert_eq!(again.state, LossState::Held { since: at(11) });
}

#[test]
fn nothing_else_a_tablet_is_asked_for_makes_it_lost() {
    let rows = [
        row(10, CommandKind::Lock, HELD),
        row(20, CommandKind::Unenrol, None),
    ];
    assert_eq!(state(&rows, 30), None);
}

#[tokio::test]
async fn a_bundle_goes_on_carrying_the_word_while_the_tablet_holds_itself_as_lost() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let mut tablet = TestTablet::enrol(storage).await;
    let device = storage.device_find(tablet.id).await.unwrap().unwrap();
    let limit = HourlyLimit::default();
    let by = audit("device.lost");
    let lost = command::lost(storage, &device, limit, &by, now());
    let lost = lost.await.unwrap();
    assert_eq!(
        in_force(storage).await.unwrap(),
        [],
        "it waits as others do"
    );
    let mut tell = async |command, outcome: &str| {
        let outcome = outcome.to_owned();
        let batch = tablet.batch_of(&[EventBody::CommandOutcome { command, outcome }]);
        storage.event_append(batch).await.unwrap();
    };
    tell(lost.id, HELD.unwrap()).await;
    let carried = in_force(storage).await.unwrap();
    assert_eq!(carried.len(), 1);
    assert_eq!(carried[0].command, lost);
    let later = now() + SignedDuration::from_mins(1);
    let by = audit("device.found");
    let found = command::found(storage, &device, &by, later);
    let found = found.await.unwrap();
    assert_eq!(in_force(storage).await.unwrap().len(), 1);
    tell(found.id, BACK.unwrap()).await;
    assert_eq!(in_force(storage).await.unwrap(), []);
}
