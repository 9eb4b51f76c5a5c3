//! What every backend keeps for reports on the past.

use crate::storage::event::Erasure;
use crate::storage::testing::{TestTablet, audit, now, told};
use crate::storage::{AuditEntry, Storage, StoredInventory, StoredTally, ToldHour};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::event::EventBody;

fn minutes(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn inventory(at: Timestamp, measured: &[Timestamp]) -> StoredInventory {
    let controls = measured.iter().map(|measured_at| ControlReport {
        control: ControlName::Radios,
        outcome: Outcome::Compliant,
        measured_at: *measured_at,
    });
    told(at, controls.collect())
}

pub(in crate::storage) async fn the_hours_in_which_a_tablet_told_something_stay_known(
    storage: Storage,
) {
    let device = TestTablet::enrol(&storage).await.id;
    assert_eq!(storage.told_first(device).await.unwrap(), None);
    // Noon, a few minutes later from older readings, and in the next hour without any.
    for (at, measured) in [
        (0, vec![minutes(0)]),
        (7, vec![minutes(6), minutes(-50)]),
        (75, vec![]),
    ] {
        let told = inventory(minutes(at), &measured);
        storage.inventory_put(device, &told).await.unwrap();
    }
    let noon = ToldHour {
        first_at: minutes(0),
        last_at: minutes(7),
        measured_at: Some(minutes(-50)),
    };
    let later = ToldHour {
        first_at: minutes(75),
        last_at: minutes(75),
        measured_at: None,
    };
    assert_eq!(storage.told_first(device).await.unwrap(), Some(noon));
    let between = async |from, until| {
        let hours = storage.told_hours(device, minutes(from), minutes(until));
        hours.await.unwrap()
    };
    assert_eq!(between(-600, 600).await, [noon, later]);
    assert_eq!(between(7, 75).await, [noon]);
    assert_eq!(between(8, 75).await, []);
    assert_eq!(between(8, 76).await, [later]);
    let before = async |until| storage.told_before(device, minutes(until)).await.unwrap();
    assert_eq!(before(0).await, None);
    assert_eq!(before(75).await, Some(noon));
    assert_eq!(before(76).await, Some(later));
}

pub(in crate::storage) async fn the_last_event_of_a_time_is_found_whatever_its_fraction_of_a_second(
    storage: Storage,
) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let alarm = || EventBody::Alarm {
        what: "disk full".to_owned(),
    };
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let told: Vec<_> = [
        "2026-03-01T23:59:59.999999Z",
        "2026-03-02T00:00:00Z",
        "2026-03-02T00:00:00.5Z",
        // Its clock was set back.
        "2026-03-01T08:00:00Z",
        "2026-03-03T08:00:00Z",
    ]
    .map(|text| (at(text), alarm()))
    .into();
    let batch = tablet.batch_at(&told, now());
    storage.event_append(batch).await.unwrap();
    for (until, last) in [
        ("2026-03-01T08:00:00Z", 0),
        ("2026-03-01T08:00:01Z", 4),
        ("2026-03-02T00:00:00Z", 4),
        ("2026-03-03T08:00:00Z", 4),
        ("2026-03-03T08:00:01Z", 5),
    ] {
        let found = storage.event_last_before(tablet.id, at(until));
        assert_eq!(found.await.unwrap(), last, "{until}");
    }
    for (from, first) in [
        ("2026-03-01T08:00:00Z", Some(1)),
        ("2026-03-02T00:00:00Z", Some(2)),
        ("2026-03-02T00:00:01Z", Some(5)),
        ("2026-03-03T08:00:01Z", None),
    ] {
        let found = storage.event_first_from(tablet.id, at(from));
        assert_eq!(found.await.unwrap(), first, "{from}");
    }
}

pub(in crate::storage) async fn a_tally_goes_when_a_body_it_had_read_is_erased(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    storage.event_append(tablet.batch(9)).await.unwrap();
    let tally = |seq, erased| StoredTally {
        seq,
        version: 1,
        erased,
        tally: format!("{{\"up to\":{seq}}}"),
    };
    let find = async || storage.tally_find(tablet.id).await.unwrap();
    let put = async |tally: &StoredTally| storage.tally_put(tablet.id, tally).await.unwrap();
    assert_eq!(find().await, None);
    assert!(put(&tally(5, 0)).await && put(&tally(3, 0)).await);
    assert_eq!(find().await, Some(tally(5, 0)));
    let erasure = Erasure {
        at: now(),
        why: "retention".to_owned(),
    };
    let erase = async |seq| storage.event_erase(tablet.id, seq, &erasure).await.unwrap();
    assert!(erase(6).await);
    assert_eq!(find().await, Some(tally(5, 0)));
    assert!(erase(5).await);
    assert_eq!(find().await, None);
    // Read before it was erased.
    assert!(!put(&tally(7, 0)).await && !put(&tally(7, 1)).await);
    assert!(put(&tally(7, 2)).await);
    assert_eq!(find().await, Some(tally(7, 2)));
}

pub(in crate::storage) async fn entries_of_one_act_are_listed_the_newest_first(storage: Storage) {
    for (act, at) in [("a.b", 1), ("a.c", 2), ("a.b", 3), ("a.b", 4)] {
        let entry = AuditEntry {
            at: minutes(at),
            ..audit(act)
        };
        storage.audit_add(&entry).await.unwrap();
    }
    let times = async |until, limit| {
        let entries = storage
            .audit_of("a.b", minutes(until), limit)
            .await
            .unwrap();
        entries
            .into_iter()
            .map(|entry| entry.at)
            .collect::<Vec<_>>()
    };
    assert_eq!(times(9, 9).await, [minutes(4), minutes(3), minutes(1)]);
    assert_eq!(times(4, 9).await, [minutes(3), minutes(1)]);
    assert_eq!(times(9, 1).await, [minutes(4)]);
}
