#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::photo::Effect;
use nestwarden_policy_schema::consent::{ConsentState, Purpose};
use nestwarden_policy_schema::id::ChildId;

const NOW: &str = "2026-03-10T12:00:00Z";

const HEADER: &str = "reference,first_name,last_name,room,days,start,leave,website\n";

#[test]
fn every_mistake_is_refused_with_row_column_value_and_remedy() {
    for (file, row, column, value, remedy) in [
        ("", None, None, None, "is empty"),
        (HEADER, None, None, None, "lists no child"),
        (
            "reference,first_name,last_name\nA1,A,B\n",
            Some(1),
            None,
            None,
            "no column for any purpose",
        ),
        (
            "first_name,last_name,website\nA,B,Yes\n",
            Some(1),
            Some("reference"),
            None,
            "is missing",
        ),
        (
            "reference,first_name,last_name,webiste\nA1,A,B,Yes\n",
            Some(1),
            Some("webiste"),
            Some("webiste"),
            "is not a column",
        ),
        (
            "reference,first_name,last_name,website,Website\nA1,A,B,Yes,No\n",
            Some(1),
            Some("Website"),
            Some("Website"),
            "is there twice",
        ),
        (
            "reference,first_name,last_name,website,press_answered\nA1,A,B,Yes,2026-01-01\n",
            Some(1),
            Some("press"),
            None,
            "there is a date for it",
        ),
        (
            &row_of("A1,A,B,Robins"),
            Some(2),
            None,
            None,
            "it has 4 values and the header 8",
        ),
        (
            &row_of(",A,B,,,,,Yes"),
            Some(2),
            Some("reference"),
            Some(""),
            "is empty",
        ),
        (
            &row_of("A1,,,,,,,Yes"),
            Some(2),
            Some("first_name"),
            Some(""),
            "at least one",
        ),
        (
            &row_of("A1,A,B,,,,,Yes\nA1,C,D,,,,,No"),
            Some(3),
            Some("reference"),
            Some("A1"),
            "row 2 has the same",
        ),
        (
            &row_of("A1,A,B,,Mo Xy,,,Yes"),
            Some(2),
            Some("days"),
            Some("Mo Xy"),
            "weekdays",
        ),
        (
            &row_of("A1,A,B,,,31/02/2026,,Yes"),
            Some(2),
            Some("start"),
            Some("31/02/2026"),
            "write a date",
        ),
        (
            &row_of("A1,A,B,,,03/04/26,,Yes"),
            Some(2),
            Some("start"),
            Some("03/04/26"),
            "write a date",
        ),
        (
            &row_of("A1,A,B,,,,1926-01-01,Yes"),
            Some(2),
            Some("leave"),
            Some("1926-01-01"),
            "write a date",
        ),
        (
            &row_of("A1,A,B,,,2026-03-01,2026-02-01,Yes"),
            Some(2),
            Some("leave"),
            Some("2026-02-01"),
            "before the start",
        ),
        (
            "reference,first_name,last_name,website,answered\nA1,A,B,Yes,2026-03-11\n",
            Some(2),
            Some("answered"),
            Some("2026-03-11"),
            "in the future",
        ),
        (
            &row_of("A1,\"A,B,,,,,Yes"),
            Some(2),
            None,
            None,
            "never closed",
        ),
        (
            &row_of(&format!("A1,A,B,{},,,,Yes", "x".repeat(61))),
            Some(2),
            Some("room"),
            Some(&"x".repeat(60)),
            "at most 60",
        ),
    ] {
        let ImportError::Refused { refusals, .. } =
            planned(&Register::default(), file).unwrap_err()
        else {
            unreachable!("{file}")
        };
        let first = &refusals[0];
        assert_eq!(first.row, row, "{file}\n{refusals:?}");
        assert_eq!(first.column.as_deref(), column, "{file}\n{refusals:?}");
        assert_eq!(first.value.as_deref(), value, "{file}\n{refusals:?}");
        assert!(first.remedy.contains(remedy), "{file}\n{refusals:?}");
    }
}

#[test]
fn a_file_of_another_kind_is_refused() {
    for bytes in [&b"\xff\xfer\0e\0f\0"[..], b"PK\x03\x04\0\0"] {
        let refused = planned_by(&Register::default(), None, bytes, NOW).unwrap_err();
        assert!(refused.to_string().contains("CSV UTF-8"), "{refused}");
    }
}

