//! The power goes at every durable write of every operation, and what is left is whole.

use super::engine::Scope;
use super::error::PhotosError;
use super::fault::{Write, armed};
use super::review::Progress;
use super::review_tests::fingerprint;
use super::testing::{Server, Tablet, child, cut_everywhere, jpeg};
use nestwarden_policy_schema::access::Reviewed;
use nestwarden_policy_schema::consent::{
    ConsentState, FoundDecision, FoundPhotos, Stage, TagCorrection, Tagging,
};
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::policy::Mode;
use std::collections::BTreeSet;

/// Something a tablet does to photos, from what there was before to what must hold after it, wherever it was cut.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) prepare: fn() -> Tablet,
    pub(super) act: fn(&mut Tablet) -> Result<(), PhotosError>,
    check: fn(&mut Tablet),
}

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "a first look",
        prepare: || {
            let tablet = Tablet::unscanned();
            tablet.write("a.jpg", &jpeg(1));
            tablet
        },
        act: Tablet::try_look,
        check: |tablet| {
            tablet.look();
            assert_eq!(tablet.list().len(), 1);
        },
    },
    Operation {
        name: "room is set aside",
        prepare: Tablet::new,
        act: Tablet::keep_room,
        check: |tablet| {
            tablet.keep_room().unwrap();
            assert_eq!(tablet.room(), Some(super::room::ROOM_BYTES));
        },
    },
    Operation {
        name: "a photo removed by its user",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            std::fs::remove_file(tablet.path("a.jpg")).unwrap();
            tablet
        },
        act: Tablet::try_look,
        check: |tablet| {
            tablet.look();
            assert!(tablet.list().is_empty());
        },
    },
    Operation {
        name: "tagging",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            tablet
        },
        act: |tablet| {
            let id = tablet.only().id;
            let tags = super::listing::Tags {
                tagging: Tagging::Complete,
                confirmed: BTreeSet::from([child(1), child(2)]),
                unregistered_person: false,
                care_record: false,
            };
            tablet.with(|engine, moment| engine.tag(moment, id, &tags))?;
            Ok(())
        },
        check: |tablet| assert_eq!(tablet.only().tagging, Tagging::Complete),
    },
    Operation {
        name: "a manager's correction",
        prepare: || {
            let mut tablet = Tablet::new();
            let photo = tablet.photo_of_one("a.jpg");
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet.bundle.corrections = vec![TagCorrection {
                photo,
                tagging: Tagging::Complete,
                confirmed: BTreeSet::from([child(2)]),
                unregistered_person: false,
                care_record: false,
                decided_at: tablet.now.at,
            }];
            tablet.bundle.generation = Generation::new(2);
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| {
            let listed = tablet.only();
            assert_eq!(listed.confirmed, BTreeSet::from([child(2)]));
            assert_eq!(listed.stage, Stage::Live);
        },
    },
    Operation {
        name: "found photos are to be sorted",
        prepare: || {
            let mut tablet = Tablet::unscanned();
            for seed in 1..4 {
                tablet.write(&format!("{seed}.jpg"), &jpeg(seed));
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            tablet.look();
            tablet.bundle.found_photos = Some(FoundPhotos {
                decision: FoundDecision::Sort,
                decided_at: tablet.now.at,
            });
            tablet.bundle.generation = Generation::new(2);
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| assert!(tablet.list().iter().all(|l| !l.found_at_enrolment)),
    },
    Operation {
        name: "a session",
        prepare: Tablet::new,
        act: |tablet| {
            tablet.with(|engine, moment| {
                engine.session_start(moment, BTreeSet::new())?;
                engine.present(moment, &BTreeSet::from([child(1)]))?;
                engine.session_end(moment.now.at)
            })?;
            Ok(())
        },
        check: |tablet| {
            // Whatever is open can be ended, and then another begins.
            let at = tablet.now.at;
            let _ = tablet.with(|engine, _| engine.session_end(at));
            tablet
                .with(|engine, moment| engine.session_start(moment, BTreeSet::new()))
                .unwrap();
        },
    },
    Operation {
        name: "observing",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            tablet.bundle.policy.photos.as_mut().unwrap().mode = Mode::Observe;
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| {
            assert_eq!(tablet.pictures().len(), 1);
            tablet.bundle.policy.photos.as_mut().unwrap().mode = Mode::Enforce;
        },
    },
    Operation {
        name: "withholding and sealing",
        prepare: || {
            let mut tablet = with_two_names();
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| {
            assert_eq!(tablet.only().stage, Stage::Sealed);
            assert!(tablet.pictures().is_empty());
        },
    },
    Operation {
        name: "sealing what was written to while it was withheld",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            let path = tablet.path("a.jpg");
            let mut camera = std::fs::OpenOptions::new().append(true).open(path).unwrap();
            tablet.now.doubtful = true;
            tablet.settle();
            std::io::Write::write_all(&mut camera, b"more").unwrap();
            tablet.now.doubtful = false;
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| assert_eq!(tablet.only().stage, Stage::Sealed),
    },
    Operation {
        name: "a seal that nobody could open",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            tablet.bundle.recovery_recipient = "age1nonsense".to_owned();
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| {
            assert_eq!(tablet.only().stage, Stage::Withheld);
            let other = age::x25519::Identity::generate().to_public().to_string();
            tablet.bundle.recovery_recipient = other;
            tablet.pass_hours(1);
            tablet.settle();
        },
    },
    Operation {
        name: "bringing back",
        prepare: || {
            let mut tablet = with_two_names();
            tablet.now.doubtful = true;
            tablet.settle();
            tablet.now.doubtful = false;
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| {
            assert_eq!(tablet.only().stage, Stage::Live);
            let back: Vec<_> = tablet.pictures().into_values().collect();
            assert_eq!(back, [jpeg(1), jpeg(1)]);
            assert!(tablet.vault().is_empty());
        },
    },
    Operation {
        name: "unsealing",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet.settle();
            tablet.set_consent(1, ConsentState::Given);
            tablet.server = Server::Authorises;
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| {
            assert_eq!(tablet.only().stage, Stage::Live);
            assert_eq!(tablet.pictures()["a.jpg"], jpeg(1));
            assert!(tablet.vault().is_empty());
        },
    },
    Operation {
        name: "a review",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            tablet.is_asked();
            tablet
        },
        act: |tablet| {
            let (photo, typed) = (tablet.only().id, fingerprint(&tablet.recipient()));
            tablet.types("wrong")?;
            tablet.types(&typed)?;
            tablet.says(photo, Reviewed::Include)?;
            tablet.finishes()
        },
        check: |tablet| {
            // Only what somebody had finished is sent.
            let finished = tablet.progress() == Progress::Finished;
            assert_eq!(tablet.try_send().unwrap().len(), usize::from(finished));
        },
    },
    Operation {
        name: "sending what was reviewed",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet.settle();
            tablet.is_asked();
            let (photo, typed) = (tablet.only().id, fingerprint(&tablet.recipient()));
            tablet.types(&typed).unwrap();
            tablet.says(photo, Reviewed::Include).unwrap();
            tablet.finishes().unwrap();
            tablet
        },
        act: |tablet| tablet.try_send().map(drop),
        check: |tablet| {
            let sent = tablet.try_send().unwrap();
            assert!(sent.len() <= 1 && tablet.try_send().unwrap().is_empty());
            assert_eq!(tablet.outbox(), 0);
            assert_eq!(tablet.only().stage, Stage::Sealed);
        },
    },
    Operation {
        name: "destroying",
        prepare: due_for_destruction,
        act: Tablet::try_settle,
        check: |tablet| {
            assert_eq!(tablet.stages().get(&Stage::Destroyed), Some(&1));
            assert_eq!(tablet.receipts().len(), 1);
            assert!(tablet.vault().is_empty() && tablet.pictures().is_empty());
        },
    },
    Operation {
        name: "a copy catalogued while its photo was being destroyed",
        prepare: due_for_destruction,
        act: |tablet| {
            let mut passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All))?;
            let vaults = tablet.engine.as_ref().unwrap().vaults();
            let done = passed.jobs.pop().unwrap().run(&vaults);
            tablet.write("later.jpg", &jpeg(1));
            tablet.try_absorb()?;
            tablet.with(|engine, moment| engine.finish(moment, done))?;
            tablet.pass_hours(1);
            tablet.try_settle()
        },
        check: |tablet| {
            tablet.pass_hours(1);
            tablet.look();
            assert!(tablet.pictures().is_empty());
        },
    },
    Operation {
        name: "more to destroy than an hour permits",
        prepare: || {
            let mut tablet = Tablet::new();
            let policy = tablet.bundle.policy.photos.as_mut().unwrap();
            policy.max_destroyed_per_hour = 1;
            for seed in 1..3 {
                tablet.write(&format!("{seed}.jpg"), &jpeg(seed));
            }
            tablet.look();
            for id in tablet.list().iter().map(|l| l.id).collect::<Vec<_>>() {
                tablet.tag(id, &[1]);
            }
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet.settle();
            tablet.pass_hours(96);
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| assert_eq!(tablet.receipts().len(), 1),
    },
    Operation {
        name: "telling late",
        prepare: || {
            let mut tablet = Tablet::new();
            tablet.photo_of_one("a.jpg");
            tablet.forget_what_was_told();
            tablet
        },
        act: Tablet::try_settle,
        check: |tablet| assert_eq!(tablet.untold(), 0),
    },
    Operation {
        name: "starting again in the middle of withholding",
        prepare: || cut_once(with_two_names_withdrawn(), |t| !t.vault().is_empty()),
        act: Tablet::try_restart,
        check: |tablet| assert_eq!(tablet.only().stage, Stage::Sealed),
    },
    Operation {
        name: "starting again in the middle of bringing back",
        prepare: || {
            let mut tablet = with_two_names();
            tablet.now.doubtful = true;
            tablet.settle();
            tablet.now.doubtful = false;
            cut_once(tablet, |tablet| !tablet.pictures().is_empty())
        },
        act: Tablet::try_restart,
        check: |tablet| assert_eq!(tablet.pictures().len(), 2),
    },
    Operation {
        name: "starting again in the middle of sealing",
        prepare: || {
            let has_begun =
                |tablet: &Tablet| tablet.vault().keys().any(|name| name.contains(".age"));
            cut_once(with_two_names_withdrawn(), has_begun)
        },
        act: Tablet::try_restart,
        check: |tablet| assert_eq!(tablet.only().stage, Stage::Sealed),
    },
];

fn with_two_names() -> Tablet {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.write("copy.jpg", &jpeg(1));
    tablet.look();
    tablet
}

fn with_two_names_withdrawn() -> Tablet {
    let mut tablet = with_two_names();
    tablet.write("a.xmp", b"<x:xmpmeta/>");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet
}

fn due_for_destruction() -> Tablet {
    let mut tablet = with_two_names_withdrawn();
    tablet.settle();
    tablet.pass_hours(96);
    // One that nobody saw yet.
    tablet.write("late.jpg", &jpeg(1));
    tablet
}

/// Cut, and not started again yet, at the first instant at which `at` holds.
fn cut_once(mut tablet: Tablet, at: impl Fn(&Tablet) -> bool) -> Tablet {
    let mut instants = 0;
    loop {
        armed::cut_after(instants);
        let ended = tablet.try_settle();
        armed::restore_power();
        if at(&tablet) {
            tablet.engine = None;
            return tablet;
        }
        assert!(ended.is_err(), "it never gets there");
        tablet.restart();
        instants += 1;
    }
}

#[test]
fn the_power_may_go_at_any_durable_write_and_every_one_is_known() {
    let (mut reached, mut cut) = (BTreeSet::new(), BTreeSet::new());
    let (even, odd): (Vec<_>, Vec<_>) = OPERATIONS
        .iter()
        .enumerate()
        .partition(|(at, _)| at % 2 == 0);
    std::thread::scope(|scope| {
        let halves = [even, odd].map(|half| {
            scope.spawn(move || {
                for (_, operation) in half {
                    let cuts = cut_everywhere(operation.prepare, operation.act, operation.check);
                    assert!(cuts > 0, "{} writes nothing", operation.name);
                }
                armed::reached()
            })
        });
        for half in halves {
            let (theirs, cuts) = half.join().unwrap();
            reached.extend(theirs);
            cut.extend(cuts);
        }
    });
    let all: BTreeSet<Write> = Write::ALL.iter().copied().collect();
    assert_eq!(reached, all, "every durable write is in some operation");
    assert_eq!(cut, all, "and the power was cut at it");
}

/// Nothing in the photos writes to the ledger but through the commit that names its write.
#[test]
fn every_commit_has_a_name() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/photos");
    let mut commits = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with("_tests.rs") || name == "testing.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text: String = text.split_whitespace().collect();
        assert!(!text.contains("ledger.record("), "{name}");
        commits += text.matches("ledger.transaction(").count();
    }
    assert_eq!(commits, 1, "one door to the ledger");
}

