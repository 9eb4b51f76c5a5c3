#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::{child, import, profile};
use crate::storage::Role;
use crate::storage::testing::{TestStorage, now};
use nestwarden_policy_schema::id::OperatorId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

const FILE: &str = "reference,first_name,last_name,family,website,press\nA1,A,B,Bee,Yes,Yes\nA2,C,B,Bee,Yes,Yes\nA3,D,E,,Yes,Yes\n";
const WEBSITE: &[Purpose] = &[Purpose::Website];

#[tokio::test]
async fn a_yes_restores_only_when_it_was_answered_after_the_withdrawal() {
    let world = World::new().await;
    let said = said(GivenBy::Parent);
    withdraw(
        world.storage(),
        "A1",
        WEBSITE,
        &said,
        Reach::Child,
        "os:test",
        now(),
    )
    .await
    .unwrap();
    // On the same day, but nobody knows when: the stricter stands.
    for (answered, state) in [
        (Some("2026-03-09"), ConsentState::Withdrawn),
        (None, ConsentState::Given),
    ] {
        let dates = Dates {
            answered: answered.map(|d| d.parse().unwrap()),
            ..Dates::default()
        };
        let later = now() + SignedDuration::from_hours(1);
        let done = give(
            world.storage(),
            "A1",
            WEBSITE,
            &said,
            dates,
            &manager(),
            later,
        )
        .await
        .unwrap();
        assert_eq!(
            done.standings[&Purpose::Website].state,
            state,
            "{answered:?}"
        );
    }
    world.import(now() + SignedDuration::from_hours(2)).await;
    assert_eq!(world.state("A1").await, ConsentState::Given);
}

#[tokio::test]
async fn a_yes_recorded_here_is_not_undone_by_the_no_the_file_said_before() {
    let world = World::new().await;
    let no = FILE.replace("Bee,Yes", "Bee,No");
    world.import_file(&no, now()).await;
    assert_eq!(world.state("A1").await, ConsentState::Refused);
    let said = said(GivenBy::Parent);
    let later = now() + SignedDuration::from_hours(1);
    give(
        world.storage(),
        "A1",
        WEBSITE,
        &said,
        Dates::default(),
        &manager(),
        later,
    )
    .await
    .unwrap();
    world
        .import_file(&no, later + SignedDuration::from_hours(1))
        .await;
    assert_eq!(world.state("A1").await, ConsentState::Given);
}

#[tokio::test]
async fn parents_who_disagree_permit_nothing_until_the_one_who_refused_gives() {
    let world = World::new().await;
    let other = said(GivenBy::OtherParent);
    refuse(
        world.storage(),
        "A1",
        WEBSITE,
        &other,
        None,
        "os:test",
        now(),
    )
    .await
    .unwrap();
    assert_eq!(world.state("A1").await, ConsentState::Conflicted);
    for (hour, by, state) in [
        (1, GivenBy::Parent, ConsentState::Conflicted),
        (2, GivenBy::OtherParent, ConsentState::Given),
    ] {
        let at = now() + SignedDuration::from_hours(hour);
        give(
            world.storage(),
            "A1",
            WEBSITE,
            &said(by),
            Dates::default(),
            &manager(),
            at,
        )
        .await
        .unwrap();
        assert_eq!(world.state("A1").await, state);
    }
}

#[tokio::test]
async fn a_withdrawal_names_the_siblings_and_reaches_them_only_when_told() {
    let world = World::new().await;
    let said = said(GivenBy::Parent);
    let done = withdraw(
        world.storage(),
        "A1",
        WEBSITE,
        &said,
        Reach::Child,
        "os:test",
        now(),
    )
    .await
    .unwrap();
    let named: Vec<&str> = done.siblings.iter().map(|c| c.reference.as_str()).collect();
    assert_eq!(named, vec!["A2"]);
    assert_eq!(world.state("A2").await, ConsentState::Given);
    let done = withdraw(
        world.storage(),
        "A1",
        WEBSITE,
        &said,
        Reach::Family,
        "os:test",
        now(),
    )
    .await
    .unwrap();
    assert!(done.siblings.is_empty());
    let reached: Vec<(&str, usize)> = done
        .purposes
        .iter()
        .map(|(child, purposes)| (child.reference.as_str(), purposes.len()))
        .collect();
    assert_eq!(reached, vec![("A1", 0), ("A2", 1)]);
    assert_eq!(world.state("A2").await, ConsentState::Withdrawn);
    assert_eq!(world.state("A3").await, ConsentState::Given);
    let acts = world.storage().audit_list(50).await.unwrap();
    let withdrawn = acts.iter().filter(|a| a.act == "consent.withdraw").count();
    assert_eq!(withdrawn, 2, "one act each, however many children");
}

