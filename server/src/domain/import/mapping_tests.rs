#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::profile;
use crate::storage::Role;
use crate::storage::testing::{TestStorage, now};
use jiff::SignedDuration;
use nestwarden_policy_schema::consent::{ConsentState, Purpose};
use nestwarden_policy_schema::id::OperatorId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

const EXPORT: &str = "Child ID;First name;Surname;Room;Leaving date;Photo permission;Permission signed on;Allergies\n\
    17;Ann;Bee;Owls;;Y;05/01/2026;nuts\n\
    18;Cy;Dee;Wrens;31/07/2026;N;05/01/2026;\n\
    19;Ed;Eff;Wrens;;Internal only;05/01/2026;\n\
    20;Flo;Gee;Wrens;;Y;05/01/2026;\n";

#[tokio::test]
async fn an_answer_that_only_holds_longer_is_a_change_people_see() {
    let world = World::new().await;
    let file =
        |until| format!("reference,first_name,last_name,website,valid_until\n1,A,B,Yes,{until}\n");
    let (first, longer) = (file("2027-01-31"), file("2027-07-31"));
    let made = plan(world.storage(), first.as_bytes(), now())
        .await
        .unwrap();
    apply(world.storage(), &made, first.as_bytes(), "os:test", now())
        .await
        .unwrap();
    // Of two answers of one instant either may count.
    let later = now() + SignedDuration::from_mins(1);
    let again = plan(world.storage(), longer.as_bytes(), later)
        .await
        .unwrap();
    let answer = &again.changes[0].answers[0];
    assert_eq!(
        (answer.from, answer.to),
        (ConsentState::Given, ConsentState::Given)
    );
    let days = [answer.from_until, answer.to_until].map(|day| day.unwrap().to_string());
    assert_eq!(days, ["2027-01-31", "2027-07-31"]);
}

#[tokio::test]
async fn every_word_that_means_yes_is_shown_with_a_child_however_late_it_comes() {
    let world = World::new().await;
    mapping_apply(world.storage(), EXAMPLE, "os:test", now())
        .await
        .unwrap();
    let no = (0..9).map(|n| format!("{n};A;B;;;N;05/01/2026;\n"));
    let no: String = no.collect();
    let (header, rest) = EXPORT.split_once('\n').unwrap();
    let rows = rest.replace(";Y;", ";N;");
    let late = format!("{header}\n{no}{rows}21;Hal;Ivy;;;Y;05/01/2026;\n");
    let outcome = world.import(&late, Consent::default(), None).await;
    let reading = outcome.unwrap().reading.unwrap();
    let shown = reading.samples.iter().map(|s| s.reference.as_str());
    let shown: Vec<&str> = shown.collect();
    assert_eq!(shown, ["19", "21", "0"]);
}

