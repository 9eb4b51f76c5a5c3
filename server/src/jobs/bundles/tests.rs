#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::consent::{Reach, Said, withdraw};
use crate::domain::{import, profile};
use crate::signing::Refusal;
use crate::storage::testing::{TestStorage, audit, now};
use crate::storage::{BundleReport, Reported};
use age::secrecy::ExposeSecret as _;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::consent::{ConsentState, GivenBy, Method, Purpose};
use nestwarden_policy_schema::envelope::sign;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use std::sync::Mutex;

const FILE: &[u8] = b"reference,first_name,last_name,website\nA1,A,B,Yes\n";

#[tokio::test]
async fn a_bundle_is_issued_once_and_again_only_when_it_says_something_else() {
    let world = World::new(0).await;
    assert_eq!(world.round().await.issued, vec![world.device]);
    assert_eq!(world.round().await.issued, vec![]);
    assert_eq!(world.newest().await.generation, Generation::new(1));

    let said = Said {
        given_by: GivenBy::Parent,
        has_parental_responsibility: None,
        method: Method::InPerson,
        wording: None,
    };
    withdraw(
        &world.job.storage,
        "A1",
        &[Purpose::Website],
        &said,
        Reach::Child,
        "os:test",
        now(),
    )
    .await
    .unwrap();
    let mut wake = world.job.wakes.subscribe(world.device);
    assert_eq!(world.round().await.issued, vec![world.device]);
    assert_eq!(*wake.borrow_and_update(), Generation::new(2));
    let bundle: Bundle = serde_json::from_str(&world.newest().await.signed.payload).unwrap();
    let child = bundle.register.children.values().next().unwrap();
    assert_eq!(
        child.purposes[&Purpose::Website].state,
        ConsentState::Withdrawn
    );
}

#[tokio::test]
async fn a_bundle_names_no_child() {
    let world = World::new(0).await;
    world.round().await;
    let payload = world.newest().await.signed.payload;
    assert!(!payload.contains("A1") && !payload.contains("first_name"));
}

#[tokio::test]
async fn a_bundle_is_issued_again_at_half_its_life() {
    let world = World::new(0).await;
    world.round().await;
    let early = now() + (LIFE / 2 - jiff::SignedDuration::from_secs(1));
    assert_eq!(world.job.issue_due(early).await.unwrap().issued, vec![]);
    let half = now() + LIFE / 2;
    let done = world.job.issue_due(half).await.unwrap();
    assert_eq!(done.issued, vec![world.device]);
    assert_eq!(world.newest().await.generation, Generation::new(2));
    assert_eq!(world.newest().await.expires_at, half + LIFE);
}

#[tokio::test]
async fn after_a_rolled_back_database_generations_go_on_above_the_signers_mark() {
    let world = World::new(7).await;
    world.round().await;
    assert_eq!(world.newest().await.generation, Generation::new(8));
}

