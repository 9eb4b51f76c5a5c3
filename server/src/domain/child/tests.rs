#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::{import, profile};
use crate::storage::Role;
use crate::storage::testing::{TestStorage, now};
use nestwarden_policy_schema::id::OperatorId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

const HEADER: &str = "reference,first_name,last_name,family,room,leave,website\n";

#[tokio::test]
async fn a_restriction_is_set_and_lifted_by_the_dsl_alone_and_survives_every_file() {
    let world = World::new("A1,A,B,,,,Yes").await;
    let storage = world.storage();
    let refused = restrict(
        storage,
        "A1",
        Restriction::DoNotPhotograph,
        &operator(Role::Manager),
        now(),
    )
    .await
    .unwrap_err();
    assert!(
        refused.to_string().contains("the DSL or a deputy"),
        "{refused}"
    );
    for restriction in [Restriction::NoExternal, Restriction::DoNotPhotograph] {
        let deputy = operator(Role::Deputy);
        let done = restrict(storage, "A1", restriction, &deputy, now())
            .await
            .unwrap();
        assert!(done.changed);
        world.import("A1,A,B,,Owls,,Yes").await;
        assert_eq!(world.child("A1").await.entry.restriction, restriction);
    }
    let again = restrict(
        storage,
        "A1",
        Restriction::DoNotPhotograph,
        &operator(Role::Dsl),
        now(),
    )
    .await
    .unwrap();
    assert!(!again.changed);
    let none = Restriction::None;
    restrict(storage, "A1", none, &operator(Role::Dsl), now())
        .await
        .unwrap();
    assert_eq!(world.child("A1").await.entry.restriction, none);
    let acts = storage.audit_list(50).await.unwrap();
    let restricted = acts.iter().filter(|a| a.act == "child.restrict").count();
    assert_eq!(restricted, 3, "what changed nothing is not in the log");
}

#[tokio::test]
async fn what_was_set_here_stands_until_the_file_says_something_new() {
    let world = World::new("A1,A,B,Bee,Robins,2026-07-31,Yes").await;
    let (storage, by) = (world.storage(), operator(Role::Manager));
    let owls = BTreeSet::from(["Owls".parse().unwrap()]);
    room(storage, "A1", &owls, &by, now()).await.unwrap();
    stay(storage, "A1", &by, now()).await.unwrap();
    split(storage, &["A1".to_owned()], &by, now())
        .await
        .unwrap();
    // The same file again, and again after further changes of ours.
    world.import("A1,A,B,Bee,Robins,2026-07-31,Yes").await;
    let child = world.child("A1").await;
    assert_eq!(
        (child.entry.rooms, child.entry.leaves, child.family),
        (owls, None, None)
    );
    leave(storage, "A1", date("2026-05-01"), &by, now())
        .await
        .unwrap();
    world.import("A1,A,B,Bee,Robins,2026-07-31,Yes").await;
    let leaving = world.child("A1").await.entry.leaves.unwrap();
    assert_eq!(leaving.date, date("2026-05-01"));
    // A file that says something new wins, and is then the last word.
    world.import("A1,A,B,Cee,Wrens,2026-08-31,Yes").await;
    let child = world.child("A1").await;
    assert_eq!(
        child.entry.rooms,
        BTreeSet::from(["Wrens".parse().unwrap()])
    );
    assert_eq!(child.entry.leaves.unwrap().date, date("2026-08-31"));
    assert!(child.family.is_some());
    assert_eq!(child.set_here, crate::storage::SetHere::default());
    world.import("A1,A,B,Bee,Robins,,Yes").await;
    assert_eq!(world.child("A1").await.entry.leaves, None);
}

#[tokio::test]
async fn a_column_the_file_does_not_have_changes_nothing() {
    let world = World::new("A1,A,B,Bee,Robins,2026-07-31,Yes").await;
    let before = world.child("A1").await;
    world
        .import_file("reference,first_name,last_name,website\nA1,A,B,Yes\n")
        .await;
    assert_eq!(world.child("A1").await, before);
}

