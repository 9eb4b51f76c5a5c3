#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::registers::aup;
use crate::domain::registers::pin::{self, Typed};
use crate::domain::registers::staff::{self, Act, Job, Method, Post};
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::words::Words;
use crate::storage::testing::now;
use crate::storage::{Operator, Role};
use jiff::civil::date;
use zeroize::Zeroizing;

const TODAY: Date = date(2026, 3, 10);

struct Office {
    house: House,
    kim: Operator,
    rosa: EntryId,
    version: EntryId,
}

impl Office {
    /// Rosa works here and has a PIN; a policy is in force.
    async fn new() -> Self {
        let house = House::new().await;
        let kim = house.person("Kim", &[Role::Manager]).await;
        let registers = house.registers();
        let by = hand(&kim, now());
        let post = Post {
            job: Job::Practitioner,
            start: date(2026, 1, 5),
            operator: None,
        };
        let name = Words::default().line("name", "Rosa Reed").unwrap();
        let rosa = registers
            .begin::<Staff>(&Act::Add { post }, &name, None, by)
            .await
            .unwrap();
        let pin = || Zeroizing::new("482915".to_owned());
        let typed = Typed {
            shown: "Rosa",
            pin: pin(),
            again: pin(),
        };
        pin::set(&registers, rosa, typed, by).await.unwrap();
        let mut office = Self {
            house,
            kim,
            rosa,
            version: rosa,
        };
        office.version = office.publishes("2026-1", date(2026, 1, 1)).await;
        office
    }

    async fn publishes(&self, version: &str, from: Date) -> EntryId {
        let publish = aup::Act::Publish {
            audience: Audience::Staff,
            version: version.to_owned(),
            from,
        };
        let notice = Words::default().text(NOTICE, "We count.\u{202e}").unwrap();
        let (registers, by) = (self.house.registers(), hand(&self.kim, now()));
        registers
            .begin::<AupVersion>(&publish, &notice, None, by)
            .await
            .unwrap()
    }

    async fn writes(&self, act: Act) {
        let (registers, by) = (self.house.registers(), hand(&self.kim, now()));
        staff::write(&registers, self.rosa, &act, &Words::default(), by)
            .await
            .unwrap();
    }

    async fn acknowledges(&self) {
        self.writes(Act::Acknowledge {
            version: self.version,
            on: date(2026, 1, 5),
            method: Method::OnPaper,
        })
        .await;
    }

    async fn roster(&self) -> Roster {
        Roster::load(&self.house.registers()).await.unwrap()
    }

    async fn rosa(&self) -> RosterEntry {
        let entries = self.roster().await.entries(TODAY);
        entries.into_iter().next().unwrap()
    }
}

#[tokio::test]
async fn a_roster_says_who_may_have_a_tablet_by_the_rules_of_the_register() {
    let office = Office::new().await;
    let before = office.rosa().await;
    assert!(
        matches!(&before.may_have, MayHave::No { reason } if reason == "No tablet at the moment. Ask the office.")
    );
    office.acknowledges().await;
    let ready = office.rosa().await;
    assert_eq!(
        (ready.may_have_on(TODAY), ready.acknowledged),
        (Ok(()), true)
    );
    assert_eq!((ready.name.as_str(), ready.until), ("Rosa", None));
    assert_eq!(ready.staff, staff_id(office.rosa));
    office.writes(Act::RemovePin).await;
    let no_pin = office.rosa().await;
    assert_eq!(
        no_pin.may_have_on(TODAY),
        Err("No PIN yet. Ask the office.")
    );
    assert_eq!(no_pin.name, "Rosa");
}

#[tokio::test]
async fn who_is_suspended_is_told_to_no_tablet_and_brings_nothing_back_by_their_own_word() {
    let office = Office::new().await;
    office.acknowledges().await;
    office.writes(Act::Suspend).await;
    let rosa = office.rosa().await;
    assert!(matches!(&rosa.may_have, MayHave::No { reason } if !reason.contains("uspend")));
    assert_eq!(rosa.pin, None);
    office.writes(Act::Reinstate).await;
    assert!(office.rosa().await.pin.is_some());
}

#[tokio::test]
async fn a_tablet_without_a_network_knows_of_a_last_day_and_of_a_policy_that_waits() {
    let office = Office::new().await;
    office.acknowledges().await;
    office.publishes("2026-2", date(2026, 3, 9)).await;
    let rosa = office.rosa().await;
    assert_eq!(
        (rosa.acknowledged, rosa.until),
        (false, Some(date(2026, 3, 23)))
    );
    let aup = office.roster().await.aup(TODAY).unwrap();
    assert_eq!(
        (aup.name.as_str(), aup.notice.as_str()),
        ("2026-2", "We count.")
    );
    let last_day = date(2026, 3, 13);
    office.writes(Act::Leave { last_day }).await;
    assert_eq!(office.rosa().await.until, Some(last_day));
    assert!(office.roster().await.entries(date(2026, 3, 14)).is_empty());
}
