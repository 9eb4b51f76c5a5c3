//! What every backend keeps of commands.

use crate::storage::testing::{TestTablet, audit, now};
use crate::storage::{Changed, CommandAdded, HourlyLimit, Storage};
use jiff::SignedDuration;
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use uuid::Uuid;

fn unenrol(device: DeviceId) -> ApprovedCommand {
    ApprovedCommand {
        command: Command {
            id: CommandId::from_uuid(Uuid::now_v7()),
            device,
            kind: CommandKind::Unenrol,
            issued_at: now(),
            expires_at: now() + SignedDuration::from_hours(1),
        },
        approvals: Vec::new(),
    }
}

pub(in crate::storage) async fn a_command_waits_until_its_tablet_says_what_came_of_it(
    storage: Storage,
) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let nobody = unenrol(DeviceId::from_uuid(Uuid::from_u128(99)));
    let missing = storage
        .command_add(&nobody, HourlyLimit::default(), &audit("c"))
        .await
        .unwrap();
    assert_eq!(missing, CommandAdded::Missing);

    let command = unenrol(tablet.id);
    let before = storage.inputs_version().await.unwrap();
    let added = storage
        .command_add(&command, HourlyLimit::default(), &audit("c"))
        .await
        .unwrap();
    assert_eq!(added, CommandAdded::Yes);
    assert!(storage.inputs_version().await.unwrap() > before);
    let again = unenrol(tablet.id);
    let already = storage
        .command_add(&again, HourlyLimit::default(), &audit("c"))
        .await
        .unwrap();
    assert_eq!(already, CommandAdded::Already);
    let waiting = storage.command_waiting().await.unwrap();
    assert_eq!(waiting, std::slice::from_ref(&command));

    let told = |outcome: &str| EventBody::CommandOutcome {
        command: command.command.id,
        outcome: outcome.to_owned(),
    };
    let batch = tablet.batch_of(&[told("done: every control was given back"), told("later")]);
    storage.event_append(batch).await.unwrap();
    assert_eq!(storage.command_waiting().await.unwrap(), []);
    let rows = storage.command_list(tablet.id).await.unwrap();
    let outcome = rows[0].outcome.as_ref().unwrap();
    assert_eq!(outcome.said, "done: every control was given back");
    let device = storage.device_find(tablet.id).await.unwrap().unwrap();
    assert_eq!(device.revoked.unwrap().reason, "handed back");
}

pub(in crate::storage) async fn a_tablet_that_declined_stays_enrolled(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let command = unenrol(tablet.id);
    storage
        .command_add(&command, HourlyLimit::default(), &audit("c"))
        .await
        .unwrap();
    let told = EventBody::CommandOutcome {
        command: command.command.id,
        outcome: "declined: a hold freezes this tablet".to_owned(),
    };
    let batch = tablet.batch_of(&[told]);
    storage.event_append(batch).await.unwrap();
    let device = storage.device_find(tablet.id).await.unwrap().unwrap();
    assert_eq!(device.revoked, None);
    let again = storage
        .command_add(&unenrol(tablet.id), HourlyLimit::default(), &audit("c"))
        .await
        .unwrap();
    assert_eq!(again, CommandAdded::Yes);
}

pub(in crate::storage) async fn a_command_taken_back_waits_no_more_and_what_came_of_it_is_noted(
    storage: Storage,
) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let command = unenrol(tablet.id);
    storage
        .command_add(&command, HourlyLimit::default(), &audit("c"))
        .await
        .unwrap();
    let id = command.command.id;
    let cancel = async |id| {
        let by = audit("cancel");
        storage.command_cancel(tablet.id, id, &by).await.unwrap()
    };
    let nothing = CommandId::from_uuid(Uuid::from_u128(7));
    assert_eq!(cancel(nothing).await, Changed::Missing);
    let before = storage.inputs_version().await.unwrap();
    assert_eq!(cancel(id).await, Changed::Yes);
    assert!(storage.inputs_version().await.unwrap() > before);
    assert_eq!(cancel(id).await, Changed::Already);
    assert_eq!(storage.command_waiting().await.unwrap(), []);
    // The tablet had it already.
    let told = EventBody::CommandOutcome {
        command: id,
        outcome: "done: every control was given back".to_owned(),
    };
    let batch = tablet.batch_of(&[told]);
    storage.event_append(batch).await.unwrap();
    let rows = storage.command_list(tablet.id).await.unwrap();
    assert!(rows[0].cancelled.is_some() && rows[0].outcome.is_some());
    let device = storage.device_find(tablet.id).await.unwrap().unwrap();
    assert_eq!(device.revoked.unwrap().reason, "handed back");
}