#[tokio::test]
async fn a_new_mapping_stops_until_a_person_agreed_to_what_it_reads() {
    let world = World::new().await;
    mapping_apply(world.storage(), EXAMPLE, "os:test", now())
        .await
        .unwrap();
    let outcome = world
        .import(EXPORT, Consent::default(), None)
        .await
        .unwrap();
    assert!(outcome.stopped && !outcome.imported);
    let reading = outcome.reading.unwrap();
    let website = reading
        .purposes
        .iter()
        .find(|p| p.purpose == Purpose::Website)
        .unwrap();
    assert_eq!(website.words["given"], vec!["y"]);
    assert_eq!(website.words["refused"], vec!["internal only", "n"]);
    assert_eq!(reading.ignored, vec!["Allergies"]);
    assert!(reading.unasked.contains(&Purpose::Press));
    let samples: Vec<(&str, &str)> = reading
        .samples
        .iter()
        .map(|s| (s.reference.as_str(), s.initials.as_str()))
        .collect();
    assert_eq!(
        samples,
        vec![("17", "A. B."), ("19", "E. E."), ("18", "C. D.")]
    );
    assert!(world.storage().child_list().await.unwrap().is_empty());

    let accept = Consent {
        mapping_accepted: true,
        ..Consent::default()
    };
    for operator in [None, Some(operator(Role::ItAdmin))] {
        let refused = world
            .import(EXPORT, accept, operator.as_ref())
            .await
            .unwrap_err();
        assert!(matches!(refused, ImportError::NotAllowed(_)), "{refused}");
    }
    let dry = Consent {
        dry_run: true,
        ..accept
    };
    assert!(!world.import(EXPORT, dry, None).await.unwrap().imported);
    let manager = operator(Role::Manager);
    assert!(
        world
            .import(EXPORT, accept, Some(&manager))
            .await
            .unwrap()
            .imported
    );
    assert_eq!(
        world.state("17", Purpose::Website).await,
        ConsentState::Given
    );
    assert_eq!(
        world.state("19", Purpose::Website).await,
        ConsentState::Refused
    );
    assert_eq!(
        world.state("19", Purpose::DisplayInSetting).await,
        ConsentState::Given
    );
    assert_eq!(
        world.state("18", Purpose::DisplayInSetting).await,
        ConsentState::Refused
    );

    // The same headings again need nobody; other headings, or an edited mapping, do.
    let fewer = EXPORT.replace("nuts", "");
    assert!(
        world
            .import(&fewer, Consent::default(), None)
            .await
            .unwrap()
            .imported
    );
    let other = EXPORT.replace("Allergies", "Diet");
    let outcome = world
        .import(&other, Consent::default(), None)
        .await
        .unwrap();
    assert!(outcome.stopped && outcome.reading.unwrap().changed);
    let edited = EXAMPLE.replace("\"N\" = \"refused\"", "\"N\" = \"given\"");
    mapping_apply(world.storage(), &edited, "os:test", now())
        .await
        .unwrap();
    let outcome = world
        .import(EXPORT, Consent::default(), None)
        .await
        .unwrap();
    assert!(outcome.stopped && !outcome.imported);
}

#[tokio::test]
async fn a_word_the_mapping_does_not_know_is_not_given_and_listed() {
    let world = World::new().await;
    mapping_apply(world.storage(), EXAMPLE, "os:test", now())
        .await
        .unwrap();
    let accept = Consent {
        mapping_accepted: true,
        ..Consent::default()
    };
    let manager = operator(Role::Manager);
    let file = EXPORT.replace("Internal only", "Yes please");
    let outcome = world.import(&file, accept, Some(&manager)).await.unwrap();
    assert_eq!(
        outcome.plan.refused.len(),
        1,
        "said once, for all three purposes"
    );
    let refused = outcome.plan.refused[0].to_string();
    assert!(
        refused.contains("row 4 (19), column `Photo permission`: \"Yes please\""),
        "{refused}"
    );
    assert_ne!(
        world.state("19", Purpose::DisplayInSetting).await,
        ConsentState::Given
    );
}

#[tokio::test]
async fn a_mapping_that_is_not_there_or_a_column_that_went_is_refused() {
    let world = World::new().await;
    let refused = world
        .import(EXPORT, Consent::default(), None)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("consent mapping make"),
        "{refused}"
    );
    mapping_apply(world.storage(), EXAMPLE, "os:test", now())
        .await
        .unwrap();
    let without = EXPORT.replace("Photo permission", "Photos");
    let refused = world
        .import(&without, Consent::default(), None)
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("column `Photo permission`: is missing"),
        "{refused}"
    );
}

#[test]
fn a_proposal_reads_what_it_knows_and_marks_what_it_does_not() {
    let proposed = propose(EXPORT.as_bytes(), "famly").unwrap();
    let mapping = Mapping::read(&proposed.text).unwrap();
    assert_eq!(mapping.name, "famly");
    assert_eq!(proposed.ignored, vec!["Allergies"]);
    assert!(
        proposed
            .text
            .contains("\"internal only\" = \"not_given\"  # we do not know"),
        "{}",
        proposed.text
    );
    for line in [
        "reference = \"Child ID\"",
        "first_name = \"First name\"",
        "last_name = \"Surname\"",
        "leave = \"Leaving date\"",
        "answered = \"Permission signed on\"",
        "purposes = [\"own_learning_journal\"]",
        "\"y\" = \"given\"",
    ] {
        assert!(proposed.text.contains(line), "{line}\n{}", proposed.text);
    }
    let refused = propose(b"Colour,Shape\nred,round\n", "x")
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("consent mapping example"), "{refused}");
}

