//! What is decided of one photo, and of no other.

use super::engine::Scope;
use super::listing::Watchfulness;
use super::testing::{Server, Tablet, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use nestwarden_policy_schema::control::Outcome;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::policy::Mode;

/// Of one moment, and of the same child: whatever is known of one is known of the others.
fn three_alike() -> (Tablet, Vec<PhotoId>) {
    let mut tablet = Tablet::new();
    for seed in 1..=3 {
        tablet.write(&format!("{seed}.jpg"), &jpeg(seed));
    }
    tablet.look();
    let ids: Vec<PhotoId> = tablet.list().iter().map(|l| l.id).collect();
    for id in &ids {
        tablet.tag(*id, &[1]);
    }
    (tablet, ids)
}

fn outcome(tablet: &mut Tablet) -> Outcome {
    let watched = Watchfulness {
        scanned: true,
        roots: 1,
        ..Watchfulness::default()
    };
    tablet.with(|engine, moment| engine.outcome(moment, &watched).unwrap())
}

#[test]
fn a_freeze_of_one_photo_says_nothing_of_those_that_are_like_it() {
    for at in 0..3 {
        let (mut tablet, ids) = three_alike();
        let photo = ids[at];
        tablet.hold(HoldScope::Photo { photo }, HoldCategory::IllegalContent);
        tablet.set_consent(1, ConsentState::Withdrawn);
        tablet.settle();
        for listed in tablet.list() {
            let stage = if listed.id == photo {
                Stage::Live
            } else {
                Stage::Sealed
            };
            assert_eq!((listed.stage, listed.frozen), (stage, listed.id == photo));
        }
    }
}

#[test]
fn a_photo_that_is_further_than_it_has_to_be_is_where_it_has_to_be() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    // Given again, by a clock that only withholds.
    tablet.set_consent(1, ConsentState::Given);
    tablet.now.doubtful = true;
    tablet.server = Server::Authorises;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert_eq!(tablet.asked, 0);
    assert_eq!(tablet.only().note, None);
    assert_eq!(outcome(&mut tablet), Outcome::Compliant);
}

#[test]
fn a_consent_that_comes_back_while_its_photo_is_being_sealed_keeps_it_from_being_sealed() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    let done: Vec<_> = passed
        .jobs
        .into_iter()
        .map(|job| job.run(&vaults))
        .collect();
    tablet.set_consent(1, ConsentState::Given);
    for done in done {
        tablet.with(|engine, moment| engine.finish(moment, done).unwrap());
    }
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Live);
    assert_eq!(tablet.pictures()["a.jpg"], jpeg(1));
    assert!(tablet.vault().is_empty());
    assert_eq!(tablet.asked, 0);
    tablet.assert_sound();
}

#[test]
fn what_was_destroyed_is_no_photo_to_do_anything_about() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.pass_hours(96);
    tablet.settle();
    tablet.set_consent(1, ConsentState::Given);
    tablet.settle();
    assert_eq!(outcome(&mut tablet), Outcome::Compliant);
    assert_eq!(tablet.asked, 0);
}

#[test]
fn a_photo_that_somebody_removed_the_moment_it_was_due_is_nothing_to_be_settled() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    std::fs::remove_file(tablet.path("a.jpg")).unwrap();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(outcome(&mut tablet), Outcome::Compliant);
}

#[test]
fn what_could_not_be_done_is_tried_again_by_itself_and_told_once() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    // What is no folder can be no vault.
    std::fs::write(tablet.vault_dir(), "in the way").unwrap();
    tablet.now.doubtful = true;
    let pass = |tablet: &mut Tablet| {
        let since = tablet.now.at.as_second().cast_unsigned();
        let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
        passed.retry_at.map(|at| at.as_secs() - since)
    };
    assert_eq!(pass(&mut tablet), Some(1));
    assert_eq!(pass(&mut tablet), Some(1));
    tablet.now.at += jiff::SignedDuration::from_secs(1);
    assert_eq!(pass(&mut tablet), Some(2));
    assert_ne!(outcome(&mut tablet), Outcome::Compliant);
    let told = |event: &EventBody| matches!(event, EventBody::PhotoIncomplete { photo: of, stage: Stage::Withheld, .. } if *of == photo);
    assert_eq!(tablet.events().iter().filter(|e| told(e)).count(), 1);
    std::fs::remove_file(tablet.vault_dir()).unwrap();
    tablet.now.at += jiff::SignedDuration::from_secs(2);
    assert_eq!(pass(&mut tablet), None);
    assert_eq!(tablet.only().stage, Stage::Withheld);
    assert_eq!(outcome(&mut tablet), Outcome::Compliant);
}

#[test]
fn a_photo_of_which_copies_turn_up_later_is_said_to_be_sealed_once() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.write("b.jpg", &jpeg(1));
    tablet.look();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(tablet.pictures().is_empty());
    let sealed = |event: &EventBody| {
        matches!(
            event,
            EventBody::PhotoStage {
                to: Stage::Sealed,
                ..
            }
        )
    };
    assert_eq!(tablet.events().iter().filter(|e| sealed(e)).count(), 1);
}

#[test]
fn a_policy_that_only_observes_from_now_on_destroys_nothing_that_was_sealed_before() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.bundle.policy.photos.as_mut().unwrap().mode = Mode::Observe;
    tablet.pass_hours(96);
    tablet.settle();
    tablet.settle();
    assert!(tablet.receipts().is_empty());
    assert_eq!(tablet.only().stage, Stage::Sealed);
}
