#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::account::invitation::{self, invite};
use crate::domain::api_token::{self, Judged};
use crate::storage::Scope;
use crate::storage::testing::{TestStorage, now};
use jiff::civil::date;

struct House(TestStorage);

impl House {
    /// A lead, a manager and a deputy.
    async fn new() -> Self {
        let house = Self(TestStorage::create().await);
        for (name, role) in [
            ("Dana", Role::Dsl),
            ("Max", Role::Manager),
            ("Eve", Role::Deputy),
        ] {
            house.add(name, role).await.unwrap();
        }
        house
    }

    async fn add(&self, name: &str, role: Role) -> Result<Operator, PeopleError> {
        add(
            &self.0.storage,
            name,
            BTreeSet::from([role]),
            "os:test",
            now(),
        )
        .await
    }

    async fn roles(&self, name: &str, role: Role) -> Result<(), PeopleError> {
        set_roles(
            &self.0.storage,
            name,
            BTreeSet::from([role]),
            "os:test",
            now(),
        )
        .await
    }

    async fn remove(&self, name: &str) -> Result<(), PeopleError> {
        remove(&self.0.storage, name, "os:test", now()).await
    }

    async fn cover(&self, name: &str, first: i8, last: i8) -> Result<(), PeopleError> {
        let days = (date(2026, 3, first), date(2026, 3, last));
        set_cover(&self.0.storage, name, Some(days), "os:test", now()).await
    }

    async fn dsl(&self, day: i8) -> (String, Option<Date>) {
        let lead = dsl_today(&self.0.storage, date(2026, 3, day)).await;
        let lead = lead.unwrap().unwrap();
        (lead.operator.name, lead.covers_until)
    }
}

#[tokio::test]
async fn a_setting_has_one_lead_and_is_never_without_one() {
    let house = House::new().await;
    for refused in [
        house.add("Kim", Role::Dsl).await.map(drop),
        house.roles("Max", Role::Dsl).await,
    ] {
        assert!(matches!(refused, Err(PeopleError::TwoLeads(lead)) if lead == "Dana"));
    }
    for refused in [
        house.roles("Dana", Role::Manager).await,
        house.remove("Dana").await,
    ] {
        assert!(matches!(refused, Err(PeopleError::NoLead)));
    }
    hand_over(&house.0.storage, "Eve", "os:test", now())
        .await
        .unwrap();
    let people = house.0.storage.operator_list().await.unwrap();
    let roles: Vec<_> = people
        .iter()
        .map(|p| (p.name.as_str(), p.roles.iter().copied().collect::<Vec<_>>()))
        .collect();
    assert_eq!(
        roles,
        [
            ("Dana", vec![Role::Deputy]),
            ("Eve", vec![Role::Dsl]),
            ("Max", vec![Role::Manager])
        ]
    );
    house.remove("Dana").await.unwrap();
}

#[tokio::test]
async fn two_people_who_can_act_together_are_always_left() {
    let house = House::new().await;
    house.remove("Eve").await.unwrap();
    for refused in [
        house.remove("Max").await,
        house.roles("Max", Role::Auditor).await,
    ] {
        assert!(matches!(refused, Err(PeopleError::NoSecond)));
    }
    house.add("Kim", Role::Manager).await.unwrap();
    house.remove("Max").await.unwrap();
}

#[tokio::test]
async fn a_name_is_one_persons_whatever_its_capitals_and_also_after_they_went() {
    let house = House::new().await;
    for name in ["dana", "MAX", "Élodie"] {
        let added = house.add(name, Role::Auditor).await;
        assert_eq!(added.is_ok(), name == "Élodie", "{name}");
    }
    house.remove("Élodie").await.unwrap();
    let again = house.add("élodie", Role::Auditor).await;
    assert!(matches!(again, Err(PeopleError::Taken(_))));
    for name in ["", "  ", "a\nb", &"x".repeat(81)] {
        let added = house.add(name, Role::Auditor).await;
        assert!(matches!(added, Err(PeopleError::Name)), "{name}");
    }
}

