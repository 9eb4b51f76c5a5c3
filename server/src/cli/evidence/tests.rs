//! An export that was damaged on its way.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::export::VERSION;
use nestwarden_policy_schema::event::{ChainPosition, Event, EventBody};
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use uuid::Uuid;

fn at() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn tablet(number: u128) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(number))
}

/// Two tablets with three events each: lines 2 to 5, and 6 to 9.
fn export() -> Vec<Vec<u8>> {
    let mut lines = vec![Line::Export {
        version: VERSION,
        setting: SettingId::from_uuid(Uuid::from_u128(9)),
        made_at: at(),
    }];
    for device in [tablet(1), tablet(2)] {
        lines.push(Line::Device {
            device,
            name: "Robins 1".to_owned(),
            keys: Vec::new(),
            enrolled_at: Some(at()),
            put_back: None,
        });
        let mut position = ChainPosition::START;
        for reason in ["a", "b", "c"] {
            let body = EventBody::BundleRefused {
                reason: reason.to_owned(),
            };
            let event = Event::following(position, device, at(), &body, [1; 16]).unwrap();
            position = event.position();
            let erased = None;
            lines.push(Line::Event { event, erased });
        }
    }
    lines.push(Line::End {
        devices: 2,
        events: 6,
    });
    lines
        .iter()
        .map(|line| serde_json::to_vec(line).unwrap())
        .collect()
}

fn checked(lines: &[Vec<u8>]) -> Verified {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("export");
    let mut bytes = lines.join(&b'\n');
    bytes.push(b'\n');
    std::fs::write(&path, bytes).unwrap();
    let mut found = of_export(&path, Vec::new()).unwrap();
    // Nothing is signed here.
    found.problems.retain(|p| !p.problem.starts_with("no head"));
    found
}

/// The export with these lines, counted from 1, no longer UTF-8.
fn damaged(numbers: &[usize]) -> Vec<String> {
    let mut lines = export();
    for number in numbers {
        lines[number - 1][20] ^= 0x80;
    }
    let found = checked(&lines);
    assert!(!found.holds(), "{numbers:?}");
    found.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_damaged_line_is_placed_and_the_rest_is_checked() {
    assert!(checked(&export()).holds());
    let (first, second) = (tablet(1), tablet(2));
    for (lines, place) in [
        (
            &[4][..],
            format!(
                "tablet {first}: line 4 cannot be read; it stands after event 1 and before event 3"
            ),
        ),
        (
            &[4, 5],
            format!(
                "tablet {first}: lines 4 to 5 cannot be read; they stand after event 1 and before tablet {second}"
            ),
        ),
        (
            &[5],
            format!(
                "tablet {first}: line 5 cannot be read; it stands after event 2 and before tablet {second}"
            ),
        ),
        (
            &[1],
            format!("line 1 cannot be read; it stands before tablet {first}"),
        ),
        (
            &[10],
            format!(
                "tablet {second}: line 10 cannot be read; it stands after event 3 and ends the export"
            ),
        ),
    ] {
        let problems = damaged(lines);
        assert_eq!(problems.len(), 1, "{lines:?}: {problems:?}");
        assert!(problems[0].starts_with(&place), "{problems:?}");
    }
}

#[test]
fn behind_a_damaged_line_a_changed_event_is_still_found() {
    let mut lines = export();
    lines[3][20] ^= 0x80;
    for (line, seq, device) in [(4, 3, tablet(1)), (7, 2, tablet(2))] {
        let mut lines = lines.clone();
        let text = String::from_utf8(lines[line].clone()).unwrap();
        let changed = text.replace("bundle_refused", "bundle_refuseD");
        assert_ne!(text, changed);
        lines[line] = changed.into_bytes();
        let found = checked(&lines);
        let problem = found.problems.iter().find(|p| p.seq == Some(seq)).unwrap();
        assert_eq!(problem.device, Some(device));
        assert!(problem.problem.contains("was changed"), "{problem}");
    }
}

#[test]
fn events_whose_tablet_cannot_be_told_accuse_nobody() {
    for line in [2, 6] {
        let problems = damaged(&[line]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("nothing is checked"), "{problems:?}");
    }
}

#[test]
fn a_line_without_an_end_is_one_damaged_line() {
    let mut lines = export();
    lines[3] = vec![b'x'; usize::try_from(MAX_LINE_BYTES).unwrap() * 2 + 5];
    let found = checked(&lines);
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    assert!(found.problems[0].problem.contains("line 4 "));
}
