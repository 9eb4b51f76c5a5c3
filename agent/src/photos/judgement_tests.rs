//! What is decided of one photo, and of no other.

use super::engine::Scope;
use super::listing::Watchfulness;
use super::testing::{Server, Tablet, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use nestwarden_policy_schema::control::Outcome;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::PhotoId;

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
