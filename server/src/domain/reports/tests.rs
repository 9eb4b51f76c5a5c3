//! The figures against an independent computation, and what a report says of what nobody knows.

mod checking;
mod independent;
mod inspection;
pub(crate) mod month;
pub(crate) mod on_server;
mod registers;

use super::coverage::{Cell, rows, stretches};
use super::figures::Heard;
use super::lines::{Level, sections};
use super::*;
use crate::storage::testing::{TestStorage, TestTablet, now};
use month::{Month, at, march};
use serde_json::{Value, json};

fn days_of_march() -> Asked {
    "2026-03-01..2026-03-31".parse().unwrap()
}

async fn report(month: &Month, made: &str) -> Report {
    let made = made.parse().unwrap();
    make(
        &month.test.storage,
        "Little Acorns",
        days_of_march(),
        None,
        made,
    )
    .await
    .unwrap()
}

/// Sums of numbers, and of numbers in maps.
fn summed(tablets: &[Value]) -> Value {
    let mut sum = tablets[0]["counts"].clone();
    for tablet in &tablets[1..] {
        for (name, value) in tablet["counts"].as_object().unwrap() {
            if name.starts_with("oldest_") {
                sum[name] = json!(sum[name].as_u64().max(value.as_u64()));
                continue;
            }
            let Value::Object(by_name) = value else {
                sum[name] = json!(sum[name].as_u64().unwrap() + value.as_u64().unwrap());
                continue;
            };
            for (key, value) in by_name {
                let before = sum[name][key].as_u64().unwrap_or(0);
                sum[name][key] = json!(before + value.as_u64().unwrap());
            }
        }
    }
    sum
}

async fn expected(month: &Month, days: Vec<Date>) -> Value {
    let asked = independent::Asked::of(days);
    let mut devices = month.devices.clone();
    devices.sort();
    let mut tablets = Vec::new();
    let mut minutes = Vec::new();
    for device in devices {
        let events = month.events(device).await;
        tablets.push(independent::tablet(device, &events, &asked));
        minutes.extend(independent::destructions(&events, &asked));
    }
    minutes.sort_unstable();
    let middle = (minutes.len() - 1) / 2;
    json!({
        "setting": summed(&tablets),
        "destruction": {
            "photos": minutes.len(), "median_minutes": minutes[middle].max(0), "longest_minutes": minutes.last().unwrap(),
        },
        "tablets": tablets,
    })
}