fn ordered(device: DeviceId, kind: CommandKind, minutes: i64) -> ApprovedCommand {
    let mut approved = unenrol(device);
    approved.command.kind = kind;
    approved.command.issued_at = now() + SignedDuration::from_mins(minutes);
    approved.command.expires_at = approved.command.issued_at + SignedDuration::from_mins(1);
    approved
}

pub(in crate::storage) async fn no_more_commands_that_disrupt_are_taken_within_an_hour_than_the_limit(
    storage: Storage,
) {
    let tablet = TestTablet::enrol(&storage).await;
    let add = async |kind, minutes| {
        let command = ordered(tablet.id, kind, minutes);
        let limit = HourlyLimit(2);
        storage
            .command_add(&command, limit, &audit("c"))
            .await
            .unwrap()
    };
    assert_eq!(add(CommandKind::Lock, 0).await, CommandAdded::Yes);
    assert_eq!(add(CommandKind::Lost, 10).await, CommandAdded::Yes);
    let until = now() + SignedDuration::from_mins(60);
    for kind in [
        CommandKind::Lock,
        CommandKind::Unenrol,
        CommandKind::RotatePasscode,
    ] {
        assert_eq!(add(kind, 59).await, CommandAdded::TooMany { until });
    }
    assert_eq!(add(CommandKind::Found, 59).await, CommandAdded::Yes);
    assert_eq!(add(CommandKind::Refresh, 59).await, CommandAdded::Yes);
    assert_eq!(add(CommandKind::Lock, 60).await, CommandAdded::Yes);
    // Those of a clock that was ahead keep nobody from it once it is right.
    let another = TestTablet::enrol(&storage).await;
    for (kind, minutes) in [
        (CommandKind::Lock, 9_000),
        (CommandKind::Unenrol, 9_000),
        (CommandKind::RotatePasscode, 200),
    ] {
        let command = ordered(another.id, kind, minutes);
        let log = audit("c");
        let added = storage.command_add(&command, HourlyLimit(2), &log);
        assert_eq!(added.await.unwrap(), CommandAdded::Yes);
    }
    let kinds: Vec<_> = storage.command_losses().await.unwrap();
    let kinds: Vec<_> = kinds
        .into_iter()
        .map(|row| row.command.command.kind)
        .collect();
    assert_eq!(kinds, [CommandKind::Lost, CommandKind::Found]);
}

pub(in crate::storage) async fn a_message_s_first_words_give_way_to_its_last(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let text = "Bring me back.".to_owned();
    let message = ordered(tablet.id, CommandKind::Message { text }, 0);
    let lock = ordered(tablet.id, CommandKind::Lock, 0);
    for command in [&message, &lock] {
        let by = audit("c");
        let added = storage.command_add(command, HourlyLimit::default(), &by);
        assert_eq!(added.await.unwrap(), CommandAdded::Yes);
    }
    let told = |of: &ApprovedCommand, outcome: &str| EventBody::CommandOutcome {
        command: of.command.id,
        outcome: outcome.to_owned(),
    };
    let batch = tablet.batch_of(&[
        told(&message, "taken: it waits"),
        told(&message, "shown on its page"),
        told(&message, "done: read"),
        told(&message, "shown on its page"),
        told(&lock, "shown, it says"),
        told(&lock, "done: locked"),
    ]);
    storage.event_append(batch).await.unwrap();
    let rows = storage.command_list(tablet.id).await.unwrap();
    let said: Vec<_> = rows
        .iter()
        .map(|row| row.outcome.as_ref().unwrap().said.as_str())
        .collect();
    assert_eq!(said, ["done: read", "shown, it says"]);
}