#[test]
fn every_mistake_is_listed_at_once() {
    let refused = planned(
        &Register::default(),
        &row_of("A1,A,B,,Xy,,,Yes\nA2,A,B,,,soon,,Yes"),
    )
    .unwrap_err()
    .to_string();
    assert!(refused.contains("row 2 (A1), column `days`"), "{refused}");
    assert!(refused.contains("row 3 (A2), column `start`"), "{refused}");
}

#[test]
fn encodings_delimiters_quoted_newlines_and_both_dates_are_read() {
    let utf8 = "\u{feff}Reference;First name;Last name;Room;Start;Website;Website answered\r\n\
                A1;Zo\u{eb};\"O'Neil\nSmith\";Robins / Owls;01/09/2025;YES;2026-01-05\r\n";
    let (windows, _, _) = encoding_rs::WINDOWS_1252.encode(utf8.trim_start_matches('\u{feff}'));
    for bytes in [utf8.as_bytes(), &windows] {
        let plan = planned_by(&Register::default(), None, bytes, NOW).unwrap();
        let child = &plan.change.children[0];
        assert_eq!(child.first_name, "Zo\u{eb}");
        assert_eq!(child.last_name, "O'Neil Smith");
        assert_eq!(child.entry.rooms.len(), 2);
        assert_eq!(child.entry.starts, Some("2025-09-01".parse().unwrap()));
        let record = &plan.change.records[0];
        assert_eq!(record.state, ConsentState::Given);
        assert_eq!(
            record.answered_at,
            Some("2026-01-05T00:00:00Z".parse().unwrap())
        );
    }
}

#[test]
fn a_value_we_do_not_know_is_not_given_and_is_listed() {
    for value in ["maybe", "N/A", "ja", "yes but"] {
        let plan = planned(
            &Register::default(),
            &row_of(&format!("A1,A,B,,,,,{value}")),
        )
        .unwrap();
        assert_eq!(plan.refused.len(), 1, "{value}");
        assert_eq!(plan.refused[0].value.as_deref(), Some(value));
        assert_eq!(plan.refused[0].reference.as_deref(), Some("A1"));
        let after = after(&Register::default(), &plan);
        assert!(after.permitted(&calendar(), now()).is_empty());
    }
}

#[test]
fn a_row_that_cannot_be_read_takes_consent_away_and_gives_none() {
    let header = "reference,first_name,last_name,room,website,press,answered\n";
    let file = |rows: &str| format!("{header}{rows}\n");
    let good = "A2,C,D,Owls,Yes,Yes,2026-01-05\nA3,E,F,Owls,Yes,Yes,2026-01-05";
    let register = after(
        &Register::default(),
        &planned(
            &Register::default(),
            &file(&format!("A1,A,B,Owls,Yes,No,2026-01-05\n{good}")),
        )
        .unwrap(),
    );
    for (row, website) in [
        // Yes still stands as it was; the Yes for the press is not taken over.
        ("A1,A,B,Wrens,Yes,Yes,2026-03-11", ConsentState::Given),
        ("A1,A,B,Wrens,Yes,Yes,11/31/2026", ConsentState::Given),
        ("A1,A,B,Wrens,Yes,maybe,2026-01-05", ConsentState::Given),
        (
            "A1,A,B,Wrens,maybe,Yes,2026-01-05",
            ConsentState::Unanswered,
        ),
        ("A1,A,B,Wrens,N/A,Yes,2026-01-05", ConsentState::Unanswered),
        ("A1,A,B,Wrens,No,Yes,soon", ConsentState::Refused),
        ("A1,A,B,Wrens,Withdrawn,Yes,soon", ConsentState::Withdrawn),
    ] {
        let later = "2026-03-10T13:00:00Z";
        let plan = planned_at(&register, &file(&format!("{row}\n{good}")), later);
        assert_eq!(plan.counts.refused_rows, 1, "{row}");
        let after = after(&register, &plan);
        let child = after.child("A1").unwrap();
        // Where she was, and where this row says.
        let rooms = ["Owls", "Wrens"].map(|room| room.parse().unwrap());
        assert_eq!(child.entry.rooms, rooms.into(), "{row}");
        assert_eq!(child.entry.missing_since, None);
        let standings = after.standings(child.id);
        assert_eq!(standings[&Purpose::Website].state, website, "{row}");
        assert_ne!(
            standings[&Purpose::Press].state,
            ConsentState::Given,
            "{row}"
        );
        let others = after.child("A2").unwrap();
        assert_eq!(after.standings(others.id), register.standings(others.id));
    }
    // A child nobody knew yet is on the register all the same, and permits nothing.
    let plan = planned(
        &register,
        &file(&format!("A9,G,H,Wrens,Yes,Yes,soon\n{good}")),
    )
    .unwrap();
    let after = after(&register, &plan);
    let child = after.child("A9").unwrap().id;
    assert!(
        !after
            .permitted(&calendar(), now())
            .iter()
            .any(|(id, _)| *id == child)
    );
}

