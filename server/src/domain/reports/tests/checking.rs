//! That a report is as it was made, and comes from the events: what is changed is found, and named.

use super::days_of_march;
use super::month::{Chance, Month};
use crate::domain::export::{self, ErasedLine, Line};
use crate::domain::reports::check::{Recount, Recounted, open, report_days};
use crate::domain::reports::lines::Level;
use crate::domain::reports::signed::{SignedReport, manifest, written};
use crate::domain::reports::thresholds::AmberRed;
use crate::domain::reports::{Report, make};
use crate::storage::StorageError;
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::envelope::sign;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::trust::SigningPublicKey;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

struct Setting {
    report: Report,
    lines: Vec<Line>,
    key: Ed25519KeyPair,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Setting {
    async fn of(seed: u64) -> Self {
        let month = Month::told(seed).await;
        let storage = &month.test.storage;
        let made = at("2026-05-01T09:00:00Z");
        let mut lines = Vec::new();
        export::each(storage, made, |line| {
            lines.push(line);
            Ok::<(), StorageError>(())
        })
        .await
        .unwrap();
        Self {
            report: make(storage, "Little Acorns", days_of_march(), None, made)
                .await
                .unwrap(),
            lines,
            key: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
        }
    }

    fn public(&self) -> SigningPublicKey {
        SigningPublicKey(Base64(self.key.public_key().as_ref().to_vec()))
    }

    fn signed(&self, report: &Report) -> Vec<u8> {
        let text = serde_json::value::to_raw_value(report).unwrap();
        let manifest = sign(&manifest(report, text.get()), &self.key).unwrap();
        written(&SignedReport {
            report: text,
            manifest,
            key: self.public(),
        })
        .unwrap()
    }

    /// The places of events that the report used.
    fn used(&self) -> Vec<usize> {
        let mut last = 0;
        let mut used = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            match line {
                Line::Device { device, .. } => {
                    let tablets = self.report.events.tablets.iter();
                    last = tablets
                        .filter(|t| t.device == *device)
                        .map(|t| t.range.last_seq)
                        .sum();
                }
                Line::Event { event, .. } if event.seq <= last => used.push(index),
                Line::Event { .. }
                | Line::Export { .. }
                | Line::Bundle { .. }
                | Line::Head { .. }
                | Line::End { .. } => {}
            }
        }
        used
    }
}

fn recounted(report: &Report, lines: &[Line]) -> Recounted {
    let days = report_days(report);
    let mut recount = Recount::of(report, &days);
    for line in lines {
        recount.take(line);
    }
    recount.finish()
}

#[tokio::test]
async fn a_report_holds_with_the_events_it_was_made_of() {
    let setting = Setting::of(11).await;
    let opened = open(&setting.signed(&setting.report), Some(setting.public())).unwrap();
    assert_eq!(opened.problems, Vec::<String>::new());
    assert_eq!(opened.report.as_ref(), Some(&setting.report));
    let recounted = recounted(&setting.report, &setting.lines);
    assert_eq!(recounted.problems, Vec::<String>::new());
    assert_eq!(recounted.notes, Vec::<String>::new());
    assert!(recounted.events > 1000);
    assert!(open(b"{}", None).is_none());
}

#[tokio::test]
async fn whatever_is_changed_of_the_file_is_found() {
    let setting = Setting::of(12).await;
    let file = setting.signed(&setting.report);
    let mut chance = Chance::new(12);
    for round in 0..1500 {
        let mut changed = file.clone();
        let most = u64::try_from(changed.len()).unwrap();
        let place = usize::try_from(chance.pick(most)).unwrap();
        match round % 3 {
            0 => changed[place] ^= 1 << chance.pick(7),
            1 => drop(changed.remove(place)),
            _ => changed.insert(place, b" 0,\"}\n"[usize::try_from(chance.pick(6)).unwrap()]),
        }
        if changed == file {
            continue;
        }
        let holds = open(&changed, Some(setting.public())).is_some_and(|o| o.problems.is_empty());
        assert!(!holds, "round {round}, byte {place}");
    }
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let theirs = SigningPublicKey(Base64(other.public_key().as_ref().to_vec()));
    assert!(!open(&file, Some(theirs)).unwrap().problems.is_empty());
}

