//! Who may be in a photo that nobody tagged.

use crate::nursery::{answers, at, child, date, given, leaves};
use nestwarden_policy_schema::calendar::Day;
use nestwarden_policy_schema::consent::{
    ChildEntry, LeaveReason, RegisterSnapshot, RoomName, Subjects, Tagging,
};
use nestwarden_policy_schema::id::ChildId;
use std::collections::BTreeSet;

fn rooms(names: &[&str]) -> BTreeSet<RoomName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// A Ladybird from 2 to 20 March, Mondays and Tuesdays.
fn ladybird() -> ChildEntry {
    let mut entry = leaves(answers(&given()), "2026-03-20", LeaveReason::Left);
    entry.starts = Some(date("2026-03-02"));
    entry.attends = BTreeSet::from([Day::Monday, Day::Tuesday]);
    entry
}

#[test]
fn a_child_is_booked_in_its_rooms_on_its_days_while_it_is_enrolled() {
    let monday = date("2026-03-09");
    let there = |entry: &ChildEntry, names: &[&str], day| entry.may_be_present(&rooms(names), day);
    assert!(there(&ladybird(), &["Ladybirds"], monday));
    assert!(there(&ladybird(), &["Bumblebees", "Ladybirds"], monday));
    assert!(there(&ladybird(), &[], monday));
    assert!(!there(&ladybird(), &["Bumblebees"], monday));
    assert!(!there(&ladybird(), &["Ladybirds"], date("2026-03-11")));
    for (day, enrolled) in [
        ("2026-02-24", false),
        ("2026-03-01", false),
        ("2026-03-02", true),
        ("2026-03-20", true),
        ("2026-03-21", false),
        ("2026-03-23", false),
    ] {
        assert_eq!(ladybird().is_enrolled(date(day)), enrolled, "{day}");
        let mut every_day = ladybird();
        every_day.attends.clear();
        assert_eq!(
            there(&every_day, &["Ladybirds"], date(day)),
            enrolled,
            "{day}"
        );
    }
    let mut anywhere = ladybird();
    anywhere.rooms.clear();
    assert!(there(&anywhere, &["Bumblebees"], monday));
}

#[test]
fn the_first_question_that_names_anybody_answers_who_may_be_there() {
    let mut elsewhere = ladybird();
    elsewhere.rooms = rooms(&["Bumblebees"]);
    let mut wednesdays = ladybird();
    wednesdays.attends = BTreeSet::from([Day::Wednesday]);
    let gone = leaves(answers(&given()), "2025-03-20", LeaveReason::Left);
    let register = RegisterSnapshot {
        as_of: at("2026-03-02T06:00:00Z"),
        children: [ladybird(), elsewhere, wednesdays, gone]
            .into_iter()
            .zip(1..)
            .map(|(entry, number)| (child(number), entry))
            .collect(),
    };
    let possible = |names: &[&str], day| -> Vec<ChildId> {
        let subjects = Subjects {
            rooms: rooms(names),
            ..Subjects::default()
        };
        subjects
            .possible(&register, date(day))
            .into_iter()
            .collect()
    };
    let numbered = |numbers: &[u8]| -> Vec<ChildId> { numbers.iter().map(|n| child(*n)).collect() };
    // Booked that day in the room; else of the room; else of the setting; else on the register at all.
    assert_eq!(possible(&["Ladybirds"], "2026-03-09"), numbered(&[1]));
    assert_eq!(possible(&["Ladybirds"], "2026-03-07"), numbered(&[1, 3]));
    assert_eq!(possible(&["Laydbirds"], "2026-03-09"), numbered(&[1, 2, 3]));
    assert_eq!(
        possible(&["Ladybirds"], "2027-03-08"),
        numbered(&[1, 2, 3, 4])
    );
    let mut subjects = Subjects {
        tagging: Tagging::Partial,
        confirmed: [child(2)].into(),
        rooms: rooms(&["Ladybirds"]),
        possible_when_taken: [child(9)].into(),
        ..Subjects::default()
    };
    let all = |subjects: &Subjects| -> Vec<ChildId> {
        subjects
            .all(&register, date("2026-03-09"))
            .into_iter()
            .collect()
    };
    assert_eq!(all(&subjects), numbered(&[1, 2, 9]));
    subjects.tagging = Tagging::Complete;
    assert_eq!(all(&subjects), numbered(&[2]));
    subjects.confirmed.clear();
    assert_eq!(all(&subjects), numbered(&[1, 9]));
    subjects.unregistered_person = true;
    assert_eq!(all(&subjects), numbered(&[]));
    subjects.unregistered_person = false;
    subjects.tagging = Tagging::NoChild;
    assert_eq!(all(&subjects), numbered(&[]));
}