mod whereabouts;

#[test]
fn many_rows_that_cannot_be_read_are_a_wrong_file() {
    let file = |wrong: usize| {
        let rows: Vec<String> = (0..20)
            .map(|i| {
                format!(
                    "C{i},A,B,,,{},,Yes",
                    if i < wrong { "03/31/2026" } else { "" }
                )
            })
            .collect();
        row_of(&rows.join("\n"))
    };
    let plan = planned(&Register::default(), &file(5)).unwrap();
    assert_eq!(plan.counts.refused_rows, 5);
    let refused = planned(&Register::default(), &file(6))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("row 2 (C0), column `start`"), "{refused}");
}

#[test]
fn rows_are_counted_as_a_spreadsheet_counts_them() {
    let file = row_of(
        "A1,\"A\n\nA\",B,,,,,Yes\n\n\nA2,\"A \"\"the\"\"\r\nfirst\",B,,,,,Yes\n,,,,,,,\nA3,A,B,,,soon,,Yes",
    );
    for file in [
        file.clone(),
        file.replace('\n', "\r\n"),
        file.trim_end().to_owned(),
    ] {
        let plan = planned(&Register::default(), &file).unwrap();
        assert_eq!(plan.refused[0].row, Some(7), "{file}");
    }
}

#[test]
fn references_that_differ_only_in_letters_are_refused() {
    let both = row_of("A1,A,B,,,,,Yes\na1,C,D,,,,,Yes");
    let refused = planned(&Register::default(), &both)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("row 3") && refused.contains("\"A1\""),
        "{refused}"
    );
    let register = of_children(2, "Yes", "");
    let other = row_of("c0,A,B,,,,,Yes\nC1,A,B,,,,,Yes");
    let refused = planned(&register, &other).unwrap_err().to_string();
    assert!(refused.contains("on the register as \"C0\""), "{refused}");
}

#[test]
fn two_children_of_one_name_are_two_children() {
    let plan = planned(
        &Register::default(),
        &row_of("A1,Ann,Bee,,,,,Yes\nA2,Ann,Bee,,,,,No"),
    )
    .unwrap();
    let after = after(&Register::default(), &plan);
    let permitted = after.permitted(&calendar(), now());
    assert_eq!(
        permitted,
        vec![(after.child("A1").unwrap().id, Purpose::Website)]
    );
}

#[test]
fn the_dry_run_says_child_by_child_what_would_change() {
    let register = after(
        &Register::default(),
        &planned(
            &Register::default(),
            &row_of("A1,A,B,Owls,,,,Yes\nA2,C,D,,,,,Yes\nA4,I,J,,,,,Yes"),
        )
        .unwrap(),
    );
    let plan = planned(
        &register,
        &row_of("A1,A,B,Wrens,,,2026-07-31,No\nA3,E,F,,,,,Yes\nA4,I,J,,,,,Yes"),
    )
    .unwrap();
    let said: Vec<(&str, Kind)> = plan
        .changes
        .iter()
        .map(|c| (c.reference.as_str(), c.kind))
        .collect();
    assert_eq!(
        said,
        vec![
            ("A1", Kind::Changed),
            ("A2", Kind::Missing),
            ("A3", Kind::New)
        ]
    );
    let fields: Vec<&str> = plan.changes[0].fields.iter().map(|f| f.field).collect();
    assert_eq!(fields, vec!["rooms", "leave"]);
    let answers = plan.changes[0].answers.iter();
    assert_eq!(
        answers
            .map(|a| (a.purpose, a.from, a.to))
            .collect::<Vec<_>>(),
        [(Purpose::Website, ConsentState::Given, ConsentState::Refused)]
    );
}

