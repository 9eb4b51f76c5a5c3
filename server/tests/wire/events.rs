//! Events and inventory: what is acknowledged is on disk, and only what the tablet really said.

use crate::nursery::{Nursery, Tablet, told};
use jiff::SignedDuration;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::device_api::{
    EVENTS_PATH, EventBatch, EventsAck, INVENTORY_AGAIN_PATH, INVENTORY_PATH, Inventory,
    RENEW_PATH, RenewAnswer, RenewRequest,
};
use nestwarden_policy_schema::envelope::{Signable as _, Signed, message_of};
use nestwarden_policy_schema::event::{ChainHead, ChainPosition, Event, EventBody};
use nestwarden_policy_schema::trust::KeyId;
use nestwarden_server::storage::sql;
use rcgen::{KeyPair, SigningKey as _};
use std::collections::BTreeMap;

/// `count` events after `position`.
fn events(tablet: &Tablet, mut position: ChainPosition, count: u8, what: &str) -> Vec<Event> {
    let event = |salt: u8| {
        let body = EventBody::Alarm {
            what: format!("{what} {salt}"),
        };
        let at = crate::support::start();
        let event = Event::following(position, tablet.id, at, &body, [salt; 16]).unwrap();
        position = event.position();
        event
    };
    (0..count).map(event).collect()
}

fn head(tablet: &Tablet, key: &KeyPair, position: ChainPosition) -> Signed {
    let device = tablet.id;
    let payload = serde_json::to_string(&ChainHead { device, position }).unwrap();
    let message = message_of(ChainHead::DOMAIN, &payload);
    Signed {
        payload,
        key_id: KeyId(Digest::sha256(key.public_key_raw())),
        signature: Base64(key.sign(&message).unwrap()),
    }
}

fn batch(tablet: &Tablet, events: &[Event]) -> EventBatch {
    let end = events.last().map(Event::position);
    EventBatch {
        events: events.to_vec(),
        head: end.map(|end| head(tablet, &tablet.key, end)),
    }
}

/// The tablet tells one more thing, which the server has when this returns.
pub(crate) async fn tells(nursery: &Nursery, tablet: &Tablet, body: &EventBody) {
    let position = nursery.storage.event_position(tablet.id).await.unwrap();
    let at = nursery.now();
    let event = Event::following(position, tablet.id, at, body, [7; 16]).unwrap();
    let end = event.seq;
    let said = send(tablet, &batch(tablet, &[event])).await;
    assert_eq!(said, format!("200 {end}"));
}

/// What was answered; of an acknowledgement only the number, after a look that it has the hash of that event.
async fn send(tablet: &Tablet, batch: &EventBatch) -> String {
    let answer = told(tablet.post(EVENTS_PATH, batch).await).await;
    let Some(ack) = answer.strip_prefix("200 ") else {
        return answer;
    };
    let ack: EventsAck = serde_json::from_str(ack).unwrap();
    assert!(ack.hash.is_some());
    if let Some(last) = batch.events.last().filter(|last| last.seq == ack.on_disk) {
        assert_eq!(ack.hash, Some(last.hash));
    }
    format!("200 {}", ack.on_disk)
}

#[tokio::test]
async fn what_is_acknowledged_is_on_disk() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let sent = events(&tablet, ChainPosition::START, 5, "disk full");
    assert_eq!(send(&tablet, &batch(&tablet, &sent)).await, "200 5");
    // Read through another opening of the file, as a restarted server does.
    let again = sql::open(&nursery.dir.path().join("nestwarden.db"))
        .await
        .unwrap();
    let stored = again.event_list(tablet.id, 0, 100).await.unwrap();
    let stored: Vec<Event> = stored.into_iter().map(|stored| stored.event).collect();
    assert_eq!(stored, sent);
    let ask = batch(&tablet, &[]);
    assert_eq!(send(&tablet, &ask).await, "200 5");
    nursery.close().await;
}

#[tokio::test]
async fn a_replayed_batch_changes_nothing_and_an_overlapping_one_adds_what_is_new() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let all = events(&tablet, ChainPosition::START, 6, "battery");
    for (from, to, on_disk) in [(0, 4, 4), (0, 4, 4), (1, 3, 4), (2, 6, 6), (0, 6, 6)] {
        let answer = send(&tablet, &batch(&tablet, &all[from..to])).await;
        assert_eq!(answer, format!("200 {on_disk}"));
    }
    assert_eq!(
        nursery
            .storage
            .event_list(tablet.id, 0, 100)
            .await
            .unwrap()
            .len(),
        6
    );
    nursery.close().await;
}

