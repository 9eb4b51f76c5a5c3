#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::storage::testing::{TestStorage, audit, child, given, now};
use crate::storage::{RegisterChange, RegisterPut, TaskKind, WithClosed};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::consent::{ConsentRecord, Purpose};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use std::sync::Mutex;

struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct World {
    test: TestStorage,
    clock: Arc<SetClock>,
    job: ReminderJob,
    /// Rounds that had something to look at.
    looks: usize,
}

impl World {
    async fn new() -> Self {
        let test = TestStorage::create().await;
        let act = audit("p");
        let put = test
            .storage
            .profile_put("early-years", 0, EARLY_YEARS, &act);
        put.await.unwrap();
        let clock = Arc::new(SetClock(Mutex::new(now())));
        let job = ReminderJob {
            storage: Arc::clone(&test.storage),
            clock: Arc::<SetClock>::clone(&clock),
            looked: Arc::default(),
        };
        Self {
            test,
            clock,
            job,
            looks: 0,
        }
    }

    /// A child whose one consent ends on the day so many days from now.
    async fn consent_for(&self, number: u128, days: i64) {
        let last_day = now() + SignedDuration::from_hours(24 * days);
        let record = ConsentRecord {
            valid_until: Some(last_day.in_tz("Europe/London").unwrap().date()),
            ..given(number, Purpose::Website, now())
        };
        let change = RegisterChange {
            children: vec![child(number)],
            records: vec![record],
            import_key: None,
        };
        let (act, version) = (
            audit("c"),
            self.test.storage.inputs_version().await.unwrap(),
        );
        let put = self.test.storage.register_change(&change, version, &act);
        assert_eq!(put.await.unwrap(), RegisterPut::Done);
    }

    fn pass(&self, minutes: i64) {
        *self.clock.0.lock().unwrap() += SignedDuration::from_mins(minutes);
    }

    /// Tasks about consents that end, after a round.
    async fn open(&mut self) -> usize {
        let looked = self.job.round().await.unwrap();
        self.looks += usize::from(looked);
        let mut open = self.test.storage.task_list(WithClosed::No).await.unwrap();
        open.retain(|task| task.kind == TaskKind::ConsentExpiring);
        open.len()
    }
}

#[tokio::test]
async fn a_change_is_looked_at_in_the_next_round() {
    let mut world = World::new().await;
    assert_eq!(world.open().await, 0);
    world.consent_for(1, 10).await;
    assert_eq!(world.open().await, 1);
    assert_eq!(world.looks, 2);
}

#[tokio::test]
async fn a_day_that_nears_is_noticed_without_anybody_changing_anything() {
    let mut world = World::new().await;
    world.consent_for(1, 32).await;
    assert_eq!(world.open().await, 0);
    world.pass(3 * 24 * 60);
    assert_eq!(world.open().await, 1);
}

#[tokio::test]
async fn without_a_change_the_hour_is_looked_at_once() {
    let mut world = World::new().await;
    world.consent_for(1, 10).await;
    assert_eq!(world.open().await, 1);
    assert_eq!(world.looks, 1);
    world.pass(59);
    assert_eq!(world.open().await, 1);
    assert_eq!(world.looks, 1);
    world.pass(1);
    assert_eq!(world.open().await, 1);
    assert_eq!(world.looks, 2);
}

#[tokio::test]
async fn the_job_opens_what_is_due_by_itself() {
    let world = World::new().await;
    world.consent_for(1, 10).await;
    let storage = Arc::clone(&world.test.storage);
    let running = tokio::spawn(world.job.run());
    let open = async {
        loop {
            let open = storage.task_list(WithClosed::No).await.unwrap();
            if !open.is_empty() {
                return open.len();
            }
            tokio::task::yield_now().await;
        }
    };
    let open = tokio::time::timeout(std::time::Duration::from_mins(1), open).await;
    assert_eq!(open.unwrap(), 1);
    running.abort();
}