#[tokio::test]
async fn whatever_is_changed_of_the_events_is_found() {
    let setting = Setting::of(13).await;
    let used = setting.used();
    let mut chance = Chance::new(13);
    for round in 0..60 {
        let most = u64::try_from(used.len() - 1).unwrap();
        let place = used[usize::try_from(chance.pick(most)).unwrap()];
        let mut lines = setting.lines.clone();
        let Line::Event { event, erased } = &mut lines[place] else {
            panic!("no event");
        };
        match round % 6 {
            0 => drop(lines.remove(place)),
            1 => lines.insert(place, lines[place].clone()),
            2 => lines.swap(place, place + 1),
            3 => event.at += jiff::SignedDuration::from_secs(1),
            4 => event.hash.0[3] ^= 4,
            _ => {
                let told = EventBody::Alarm {
                    what: "nothing".to_owned(),
                };
                event.body = Some(serde_json::to_string(&told).unwrap());
                event.salt = Some(Base64(vec![1; 16]));
                *erased = None;
            }
        }
        let found = recounted(&setting.report, &lines).problems;
        assert!(!found.is_empty(), "round {round}, line {place}");
    }
}

/// Signed with the right key, as a server that was taken over would.
#[tokio::test]
async fn a_figure_that_the_events_do_not_come_to_is_named() {
    let setting = Setting::of(14).await;
    let whole = serde_json::to_value(&setting.report).unwrap();
    let mut places = Vec::new();
    numbers(&whole["events"], "/events", &mut places);
    assert!(places.len() > 300, "{}", places.len());
    let mut chance = Chance::new(14);
    for place in places.iter().filter(|_| chance.one_in(12)) {
        let mut changed = whole.clone();
        let figure = changed.pointer_mut(place).unwrap();
        *figure = json!(figure.as_u64().unwrap() + 1);
        let report: Report = serde_json::from_value(changed).unwrap();
        let opened = open(&setting.signed(&report), Some(setting.public())).unwrap();
        assert_eq!(opened.problems, Vec::<String>::new());
        let found = recounted(&report, &setting.lines).problems;
        // Another end of the range shows first by the event that is there.
        let figure = if place.ends_with("/last_seq") {
            "range.head"
        } else {
            place.rsplit('/').next().unwrap()
        };
        assert!(
            found.len() == 1 && found[0].contains(figure),
            "{place}: {found:?}"
        );
    }
}