#[tokio::test]
async fn a_batch_that_begins_too_late_is_refused_whole() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let all = events(&tablet, ChainPosition::START, 6, "battery");
    send(&tablet, &batch(&tablet, &all[..2])).await;
    insta::assert_snapshot!(send(&tablet, &batch(&tablet, &all[3..])).await, @"409 event_gap: events after 2 are missing; send from event 3 on");
    assert_eq!(
        nursery.storage.event_position(tablet.id).await.unwrap().seq,
        2
    );
    nursery.close().await;
}

#[tokio::test]
async fn a_reordered_tampered_or_truncated_batch_is_refused_whole() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let good = events(&tablet, ChainPosition::START, 3, "battery");

    let mut reordered = good.clone();
    reordered.swap(0, 1);
    insta::assert_snapshot!(send(&tablet, &batch(&tablet, &reordered)).await, @"422 event_chain: event 1: expected event 3; events are missing or out of order");

    let mut holed = good.clone();
    holed.remove(1);
    insta::assert_snapshot!(send(&tablet, &batch(&tablet, &holed)).await, @"422 event_chain: event 3: expected event 2; events are missing or out of order");

    let mut tampered = good.clone();
    tampered[1].body = Some(r#"{"kind":"alarm","what":"nothing happened"}"#.to_owned());
    insta::assert_snapshot!(send(&tablet, &batch(&tablet, &tampered)).await, @"422 event_chain: event 2: its body was changed");

    let mut redated = good.clone();
    redated[1].at = "2026-03-01T08:00:00Z".parse().unwrap();
    insta::assert_snapshot!(send(&tablet, &batch(&tablet, &redated)).await, @"422 event_chain: event 2: its hash does not match its content");

    // The head speaks of an event that is not there.
    let cut = EventBatch {
        events: good[..2].to_vec(),
        ..batch(&tablet, &good)
    };
    insta::assert_snapshot!(send(&tablet, &cut).await, @"422 event_head: the batch head is for event 3, the batch ends at 2");
    assert_eq!(
        nursery.storage.event_position(tablet.id).await.unwrap(),
        ChainPosition::START
    );
    nursery.close().await;
}

#[tokio::test]
async fn history_that_was_rewritten_is_a_conflict() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let told_first = events(&tablet, ChainPosition::START, 3, "photo removed");
    send(&tablet, &batch(&tablet, &told_first)).await;
    let told_later = events(&tablet, ChainPosition::START, 3, "photo kept");
    insta::assert_snapshot!(send(&tablet, &batch(&tablet, &told_later)).await, @"409 event_conflict: event 1 differs from the one received before under that number, or does not follow it");
    // Also where it branches off after what is stored.
    let branch = events(&tablet, told_later[2].position(), 1, "photo kept");
    insta::assert_snapshot!(send(&tablet, &batch(&tablet, &branch)).await, @"409 event_conflict: event 4 differs from the one received before under that number, or does not follow it");
    let stored = nursery.storage.event_list(tablet.id, 0, 100).await.unwrap();
    assert_eq!(stored[2].event, told_first[2]);
    nursery.close().await;
}

#[tokio::test]
async fn a_batch_without_the_devices_own_signature_is_refused() {
    let nursery = Nursery::open().await;
    let (tablet, other) = (nursery.enrolled().await, nursery.enrolled().await);
    let sent = events(&tablet, ChainPosition::START, 2, "battery");
    let unsigned = EventBatch {
        events: sent.clone(),
        head: None,
    };
    insta::assert_snapshot!(send(&tablet, &unsigned).await, @"422 event_head: the batch has events but no signed head");
    let foreign = EventBatch {
        events: sent.clone(),
        head: Some(head(&tablet, &other.key, sent[1].position())),
    };
    insta::assert_snapshot!(send(&tablet, &foreign).await, @"422 event_head: the batch head is not signed by this device's key");
    // One tablet's events in another's name.
    insta::assert_snapshot!(send(&other, &batch(&tablet, &sent)).await, @"422 event_chain: event 1: its hash does not match its content");
    nursery.close().await;
}

#[tokio::test]
async fn a_batch_signed_before_a_renewal_is_accepted_after_it() {
    let nursery = Nursery::open().await;
    let mut tablet = nursery.enrolled().await;
    let sent = events(&tablet, ChainPosition::START, 2, "battery");
    let signed_before = batch(&tablet, &sent);
    let new_key = KeyPair::generate().unwrap();
    let csr = crate::nursery::csr(&new_key);
    let answer: RenewAnswer = tablet
        .post(RENEW_PATH, &RenewRequest { csr })
        .await
        .json()
        .await
        .unwrap();
    tablet.key = new_key;
    tablet.takes(&answer.certificate);
    assert_eq!(send(&tablet, &signed_before).await, "200 2");
    nursery.close().await;
}

