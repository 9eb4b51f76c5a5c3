//! What every backend keeps of commands.

use crate::storage::testing::{TestTablet, audit, now};
use crate::storage::{Changed, Storage};
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
    let missing = storage.command_add(&nobody, &audit("c")).await.unwrap();
    assert_eq!(missing, Changed::Missing);

    let command = unenrol(tablet.id);
    let before = storage.inputs_version().await.unwrap();
    let added = storage.command_add(&command, &audit("c")).await.unwrap();
    assert_eq!(added, Changed::Yes);
    assert!(storage.inputs_version().await.unwrap() > before);
    let again = unenrol(tablet.id);
    let already = storage.command_add(&again, &audit("c")).await.unwrap();
    assert_eq!(already, Changed::Already);
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
    storage.command_add(&command, &audit("c")).await.unwrap();
    let told = EventBody::CommandOutcome {
        command: command.command.id,
        outcome: "declined: a hold freezes this tablet".to_owned(),
    };
    let batch = tablet.batch_of(&[told]);
    storage.event_append(batch).await.unwrap();
    let device = storage.device_find(tablet.id).await.unwrap().unwrap();
    assert_eq!(device.revoked, None);
    let again = storage
        .command_add(&unenrol(tablet.id), &audit("c"))
        .await
        .unwrap();
    assert_eq!(again, Changed::Yes);
}

pub(in crate::storage) async fn a_command_taken_back_waits_no_more_and_what_came_of_it_is_noted(
    storage: Storage,
) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let command = unenrol(tablet.id);
    storage.command_add(&command, &audit("c")).await.unwrap();
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