fn numbers(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(place.to_owned()),
        Value::Object(map) => {
            for (key, value) in map {
                numbers(value, &format!("{place}/{key}"), found);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                numbers(value, &format!("{place}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn what_was_erased_since_is_said_and_the_rest_still_holds() {
    let setting = Setting::of(15).await;
    let mut lines = setting.lines.clone();
    let place = setting.used()[5];
    let Line::Event { event, erased } = &mut lines[place] else {
        panic!("no event");
    };
    event.body = None;
    event.salt = None;
    let erase = |at: &str| {
        Some(ErasedLine {
            at: at.parse().unwrap(),
            why: "a parent asked".to_owned(),
        })
    };
    *erased = erase("2026-06-01T09:00:00Z");
    let found = recounted(&setting.report, &lines);
    assert_eq!(found.problems, Vec::<String>::new());
    assert!(found.notes[0].contains("1 event bodies were erased after the report was made"));
    // Of before the report it would have been counted as erased.
    if let Line::Event { erased, .. } = &mut lines[place] {
        *erased = erase("2026-04-20T09:00:00Z");
    }
    assert!(!recounted(&setting.report, &lines).problems.is_empty());
}

#[tokio::test]
async fn a_tablet_that_was_left_out_or_made_up_is_found() {
    let setting = Setting::of(16).await;
    let mut report = setting.report.clone();
    let gone = report.events.tablets.remove(2).device;
    report.server.tablets.remove(2);
    let found = recounted(&report, &setting.lines).problems;
    assert_eq!(
        found,
        [format!(
            "tablet {gone} told events in the period and is not in the report"
        )]
    );
    let is_of = |line: &&Line| matches!(line, Line::Device { device, .. } if *device == gone);
    let first = setting.lines.iter().position(|line| is_of(&line)).unwrap();
    let rest = &setting.lines[first + 1..];
    let count = rest
        .iter()
        .take_while(|l| !matches!(l, Line::Device { .. } | Line::End { .. }))
        .count();
    let mut lines = setting.lines.clone();
    lines.drain(first..=first + count);
    let found = recounted(&setting.report, &lines).problems;
    assert_eq!(
        found,
        [format!(
            "tablet {gone} is in the report and not in the evidence"
        )]
    );
}

#[tokio::test]
async fn a_figure_that_is_judged_better_than_its_thresholds_do_is_found() {
    let setting = Setting::of(17).await;
    let problems = |report: &Report| {
        let opened = open(&setting.signed(report), Some(setting.public())).unwrap();
        opened.problems
    };
    let report = &setting.report;
    assert_eq!(problems(report), Vec::<String>::new());
    let held_to = report.held_to.clone().unwrap();
    let red = held_to
        .judged
        .iter()
        .find(|(_, level)| **level == Level::Red);
    let (held, _) = red.unwrap();
    let mut better = report.clone();
    let theirs = better.held_to.as_mut().unwrap();
    theirs.judged.insert(*held, Level::Good);
    let found = problems(&better);
    assert!(
        found[0].contains("as \"good\", and its figures and thresholds come to \"red\""),
        "{found:?}"
    );
    // Nor is there a way round it by other thresholds or none.
    let mut looser = report.clone();
    let most = AmberRed {
        amber: 8_000,
        red: 8_000,
    };
    looser.held_to.as_mut().unwrap().thresholds.incomplete_hours = most;
    looser.held_to.as_mut().unwrap().thresholds.readable_hours = most;
    assert!(!problems(&looser).is_empty());
    let mut silent = report.clone();
    silent.held_to = None;
    assert_eq!(
        problems(&silent),
        ["it does not say what its figures were held to"]
    );
}

#[tokio::test]
async fn a_report_of_the_first_version_still_holds() {
    let setting = Setting::of(18).await;
    let mut text = serde_json::to_value(&setting.report).unwrap();
    text["version"] = json!(1);
    text.as_object_mut().unwrap().remove("held_to");
    let whole = text["events"]["setting"].as_object_mut().unwrap();
    whole.retain(|name, _| !name.starts_with("oldest_"));
    for tablet in text["events"]["tablets"].as_array_mut().unwrap() {
        let counts = tablet["counts"].as_object_mut().unwrap();
        counts.retain(|name, _| !name.starts_with("oldest_"));
        let tablet = tablet.as_object_mut().unwrap();
        tablet.retain(|name, _| name != "in_force" && name != "photos_by_stage");
        for day in tablet["days"].as_array_mut().unwrap() {
            let new = ["captured", "lapsed", "sealed", "destroyed"];
            let day = day.as_object_mut().unwrap();
            day.retain(|name, _| !new.contains(&name.as_str()));
        }
    }
    let first: Report = serde_json::from_value(text).unwrap();
    let opened = open(&setting.signed(&first), Some(setting.public())).unwrap();
    assert_eq!(opened.problems, Vec::<String>::new());
    assert_eq!(
        recounted(&first, &setting.lines).problems,
        Vec::<String>::new()
    );
}