#[tokio::test]
async fn a_batch_of_too_many_events_is_refused() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let mut position = ChainPosition::START;
    let mut many = Vec::new();
    for _ in 0..3 {
        let next = events(&tablet, position, 200, "x");
        position = next[199].position();
        many.extend(next);
    }
    many.truncate(501);
    insta::assert_snapshot!(send(&tablet, &batch(&tablet, &many)).await, @"413 batch_too_large: the batch has 501 events; send at most 500 at once");
    many.truncate(500);
    assert_eq!(send(&tablet, &batch(&tablet, &many)).await, "200 500");
    nursery.close().await;
}

#[tokio::test]
async fn batches_of_many_tablets_at_once_are_all_kept() {
    let nursery = Nursery::open().await;
    let mut senders = Vec::new();
    for _ in 0..12 {
        let tablet = nursery.enrolled().await;
        senders.push(tokio::spawn(async move {
            let all = events(&tablet, ChainPosition::START, 20, "battery");
            for part in all.chunks(5) {
                assert!(
                    send(&tablet, &batch(&tablet, part))
                        .await
                        .starts_with("200")
                );
            }
            tablet.id
        }));
    }
    for sender in senders {
        let device = sender.await.unwrap();
        assert_eq!(
            nursery.storage.event_position(device).await.unwrap().seq,
            20
        );
    }
    nursery.close().await;
}

fn inventory() -> Inventory {
    Inventory {
        at: crate::support::start(),
        generation: Generation::new(1),
        agent_version: "0.1.1".to_owned(),
        time_zone_data: "2026a".to_owned(),
        controls: Vec::new(),
        photos: BTreeMap::new(),
        found_at_enrolment: BTreeMap::new(),
        events_waiting: 3,
        clock_doubtful: false,
        disk_free_bytes: Some(1),
        locked_out: None,
    }
}

#[tokio::test]
async fn the_newest_inventory_replaces_the_one_before() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    assert_eq!(
        nursery.storage.inventory_find(tablet.id).await.unwrap(),
        None
    );
    for events_waiting in [3, 0] {
        let sent = Inventory {
            events_waiting,
            ..inventory()
        };
        assert_eq!(told(tablet.post(INVENTORY_PATH, &sent).await).await, "204 ");
        let kept = nursery
            .storage
            .inventory_find(tablet.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(kept.inventory, sent);
    }
    nursery.close().await;
}

#[tokio::test]
async fn newer_readings_count_only_for_what_the_server_has() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let sent = Inventory {
        controls: vec![ControlReport {
            control: ControlName::Radios,
            outcome: Outcome::Compliant,
            measured_at: crate::support::start(),
        }],
        ..inventory()
    };
    let mut newer = sent.clone();
    newer.at = sent.at + SignedDuration::from_mins(5);
    newer.controls[0].measured_at = newer.at - SignedDuration::from_secs(7);
    newer.events_waiting = 0;
    let again = newer.again(newer.substance().unwrap()).unwrap();
    let other = "409 inventory_other: these readings are not of what this server has; send the whole inventory";
    // It has nothing yet.
    assert_eq!(
        told(tablet.post(INVENTORY_AGAIN_PATH, &again).await).await,
        other
    );
    assert_eq!(told(tablet.post(INVENTORY_PATH, &sent).await).await, "204 ");
    assert_eq!(
        told(tablet.post(INVENTORY_AGAIN_PATH, &again).await).await,
        "204 "
    );
    let kept = nursery
        .storage
        .inventory_find(tablet.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.inventory, newer);
    let mut drifted = newer.clone();
    drifted.controls[0].outcome = Outcome::Unknown {
        error: "no bus".to_owned(),
    };
    let again = drifted.again(drifted.substance().unwrap()).unwrap();
    assert_eq!(
        told(tablet.post(INVENTORY_AGAIN_PATH, &again).await).await,
        other
    );
    let kept = nursery
        .storage
        .inventory_find(tablet.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.inventory, newer);
    nursery.close().await;
}

#[tokio::test]
async fn an_unbounded_inventory_is_refused() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let months = (0..601).map(|month| (format!("{month}"), 1)).collect();
    let endless = Inventory {
        found_at_enrolment: months,
        ..inventory()
    };
    insta::assert_snapshot!(told(tablet.post(INVENTORY_PATH, &endless).await).await, @"400 body_invalid: `found_at_enrolment` has more than 600 months, or one that is none");
    nursery.close().await;
}
