#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::registers::aup;
use crate::domain::registers::custody::{self, CountAct, Out};
use crate::domain::registers::staff::{self, Job, Method, Post};
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::words::Words;
use crate::domain::task::round;
use crate::storage::testing::{TestTablet, audit, now};
use crate::storage::{Operator, Task, WithClosed};
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use std::collections::BTreeSet;

const START: Date = date(2026, 1, 5);

struct World {
    house: House,
    kim: Operator,
    staff: EntryId,
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
        let post = Post {
            job: Job::Practitioner,
            start: START,
            operator: None,
        };
        let name = Words::default().line("name", "Rosa Reed").unwrap();
        let add = staff::Act::Add { post };
        let registers = house.registers();
        let begun = registers.begin::<Staff>(&add, &name, None, hand(&kim, now()));
        let staff = begun.await.unwrap();
        Self { house, kim, staff }
    }

    async fn writes(&self, act: staff::Act) {
        let (registers, by) = (self.house.registers(), hand(&self.kim, now()));
        let none = Words::default();
        let added = registers.add::<Staff>(self.staff, &act, &none, by);
        added.await.unwrap();
    }

    async fn takes(&self, on: Date, until: Date) {
        let act = staff::Act::Course {
            course: "Paediatric first aid".to_owned(),
            on,
            until: Some(until),
        };
        self.writes(act).await;
    }

    async fn publishes(&self, from: Date) -> EntryId {
        let act = aup::Act::Publish {
            audience: Audience::Staff,
            version: from.to_string(),
            from,
        };
        let (registers, by) = (self.house.registers(), hand(&self.kim, now()));
        let none = Words::default();
        let begun = registers.begin::<AupVersion>(&act, &none, None, by);
        begun.await.unwrap()
    }

    async fn open(&self, at: Timestamp) -> Vec<Task> {
        let storage = self.house.storage();
        round(storage, at).await.unwrap();
        storage.task_list(WithClosed::No).await.unwrap()
    }

    /// But for the apps of the starting profile, on which nobody decided.
    async fn kinds(&self, at: Timestamp) -> Vec<TaskKind> {
        self.open(at)
            .await
            .into_iter()
            .map(|task| task.kind)
            .filter(|kind| *kind != TaskKind::AppsUnapproved)
            .collect()
    }
}

#[tokio::test]
async fn a_course_is_a_task_a_month_before_it_runs_out_and_until_it_was_taken_again() {
    let world = World::new().await;
    // Today is 10 March.
    world.takes(START, date(2026, 4, 10)).await;
    assert_eq!(world.kinds(now()).await, []);
    world.takes(START, date(2026, 4, 9)).await;
    let open = world.open(now()).await;
    assert_eq!(
        (open[0].kind, open[0].due),
        (TaskKind::CourseEnds, date(2026, 4, 9))
    );
    assert_eq!(open[0].subject.entry, Some(world.staff));
    assert!(!format!("{open:?}").contains("Rosa"));
    world.takes(date(2026, 3, 10), date(2029, 3, 10)).await;
    assert_eq!(world.kinds(now()).await, []);
}

#[tokio::test]
async fn a_policy_is_a_task_until_everybody_who_works_here_acknowledged_it() {
    let world = World::new().await;
    let version = world.publishes(date(2026, 3, 9)).await;
    let open = world.open(now()).await;
    assert_eq!(
        (open[0].kind, open[0].due),
        (TaskKind::AupOutstanding, date(2026, 3, 23))
    );
    let method = Method::InPerson;
    let on = date(2026, 3, 10);
    world
        .writes(staff::Act::Acknowledge {
            version,
            on,
            method,
        })
        .await;
    assert_eq!(world.kinds(now()).await, []);
    // A later one, of which somebody who left by then need know nothing.
    world.publishes(date(2026, 3, 10)).await;
    assert_eq!(world.kinds(now()).await, [TaskKind::AupOutstanding]);
    let last_day = date(2026, 3, 9);
    world.writes(staff::Act::Leave { last_day }).await;
    assert_eq!(world.kinds(now()).await, []);
}

#[tokio::test]
async fn a_tablet_that_is_not_back_in_time_is_a_task_until_it_is() {
    let world = World::new().await;
    let device = TestTablet::enrol(world.house.storage()).await.id;
    let out = Out {
        device,
        staff: world.staff,
        due: now() + SignedDuration::from_hours(1),
    };
    let (registers, by) = (world.house.registers(), hand(&world.kim, now()));
    let act = custody::Act::Out { out };
    let id = registers
        .begin::<Custody>(&act, &Words::default(), None, by)
        .await
        .unwrap();
    assert_eq!(world.kinds(now()).await, []);
    let late = now() + SignedDuration::from_hours(2);
    assert_eq!(world.kinds(late).await, [TaskKind::CustodyOverdue]);
    let back = custody::Act::In;
    registers
        .add::<Custody>(id, &back, &Words::default(), by)
        .await
        .unwrap();
    assert_eq!(world.kinds(late).await, []);
}

#[tokio::test]
async fn who_left_last_counts_from_the_end_of_their_last_day_and_who_is_suspended_from_then() {
    let world = World::new().await;
    let calendar = crate::domain::task::local_calendar(world.house.storage())
        .await
        .unwrap()
        .unwrap();
    let gone = async |at| {
        let staff = list::<Staff>(world.house.storage(), Which::All)
            .await
            .unwrap();
        last_gone(&staff, &calendar, at).map(|(_, since)| since)
    };
    assert_eq!(gone(now()).await, None);
    let last_day = date(2026, 3, 11);
    world.writes(staff::Act::Leave { last_day }).await;
    assert_eq!(gone(now()).await, None);
    let end = calendar.end_of(last_day);
    assert_eq!(gone(end).await, Some(end));
    world.writes(staff::Act::Suspend).await;
    assert_eq!(gone(now()).await, Some(now()));
}

#[tokio::test]
async fn a_closing_count_of_a_clock_that_was_ahead_hides_no_later_one() {
    let world = World::new().await;
    let tablet = TestTablet::enrol(world.house.storage()).await;
    let counted = async |at, missing: &[_]| {
        let count = CountAct::Count {
            day: date(2026, 3, 10),
            here: BTreeSet::new(),
            out: BTreeSet::new(),
            missing: missing.iter().copied().collect(),
        };
        let (registers, by) = (world.house.registers(), hand(&world.kim, at));
        let none = Words::default();
        let begun = registers.begin::<Count>(&count, &none, None, by);
        begun.await.unwrap();
    };
    counted(now() + SignedDuration::from_hours(48), &[]).await;
    counted(now(), &[tablet.id]).await;
    assert_eq!(world.kinds(now()).await, [TaskKind::TabletMissing]);
}
