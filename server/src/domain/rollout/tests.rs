#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::bundle::{Inputs, SettingSecrets};
use crate::domain::task;
use crate::storage::task::{TaskKind, WithClosed};
use crate::storage::testing::{TestStorage, enrol, now, told};
use crate::storage::{IssuedBundle, Revocation, StoredInventory};
use jiff::SignedDuration;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::bytes::{Base64, Digest, Secret};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_policy_schema::trust::KeyId;

const BY: &str = "Kim Manager";

struct Setting {
    test: TestStorage,
    tablets: [DeviceId; 3],
}

/// Three tablets, all of which reported just now.
async fn setting() -> Setting {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    profile::apply(storage, EARLY_YEARS, BY, now())
        .await
        .unwrap();
    let mut tablets = Vec::new();
    for _ in 0..3 {
        let id = enrol(storage, "early-years").await;
        storage
            .inventory_put(id, &reported(0, &Outcome::Compliant))
            .await
            .unwrap();
        tablets.push(id);
    }
    let tablets = tablets.try_into().unwrap();
    Setting { test, tablets }
}

fn after(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn reported(minutes: i64, outcome: &Outcome) -> StoredInventory {
    let measured_at = after(minutes);
    let report = |control| ControlReport {
        control,
        outcome: outcome.clone(),
        measured_at,
    };
    told(measured_at, ControlName::ALL.map(report).to_vec())
}

fn drifted() -> Outcome {
    Outcome::Drifted {
        remaining: vec!["Bluetooth is on".to_owned()],
        error: None,
    }
}

fn stricter() -> String {
    let stricter = EARLY_YEARS.replace("min_length = 6", "min_length = 8");
    assert_ne!(stricter, EARLY_YEARS);
    stricter
}

fn holds() -> Progress {
    Progress::Holds {
        but_for: BTreeSet::new(),
    }
}

impl Setting {
    fn storage(&self) -> &Storage {
        &self.test.storage
    }

    async fn begin(&self) -> Look {
        let source = stricter();
        begin(
            self.storage(),
            (&source, Some(1)),
            self.tablets[0],
            (BY, now()),
        )
        .await
        .unwrap()
    }

    /// The tablet has its newest bundle, which says what is asked of it now.
    async fn tells(&self, tablet: usize, minutes: i64, outcome: &Outcome) {
        let id = self.tablets[tablet];
        let mut said = reported(minutes, outcome);
        said.inventory.generation = self.issue(id).await;
        self.storage().inventory_put(id, &said).await.unwrap();
    }

    async fn bundle(&self, id: DeviceId) -> Bundle {
        let inputs = Inputs::load(self.storage()).await.unwrap();
        let secrets = SettingSecrets {
            setting_name: "Little Acorns".to_owned(),
            photo_hash: Secret::new(vec![7; 32]),
            release_recipient: "age1a".to_owned(),
            recovery_recipient: "age1b".to_owned(),
        };
        let device = self.storage().device_find(id).await.unwrap().unwrap();
        inputs.compose(&device, &secrets, now()).unwrap()
    }

    /// What the tablets' next bundles ask of passcodes, in their order.
    async fn lengths(&self) -> Vec<u8> {
        let mut lengths = Vec::new();
        for id in self.tablets {
            let policy = self.bundle(id).await.policy;
            lengths.push(policy.passcode.unwrap().min_length);
        }
        lengths
    }

    async fn issue(&self, id: DeviceId) -> Generation {
        let newest = self.storage().bundle_newest(id).await.unwrap();
        let generation = newest.map_or(1, |newest| newest.generation.get() + 1);
        let generation = Generation::new(generation);
        let bundle = self.bundle(id).await;
        let issued = IssuedBundle {
            device: id,
            generation,
            content_digest: Digest::ZERO,
            holds_digest: bundle.holds.digest,
            issued_at: now(),
            expires_at: bundle.expires_at,
            signed: Signed {
                payload: serde_json::to_string(&bundle).unwrap(),
                key_id: KeyId(Digest::ZERO),
                signature: Base64(vec![7; 64]),
            },
        };
        assert!(self.storage().bundle_put(&issued).await.unwrap());
        generation
    }

    async fn add_second(&self, minutes: i64) -> Result<Look, RolloutError> {
        let second = self.tablets[1];
        let by = (BY, after(minutes));
        add(
            self.storage(),
            "early-years",
            |device| device.id == second,
            by,
        )
        .await
    }

    async fn progress(&self, minutes: i64) -> Progress {
        let look = look(self.storage(), "early-years", after(minutes)).await;
        look.unwrap().unwrap().tablets.remove(0).progress
    }

    async fn watched(&self, minutes: i64) -> usize {
        watch(self.storage(), after(minutes)).await.unwrap()
    }
}

#[tokio::test]
async fn a_new_version_reaches_one_tablet_then_more_and_all_once_it_is_live() {
    let setting = setting().await;
    setting.begin().await;
    assert_eq!(setting.lengths().await, [8, 6, 6]);
    setting.tells(0, 1, &Outcome::Compliant).await;
    setting.add_second(2).await.unwrap();
    assert_eq!(setting.lengths().await, [8, 8, 6]);
    setting.tells(1, 3, &Outcome::Compliant).await;
    let version = make_live(setting.storage(), "early-years", (BY, after(4))).await;
    assert_eq!(version.unwrap(), 2);
    assert_eq!(setting.lengths().await, [8, 8, 8]);
    let over = look(setting.storage(), "early-years", after(4))
        .await
        .unwrap();
    assert!(over.is_none(), "nothing is under way any more");
}

#[tokio::test]
async fn it_goes_no_further_before_every_tablet_that_has_it_was_measured_under_it() {
    let setting = setting().await;
    setting.begin().await;
    assert_eq!(setting.progress(1).await, Progress::Waits);
    let early = setting.add_second(1).await;
    assert!(matches!(early, Err(RolloutError::NotYet(_))));
    let live = make_live(setting.storage(), "early-years", (BY, after(1))).await;
    assert!(matches!(live, Err(RolloutError::NotYet(_))));
    // What it says of earlier measurements proves nothing.
    let mut old = reported(0, &Outcome::Compliant);
    old.received_at = after(2);
    old.inventory.generation = setting.issue(setting.tablets[0]).await;
    setting
        .storage()
        .inventory_put(setting.tablets[0], &old)
        .await
        .unwrap();
    assert_eq!(setting.progress(2).await, Progress::OnItsWay);
    setting.tells(0, 3, &Outcome::Unmanaged).await;
    assert_eq!(setting.progress(3).await, Progress::OnItsWay);
    setting.tells(0, 4, &Outcome::Compliant).await;
    assert_eq!(setting.progress(4).await, holds());
    assert_eq!(setting.watched(4).await, 0);
}

#[tokio::test]
async fn a_tablet_that_drifts_with_it_stops_it_and_somebody_is_told() {
    let setting = setting().await;
    let storage = setting.storage();
    setting.begin().await;
    setting.tells(0, 1, &drifted()).await;
    assert_eq!(setting.watched(1).await, 1);
    assert_eq!(setting.watched(1).await, 0, "it is stopped once");
    setting.tells(0, 2, &Outcome::Compliant).await;
    // Although it holds now: somebody has to have looked.
    let refused = setting.add_second(2).await;
    let Err(RolloutError::Stopped { why, .. }) = refused else {
        panic!("{:?}", refused.err());
    };
    assert!(why.contains("Bluetooth is on"), "{why}");
    let stopped = async || {
        task::round(storage, after(3)).await.unwrap();
        let open = storage.task_list(WithClosed::No).await.unwrap();
        open.iter()
            .filter(|task| task.kind == TaskKind::RolloutStopped)
            .count()
    };
    assert_eq!(stopped().await, 1);
    go_on(storage, "early-years", "It was a slip", (BY, after(3)))
        .await
        .unwrap();
    assert_eq!(stopped().await, 0, "the task ends by itself");
    setting.add_second(3).await.unwrap();
    assert_eq!(setting.lengths().await, [8, 8, 6]);
}

#[tokio::test]
async fn what_a_person_let_pass_is_neither_waited_for_nor_stops_it_again() {
    let setting = setting().await;
    setting.begin().await;
    setting.tells(0, 1, &drifted()).await;
    setting.watched(1).await;
    go_on(setting.storage(), "early-years", "Known", (BY, after(1)))
        .await
        .unwrap();
    assert_eq!(setting.watched(2).await, 0);
    setting.add_second(2).await.unwrap();
    setting.tells(1, 3, &drifted()).await;
    assert_eq!(
        setting.watched(3).await,
        1,
        "another tablet's trouble is news"
    );
}

#[tokio::test]
async fn what_was_wrong_before_it_had_the_new_version_stops_nothing() {
    let setting = setting().await;
    setting.tells(0, 0, &drifted()).await;
    setting.begin().await;
    setting.tells(0, 1, &drifted()).await;
    assert_eq!(setting.watched(1).await, 0);
    let but_for = ControlName::ALL.into_iter().collect();
    assert_eq!(
        setting.progress(1).await,
        Progress::Holds { but_for },
        "and it is said"
    );
}

#[tokio::test]
async fn a_tablet_that_falls_silent_with_it_in_contact_hours_stops_it() {
    let setting = setting().await;
    setting.begin().await;
    setting.tells(0, 1, &Outcome::Compliant).await;
    assert_eq!(setting.watched(20).await, 0);
    assert_eq!(setting.watched(34).await, 1);
}

#[tokio::test]
async fn a_tablet_that_is_off_overnight_stops_nothing() {
    let setting = setting().await;
    setting.begin().await;
    setting.tells(0, 1, &Outcome::Compliant).await;
    // From noon to the small hours: contact hours are over by then.
    assert_eq!(setting.watched(14 * 60).await, 0);
}

#[tokio::test]
async fn it_is_taken_back_with_a_reason() {
    let setting = setting().await;
    setting.begin().await;
    let take =
        async |why: &str| take_back(setting.storage(), "early-years", why, (BY, after(1))).await;
    assert!(matches!(take(" ").await, Err(RolloutError::Reason)));
    take("Staff could not sign in").await.unwrap();
    assert_eq!(setting.lengths().await, [6, 6, 6]);
    assert!(matches!(take("Again").await, Err(RolloutError::None(_))));
}

#[tokio::test]
async fn another_version_made_live_ends_it_and_reaches_every_tablet() {
    let setting = setting().await;
    setting.begin().await;
    let other = EARLY_YEARS.replace("min_length = 6", "min_length = 7");
    let (change, _) = profile::apply(setting.storage(), &other, BY, after(1))
        .await
        .unwrap();
    assert!(change.ends_rollout, "and it is said");
    assert_eq!(setting.lengths().await, [7, 7, 7]);
}

#[tokio::test]
async fn it_begins_with_a_tablet_that_is_on_and_has_the_profile_and_once_at_a_time() {
    let setting = setting().await;
    let storage = setting.storage();
    let source = stricter();
    let try_on = async |source: &str, looked_at, device, minutes| {
        let begun = begin(storage, (source, looked_at), device, (BY, after(minutes))).await;
        begun.map(drop)
    };
    let first = setting.tablets[0];
    let other = enrol(storage, "another").await;
    assert!(matches!(
        try_on(&source, Some(1), other, 0).await,
        Err(RolloutError::NoTablet(_))
    ));
    assert!(matches!(
        try_on(EARLY_YEARS, Some(1), first, 0).await,
        Err(RolloutError::Same)
    ));
    assert!(matches!(
        try_on(&source, Some(1), first, 17).await,
        Err(RolloutError::NotHeard(_))
    ));
    let stale = try_on(&source, Some(2), first, 0).await;
    assert!(matches!(
        stale,
        Err(RolloutError::Profile(ProfileChangeError::Overtaken(_)))
    ));
    try_on(&source, Some(1), first, 0).await.unwrap();
    let again = try_on(&source, Some(1), setting.tablets[1], 0).await;
    assert!(matches!(again, Err(RolloutError::UnderWay(_))));
}

#[tokio::test]
async fn a_tablet_that_is_shut_out_is_not_waited_for() {
    let setting = setting().await;
    setting.begin().await;
    let shut_out = Revocation {
        at: now(),
        reason: "broken".to_owned(),
    };
    let entry = audit(BY, now(), "device.revoke", "it", json!({}));
    let first = setting.tablets[0];
    setting
        .storage()
        .device_revoke(first, &shut_out, &entry)
        .await
        .unwrap();
    assert_eq!(setting.progress(1).await, Progress::ShutOut);
    // Nor does it prove anything.
    assert!(matches!(
        setting.add_second(1).await,
        Err(RolloutError::Nobody)
    ));
    let live = make_live(setting.storage(), "early-years", (BY, after(1))).await;
    assert!(matches!(live, Err(RolloutError::Nobody)));
    let gone_on = go_on(setting.storage(), "early-years", "x", (BY, after(1))).await;
    assert!(matches!(gone_on, Err(RolloutError::NotStopped)));
}

#[tokio::test]
async fn a_version_this_server_cannot_read_leaves_its_tablets_what_they_have() {
    let setting = setting().await;
    let rollout = Rollout {
        source: "name = ".to_owned(),
        ..setting.begin().await.rollout
    };
    take_back(setting.storage(), "early-years", "test", (BY, now()))
        .await
        .unwrap();
    let later = Rollout {
        begun_at: after(1),
        ..rollout
    };
    let entry = audit(BY, after(1), "profile.try", "early-years", json!({}));
    setting
        .storage()
        .rollout_begin(&later, &entry)
        .await
        .unwrap();
    let in_force = InForce::load(setting.storage()).await.unwrap();
    let of = async |tablet: usize| {
        let id = setting.tablets[tablet];
        setting.storage().device_find(id).await.unwrap().unwrap()
    };
    assert!(in_force.of(&of(0).await).is_none());
    assert!(in_force.of(&of(1).await).is_some());
}

#[tokio::test]
async fn what_is_watched_and_cannot_be_read_is_said_to_be_not_known() {
    let setting = setting().await;
    setting.begin().await;
    let unread = Outcome::Observed {
        would_change: vec!["check the camera: no such device".to_owned()],
    };
    setting.tells(0, 1, &unread).await;
    let but_for = ControlName::ALL.into_iter().collect();
    assert_eq!(setting.progress(1).await, Progress::Holds { but_for });
}

#[tokio::test]
async fn a_tablet_that_is_well_under_the_version_before_does_not_count_as_holding_the_new_one() {
    let setting = setting().await;
    let first = setting.tablets[0];
    setting.issue(first).await;
    setting.begin().await;
    // Nothing was issued since: the signer is down.
    let well = reported(1, &Outcome::Compliant);
    setting.storage().inventory_put(first, &well).await.unwrap();
    assert_eq!(setting.progress(1).await, Progress::OnItsWay);
    let early = setting.add_second(1).await;
    assert!(matches!(early, Err(RolloutError::NotYet(_))));
    setting.tells(0, 2, &Outcome::Compliant).await;
    assert_eq!(setting.progress(2).await, holds());
}
