#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::registers::find;
use crate::domain::registers::staff::{Job, Post};
use crate::domain::registers::testing::{House, hand};
use crate::storage::testing::now;
use crate::storage::{Operator, Role};

struct Office {
    house: House,
    kim: Operator,
    rosa: EntryId,
}

impl Office {
    async fn new() -> Self {
        let house = House::new().await;
        let kim = house.person("Kim", &[Role::Manager]).await;
        let post = Post {
            job: Job::Practitioner,
            start: jiff::civil::date(2026, 1, 5),
            operator: None,
        };
        let name = Words::default().line("name", "Rosa Anna Reed").unwrap();
        let rosa = house
            .registers()
            .begin::<Staff>(&Act::Add { post }, &name, None, hand(&kim, now()))
            .await
            .unwrap();
        Self { house, kim, rosa }
    }

    async fn set(&self, pin: &str, again: &str) -> Result<(), RegisterError> {
        let typed = Typed {
            shown: "Rosa",
            pin: Zeroizing::new(pin.to_owned()),
            again: Zeroizing::new(again.to_owned()),
        };
        let registers = self.house.registers();
        set(&registers, self.rosa, typed, hand(&self.kim, now())).await
    }

    async fn on_tablets(&self) -> OnTablets {
        let kept = find::<Staff>(self.house.storage(), self.rosa).await;
        on_tablets(&self.house.registers(), &kept.unwrap().unwrap())
    }
}

#[tokio::test]
async fn a_pin_is_kept_as_a_verifier_that_only_the_release_key_opens() {
    let office = Office::new().await;
    let before = office.on_tablets().await;
    assert_eq!((before.name.as_str(), before.pin), ("Rosa R.", None));
    office.set("482915", "482915").await.unwrap();
    let set = office.on_tablets().await;
    let phc = set.pin.unwrap();
    assert_eq!(set.name, "Rosa");
    assert!(!office.house.database_has("482915"));
    assert!(!office.house.database_has(phc.as_str()));
    office.set("739186", "739186").await.unwrap();
    assert_ne!(office.on_tablets().await.pin, Some(phc));
}

#[tokio::test]
async fn a_pin_that_is_removed_opens_nothing_any_more() {
    let office = Office::new().await;
    let (registers, by) = (office.house.registers(), hand(&office.kim, now()));
    let none = Words::default();
    let remove = async || staff::write(&registers, office.rosa, &Act::RemovePin, &none, by).await;
    assert!(matches!(remove().await, Err(RegisterError::Refused(_))));
    office.set("482915", "482915").await.unwrap();
    remove().await.unwrap();
    assert_eq!(office.on_tablets().await.pin, None);
}

#[tokio::test]
async fn a_pin_that_is_mistyped_or_easily_guessed_is_refused_by_its_field() {
    let office = Office::new().await;
    for (pin, again, field) in [
        ("482915", "482916", "again"),
        ("111111", "111111", "pin"),
        ("12ab56", "12ab56", "pin"),
        ("140387", "140387", "pin"),
    ] {
        match office.set(pin, again).await {
            Err(RegisterError::Refused(refused)) => {
                assert_eq!(refused.field, field, "{pin}");
                assert!(!refused.says.contains(pin));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(office.on_tablets().await.pin, None);
}

#[tokio::test]
async fn no_two_people_with_a_pin_are_named_alike_on_tablets() {
    let office = Office::new().await;
    office.set("482915", "482915").await.unwrap();
    // Her own name is hers to keep.
    office.set("739186", "739186").await.unwrap();
    let post = Post {
        job: Job::Practitioner,
        start: jiff::civil::date(2026, 1, 5),
        operator: None,
    };
    let name = Words::default().line("name", "Rosa Green").unwrap();
    let registers = office.house.registers();
    let by = hand(&office.kim, now());
    let other = registers
        .begin::<Staff>(&Act::Add { post }, &name, None, by)
        .await
        .unwrap();
    let set_as = async |shown: &str| {
        let typed = Typed {
            shown,
            pin: Zeroizing::new("619384".to_owned()),
            again: Zeroizing::new("619384".to_owned()),
        };
        set(&registers, other, typed, hand(&office.kim, now())).await
    };
    let alike = set_as("rosa").await;
    assert!(
        matches!(&alike, Err(RegisterError::Refused(refused)) if refused.field == SHOWN),
        "{alike:?}"
    );
    set_as("Rosa G.").await.unwrap();
}
