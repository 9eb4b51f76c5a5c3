#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::incident::{Act, Facts, Incident, Kind, OutcomeCode, Severity};
use super::testing::{House, hand};
use super::*;
use crate::storage::testing::now;
use base64::Engine as _;
use jiff::SignedDuration;
use std::collections::BTreeSet;

const SAID: &str = "a phone was lying in the changing room";

fn open() -> Act {
    Act::Open {
        kind: Kind::PersonalDevice,
        facts: Facts {
            happened_at: now(),
            noticed_at: now(),
            severity: Severity::Serious,
            device: None,
        },
        concern: None,
        hold: None,
    }
}

fn words(field: &'static str, text: &str) -> Words {
    Words::default().text(field, text).unwrap()
}

async fn begun(house: &House, by: &Operator) -> EntryId {
    let (circle, words) = (Incident::circle(&BTreeSet::new()), words("facts", SAID));
    house
        .registers()
        .begin::<Incident>(&open(), &words, Some(&circle), hand(by, now()))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_line_is_added_and_never_changed_and_each_is_in_the_log_without_its_words() {
    let house = House::new().await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let id = begun(&house, &kim).await;
    let later = now() + SignedDuration::from_hours(1);
    let done = words("action", "it was put away");
    house
        .registers()
        .add::<Incident>(id, &Act::Action, &done, hand(&kim, later))
        .await
        .unwrap();
    let kept = find::<Incident>(house.storage(), id)
        .await
        .unwrap()
        .unwrap();
    let told: Vec<_> = kept
        .lines
        .iter()
        .map(|line| (line.seq, line.by.as_str(), line.at))
        .collect();
    assert_eq!(told, [(1, "Kim", now()), (2, "Kim", later)]);
    let read = house.registers().read(&kept.lines[0]);
    assert_eq!(read.of("facts"), SAID);
    let log = house.storage().audit_list(9).await.unwrap();
    let acts: Vec<_> = log.iter().map(|entry| entry.act.as_str()).collect();
    assert_eq!(acts[..2], ["incident.action", "incident.open"]);
    assert!(!format!("{log:?}").contains("phone"));
}

#[tokio::test]
async fn words_lie_sealed_and_are_gone_for_ever_once_erased() {
    let house = House::new().await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let id = begun(&house, &kim).await;
    assert!(!house.database_has("changing room"));
    let before = find::<Incident>(house.storage(), id)
        .await
        .unwrap()
        .unwrap();
    let EntryWords::Sealed(sealed) = &before.lines[0].words else {
        panic!("they are not sealed");
    };
    let holds = |part: &[u8]| sealed.windows(part.len()).any(|some| some == part);
    assert!(holds(b"age-encryption.org") && !holds(b"changing room"));
    let kept = base64::engine::general_purpose::STANDARD.encode(sealed);
    assert!(house.database_has(&kept));

    let registers = house.registers();
    let unsaid = registers
        .ask_erase::<Incident>(id, 1, " ", hand(&kim, now()))
        .await;
    assert!(matches!(unsaid, Err(RegisterError::Refused(refused)) if refused.field == "why"));
    // Nobody makes it disappear alone, whether or not they asked.
    let alone = async |person| {
        registers
            .erase::<Incident>(id, 1, hand(person, now()))
            .await
            .is_ok()
    };
    assert!(!alone(&kim).await);
    let why = "asked for by the family";
    registers
        .ask_erase::<Incident>(id, 1, why, hand(&kim, now()))
        .await
        .unwrap();
    assert!(!alone(&kim).await && house.database_has(&kept));
    let dana = house.person("Dana", &[Role::Dsl]).await;
    assert!(alone(&dana).await);
    assert!(!house.database_has(&kept));
    let after = find::<Incident>(house.storage(), id)
        .await
        .unwrap()
        .unwrap();
    let erased = Read::Erased {
        at: now(),
        why: why.to_owned(),
    };
    assert_eq!(registers.read(&after.lines[0]), erased);
    assert_eq!(after.now, before.now, "what was done stays");
    let again = registers
        .ask_erase::<Incident>(id, 1, why, hand(&kim, now()))
        .await;
    assert!(matches!(again, Err(RegisterError::Refused(_))));
}

#[tokio::test]
async fn two_who_write_at_the_same_moment_do_not_both_write_the_same_line() {
    let house = House::new().await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let id = begun(&house, &kim).await;
    let line = NewLine {
        seq: 2,
        at: now(),
        by: "Kim".to_owned(),
        act: json!({ "act": "action" }),
        sealed: None,
        leaves: Leaves::Open,
    };
    let log = crate::storage::testing::audit("incident.action");
    let mut came = Vec::new();
    for _ in 0..2 {
        let store = house.storage();
        let append = store.entry_append(RegisterName::Incident, id, &line, &log);
        came.push(append.await.unwrap());
    }
    assert_eq!(came, [Changed::Yes, Changed::Already]);
    let kept = find::<Incident>(house.storage(), id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.lines.len(), 2);
}

#[tokio::test]
async fn whoever_an_entry_is_kept_from_does_not_read_it_whatever_their_role() {
    let house = House::new().await;
    let dana = house.person("Dana", &[Role::Dsl, Role::Manager]).await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let ada = house.person("Ada", &[Role::Auditor, Role::ItAdmin]).await;
    let circle = Incident::circle(&BTreeSet::from([dana.id]));
    let registers = house.registers();
    let id = registers
        .begin::<Incident>(
            &open(),
            &words("facts", SAID),
            Some(&circle),
            hand(&kim, now()),
        )
        .await
        .unwrap();
    let kept = find::<Incident>(house.storage(), id)
        .await
        .unwrap()
        .unwrap();
    let may = |person| registers.may_read(&kept, person);
    assert_eq!([&dana, &kim, &ada].map(may), [false, true, false]);

    // Another key opens neither the words nor the list: then nobody reads it.
    let other = House::new().await;
    let foreign = other.registers();
    assert!(!foreign.may_read(&kept, &kim));
    assert_eq!(foreign.read(&kept.lines[0]), Read::Unreadable);
}

#[test]
fn what_was_typed_is_trimmed_bounded_and_freed_of_what_nobody_sees() {
    let told = Words::default()
        .text("facts", " a\u{202e}b\nc\u{7} \n")
        .unwrap();
    assert_eq!(told.of("facts"), "ab\nc");
    let line = Words::default().line("owner", "Kim\nManager").unwrap();
    assert_eq!(line.of("owner"), "KimManager");
    for (field, text) in [
        ("facts", "\u{200b} \n".to_owned()),
        ("facts", "x".repeat(words::TEXT_CHARS + 1)),
    ] {
        let refused = Words::default().text(field, &text).unwrap_err();
        assert_eq!(refused.field, field);
    }
    assert!(
        Words::default()
            .line_if_any("owner", " ")
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_entry_that_is_full_takes_what_ends_it_and_nothing_else() {
    let house = House::new().await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let id = begun(&house, &kim).await;
    let (registers, by) = (house.registers(), hand(&kim, now()));
    let words = Words::default();
    let write = async |act: &Act| registers.add::<Incident>(id, act, &words, by).await;
    for _ in 1..MOST_LINES {
        write(&Act::Action).await.unwrap();
    }
    let full = write(&Act::Action).await;
    assert!(matches!(full, Err(RegisterError::Refused(_))));
    for _ in 1..MOST_LINES {
        write(&Act::Debrief { due: None }).await.unwrap();
    }
    let close = Act::Close {
        outcome: OutcomeCode::NoFurtherAction,
    };
    assert!(!write(&close).await.unwrap().is_open());
    // Twice as many is enough of everything.
    let beyond = write(&Act::NotReportable).await;
    assert!(matches!(beyond, Err(RegisterError::Refused(_))));
}