#[tokio::test]
async fn a_revoked_device_gets_no_bundle_and_is_woken() {
    let world = World::new(0).await;
    let revocation = crate::storage::Revocation {
        at: now(),
        reason: "lost".to_owned(),
    };
    world
        .job
        .storage
        .device_revoke(world.device, &revocation, &audit("device.revoke"))
        .await
        .unwrap();
    let wake = world.job.wakes.subscribe(world.device);
    assert_eq!(world.round().await, Round::default());
    assert!(wake.has_changed().unwrap());
    assert_eq!(
        world.job.storage.bundle_newest(world.device).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_tablet_whose_profile_is_gone_keeps_what_it_has() {
    let world = World::new(0).await;
    let storage = &world.job.storage;
    let other = crate::storage::testing::enrol(storage, "no-such-profile").await;
    let done = world.round().await;
    assert_eq!(done.impossible, vec![other]);
    assert_eq!(done.issued, vec![world.device]);
}

struct World {
    job: BundleJob,
    device: DeviceId,
    _dir: TestStorage,
}

impl World {
    async fn new(mark: u64) -> Self {
        let dir = TestStorage::create().await;
        let storage = dir.storage.clone();
        profile::apply(&storage, EARLY_YEARS, "os:test", now())
            .await
            .unwrap();
        let plan = import::plan(&storage, FILE, now()).await.unwrap();
        import::apply(&storage, &plan, FILE, "os:test", now())
            .await
            .unwrap();
        let device = crate::storage::testing::enrol(&storage, "early-years").await;
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let job = BundleJob {
            storage,
            signer: Arc::new(KeyInHand {
                key: Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap(),
                mark: Mutex::new(Generation::new(mark)),
            }),
            secrets: SettingSecrets {
                setting_name: "Little Acorns".to_owned(),
                photo_hash: Secret::new(vec![7; 32]),
                release_recipient: "age1release".to_owned(),
                recovery_recipient: "age1recovery".to_owned(),
            },
            release: release_key(dir.dir.path()),
            clock: Arc::new(crate::door::SystemClock),
            wakes: BundleWakes::default(),
            nudge: Nudge::default(),
        };
        Self {
            job,
            device,
            _dir: dir,
        }
    }

    async fn round(&self) -> Round {
        self.job.issue_changed(now()).await.unwrap()
    }

    async fn newest_bundle(&self) -> Bundle {
        serde_json::from_str(&self.newest().await.signed.payload).unwrap()
    }

    async fn newest(&self) -> IssuedBundle {
        self.job
            .storage
            .bundle_newest(self.device)
            .await
            .unwrap()
            .unwrap()
    }
}

fn release_key(dir: &std::path::Path) -> ReleaseKey {
    let identity = age::x25519::Identity::generate().to_string();
    std::fs::write(dir.join("release.age"), identity.expose_secret()).unwrap();
    ReleaseKey::load(dir).unwrap()
}

/// Signs in this process, with the rule of the high-water mark.
struct KeyInHand {
    key: Ed25519KeyPair,
    mark: Mutex<Generation>,
}

impl BundleSigner for KeyInHand {
    fn sign_bundle(
        &self,
        bundle: Bundle,
    ) -> Pin<Box<dyn Future<Output = Result<Signed, SignerClientError>> + Send + '_>> {
        let mut mark = self.mark.lock().unwrap();
        let answer = if bundle.generation > *mark {
            *mark = bundle.generation;
            Ok(sign(&bundle, &self.key).unwrap())
        } else {
            Err(SignerClientError::Refused(Refusal::NotAboveMark {
                asked: bundle.generation,
                mark: *mark,
            }))
        };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test]
async fn a_bundle_goes_above_what_a_tablet_had_and_names_it_until_that_is_settled() {
    let world = World::new(0).await;
    world.round().await;
    let report = BundleReport {
        generation: Generation::new(9),
        digest: Some(nestwarden_policy_schema::bytes::Digest::sha256(b"before")),
        reported_at: now(),
    };
    let storage = &world.job.storage;
    for _ in 0..2 {
        let reported = storage.bundle_report(world.device, &report).await.unwrap();
        assert!(matches!(reported, Reported::NeverIssued(_)));
    }
    assert_eq!(world.round().await.issued, vec![world.device]);
    assert_eq!(world.round().await.issued, vec![]);
    let named = |issued: &IssuedBundle| {
        let bundle: Bundle = serde_json::from_str(&issued.signed.payload).unwrap();
        bundle.put_back
    };
    let newest = world.newest().await;
    assert_eq!(newest.generation, Generation::new(10));
    assert_eq!(named(&newest).unwrap().digest, report.digest);

    assert_eq!(storage.put_back_settle(&audit("settle")).await.unwrap(), 1);
    assert_eq!(storage.put_back_settle(&audit("settle")).await.unwrap(), 0);
    world.round().await;
    assert_eq!(named(&world.newest().await), None);
    let reported = storage.bundle_report(world.device, &report).await.unwrap();
    assert_eq!(reported, Reported::Known);
}

/// Somebody with a PIN, who acknowledged the policy in force.
async fn somebody_with_a_pin(job: &BundleJob) -> nestwarden_policy_schema::id::EntryId {
    use crate::domain::registers::aup::{self, Audience, AupVersion};
    use crate::domain::registers::pin::{self, Typed};
    use crate::domain::registers::staff::{Act, Job, Method, Post, Staff, write};
    use crate::domain::registers::words::Words;
    let registers = registers(job);
    let kim = somebody();
    let by = crate::domain::registers::testing::hand(&kim, now());
    let day = jiff::civil::date(2026, 1, 5);
    let post = Post {
        job: Job::Practitioner,
        start: day,
        operator: None,
    };
    let name = Words::default().line("name", "Rosa Reed").unwrap();
    let add = Act::Add { post };
    let rosa = registers.begin::<Staff>(&add, &name, None, by).await;
    let rosa = rosa.unwrap();
    let publish = aup::Act::Publish {
        audience: Audience::Staff,
        version: "2026-1".to_owned(),
        from: day,
    };
    let none = Words::default();
    let version = registers
        .begin::<AupVersion>(&publish, &none, None, by)
        .await;
    let acknowledge = Act::Acknowledge {
        version: version.unwrap(),
        on: day,
        method: Method::OnPaper,
    };
    write(&registers, rosa, &acknowledge, &none, by)
        .await
        .unwrap();
    let pin = || zeroize::Zeroizing::new("482915".to_owned());
    let typed = Typed {
        shown: "Rosa",
        pin: pin(),
        again: pin(),
    };
    pin::set(&registers, rosa, typed, by).await.unwrap();
    rosa
}

fn somebody() -> crate::storage::Operator {
    crate::storage::Operator {
        id: nestwarden_policy_schema::id::OperatorId::from_uuid(uuid::Uuid::new_v4()),
        name: "Kim".to_owned(),
        roles: [crate::storage::Role::Manager].into(),
        created_at: now(),
    }
}

fn registers(job: &BundleJob) -> Registers<'_> {
    Registers {
        storage: &job.storage,
        release: &job.release,
        recipient: &job.secrets.release_recipient,
    }
}

#[tokio::test]
async fn whoever_is_suspended_is_off_the_tablets_with_the_next_round() {
    use crate::domain::registers::staff::{Act, write};
    use crate::domain::registers::words::Words;
    let mut world = World::new(0).await;
    world.job.secrets.release_recipient = world.job.release.recipient();
    let rosa = somebody_with_a_pin(&world.job).await;
    assert_eq!(world.round().await.issued, vec![world.device]);
    assert_eq!(world.round().await.issued, vec![], "it says the same");
    let told = world.newest_bundle().await;
    let entry = told.roster.first().unwrap();
    assert_eq!(entry.name, "Rosa");
    let today = told.calendar.local_date(now());
    assert_eq!((entry.may_have_on(today), told.roster.len()), (Ok(()), 1));
    assert_eq!(told.aup.unwrap().name, "2026-1");

    let kim = somebody();
    let by = crate::domain::registers::testing::hand(&kim, now());
    let why = Words::default();
    let suspended = write(&registers(&world.job), rosa, &Act::Suspend, &why, by).await;
    suspended.unwrap();
    assert_eq!(world.round().await.issued, vec![world.device]);
    let told = world.newest_bundle().await;
    let entry = told.roster.first().unwrap();
    assert!(entry.may_have_on(today).is_err() && entry.pin.is_none());
}

#[tokio::test]
async fn a_day_that_begins_is_told_without_anybody_writing_anything() {
    use crate::domain::registers::staff::{Act, write};
    use crate::domain::registers::words::Words;
    let mut world = World::new(0).await;
    world.job.secrets.release_recipient = world.job.release.recipient();
    let rosa = somebody_with_a_pin(&world.job).await;
    let kim = somebody();
    let by = crate::domain::registers::testing::hand(&kim, now());
    let last_day = jiff::civil::date(2026, 3, 11);
    let leave = Act::Leave { last_day };
    let leaves = write(&registers(&world.job), rosa, &leave, &Words::default(), by).await;
    leaves.unwrap();
    world.round().await;
    assert_eq!(world.newest_bundle().await.roster.len(), 1);
    let later = now() + jiff::SignedDuration::from_hours(72);
    let done = world.job.issue_changed(later).await.unwrap();
    assert_eq!(done.issued, vec![world.device]);
    assert!(world.newest_bundle().await.roster.is_empty());
}