/// The first place where two differ.
fn differs(ours: &Value, theirs: &Value, place: &str) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys());
            keys.into_iter().find_map(|key| {
                let (a, b) = (
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                );
                differs(a, b, &format!("{place}.{key}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(index, (a, b))| differs(a, b, &format!("{place}[{index}]")))
        }
        (a, b) => (a != b).then(|| format!("{place}: {a} and {b}")),
    }
}

#[tokio::test]
async fn every_figure_of_a_month_with_faults_is_the_one_worked_out_independently() {
    for seed in [1, 2, 3] {
        let month = Month::told(seed).await;
        let report = report(&month, "2026-05-01T09:00:00Z").await;
        let ours = serde_json::to_value(&report.events).unwrap();
        let expected = expected(&month, march()).await;
        assert_eq!(differs(&ours, &expected, ""), None, "seed {seed}");
        let setting = &report.events.setting;
        for (name, figure) in ours["setting"].as_object().unwrap() {
            let is_never = ["put_back", "unread"].contains(&name.as_str());
            let empty = figure == &json!(0) || figure == &json!({});
            assert_eq!(
                empty, is_never,
                "seed {seed} shows nothing of {name}: {setting:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_figure_of_a_term_of_five_tablets_is_the_one_worked_out_independently() {
    let days = (
        jiff::civil::date(2025, 12, 15),
        jiff::civil::date(2026, 4, 12),
    );
    let month = Month::lived(9, 5, days).await;
    let made = "2026-04-05T09:00:00Z".parse().unwrap();
    let storage = &month.test.storage;
    let report = make(storage, "Little Acorns", Asked::Term, None, made);
    let report = report.await.unwrap();
    assert_eq!(report.period.to_string(), "2026-01-05..2026-03-29");
    let ours = serde_json::to_value(&report.events).unwrap();
    let expected = expected(&month, report.period.days().collect()).await;
    assert_eq!(differs(&ours, &expected, ""), None);
    // The one that lay in a drawer for a month has a month without a word of it.
    let silent = rows(&report)
        .into_iter()
        .find(|row| row.server.device == month.devices[4]);
    // Events of a clock that was wrong may be of some of its days.
    assert!(silent.unwrap().count(Cell::is_missing) > 10);
}

#[tokio::test]
async fn a_month_long_past_is_the_same_whenever_it_is_reported() {
    let month = Month::told(4).await;
    let early = report(&month, "2026-04-14T09:00:00Z").await;
    let late = report(&month, "2027-04-14T09:00:00Z").await;
    assert_eq!(early.events, late.events);
    assert_eq!(early.fingerprint(), late.fingerprint());
    assert_eq!(early.server.tablets, late.server.tablets);
}

#[tokio::test]
async fn a_report_that_goes_on_from_an_earlier_reading_is_the_same() {
    let month = Month::told(6).await;
    let storage = &month.test.storage;
    let read = async || {
        let mut read = Vec::new();
        for device in &month.devices {
            read.push(
                storage
                    .tally_find(*device)
                    .await
                    .unwrap()
                    .map(|kept| kept.seq),
            );
        }
        read
    };
    assert!(read().await.iter().all(Option::is_none));
    let first = report(&month, "2026-05-01T09:00:00Z").await;
    // A clock that ran ahead has some begin again from the first event.
    assert!(read().await.iter().any(Option::is_some));
    let again = report(&month, "2026-05-01T09:00:00Z").await;
    assert_eq!(first, again);
    // A later period keeps a later reading, which says nothing of an earlier one.
    let before = read().await;
    let april = "2026-04-06..2026-04-12".parse().unwrap();
    let made = "2026-05-01T09:00:00Z".parse().unwrap();
    make(storage, "Little Acorns", april, None, made)
        .await
        .unwrap();
    assert_ne!(read().await, before);
    assert_eq!(report(&month, "2026-05-01T09:00:00Z").await, first);
}

#[tokio::test]
async fn what_was_erased_is_in_no_earlier_reading_either() {
    let month = Month::told(8).await;
    let storage = &month.test.storage;
    // A late period, so that much was read before it.
    let april = "2026-04-06..2026-04-12".parse().unwrap();
    let made = "2026-05-01T09:00:00Z".parse().unwrap();
    make(storage, "Little Acorns", april, None, made)
        .await
        .unwrap();
    let mut kept = None;
    for device in &month.devices {
        let found = storage.tally_find(*device).await.unwrap();
        kept = kept.or(found.map(|tally| (*device, tally.seq)));
    }
    let (device, read) = kept.unwrap();
    let events = month.events(device).await;
    let mut before = events.iter().filter(|stored| stored.event.seq <= read);
    let known = before.find(|stored| stored.kind == "photo_known" && stored.erased.is_none());
    let known = known.unwrap();
    let erasure = crate::storage::event::Erasure {
        at: now(),
        why: "a parent asked".to_owned(),
    };
    assert!(
        storage
            .event_erase(device, known.event.seq, &erasure)
            .await
            .unwrap()
    );
    assert_eq!(storage.tally_find(device).await.unwrap(), None);
    let after = report(&month, "2026-05-01T09:00:00Z").await;
    let ours = serde_json::to_value(&after.events).unwrap();
    assert_eq!(differs(&ours, &expected(&month, march()).await, ""), None);
}

#[tokio::test]
async fn each_tablet_is_covered_on_the_days_it_told_something() {
    let month = Month::told(5).await;
    let report = report(&month, "2026-05-01T09:00:00Z").await;
    for row in rows(&report) {
        let told = &month.told[&row.server.device];
        for ((day, cell), heard) in row.cells.iter().zip(&row.server.days) {
            let (begins, ends) = (at(*day, 0, 0), at(day.tomorrow().unwrap(), 0, 0));
            let was_heard = told.iter().any(|at| begins <= *at && *at < ends);
            assert_eq!(
                matches!(heard, Heard::Measured | Heard::Told),
                was_heard,
                "{day}"
            );
            assert!(!was_heard || cell.is_covered(), "{day}");
        }
    }
    let in_drawer = report
        .server
        .tablets
        .iter()
        .position(|t| t.device == month.devices[1])
        .unwrap();
    let drawer = &report.server.tablets[in_drawer].days[8..12];
    assert!(drawer.iter().all(|heard| *heard == Heard::Nothing));
}

#[tokio::test]
async fn what_nobody_heard_is_never_good() {
    let test = TestStorage::create().await;
    let tablet = TestTablet::enrol(&test.storage).await;
    let made = now() + SignedDuration::from_hours(24 * 30);
    let report = make(&test.storage, "Little Acorns", Asked::Week, None, made)
        .await
        .unwrap();
    assert_eq!(report.events.tablets[0].device, tablet.id);
    for line in sections(&report).iter().flat_map(|section| &section.lines) {
        assert!(line.level != Level::Good, "{line:?}");
    }
    let row = &rows(&report)[0];
    assert!(row.cells.iter().all(|(_, cell)| *cell == Cell::NotRecorded));
}

#[test]
fn days_that_follow_each_other_are_said_together() {
    let march = march();
    let said = stretches([march[1], march[2], march[3], march[6], march[30]]);
    assert_eq!(said, "2–4 Mar, 7 Mar, 31 Mar");
}