#[tokio::test]
async fn no_file_takes_a_death_back_and_a_person_can() {
    let world = World::new("A1,A,B,,Robins,2026-07-31,Yes\nA2,C,D,,,,Yes").await;
    let (storage, by) = (world.storage(), operator(Role::Manager));
    let died_on = date("2026-03-09");
    let tomorrow = date("2026-03-11");
    let refused = died(storage, "A1", tomorrow, &by, now()).await.unwrap_err();
    assert!(refused.to_string().contains("2026-03-11"), "{refused}");
    died(storage, "A1", died_on, &by, now()).await.unwrap();
    world
        .import("A1,A,B,,Owls,2026-04-30,Yes\nA2,C,D,,,,Yes")
        .await;
    assert!(world.child("A1").await.entry.has_died());
    world.import("A2,C,D,,,,Yes").await;
    let child = world.child("A1").await;
    assert!(child.entry.has_died() && child.entry.missing_since.is_none());
    let refused = leave(storage, "A1", died_on, &by, now()).await.unwrap_err();
    assert!(refused.to_string().contains("child stay A1"), "{refused}");
    stay(storage, "A1", &by, now()).await.unwrap();
    let entry = world.child("A1").await.entry;
    assert!(!entry.has_died());
    assert_eq!(entry.left_on(), Some(date("2026-07-31")), "as before");
    stay(storage, "A1", &by, now()).await.unwrap();
    assert_eq!(world.child("A1").await.entry.leaves, None);
}

#[tokio::test]
async fn a_death_keeps_what_was_known_before_and_taken_back_leaves_it_so() {
    let world = World::new("A1,A,B,,,2026-03-02,Yes").await;
    let (storage, by) = (world.storage(), operator(Role::Manager));
    died(storage, "A1", date("2026-03-08"), &by, now())
        .await
        .unwrap();
    let later = now() + jiff::SignedDuration::from_hours(24);
    died(storage, "A1", date("2026-03-09"), &by, later)
        .await
        .unwrap();
    let entry = world.child("A1").await.entry;
    let known = BeforeDeath {
        recorded_at: now(),
        left: Some(date("2026-03-02")),
    };
    assert_eq!(entry.before_death, Some(known));
    stay(storage, "A1", &by, later).await.unwrap();
    let entry = world.child("A1").await.entry;
    assert_eq!(entry.before_death, None);
    assert_eq!(entry.left_on(), Some(date("2026-03-02")));
    assert!(!entry.has_died());
}

#[tokio::test]
async fn siblings_are_joined_with_those_they_have_and_split_again() {
    let world = World::new("A1,A,B,Bee,,,Yes\nA2,C,B,Bee,,,Yes\nA3,D,E,,,,Yes").await;
    let (storage, by) = (world.storage(), operator(Role::Dsl));
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    for (wrong, says) in [
        (names(&["A1"]), "at least two"),
        (names(&["A1", "A1"]), "named twice"),
        (names(&["A1", "A9"]), "no child with reference \"A9\""),
    ] {
        let refused = join(storage, &wrong, &by, now()).await.unwrap_err();
        assert!(refused.to_string().contains(says), "{refused}");
    }
    let done = join(storage, &names(&["A3", "A1"]), &by, now())
        .await
        .unwrap();
    assert_eq!(
        done.children.len(),
        3,
        "the sibling that A1 had comes along"
    );
    let family = world.child("A2").await.family;
    assert!(family.is_some());
    assert_eq!(world.child("A3").await.family, family);
    split(storage, &names(&["A2"]), &by, now()).await.unwrap();
    assert_eq!(world.child("A2").await.family, None);
    assert_eq!(world.child("A1").await.family, family);
}

#[tokio::test]
async fn a_child_does_not_leave_before_they_came() {
    let world = World::new("A1,A,B,,,,Yes").await;
    world
        .import_file("reference,first_name,last_name,start,website\nA1,A,B,2026-02-01,Yes\n")
        .await;
    let by = operator(Role::Manager);
    let early = leave(world.storage(), "A1", date("2026-01-31"), &by, now()).await;
    assert!(early.unwrap_err().to_string().contains("2026-02-01"));
    let auditor = operator(Role::Auditor);
    let refused = leave(world.storage(), "A1", date("2026-03-31"), &auditor, now()).await;
    assert!(refused.unwrap_err().to_string().contains("a manager"));
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn operator(role: Role) -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::from_u128(1)),
        name: "Kim".to_owned(),
        roles: [role].into(),
        created_at: now(),
    }
}

/// A setting with a calendar and one imported file.
struct World(TestStorage);

impl World {
    async fn new(rows: &str) -> Self {
        let world = Self(TestStorage::create().await);
        profile::apply(world.storage(), EARLY_YEARS, "os:test", now())
            .await
            .unwrap();
        world.import(rows).await;
        world
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    async fn import(&self, rows: &str) {
        self.import_file(&format!("{HEADER}{rows}\n")).await;
    }

    async fn import_file(&self, file: &str) {
        let plan = import::plan(self.storage(), file.as_bytes(), now())
            .await
            .unwrap();
        import::apply(self.storage(), &plan, file.as_bytes(), "os:test", now())
            .await
            .unwrap();
    }

    async fn child(&self, reference: &str) -> Child {
        let found = self.storage().child_by_reference(reference).await.unwrap();
        found.unwrap()
    }
}
