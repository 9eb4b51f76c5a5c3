#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use crate::domain::profile::allowlist;
use crate::domain::registers::app::{
    Act, Audience, Check, CheckOutcome, Has, Permission, Terms, ask, decide, named,
};
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::words::Words;
use crate::domain::task::round;
use crate::storage::testing::{audit, enrol, now};
use crate::storage::{Operator, Role, TaskKind, WithClosed};
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::profile::EARLY_YEARS;

const TODAY: Date = date(2026, 3, 10);

/// A setting whose profile allows essential apps, and these.
struct World {
    house: House,
    kim: Operator,
}

impl World {
    async fn new(allowed: &[&str]) -> Self {
        let house = House::new().await;
        let kim = house.person("Kim", &[Role::Manager]).await;
        let world = Self { house, kim };
        world.allows(0, allowed).await;
        world
    }

    async fn allows(&self, on: u64, allowed: &[&str]) {
        let mut source = EARLY_YEARS.to_owned();
        for usual in [
            "nursery-journal",
            "nursery-parent-messages",
            "gnome-snapshot",
            "gnome-calculator",
            "gnome-clocks",
        ] {
            source =
                allowlist::without(&source, &named(&format!("dpkg:{usual}")).unwrap()).unwrap();
        }
        for app in allowed {
            source = allowlist::with(&source, &named(app).unwrap()).unwrap();
        }
        let log = audit("p");
        let put = self
            .house
            .storage()
            .profile_put("early-years", on, &source, &log);
        assert!(put.await.unwrap().is_some());
    }

    async fn asks(&self, app: &str) -> EntryId {
        let wanted = (named(app).unwrap(), Audience::Staff);
        let (registers, words) = (self.house.registers(), Words::default());
        let asked = ask(&registers, wanted, &words, hand(&self.kim, now()));
        asked.await.unwrap()
    }

    async fn decides(&self, id: EntryId, act: Act) {
        let (registers, words) = (self.house.registers(), Words::default());
        let by = hand(&self.kim, now());
        let decided = decide(&registers, id, (&act, &words), TODAY, by);
        decided.await.unwrap();
    }

    async fn open(&self, at: Timestamp) -> Vec<(TaskKind, Date, Option<EntryId>)> {
        let storage = self.house.storage();
        round(storage, at).await.unwrap();
        let open = storage.task_list(WithClosed::No).await.unwrap();
        open.into_iter()
            .map(|task| {
                assert_eq!(task.owner, Role::Manager);
                (task.kind, task.due, task.subject.entry)
            })
            .collect()
    }
}

fn approve(review: Date) -> Act {
    Act::Approve {
        terms: Terms {
            audience: Audience::Staff,
            rated_from: None,
            ads: Has::No,
            purchases: Has::No,
            links_out: Has::No,
            check: Check {
                on: TODAY,
                outcome: CheckOutcome::NoPersonalData,
            },
            permissions: [].into(),
            review,
        },
    }
}

#[tokio::test]
async fn what_tablets_are_allowed_and_nobody_decided_is_one_task_until_it_is_decided_or_gone() {
    let world = World::new(&["dpkg:paint", "dpkg:clock"]).await;
    assert_eq!(world.open(now()).await, [], "no tablet has the profile");
    enrol(world.house.storage(), "early-years").await;
    let task = (TaskKind::AppsUnapproved, date(2026, 3, 17), None);
    assert_eq!(world.open(now()).await, [task]);
    // The same one while it goes on, with the day it had at first.
    world.allows(1, &["dpkg:clock"]).await;
    let later = now() + SignedDuration::from_hours(48);
    assert_eq!(world.open(later).await, [task]);
    world.allows(2, &[]).await;
    assert_eq!(world.open(later).await, []);
    world.allows(3, &["dpkg:paint"]).await;
    let anew = (TaskKind::AppsUnapproved, date(2026, 3, 19), None);
    assert_eq!(world.open(later).await, [anew], "and it comes again");
}

#[tokio::test]
async fn an_app_that_was_asked_for_or_wants_more_is_a_task_until_somebody_decides() {
    let world = World::new(&[]).await;
    let id = world.asks("dpkg:paint").await;
    let asked = (TaskKind::AppDecision, date(2026, 3, 24), Some(id));
    assert_eq!(world.open(now()).await, [asked]);
    world.decides(id, approve(date(2027, 3, 10))).await;
    assert_eq!(world.open(now()).await, []);

    let more = Act::Permissions {
        permissions: [Permission::new("camera").unwrap()].into(),
    };
    let registers = world.house.registers();
    let (words, by) = (Words::default(), hand(&world.kim, now()));
    let added = registers.add::<crate::domain::registers::app::App>(id, &more, &words, by);
    added.await.unwrap();
    let again = (TaskKind::AppDecision, date(2026, 3, 17), Some(id));
    assert_eq!(world.open(now()).await, [again]);
    world.decides(id, Act::Withdraw).await;
    assert_eq!(world.open(now()).await, []);
}

#[tokio::test]
async fn an_approval_is_a_task_a_month_before_its_review_is_due() {
    let world = World::new(&[]).await;
    let id = world.asks("dpkg:paint").await;
    world.decides(id, approve(date(2026, 4, 10))).await;
    assert_eq!(world.open(now()).await, []);
    let review = (TaskKind::AppReview, date(2026, 4, 10), Some(id));
    let tomorrow = now() + SignedDuration::from_hours(24);
    assert_eq!(world.open(tomorrow).await, [review]);
    let much_later = now() + SignedDuration::from_hours(24 * 60);
    assert_eq!(world.open(much_later).await, [review]);
    world.decides(id, approve(date(2027, 3, 10))).await;
    assert_eq!(world.open(tomorrow).await, []);
}