#[test]
fn importing_the_same_file_again_changes_nothing() {
    let file = row_of("A1,A,B,Robins,Mon,2025-01-01,,Yes\nA2,C,D,,,,,No\nA3,E,F,,,,,");
    let first = planned(&Register::default(), &file).unwrap();
    assert_eq!(first.counts.new_children, 3);
    let register = after(&Register::default(), &first);
    let second = planned(&register, &file).unwrap();
    assert!(second.change.is_empty(), "{:?}", second.change);
    assert_eq!(second.concerns, vec![]);
}

#[test]
fn a_child_missing_from_the_file_is_marked_and_comes_back() {
    let both = row_of("A1,A,B,,,,,Yes\nA2,C,D,,,,,Yes");
    let register = after(
        &Register::default(),
        &planned(&Register::default(), &both).unwrap(),
    );
    let plan = planned(&register, &row_of("A1,A,B,,,,,Yes")).unwrap();
    assert_eq!(plan.missing, vec!["A2".to_owned()]);
    let without = after(&register, &plan);
    let missing = without
        .children
        .iter()
        .find(|c| c.reference == "A2")
        .unwrap();
    assert_eq!(missing.entry.missing_since, Some(now()));
    let back = after(&without, &planned(&without, &both).unwrap());
    assert!(
        back.children
            .iter()
            .all(|c| c.entry.missing_since.is_none())
    );
}

#[test]
fn a_child_that_left_and_is_no_longer_listed_is_not_missing() {
    let register = after(
        &Register::default(),
        &planned(
            &Register::default(),
            &row_of("A1,A,B,,,,2026-03-01,Yes\nA2,C,D,,,,,Yes"),
        )
        .unwrap(),
    );
    let plan = planned(&register, &row_of("A2,C,D,,,,,Yes")).unwrap();
    assert!(plan.missing.is_empty());
}

#[test]
fn an_undated_yes_never_restores_and_is_listed() {
    let yes = row_of("A1,A,B,,,,,Yes");
    let no = row_of("A1,A,B,,,,,No");
    let given = after(
        &Register::default(),
        &planned(&Register::default(), &yes).unwrap(),
    );
    let refused = after(&given, &planned_at(&given, &no, "2026-03-11T12:00:00Z"));
    let plan = planned_at(&refused, &yes, "2026-03-12T12:00:00Z");
    assert_eq!(plan.not_restored.len(), 1);
    assert_eq!(plan.not_restored[0].state, ConsentState::Refused);
    let dated = "reference,first_name,last_name,website,answered\nA1,A,B,Yes,2026-03-12\n";
    let plan = planned_at(&refused, dated, "2026-03-12T12:00:00Z");
    assert!(plan.not_restored.is_empty());
}

#[test]
fn of_two_answers_on_one_day_the_stricter_stands() {
    let dated = |said: &str| {
        format!("reference,first_name,last_name,website,answered\nA1,A,B,{said},2026-03-09\n")
    };
    let refused = after(
        &Register::default(),
        &planned(&Register::default(), &dated("No")).unwrap(),
    );
    let plan = planned_at(&refused, &dated("Yes"), "2026-03-11T12:00:00Z");
    assert_eq!(plan.not_restored.len(), 1);
}

#[test]
fn a_purpose_column_that_disappears_is_refused() {
    let register = after(
        &Register::default(),
        &planned(&Register::default(), &row_of("A1,A,B,,,,,Yes")).unwrap(),
    );
    let refused = planned(
        &register,
        "reference,first_name,last_name,press\nA1,A,B,Yes\n",
    )
    .unwrap_err()
    .to_string();
    assert!(refused.contains("column `website`"), "{refused}");
}

#[test]
fn what_concerns_one_child_alone_stops_no_import() {
    let register = of_children(3, "Yes", "");
    let one_changes = row_of("C0,A,B,,,,,No\nC1,A,B,,,,,Yes\nC2,A,B,,,,,Yes");
    assert_eq!(planned(&register, &one_changes).unwrap().concerns, vec![]);
    let one_gone = row_of("C1,A,B,,,,,Yes\nC2,A,B,,,,,Yes");
    assert_eq!(planned(&register, &one_gone).unwrap().concerns, vec![]);
}

