//! Custody and the acceptable use policy in reports, from lines of registers up to the end.

use crate::domain::registers::aup::{self, Audience, AupVersion};
use crate::domain::registers::custody::{self, Custody, Out};
use crate::domain::registers::staff::{self, Job, Method, Post, Staff};
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::words::Words;
use crate::domain::reports::figures::{AupFigures, CustodyFigures};
use crate::domain::reports::lines::{Held, Level};
use crate::domain::reports::{Report, make};
use crate::storage::testing::{TestTablet, audit};
use crate::storage::{Operator, Role};
use jiff::Timestamp;
use jiff::civil::date;
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::profile::EARLY_YEARS;

fn at(text: &str) -> Timestamp {
    format!("2026-03-{text}:00Z").parse().unwrap()
}

struct World {
    house: House,
    kim: Operator,
    tablet: TestTablet,
}

impl World {
    async fn new() -> Self {
        let house = House::new().await;
        let act = audit("p");
        let put = house
            .storage()
            .profile_put("early-years", 0, EARLY_YEARS, &act);
        put.await.unwrap();
        let kim = house.person("Kim", &[Role::Manager]).await;
        let tablet = TestTablet::enrol(house.storage()).await;
        Self { house, kim, tablet }
    }

    async fn employs(&self, name: &str) -> EntryId {
        let post = Post {
            job: Job::Practitioner,
            start: date(2026, 1, 5),
            operator: None,
        };
        let name = Words::default().line("name", name).unwrap();
        let (registers, by) = (self.house.registers(), hand(&self.kim, at("01T08:00")));
        let add = staff::Act::Add { post };
        let begun = registers.begin::<Staff>(&add, &name, None, by);
        begun.await.unwrap()
    }

    async fn publishes(&self, when: &str) -> EntryId {
        let act = aup::Act::Publish {
            audience: Audience::Staff,
            version: when.to_owned(),
            from: at(when).to_zoned(jiff::tz::TimeZone::UTC).date(),
        };
        let (registers, by) = (self.house.registers(), hand(&self.kim, at(when)));
        let none = Words::default();
        let begun = registers.begin::<AupVersion>(&act, &none, None, by);
        begun.await.unwrap()
    }

    async fn acknowledges(&self, staff: EntryId, version: EntryId, when: &str) {
        let act = staff::Act::Acknowledge {
            version,
            on: at(when).to_zoned(jiff::tz::TimeZone::UTC).date(),
            method: Method::OnPaper,
        };
        let (registers, by) = (self.house.registers(), hand(&self.kim, at(when)));
        let none = Words::default();
        let added = registers.add::<Staff>(staff, &act, &none, by);
        added.await.unwrap();
    }

    async fn report(&self, day: &str, made: &str) -> Report {
        let period = format!("{day}..{day}").parse().unwrap();
        let storage = self.house.storage();
        make(storage, "Little Acorns", period, None, at(made))
            .await
            .unwrap()
    }
}

fn level(report: &Report, held: Held) -> Level {
    report.held_to.as_ref().unwrap().judged[&held]
}

#[tokio::test]
async fn a_tablet_that_is_not_back_is_amber_after_a_quarter_of_an_hour_and_red_once_the_day_closed()
{
    let world = World::new().await;
    let day = "2026-03-10";
    let before = world.report(day, "10T12:00").await;
    assert_eq!(before.server.custody, None);
    assert_eq!(level(&before, Held::Custody), Level::NotKnown);
    let out = Out {
        device: world.tablet.id,
        staff: world.employs("Rosa Reed").await,
        due: at("10T12:00"),
    };
    let (registers, none) = (world.house.registers(), Words::default());
    let by = hand(&world.kim, at("10T09:00"));
    let act = custody::Act::Out { out };
    let id = registers.begin::<Custody>(&act, &none, None, by);
    let id = id.await.unwrap();
    let by = hand(&world.kim, at("11T09:00"));
    let back = registers.add::<Custody>(id, &custody::Act::In, &none, by);
    back.await.unwrap();
    for (made, minutes, expected) in [
        ("10T11:59", None, Level::Good),
        ("10T12:15", Some(15), Level::Plain),
        ("10T12:16", Some(16), Level::Amber),
        // It came back the next day, which this day did not know.
        ("12T08:00", Some(12 * 60), Level::Red),
    ] {
        let report = world.report(day, made).await;
        assert_eq!(level(&report, Held::Custody), expected, "{made}");
        let figures = CustodyFigures {
            out: 1,
            overdue: u64::from(minutes.is_some()),
            longest_minutes: minutes.unwrap_or(0),
            past_close: u64::from(expected == Level::Red),
        };
        assert_eq!(report.server.custody, Some(figures), "{made}");
    }
    let next = world.report("2026-03-11", "12T08:00").await;
    assert_eq!(level(&next, Held::Custody), Level::Good);
}

#[tokio::test]
async fn the_policy_counts_as_it_was_acknowledged_by_the_end() {
    let world = World::new().await;
    let made = "31T08:00";
    let nobody = world.report("2026-03-02", made).await;
    assert_eq!(nobody.server.aup, None);
    assert_eq!(level(&nobody, Held::Aup), Level::NotKnown);
    let [rosa, tom] = [
        world.employs("Rosa Reed").await,
        world.employs("Tom Tarn").await,
    ];
    let first = world.publishes("02T08:00").await;
    world.acknowledges(rosa, first, "03T08:00").await;
    world.acknowledges(tom, first, "04T08:00").await;
    let second = world.publishes("05T08:00").await;
    world.acknowledges(rosa, second, "06T08:00").await;
    for (day, acknowledged, expected) in [
        ("2026-03-03", 1, Level::Red),
        ("2026-03-04", 2, Level::Good),
        // For the first days of a new version the one before is enough.
        ("2026-03-19", 2, Level::Good),
        ("2026-03-20", 1, Level::Red),
    ] {
        let report = world.report(day, made).await;
        let figures = AupFigures {
            staff: 2,
            acknowledged,
        };
        assert_eq!(report.server.aup, Some(figures), "{day}");
        assert_eq!(level(&report, Held::Aup), expected, "{day}");
    }
}