#[tokio::test]
async fn a_withdrawal_of_everything_names_what_was_answered_and_stands_for_the_rest_too() {
    let world = World::new().await;
    let said = said(GivenBy::Parent);
    let (all, reach) = (&Purpose::ALL, Reach::Child);
    let done = withdraw(world.storage(), "A1", all, &said, reach, "os:test", now())
        .await
        .unwrap();
    assert_eq!(done.purposes[0].1, [Purpose::Website, Purpose::Press]);
    let register = Register::load(world.storage()).await.unwrap();
    let child = register.child("A1").unwrap();
    // A file that says Yes without a date restores none of it.
    for purpose in Purpose::ALL {
        let state = register.standings(child.id)[&purpose].state;
        assert_eq!(state, ConsentState::Withdrawn, "{purpose}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let day = |text: &str| Some(text.parse().unwrap());
    let without = Said {
        has_parental_responsibility: Some(false),
        ..said(GivenBy::Parent)
    };
    let unnamed = Said {
        wording: Some(" ".to_owned()),
        ..said(GivenBy::Parent)
    };
    let good = said(GivenBy::Parent);
    let dates = |answered, from, until| Dates {
        answered,
        from,
        until,
    };
    let auditor = operator(Role::Auditor);
    for (said, dates, by, says) in [
        (
            &without,
            Dates::default(),
            manager(),
            "parental responsibility",
        ),
        (&unnamed, Dates::default(), manager(), "--wording"),
        (
            &good,
            dates(day("2026-03-11"), None, None),
            manager(),
            "in the future",
        ),
        (
            &good,
            dates(None, None, day("2026-03-09")),
            manager(),
            "is over",
        ),
        (
            &good,
            dates(None, day("2026-05-02"), day("2026-05-01")),
            manager(),
            "put the earlier day first",
        ),
        (&good, Dates::default(), auditor, "may not record a Yes"),
    ] {
        let refused = give(world.storage(), "A1", WEBSITE, said, dates, &by, now()).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
    let nobody = give(
        world.storage(),
        "A9",
        WEBSITE,
        &good,
        Dates::default(),
        &manager(),
        now(),
    )
    .await;
    assert!(nobody.unwrap_err().to_string().contains("\"A9\""));
    assert_eq!(world.storage().consent_list().await.unwrap().len(), 6);
    // A carer to whom it was delegated may, and so may anybody refuse.
    let carer = Said {
        given_by: GivenBy::DelegatedCarer,
        ..without.clone()
    };
    give(
        world.storage(),
        "A1",
        WEBSITE,
        &carer,
        Dates::default(),
        &manager(),
        now(),
    )
    .await
    .unwrap();
    refuse(
        world.storage(),
        "A1",
        WEBSITE,
        &without,
        None,
        "os:test",
        now(),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn acts_at_the_same_moment_are_all_kept() {
    let world = World::new().await;
    let said = said(GivenBy::Parent);
    let (by, dsl) = (manager(), operator(Role::Dsl));
    let (withdrawn, left, restricted) = tokio::join!(
        withdraw(
            world.storage(),
            "A1",
            WEBSITE,
            &said,
            Reach::Child,
            "os:test",
            now()
        ),
        child::leave(
            world.storage(),
            "A1",
            "2026-07-31".parse().unwrap(),
            &by,
            now()
        ),
        child::restrict(
            world.storage(),
            "A1",
            nestwarden_policy_schema::consent::Restriction::NoExternal,
            &dsl,
            now()
        ),
    );
    withdrawn.unwrap();
    left.unwrap();
    restricted.unwrap();
    let child = world
        .storage()
        .child_by_reference("A1")
        .await
        .unwrap()
        .unwrap();
    assert!(child.entry.leaves.is_some());
    assert_eq!(
        child.entry.restriction,
        nestwarden_policy_schema::consent::Restriction::NoExternal
    );
    assert_eq!(world.state("A1").await, ConsentState::Withdrawn);
}

fn said(given_by: GivenBy) -> Said {
    Said {
        given_by,
        has_parental_responsibility: None,
        method: Method::InPerson,
        wording: None,
    }
}

fn manager() -> Operator {
    operator(Role::Manager)
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
        world.import(now() - SignedDuration::from_hours(24)).await;
        world
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    async fn import(&self, at: Timestamp) {
        self.import_file(FILE, at).await;
    }

    async fn import_file(&self, file: &str, at: Timestamp) {
        let plan = import::plan(self.storage(), file.as_bytes(), at)
            .await
            .unwrap();
        import::apply(self.storage(), &plan, file.as_bytes(), "os:test", at)
            .await
            .unwrap();
    }

    async fn state(&self, reference: &str) -> ConsentState {
        let register = Register::load(self.storage()).await.unwrap();
        let child = register.child(reference).unwrap();
        register.standings(child.id)[&Purpose::Website].state
    }
}