const VICTIM: &str = "NESTWARDEN_TEST_VICTIM";

/// The process that is killed: does nothing unless [`a_killed_process_leaves_nothing_half_done`] started it.
#[test]
fn victim() {
    let Ok(order) = std::env::var(VICTIM) else {
        return;
    };
    let mut order = order.splitn(3, '\t');
    let (instants, place) = (order.next().unwrap(), order.next().unwrap());
    let (operation, place) = (order.next().unwrap(), std::path::Path::new(place));
    let operation = OPERATIONS.iter().find(|o| o.name == operation).unwrap();
    let mut tablet = (operation.prepare)();
    tablet.leave_behind(place);
    armed::kill_after(instants.parse().unwrap());
    (operation.act)(&mut tablet).unwrap();
    std::fs::write(place.join("survived"), "").unwrap();
}

#[test]
fn a_killed_process_leaves_nothing_half_done() {
    let names = ["withholding and sealing", "destroying", "unsealing"];
    let operations = OPERATIONS.iter().filter(|o| names.contains(&o.name));
    for operation in operations {
        // Every seventh instant, and from another one each time; each is cut in this process above.
        for instants in (0..200).step_by(7) {
            let place = tempfile::tempdir().unwrap();
            let at = place.path().display();
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "photos::fault_tests::victim", "--nocapture"])
                .env(VICTIM, format!("{instants}\t{at}\t{}", operation.name))
                .output()
                .unwrap();
            let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
            let survived = place.path().join("survived").exists();
            assert!(survived || signal == Some(9), "{child:?}");
            let mut tablet = Tablet::found(place.path());
            tablet.settle();
            (operation.check)(&mut tablet);
            tablet.look();
            tablet.assert_sound();
            if survived {
                break;
            }
            assert!(instants < 190, "it never ends");
        }
    }
}
