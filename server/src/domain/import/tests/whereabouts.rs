//! Where a child may be by a row that was refused.

use super::*;
use nestwarden_policy_schema::calendar::Day;
use std::collections::BTreeSet;

const HEADER: &str = "reference,first_name,last_name,room,days,start,leave,website";

fn file(rows: &[&str]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

fn imported(register: &Register, rows: &[&str]) -> (Plan, Register) {
    let plan = planned(register, &file(rows)).unwrap();
    let after = after(register, &plan);
    (plan, after)
}

fn rooms_of(register: &Register, reference: &str) -> Vec<String> {
    let child = register.child(reference).unwrap();
    child.entry.rooms.iter().map(ToString::to_string).collect()
}

const GOOD: &str = "A2,C,D,Owls,,,,Yes";

#[test]
fn a_new_child_whose_row_is_refused_is_in_the_room_it_says_on_any_day_and_permits_nothing() {
    let bad = "A1,A,B,Owls,Mon,2026-09-01,2026-03-11,perhaps";
    let (plan, register) = imported(&Register::default(), &[bad, GOOD]);
    let child = register.child("A1").unwrap();
    assert_eq!(rooms_of(&register, "A1"), ["Owls"]);
    assert_eq!(child.entry.attends, BTreeSet::new());
    assert_eq!((child.entry.starts, child.entry.leaves), (None, None));
    let permitted = register.permitted(&calendar(), now());
    assert!(!permitted.iter().any(|(id, _)| *id == child.id));
    assert!(plan.in_no_room.is_empty());
}

#[test]
fn who_is_in_no_room_is_named() {
    let long = "x".repeat(500);
    let unreadable = format!("A1,A,B,{long},,,,Yes");
    let left = "A4,A,B,,,,2026-01-05,Yes";
    let rows = [unreadable.as_str(), GOOD, "A3,E,F,,,,,Yes", left];
    let (plan, register) = imported(&Register::default(), &rows);
    assert!(rooms_of(&register, "A1").is_empty());
    assert_eq!(plan.in_no_room, ["A1", "A3"]);
}

#[test]
fn a_known_child_whose_row_is_refused_may_be_where_it_says_too_until_a_row_counts() {
    let (_, register) = imported(&Register::default(), &["A1,A,B,Owls,Mon,,,Yes", GOOD]);
    let (_, refused) = imported(&register, &["A1,A,B,Wrens,Tue,,,perhaps", GOOD]);
    assert_eq!(rooms_of(&refused, "A1"), ["Owls", "Wrens"]);
    let days = &refused.child("A1").unwrap().entry.attends;
    assert_eq!(*days, [Day::Monday, Day::Tuesday].into());
    let (_, anywhere) = imported(&refused, &["A1,A,B,,,,,perhaps", GOOD]);
    assert!(rooms_of(&anywhere, "A1").is_empty());
    assert!(anywhere.child("A1").unwrap().entry.attends.is_empty());
    let (_, mended) = imported(&refused, &["A1,A,B,Wrens,Tue,,,Yes", GOOD]);
    assert_eq!(rooms_of(&mended, "A1"), ["Wrens"]);
    assert_eq!(
        mended.child("A1").unwrap().entry.attends,
        [Day::Tuesday].into()
    );
}

#[test]
fn a_refused_row_does_not_undo_a_room_that_was_set_here() {
    let (_, mut register) = imported(&Register::default(), &["A1,A,B,Owls,,,,Yes", GOOD]);
    let child = register.children.iter_mut().find(|c| c.reference == "A1");
    let child = child.unwrap();
    child.set_here.rooms = Some(crate::storage::FileSaid {
        file_said: child.entry.rooms.clone(),
    });
    child.entry.rooms = ["Wrens".parse().unwrap()].into();
    let (_, after) = imported(&register, &["A1,A,B,Owls,,,,perhaps", GOOD]);
    assert_eq!(rooms_of(&after, "A1"), ["Wrens"]);
    let (_, after) = imported(&register, &["A1,A,B,Larks,,,,perhaps", GOOD]);
    assert_eq!(rooms_of(&after, "A1"), ["Larks", "Wrens"]);
}
