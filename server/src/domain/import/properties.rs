//! What holds of every import, whatever the file.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use jiff::SignedDuration;
use nestwarden_policy_schema::consent::{
    ConsentRecord, ConsentSource, ConsentState, GivenBy, Method, Purpose,
};
use nestwarden_policy_schema::id::{ChildId, ConsentId};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const HEADER: &str = "reference,first_name,last_name,room,leave,website,press,answered";

/// The cells after the reference.
#[derive(Clone, Debug)]
struct Line {
    reference: u8,
    room: &'static str,
    leave: &'static str,
    website: &'static str,
    press: &'static str,
    answered: &'static str,
}

impl Line {
    fn csv(&self) -> String {
        format!(
            "R{},First,Last,{},{},{},{},{}",
            self.reference, self.room, self.leave, self.website, self.press, self.answered
        )
    }
}

fn any_line() -> impl Strategy<Value = Line> {
    let of = |cells: &[&'static str]| prop::sample::select(cells.to_vec());
    (
        0u8..6,
        of(&["", "Owls", "Wrens/Owls"]),
        of(&["", "2026-07-31", "2026-02-01", "soon"]),
        of(&["Yes", "Yes", "No", "", "Withdrawn", "maybe"]),
        of(&["Yes", "No", "", "N/A"]),
        of(&["", "", "2026-01-05", "2026-02-07", "2027-01-01", "x"]),
    )
        .prop_map(|(reference, room, leave, website, press, answered)| Line {
            reference,
            room,
            leave,
            website,
            press,
            answered,
        })
}

/// Each child at most once.
fn any_file() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec(any_line(), 1..7).prop_map(|lines| {
        let by_reference: BTreeMap<u8, Line> = lines
            .into_iter()
            .map(|line| (line.reference, line))
            .collect();
        by_reference.into_values().collect()
    })
}

fn csv(lines: &[Line]) -> String {
    let rows: Vec<String> = lines.iter().map(Line::csv).collect();
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

fn day(number: i64) -> Timestamp {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(24 * number)
}

fn calendar() -> Calendar {
    serde_json::from_value(serde_json::json!({
        "time_zone": "Europe/London",
        "contact_hours": { "monday": [{ "from": "08:00:00", "to": "18:00:00" }] }
    }))
    .unwrap()
}

/// The register after the file, or as it was where the file was refused.
fn imported(register: &Register, file: &str, at: Timestamp) -> Register {
    let planned = table::read(file.as_bytes())
        .map_err(ImportError::refused)
        .and_then(|table| plan_for(register, &calendar(), &table, None, at));
    match planned {
        Ok(plan) => register.with(&plan.change),
        Err(_) => register.clone(),
    }
}

fn in_turn(files: &[Vec<Line>]) -> (Register, Timestamp) {
    let mut register = Register::default();
    let mut at = day(0);
    for file in files {
        register = imported(&register, &csv(file), at);
        at += SignedDuration::from_hours(24);
    }
    (register, at)
}

/// What the register says of each child, without ids.
fn said(register: &Register) -> BTreeMap<String, String> {
    register
        .children
        .iter()
        .map(|child| {
            let standings: Vec<_> = register
                .standings(child.id)
                .into_iter()
                .map(|(purpose, s)| (purpose, s.state, s.valid_until, s.withdrawn_at))
                .collect();
            (
                child.reference.clone(),
                format!("{:?} {standings:?}", child.entry),
            )
        })
        .collect()
}

fn withdrawal(child: ChildId, at: Timestamp) -> ConsentRecord {
    ConsentRecord {
        id: ConsentId::from_uuid(Uuid::from_u128(77)),
        child,
        purpose: Purpose::Website,
        state: ConsentState::Withdrawn,
        given_by: GivenBy::Parent,
        has_parental_responsibility: None,
        method: Method::InPerson,
        wording_version: None,
        answered_at: Some(at),
        recorded_at: at,
        valid_from: None,
        valid_until: None,
        withdrawn_at: Some(at),
        source: ConsentSource::Recorded,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn importing_the_same_file_twice_changes_nothing(files in prop::collection::vec(any_file(), 1..4)) {
        let (register, at) = in_turn(&files);
        let last = csv(files.last().unwrap());
        let before = imported(&register, &last, at);
        let table = table::read(last.as_bytes()).unwrap();
        if let Ok(plan) = plan_for(&before, &calendar(), &table, None, at) {
            prop_assert!(plan.change.is_empty(), "{:?}", plan.change);
        }
    }

    #[test]
    fn the_order_of_rows_and_columns_does_not_matter(
        files in prop::collection::vec(any_file(), 1..3),
        file in any_file(),
    ) {
        let (register, at) = in_turn(&files);
        let mut backwards = file.clone();
        backwards.reverse();
        let straight = said(&imported(&register, &csv(&file), at));
        prop_assert_eq!(&straight, &said(&imported(&register, &csv(&backwards), at)));
        let turned: Vec<String> = csv(&file)
            .lines()
            .map(|line| line.split(',').rev().collect::<Vec<_>>().join(","))
            .collect();
        prop_assert_eq!(&straight, &said(&imported(&register, &turned.join("\n"), at)));
    }

    #[test]
    fn a_withdrawal_recorded_here_survives_every_file_until_a_yes_answered_later(
        before in prop::collection::vec(any_file(), 1..3),
        later in prop::collection::vec(any_file(), 1..4),
    ) {
        let (mut register, at) = in_turn(&before);
        let Some(child) = register.children.first().map(|c| c.id) else { return Ok(()) };
        register.records.entry(child).or_default().push(withdrawal(child, at));
        for (number, file) in (1..).zip(&later) {
            // Every answer of the files was given before the withdrawal, or has no date.
            register = imported(&register, &csv(file), at + SignedDuration::from_hours(24 * number));
            let state = register.standings(child)[&Purpose::Website].state;
            prop_assert_eq!(state, ConsentState::Withdrawn);
        }
    }

    #[test]
    fn a_row_that_was_refused_permits_nothing_that_was_not_permitted(
        files in prop::collection::vec(any_file(), 0..3),
        file in any_file(),
    ) {
        let (register, at) = in_turn(&files);
        let table = table::read(csv(&file).as_bytes()).unwrap();
        let Ok(plan) = plan_for(&register, &calendar(), &table, None, at) else { return Ok(()) };
        let after = register.with(&plan.change);
        let before = register.permitted(&calendar(), at);
        for refusal in &plan.refused {
            let child = after.child(refusal.reference.as_deref().unwrap()).unwrap().id;
            for pair in after.permitted(&calendar(), at) {
                prop_assert!(pair.0 != child || before.contains(&pair), "{refusal}");
            }
        }
    }

    #[test]
    fn whatever_the_bytes_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = table::read(&bytes).map(|table| plan_for(&Register::default(), &calendar(), &table, None, day(0)));
        let _ = propose(&bytes, "any");
        let _ = Mapping::read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn whatever_is_in_the_cells_nothing_panics(
        cells in prop::collection::vec("[\\PC\n\"]{0,12}", 8..40),
        delimiter in prop::sample::select(vec![",", ";", "\t"]),
    ) {
        let mut file = HEADER.replace(',', delimiter);
        for row in cells.chunks(8) {
            let quoted: Vec<String> =
                row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
            file.push('\n');
            file.push_str(&quoted.join(delimiter));
        }
        let _ = imported(&Register::default(), &file, day(0));
        let _ = propose(file.as_bytes(), "any").map(|proposed| {
            // What is proposed can be kept.
            Mapping::read(&proposed.text).unwrap()
        });
    }
}
