//! The whole task over real files, with the real watcher and a clock that is set by hand.

use super::catalogue;
use super::listing::{Listing, Tags};
use super::task::{FullLook, LOOK_AT_MOST, PhotosContext, PhotosTask};
use super::testing::{PICTURES, child, jpeg, policy};
use super::{PhotosError, PhotosHandle};
use crate::clock::TrustedClock;
use crate::ledger::{Ledger, LossWord};
use crate::paths::Paths;
use crate::reconcile::board::OutcomeBoard;
use crate::testing::{HandClock, Signer, enrolled};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::command::{Command, CommandKind};
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentStanding, ConsentState, Purpose, Stage, Tagging,
};
use nestwarden_policy_schema::control::{ControlName, Outcome};
use nestwarden_policy_schema::envelope::verify_bundle;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::policy::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

struct Running {
    temp: tempfile::TempDir,
    signer: Signer,
    ledger: Ledger,
    hands: HandClock,
    clock: TrustedClock,
    board: OutcomeBoard,
    bundle: Bundle,
    handle: PhotosHandle,
    task: tokio::task::JoinHandle<()>,
}

fn running() -> Running {
    let (task, running) = prepared();
    running(tokio::spawn(task.run()))
}

/// The task before it runs, and what it takes to be watched once it does.
fn prepared() -> (
    PhotosTask,
    impl FnOnce(tokio::task::JoinHandle<()>) -> Running,
) {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(temp.path().join(PICTURES)).unwrap();
    let paths = Paths::new(temp.path());
    let signer = Signer::new();
    let ledger = enrolled(&paths, &signer);
    let hands = HandClock::at("2026-03-02T10:00:00Z");
    let clock = TrustedClock::open(ledger.clone(), Arc::new(hands.clone())).unwrap();
    clock.confirm(clock.now().at, Duration::ZERO).unwrap();
    clock.confirm_holds(clock.now().at);
    let board = OutcomeBoard::open(ledger.clone(), clock.now().at).unwrap();
    let release = age::x25519::Identity::generate();
    let recipient = release.to_public().to_string();
    let context = PhotosContext {
        ledger: ledger.clone(),
        clock: clock.clone(),
        paths,
        board: board.clone(),
        device_id: signer.device,
        unsealer: Arc::new(move |request| {
            let key = super::testing::file_key(&release, &request);
            Box::pin(async move { Ok(key) })
        }),
    };
    let mut bundle = signer.content(1);
    bundle.policy.photos = Some(policy());
    let recovery = age::x25519::Identity::generate().to_public();
    bundle.release_recipient = recipient;
    bundle.recovery_recipient = recovery.to_string();
    bundle
        .register
        .children
        .insert(child(1), entry(ConsentState::Given));
    let (handle, photos) = PhotosTask::open(context).unwrap();
    let running = |task| Running {
        temp,
        signer,
        ledger,
        hands,
        clock,
        board,
        bundle,
        handle,
        task,
    };
    (photos, running)
}

/// Everybody in the photo is the one child.
fn only_the_child() -> Tags {
    Tags {
        tagging: Tagging::Complete,
        confirmed: BTreeSet::from([child(1)]),
        unregistered_person: false,
        care_record: false,
    }
}

fn entry(state: ConsentState) -> ChildEntry {
    let standing = ConsentStanding {
        state,
        withdrawn_at: (state == ConsentState::Withdrawn)
            .then(|| "2026-03-02T10:00:00Z".parse().unwrap()),
        ..ConsentStanding::UNANSWERED
    };
    ChildEntry {
        purposes: BTreeMap::from([(Purpose::OwnLearningJournal, standing)]),
        ..ChildEntry::default()
    }
}