#[test]
fn every_mistake_in_a_mapping_is_refused_with_line_and_key() {
    for (from, to, line, key) in [
        (
            "name = \"booking\"",
            "name = \"my booking!\"",
            Some(1),
            "`name`",
        ),
        ("\"day_first\"", "\"american\"", Some(3), "`dates`"),
        ("surname", "surname", None, ""),
        ("last_name =", "surname =", Some(10), "`columns.surname`"),
        ("last_name =", "surname =", Some(1), "`columns.last_name`"),
        ("\"Room\"", "\" \"", Some(11), "`columns.room`"),
        (
            "\"website\"]",
            "\"webiste\"]",
            Some(17),
            "`answers.0.purposes`",
        ),
        (
            "\"N\" = \"refused\"",
            "\"N\" = \"no\"",
            Some(23),
            "answers.0.words.\"N\"",
        ),
        (
            ", website = \"refused\" }",
            " }",
            Some(24),
            "does not say what it means for website",
        ),
        ("[answers.words]", "[answers.word]", None, "word"),
        ("answered =", "anwsered =", Some(18), "anwsered"),
    ] {
        let text = EXAMPLE.replacen(from, to, 1);
        match Mapping::read(&text) {
            Ok(_) => assert_eq!(from, to),
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains(key), "{key}\n{said}");
                let line = line.map(|line| format!("line {line}: "));
                assert!(
                    line.is_none_or(|line| said.contains(&line)),
                    "{from}\n{said}"
                );
            }
        }
    }
    let twice = format!(
        "{EXAMPLE}\n[[answers]]\ncolumn = \"Web\"\npurposes = [\"website\"]\n[answers.words]\n"
    );
    let said = Mapping::read(&twice).unwrap_err().to_string();
    assert!(said.contains("another column answers already"), "{said}");
}

#[test]
fn american_dates_are_read_where_the_mapping_says_so() {
    let mapping = Mapping::read(&EXAMPLE.replace("day_first\"\n", "month_first\"\n")).unwrap();
    let file = EXPORT
        .replace("31/07/2026", "07/31/2026")
        .replace("05/01/2026", "01/05/2026");
    let table = table::read(file.as_bytes()).unwrap();
    let calendar = serde_json::from_value(serde_json::json!({
        "time_zone": "Europe/London", "contact_hours": {}
    }))
    .unwrap();
    let plan = plan_for(
        &Register::default(),
        &calendar,
        &table,
        Some(&mapping),
        now(),
    )
    .unwrap();
    let leaves = plan
        .change
        .children
        .iter()
        .find_map(|c| c.entry.leaves)
        .unwrap();
    assert_eq!(leaves.date.to_string(), "2026-07-31");
    assert_eq!(plan.refused, vec![]);
}

fn operator(role: Role) -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::from_u128(1)),
        name: "Kim".to_owned(),
        roles: [role].into(),
        created_at: now(),
    }
}

struct World(TestStorage);

impl World {
    async fn new() -> Self {
        let world = Self(TestStorage::create().await);
        profile::apply(world.storage(), EARLY_YEARS, "os:test", now())
            .await
            .unwrap();
        world
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    async fn import(
        &self,
        file: &str,
        consent: Consent,
        operator: Option<&Operator>,
    ) -> Result<Outcome, ImportError> {
        let by = By {
            who: "Kim",
            operator,
        };
        run(
            self.storage(),
            file.as_bytes(),
            Some("booking"),
            consent,
            by,
            now(),
        )
        .await
    }

    async fn state(&self, reference: &str, purpose: Purpose) -> ConsentState {
        let register = Register::load(self.storage()).await.unwrap();
        let child = register.child(reference).unwrap();
        let standings = register.standings(child.id);
        standings
            .get(&purpose)
            .map_or(ConsentState::Unanswered, |s| s.state)
    }
}
