//! Rows of which something cannot be read.

use super::*;

#[test]
fn of_a_row_with_one_unreadable_cell_everything_readable_is_taken() {
    let header = "reference,first_name,last_name,family,room,days,start,leave,website,press\n";
    let good = "A2,C,D,,Owls,,,,Yes,Yes";
    for row in [
        "A9,G,H,Hay,Wrens,Mon Tue,2026-01-05,2026-07-31,maybe,No",
        "A9,G,H,Hay,Wrens,Mon Tue,2026-01-05,2026-07-31,Yes,N/A",
    ] {
        let file = format!("{header}{row}\n{good}\n");
        let plan = planned(&Register::default(), &file).unwrap();
        assert_eq!(plan.counts.refused_rows, 1, "{row}");
        let after = after(&Register::default(), &plan);
        let child = after.child("A9").unwrap();
        let entry = &child.entry;
        assert_eq!(entry.rooms, ["Wrens".parse().unwrap()].into(), "{row}");
        assert_eq!(entry.attends.len(), 2, "{row}");
        assert!(entry.starts.is_some() && entry.leaves.is_some(), "{row}");
        assert_eq!(child.family, Some(plan::family("Hay")), "{row}");
        assert!(!permits(&after, child.id, Purpose::Website), "{row}");
        assert!(!permits(&after, child.id, Purpose::Press), "{row}");
        let part = &plan.in_part[0];
        assert_eq!(part.reference, "A9");
        for what in ["name", "family", "room", "days", "start", "leave"] {
            assert!(part.taken.contains(&what), "{row}: {what}");
        }
        assert!(part.not_taken.contains(&"website"), "{row}");
        assert_eq!(plan.in_no_room, Vec::<String>::new(), "{row}");
    }
}

#[test]
fn what_cannot_be_read_says_nothing_and_a_child_in_no_room_is_named() {
    let known = row_of("A1,A,B,Owls,Mon,2026-01-05,2026-07-31,Yes\nA2,C,D,Owls,,,,Yes");
    let known = planned(&Register::default(), &known).unwrap();
    let register = after(&Register::default(), &known);
    let long = "x".repeat(61);
    let rows = [
        format!("A1,A,B,{long},Xy,soon,2026-13-01,Yes"),
        format!("A9,G,H,{long},,,,Yes"),
        "A8,G,H,,,,,Yes".to_owned(),
        "A2,C,D,Owls,,,,Yes".to_owned(),
    ];
    let plan = planned(&register, &row_of(&rows.join("\n"))).unwrap();
    assert_eq!(plan.in_no_room, ["A8", "A9"]);
    let not_taken = |at: usize| plan.in_part[at].not_taken.clone();
    assert_eq!(not_taken(0), ["room", "days", "start", "leave", "website"]);
    assert_eq!(not_taken(1), ["room", "website"]);
    let after = after(&register, &plan);
    let entry = |register: &Register| register.child("A1").unwrap().entry.clone();
    assert_eq!(entry(&after), entry(&register));
    // Which of the two dates is wrong nobody can tell.
    let turned = row_of("A1,A,B,Owls,Mon,2026-08-05,2026-06-30,Yes\nA2,C,D,Owls,,,,Yes");
    let turned = planned(&register, &turned).unwrap();
    assert_eq!(turned.in_part[0].not_taken, ["start", "leave", "website"]);
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
        assert!(
            child.entry.rooms.contains(&"Wrens".parse().unwrap()),
            "{row}"
        );
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