impl Running {
    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(PICTURES).join(name)
    }

    fn store(&mut self) {
        let signed = self.signer.sign_bundle(&self.bundle);
        let anchors = self.signer.anchors();
        let verified = verify_bundle(signed, &anchors, self.signer.device, None).unwrap();
        self.ledger.store_bundle(verified).unwrap();
        let next = self.bundle.generation.get() + 1;
        self.bundle.generation = Generation::new(next);
    }

    fn set_consent(&mut self, state: ConsentState) {
        self.bundle.register.children.insert(child(1), entry(state));
        self.store();
    }

    /// As the reconciler does when the server's word arrives.
    fn mark(&self, mode: Mode, lost_since: Option<jiff::Timestamp>) {
        let command = Command {
            id: CommandId::from_uuid(uuid::Uuid::now_v7()),
            device: self.signer.device,
            kind: CommandKind::Lost,
            issued_at: self.bundle.issued_at,
            expires_at: self.bundle.expires_at,
        };
        let word = LossWord {
            command,
            lost_since,
            told: true,
            withheld_before: (mode == Mode::Observe).then(BTreeSet::new),
        };
        let marked = self.ledger.transaction(|tx| tx.set_loss(word));
        marked.unwrap();
    }

    /// Waits for what is written down, as long as it takes.
    async fn until(&self, mut holds: impl FnMut(&[Listing]) -> bool) -> Vec<Listing> {
        let mut recorded = self.ledger.event_recorded();
        loop {
            recorded.borrow_and_update();
            let listed = self.handle.list().await.unwrap();
            if holds(&listed) {
                return listed;
            }
            recorded.changed().await.unwrap();
        }
    }

    async fn outcome(&self, holds: impl Fn(&Outcome) -> bool) {
        let mut changed = self.board.watch();
        loop {
            changed.borrow_and_update();
            let reports = self.board.reports();
            let photos = reports.iter().find(|r| r.control == ControlName::Photos);
            if photos.is_some_and(|report| holds(&report.outcome)) {
                return;
            }
            changed.changed().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_is_heard_of_tagged_and_gone_when_its_consent_is_withdrawn() {
    let mut tablet = running();
    tablet.store();
    tablet.outcome(Outcome::is_compliant).await;
    let session = tablet.handle.session_start(BTreeSet::new()).await.unwrap();
    assert_eq!(*tablet.handle.open_session().borrow(), Some(session.id));
    std::fs::write(tablet.path("a.jpg"), jpeg(1)).unwrap();
    let listed = tablet.until(|photos| photos.len() == 1).await;
    assert_eq!(listed[0].session, Some(session.id));
    let (_, photos) = tablet.handle.session_end().await.unwrap();
    assert_eq!(photos, 1);
    let tags = only_the_child();
    tablet.handle.tag(listed[0].id, tags).await.unwrap();
    tablet.set_consent(ConsentState::Withdrawn);
    tablet
        .until(|photos| photos[0].stage == Stage::Sealed)
        .await;
    assert!(!tablet.path("a.jpg").exists());
    tablet.outcome(Outcome::is_compliant).await;
    // Four days on, in touch with the server, it is destroyed without anybody asking.
    let later = tablet.clock.now().at + Duration::from_hours(96);
    tablet.clock.confirm_holds(later);
    tablet.hands.pass(Duration::from_hours(96));
    tablet.until(<[_]>::is_empty).await;
    assert_eq!(tablet.handle.counts().await.unwrap()[&Stage::Destroyed], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_given_again_brings_a_sealed_photo_back_by_the_servers_key() {
    let mut tablet = running();
    tablet.store();
    tablet.outcome(Outcome::is_compliant).await;
    std::fs::write(tablet.path("a.jpg"), jpeg(1)).unwrap();
    let listed = tablet.until(|photos| photos.len() == 1).await;
    let tags = only_the_child();
    tablet.handle.tag(listed[0].id, tags).await.unwrap();
    tablet.set_consent(ConsentState::Withdrawn);
    tablet
        .until(|photos| photos[0].stage == Stage::Sealed)
        .await;
    tablet.set_consent(ConsentState::Given);
    tablet.until(|photos| photos[0].stage == Stage::Live).await;
    assert_eq!(std::fs::read(tablet.path("a.jpg")).unwrap(), jpeg(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_heard_at_once_also_where_the_profile_only_observes_photos() {
    for mode in [Mode::Enforce, Mode::Observe] {
        let mut tablet = running();
        tablet.bundle.policy.photos.as_mut().unwrap().mode = mode;
        tablet.store();
        let is_as_usual = move |outcome: &Outcome| match mode {
            Mode::Enforce => outcome.is_compliant(),
            Mode::Observe => matches!(outcome, Outcome::Observed { .. }),
        };
        tablet.outcome(is_as_usual).await;
        std::fs::write(tablet.path("a.jpg"), jpeg(1)).unwrap();
        let listed = tablet.until(|photos| photos.len() == 1).await;
        let tags = only_the_child();
        tablet.handle.tag(listed[0].id, tags).await.unwrap();
        tablet.mark(mode, Some(tablet.clock.now().at));
        let is = |stage| move |photos: &[Listing]| photos[0].stage == stage;
        tablet.until(is(Stage::Withheld)).await;
        assert!(!tablet.path("a.jpg").exists());
        tablet.outcome(is_as_usual).await;
        tablet.mark(mode, None);
        tablet.until(is(Stage::Live)).await;
        assert_eq!(std::fs::read(tablet.path("a.jpg")).unwrap(), jpeg(1));
        tablet.outcome(is_as_usual).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_outside_the_capture_roots_are_looked_for_as_soon_as_their_photo_goes() {
    let mut tablet = running();
    // Something new in the home itself would be heard of.
    let documents = tablet.temp.path().join("home/anna/Documents");
    std::fs::create_dir_all(&documents).unwrap();
    tablet.store();
    tablet.outcome(Outcome::is_compliant).await;
    std::fs::write(tablet.path("a.jpg"), jpeg(1)).unwrap();
    let listed = tablet.until(|photos| photos.len() == 1).await;
    let tags = only_the_child();
    tablet.handle.tag(listed[0].id, tags).await.unwrap();
    let copy = documents.join("copy.txt");
    std::fs::write(&copy, jpeg(1)).unwrap();
    // Not ten minutes: nobody looks of themselves.
    tablet.hands.pass(Duration::from_mins(1));
    tablet.set_consent(ConsentState::Withdrawn);
    tablet
        .until(|photos| photos.iter().all(|photo| photo.stage == Stage::Sealed))
        .await;
    while copy.exists() {
        tablet.handle.list().await.unwrap();
    }
}

#[tokio::test]
async fn a_tablet_without_a_bundle_keeps_no_processor_busy() {
    let (mut task, _running) = prepared();
    task.step().await.unwrap();
    assert!(task.wait() > Duration::ZERO);
}

#[tokio::test]
async fn while_everything_is_looked_at_nothing_wakes_the_task_for_another_look() {
    let (mut task, running) = prepared();
    running(tokio::spawn(async {})).store();
    task.judge_at = Duration::MAX;
    task.rescan_at = Duration::ZERO;
    assert_eq!(task.wait(), Duration::ZERO);
    // It is with the look that is under way.
    task.scanner = None;
    assert!(task.wait() > Duration::from_hours(24));
}

#[test]
fn another_look_at_everything_leaves_the_tablet_most_of_its_time() {
    let look = |took| FullLook {
        began: Some(Duration::from_secs(100)),
        took: Duration::from_secs(took),
    };
    assert_eq!(look(1).next(), Duration::from_secs(130));
    assert_eq!(look(60).next(), Duration::from_secs(700));
    assert_eq!(FullLook::default().next(), Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_video_is_withheld_at_once_and_keeps_no_other_photo_waiting_while_it_is_sealed() {
    let mut tablet = running();
    tablet.store();
    tablet.outcome(Outcome::is_compliant).await;
    // Mostly hole, so that it is made at once; sealing it takes as long as any film of that length.
    let video = std::fs::File::create(tablet.path("film.mp4")).unwrap();
    std::io::Write::write_all(&mut &video, b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom").unwrap();
    video.set_len(40 * 1024 * 1024).unwrap();
    drop(video);
    let listed = tablet.until(|photos| photos.len() == 1).await;
    let film = listed[0].id;
    std::fs::write(tablet.path("a.jpg"), jpeg(1)).unwrap();
    std::fs::write(tablet.path("b.jpg"), jpeg(2)).unwrap();
    let listed = tablet.until(|photos| photos.len() == 3).await;
    let tags = only_the_child();
    for photo in &listed {
        tablet.handle.tag(photo.id, tags.clone()).await.unwrap();
    }
    tablet.set_consent(ConsentState::Withdrawn);
    let stage_of = |photos: &[Listing], is: &dyn Fn(&Listing) -> bool| {
        let found: Vec<Stage> = photos.iter().filter(|l| is(l)).map(|l| l.stage).collect();
        found
    };
    // Each answer of the list is of one moment.
    let before = |photos: &[Listing]| stage_of(photos, &|l| l.id == film) == [Stage::Withheld];
    let others = |photos: &[Listing]| stage_of(photos, &|l| l.id != film);
    let seen = tablet
        .until(|photos| others(photos) == [Stage::Sealed, Stage::Sealed])
        .await;
    assert!(
        before(&seen),
        "it was still being sealed when both others were"
    );
    assert!(!tablet.path("film.mp4").exists());
    std::fs::write(tablet.path("c.jpg"), jpeg(3)).unwrap();
    let seen = tablet
        .until(|photos| others(photos).contains(&Stage::Withheld))
        .await;
    assert!(before(&seen), "and when another one came and was withheld");
    tablet
        .until(|photos| stage_of(photos, &|l| l.id == film) == [Stage::Sealed])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_made_later_are_heard_of_too_and_a_new_root_is_taken_up() {
    let mut tablet = running();
    tablet.store();
    tablet.outcome(Outcome::is_compliant).await;
    std::fs::create_dir_all(tablet.path("trip/farm")).unwrap();
    std::fs::write(tablet.path("trip/farm/a.jpg"), jpeg(1)).unwrap();
    tablet.until(|photos| photos.len() == 1).await;
    let other = tablet.temp.path().join("home/ben/Pictures");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("b.jpg"), jpeg(2)).unwrap();
    tablet.until(|photos| photos.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_nobody_closed_is_looked_at_once_it_rests() {
    let mut tablet = running();
    tablet.store();
    tablet.outcome(Outcome::is_compliant).await;
    let outside = tablet.temp.path().join("outside.jpg");
    std::fs::write(&outside, jpeg(1)).unwrap();
    std::fs::hard_link(&outside, tablet.path("linked.jpg")).unwrap();
    while tablet.handle.list().await.unwrap().is_empty() {
        tablet.hands.pass(Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tablet_without_any_capture_root_is_not_said_to_be_fine() {
    let mut tablet = running();
    tablet.bundle.policy.photos.as_mut().unwrap().capture_roots =
        BTreeSet::from(["/srv/camera".to_owned()]);
    tablet.store();
    tablet
        .outcome(|outcome| matches!(outcome, Outcome::Unknown { error } if error.contains("none of the policy's")))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_open_at_a_time_and_it_survives_a_restart() {
    let mut tablet = running();
    tablet.store();
    let early = tablet.handle.session_end().await;
    assert!(matches!(early, Err(PhotosError::NoSession)));
    let session = tablet.handle.session_start(BTreeSet::new()).await.unwrap();
    let second = tablet.handle.session_start(BTreeSet::new()).await;
    assert!(matches!(second, Err(PhotosError::SessionOpen(_))));
    tablet.task.abort();
    let open = tablet.ledger.read(super::session::session_open).unwrap();
    assert_eq!(open.unwrap().id, session.id);
    assert_eq!(tablet.ledger.read(catalogue::counts).unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_takes_unusually_long_is_not_taken_for_one_that_found_nothing() {
    let mut tablet = running();
    tablet.store();
    tablet.outcome(Outcome::is_compliant).await;
    for seed in 0..100 {
        std::fs::write(tablet.path(&format!("{seed}.jpg")), jpeg(seed)).unwrap();
    }
    let is_late = |outcome: &Outcome| matches!(outcome, Outcome::Unknown { error } if error.contains("unusually long"));
    let photos = || {
        let reports = tablet.board.reports();
        reports
            .into_iter()
            .find(|r| r.control == ControlName::Photos)
    };
    // However quick a look is, at some moment it is under way while time passes.
    while !photos().is_some_and(|report| is_late(&report.outcome)) {
        tablet.hands.pass(LOOK_AT_MOST);
        tokio::task::yield_now().await;
    }
    tablet.outcome(Outcome::is_compliant).await;
}