#[tokio::test]
async fn whoever_is_removed_can_come_in_by_nothing_they_had() {
    let house = House::new().await;
    let storage = &house.0.storage;
    let kim = house.add("Kim", Role::Auditor).await.unwrap();
    let link = invite(storage, &kim, "os:test", now()).await.unwrap();
    assert!(
        invitation::open(storage, &link.token, now())
            .await
            .unwrap()
            .is_some()
    );
    let wanted = api_token::Wanted {
        name: "booking",
        scopes: [Scope::Import].into(),
        days: 1,
    };
    let token = api_token::create(storage, &kim, wanted, "os:test", now())
        .await
        .unwrap();
    house.remove("Kim").await.unwrap();
    assert!(
        invitation::open(storage, &link.token, now())
            .await
            .unwrap()
            .is_none()
    );
    let judged = api_token::judge(storage, &token.text, Scope::Import, now()).await;
    assert!(matches!(judged, Ok(Judged::Revoked)));
    assert!(storage.operator_by_name("Kim").await.unwrap().is_none());
    let gone = house.remove("Kim").await;
    assert!(matches!(gone, Err(PeopleError::Nobody(_))));
    let oneself = remove(storage, "Max", "Max", now()).await;
    assert!(matches!(oneself, Err(PeopleError::Oneself)));
}

#[tokio::test]
async fn on_each_day_one_person_is_the_dsl() {
    let house = House::new().await;
    house.add("Kim", Role::Deputy).await.unwrap();
    house.cover("Eve", 9, 13).await.unwrap();
    assert_eq!(house.dsl(8).await, ("Dana".to_owned(), None));
    for day in [9, 13] {
        assert_eq!(
            house.dsl(day).await,
            ("Eve".to_owned(), Some(date(2026, 3, 13)))
        );
    }
    assert_eq!(house.dsl(14).await, ("Dana".to_owned(), None));
    assert!(
        matches!(house.cover("Kim", 13, 20).await, Err(PeopleError::Covered(name)) if name == "Eve")
    );
    assert!(matches!(
        house.cover("Max", 1, 2).await,
        Err(PeopleError::NotDeputy(_))
    ));
    assert!(matches!(
        house.cover("Kim", 20, 19).await,
        Err(PeopleError::Backwards { .. })
    ));
    house.cover("Kim", 14, 20).await.unwrap();
    assert_eq!(house.dsl(14).await.0, "Kim");
    // Who is no deputy any more stands in for nobody.
    house.roles("Kim", Role::Manager).await.unwrap();
    assert_eq!(house.dsl(14).await.0, "Dana");
    set_cover(&house.0.storage, "Eve", None, "os:test", now())
        .await
        .unwrap();
    assert_eq!(house.dsl(10).await.0, "Dana");
}

#[tokio::test]
async fn what_was_thought_out_for_other_people_is_not_done() {
    let house = House::new().await;
    let storage = &house.0.storage;
    let seen = storage.operator_list().await.unwrap();
    house.add("Kim", Role::Manager).await.unwrap();
    let change = PeopleChange {
        remove: Some(seen[0].id),
        ..PeopleChange::default()
    };
    let entry = crate::storage::testing::audit("operator.remove");
    let put = storage.people_change(&seen, &change, &entry).await.unwrap();
    assert_eq!(put, PeoplePut::ChangedMeanwhile);
    assert_eq!(storage.operator_list().await.unwrap().len(), 4);
}

#[tokio::test]
async fn two_covers_of_the_same_day_set_at_once_are_one() {
    let house = House::new().await;
    house.add("Kim", Role::Deputy).await.unwrap();
    let set = tokio::join!(house.cover("Eve", 9, 13), house.cover("Kim", 12, 20));
    assert!(
        matches!(set, (Ok(()), Err(_)) | (Err(_), Ok(()))),
        "{set:?}"
    );
    assert_eq!(house.0.storage.cover_list().await.unwrap().len(), 1);
}
