#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::alert::set_address;
use crate::domain::registers::testing::House;
use crate::mail::Sending;
use crate::storage::testing::now;
use crate::storage::{AlertRound, NewMail, Operator, Role};
use std::sync::Mutex;

struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Takes everything, or answers as told; notes to whom.
struct Outbox {
    storage: Storage,
    answers: Mutex<Vec<NotSent>>,
    taken: Mutex<Vec<String>>,
    tried: Mutex<usize>,
}

impl Post for Outbox {
    fn send<'a>(&'a self, mail: Outgoing<'a>) -> Sending<'a> {
        Box::pin(async move {
            *self.tried.lock().unwrap() += 1;
            // If the power goes now, it is tried again, and not at once.
            let known = self.storage.mail_list().await.unwrap();
            let on_record = known.iter().any(|known| {
                let is_it = known.address.as_deref() == Some(mail.to);
                is_it && known.tries > 0 && known.next_try_at != known.made_at
            });
            assert!(on_record, "sent before it was on record");
            if let Some(answer) = self.answers.lock().unwrap().pop() {
                return Err(answer);
            }
            self.taken.lock().unwrap().push(mail.to.to_owned());
            Ok(())
        })
    }
}

struct World {
    house: House,
    clock: Arc<SetClock>,
    post: Arc<Outbox>,
    job: AlertJob,
    kim: Operator,
}

impl World {
    async fn new() -> Self {
        let house = House::new().await;
        let kim = house.person("Kim", &[Role::Manager]).await;
        let clock = Arc::new(SetClock(Mutex::new(now())));
        let post = Arc::new(Outbox {
            storage: Arc::clone(house.storage()),
            answers: Mutex::default(),
            taken: Mutex::default(),
            tried: Mutex::default(),
        });
        let keys = house.test.dir.path().join("keys");
        let job = AlertJob {
            storage: Arc::clone(house.storage()),
            release: ReleaseKey::load(&keys).unwrap(),
            recipient: String::new(),
            clock: Arc::<SetClock>::clone(&clock),
            post: Arc::<Outbox>::clone(&post),
            setting_name: "Little Acorns".to_owned(),
            origin: "https://box.example:7444".to_owned(),
            digest_at: Time::constant(8, 0, 0, 0),
            weekly: None,
        };
        let world = Self {
            house,
            clock,
            post,
            job,
            kim,
        };
        world.address(Some("kim@acorns.example")).await;
        world
    }

    async fn address(&self, address: Option<&str>) {
        let set = set_address(self.house.storage(), &self.kim, address, "Kim", now());
        set.await.unwrap();
    }

    async fn write(&self, key: &str) {
        let round = AlertRound {
            mails: vec![NewMail {
                key: key.to_owned(),
                to: self.kim.id,
                subject: "subject".to_owned(),
                body: "body".to_owned(),
            }],
            ..AlertRound::default()
        };
        let put = self
            .house
            .storage()
            .alert_round(&round, self.clock.now(), Timestamp::MIN);
        put.await.unwrap();
    }

    fn fails(&self, answer: NotSent) {
        self.post.answers.lock().unwrap().push(answer);
    }

    fn wait(&self, minutes: i64) {
        let mut now = self.clock.0.lock().unwrap();
        *now += SignedDuration::from_mins(minutes);
    }

    /// To whom one round sent something.
    async fn round(&self) -> Vec<String> {
        self.post.taken.lock().unwrap().clear();
        self.job.round().await.unwrap();
        self.post.taken.lock().unwrap().clone()
    }

    async fn left(&self) -> Vec<Mail> {
        self.house.storage().mail_list().await.unwrap()
    }
}

#[tokio::test]
async fn a_mail_is_sent_once_and_then_nothing_of_it_is_kept() {
    let world = World::new().await;
    world.write("a").await;
    assert_eq!(world.round().await, ["kim@acorns.example"]);
    assert_eq!(world.round().await, [""; 0]);
    assert_eq!(world.left().await, []);
    let state = world.house.storage().mail_state().await.unwrap();
    assert_eq!((state.sent_at, state.failed_at), (Some(now()), None));
}

#[tokio::test]
async fn what_could_not_be_sent_is_tried_again_later_and_later_and_given_up_after_three_days() {
    let world = World::new().await;
    world.write("a").await;
    let mut waited = 0;
    for wait in [1, 5, 15, 60, 180, 360, 360] {
        world.fails(NotSent::Later("busy".to_owned()));
        assert_eq!(world.round().await, [""; 0]);
        assert_eq!(world.round().await, [""; 0], "not before its time");
        let left = world.left().await;
        assert_eq!(left[0].problem.as_deref(), Some("busy"));
        world.wait(wait);
        waited += wait;
        assert_eq!(
            left[0].next_try_at,
            now() + SignedDuration::from_mins(waited)
        );
    }
    world.wait(3 * 24 * 60 - waited);
    world.fails(NotSent::Later("busy".to_owned()));
    assert_eq!(world.round().await, [""; 0]);
    let given_up = world.left().await[0].gave_up_at;
    assert_eq!(given_up, Some(now() + GIVE_UP_AFTER));
    world.wait(10_000);
    assert_eq!(world.round().await, [""; 0], "never again");
}

#[tokio::test]
async fn one_that_nobody_can_get_is_given_up_at_once_and_keeps_no_other_waiting() {
    let world = World::new().await;
    world.write("a").await;
    world.write("b").await;
    world.fails(NotSent::Never("no such person".to_owned()));
    assert_eq!(world.round().await, ["kim@acorns.example"]);
    let left = world.left().await;
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].key.as_str(), left[0].gave_up_at),
        ("a", Some(now()))
    );
    let trouble = alert::troubled(world.house.storage(), None, now())
        .await
        .unwrap();
    assert_eq!(trouble.unwrap().problem, "no such person");
}

#[tokio::test]
async fn a_corrected_address_is_used_for_what_waits_already() {
    let world = World::new().await;
    world.write("a").await;
    world.fails(NotSent::Later("busy".to_owned()));
    world.round().await;
    let quiet = alert::troubled(world.house.storage(), None, now())
        .await
        .unwrap();
    assert_eq!(quiet, None, "a first try that failed is nothing yet");
    world.address(Some("kim@oaks.example")).await;
    world.wait(60);
    let late = now() + SignedDuration::from_mins(60);
    let trouble = alert::troubled(world.house.storage(), None, late)
        .await
        .unwrap();
    assert_eq!(trouble.map(|trouble| trouble.count), Some(1));
    assert_eq!(world.round().await, ["kim@oaks.example"]);
    world.write("b").await;
    world.address(None).await;
    assert_eq!(world.round().await, [""; 0]);
    assert!(world.left().await[0].gave_up_at.is_some());
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_not_asked_for_every_mail_that_waits() {
    let world = World::new().await;
    for key in ["a", "b", "c", "d"] {
        world.write(key).await;
        world.fails(NotSent::Later("away".to_owned()));
    }
    assert_eq!(world.round().await, [""; 0]);
    assert_eq!(*world.post.tried.lock().unwrap(), 2);
    // Those that were not tried are not behind those that were.
    world.post.answers.lock().unwrap().clear();
    assert_eq!(world.round().await.len(), 2);
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_wrote_is_sent_all_the_same() {
    let world = World::new().await;
    world.wait(60 * 24 * 400);
    world.fails(NotSent::Later("away".to_owned()));
    world.write("a").await;
    assert_eq!(world.round().await, [""; 0]);
    world.wait(-60 * 24 * 400);
    assert_eq!(world.round().await, ["kim@acorns.example"]);
}