#[test]
fn large_changes_stop_the_import_with_their_counts() {
    let register = of_children(40, "Yes", "");
    let lapse = |count: usize| file_of(40, |i| if i < count { "No" } else { "Yes" }, |_| "");
    assert_eq!(planned(&register, &lapse(4)).unwrap().concerns, vec![]);
    assert_eq!(
        planned(&register, &lapse(5)).unwrap().concerns,
        vec![Concern::Lapsing { lapsing: 5, of: 40 }]
    );
    let kept = |count: usize| file_of(count, |_| "Yes", |_| "");
    assert_eq!(planned(&register, &kept(35)).unwrap().concerns, vec![]);
    assert_eq!(
        planned(&register, &kept(34)).unwrap().concerns,
        vec![Concern::Missing { missing: 6, of: 40 }]
    );
    let leaving =
        |count: usize| file_of(40, |_| "Yes", |i| if i < count { "2026-07-31" } else { "" });
    assert_eq!(planned(&register, &leaving(5)).unwrap().concerns, vec![]);
    assert_eq!(
        planned(&register, &leaving(6)).unwrap().concerns,
        vec![Concern::Leaving { leave_dates: 6 }]
    );
    let few = of_children(5, "Yes", "");
    assert_eq!(
        planned(&few, &kept(3)).unwrap().concerns,
        vec![Concern::Missing { missing: 2, of: 5 }]
    );
    let sealing = |sealed: usize| {
        let photos = Effect {
            sealed,
            ..Effect::default()
        };
        let plan = planned(&few, &kept(5)).unwrap();
        plan.with_photos(photos, Vec::new()).concerns
    };
    assert_eq!(sealing(50), vec![]);
    assert_eq!(sealing(51), vec![Concern::Sealing { photos: 51 }]);
}

#[test]
fn a_withdrawal_recorded_here_outlives_the_next_import() {
    let file = row_of("A1,A,B,,,,,Yes");
    let mut register = after(
        &Register::default(),
        &planned(&Register::default(), &file).unwrap(),
    );
    let child = register.children[0].id;
    let mut withdrawn = register.records_of(child)[0].clone();
    withdrawn.state = ConsentState::Withdrawn;
    withdrawn.withdrawn_at = Some(now());
    withdrawn.source = nestwarden_policy_schema::consent::ConsentSource::Recorded;
    withdrawn.recorded_at = "2026-03-10T13:00:00Z".parse().unwrap();
    register.records.entry(child).or_default().push(withdrawn);
    let plan = planned_at(&register, &file, "2026-03-12T12:00:00Z");
    assert!(plan.change.is_empty());
    assert_eq!(plan.not_restored[0].state, ConsentState::Withdrawn);
    assert!(!permits(&after(&register, &plan), child, Purpose::Website));
}

fn permits(register: &Register, child: ChildId, purpose: Purpose) -> bool {
    register
        .permitted(&calendar(), now())
        .contains(&(child, purpose))
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn calendar() -> Calendar {
    serde_json::from_value(serde_json::json!({
        "time_zone": "Europe/London",
        "contact_hours": { "monday": [{ "from": "08:00:00", "to": "18:00:00" }] }
    }))
    .unwrap()
}

fn row_of(rows: &str) -> String {
    format!("{HEADER}{rows}\n")
}

fn file_of<'a>(
    count: usize,
    said: impl Fn(usize) -> &'a str,
    leave: impl Fn(usize) -> &'a str,
) -> String {
    let rows: Vec<String> = (0..count)
        .map(|i| format!("C{i},A,B,,,,{},{}", leave(i), said(i)))
        .collect();
    row_of(&rows.join("\n"))
}

fn of_children(count: usize, said: &str, leave: &str) -> Register {
    let file = file_of(count, |_| said, |_| leave);
    after(
        &Register::default(),
        &planned(&Register::default(), &file).unwrap(),
    )
}

fn planned(register: &Register, file: &str) -> Result<Plan, ImportError> {
    planned_by(register, None, file.as_bytes(), NOW)
}

fn planned_at(register: &Register, file: &str, at: &str) -> Plan {
    planned_by(register, None, file.as_bytes(), at).unwrap()
}

fn planned_by(
    register: &Register,
    mapping: Option<&Mapping>,
    bytes: &[u8],
    at: &str,
) -> Result<Plan, ImportError> {
    let table = table::read(bytes).map_err(ImportError::refused)?;
    plan_for(register, &calendar(), &table, mapping, at.parse().unwrap())
}

fn after(register: &Register, plan: &Plan) -> Register {
    register.with(&plan.change)
}
