//! What a manager decides, and what the server is told of photos.

use super::listing::Watchfulness;
use super::testing::{Tablet, child, jpeg};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::consent::{
    ConsentState, FoundDecision, FoundPhotos, PhotoFacts, Stage, TagCorrection, Tagging,
};
use nestwarden_policy_schema::control::Outcome;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::PhotoId;
use std::collections::BTreeSet;

fn known(tablet: &Tablet) -> Vec<PhotoFacts> {
    let events = tablet.events().into_iter();
    events
        .filter_map(|event| {
            let EventBody::PhotoKnown { facts, .. } = event else {
                return None;
            };
            Some(*facts)
        })
        .collect()
}

fn next_bundle(tablet: &mut Tablet) {
    let next = tablet.bundle.generation.get() + 1;
    tablet.bundle.generation = Generation::new(next);
}

fn correction(photo: PhotoId, children: &[u128], decided_at: Timestamp) -> TagCorrection {
    TagCorrection {
        photo,
        tagging: Tagging::Complete,
        confirmed: children.iter().map(|n| child(*n)).collect(),
        unregistered_person: false,
        care_record: false,
        decided_at,
    }
}

#[test]
fn the_server_is_told_whenever_what_a_verdict_rests_on_changes() {
    let mut tablet = Tablet::new();
    let id = tablet.photo_of_one("a.jpg");
    let told = known(&tablet);
    assert_eq!(told.len(), 2, "seen, then tagged");
    assert!(told.iter().all(|facts| facts.photo == id));
    assert!(told[0].subjects.confirmed.is_empty());
    assert_eq!(told[1].subjects.confirmed, BTreeSet::from([child(1)]));
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let told = known(&tablet);
    assert_eq!(told.len(), 3, "sealed");
    assert!(told[2].sealed_at.is_some());
    tablet.settle();
    tablet.restart();
    tablet.look();
    assert_eq!(known(&tablet).len(), 3, "nothing changed since");
}

#[test]
fn a_managers_word_loosens_what_staff_may_only_tighten() {
    let mut tablet = Tablet::new();
    let id = tablet.photo_of_one("a.jpg");
    tablet.tag(id, &[1, 2]);
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    tablet.now.doubtful = false;
    tablet.now.at += SignedDuration::from_mins(1);
    tablet.bundle.corrections = vec![correction(id, &[1], tablet.now.at)];
    next_bundle(&mut tablet);
    tablet.set_consent(2, ConsentState::Refused);
    tablet.settle();
    let listed = tablet.only();
    assert_eq!(listed.stage, Stage::Live);
    assert_eq!(listed.confirmed, BTreeSet::from([child(1)]));
    let told = known(&tablet);
    assert_eq!(
        told.last().unwrap().subjects.confirmed,
        BTreeSet::from([child(1)])
    );
}

#[test]
fn tags_given_after_a_managers_word_stand_and_it_is_taken_over_once() {
    let mut tablet = Tablet::new();
    let id = tablet.photo_of_one("a.jpg");
    tablet.now.at += SignedDuration::from_mins(1);
    let decided_at = tablet.now.at;
    tablet.bundle.corrections = vec![correction(id, &[2], decided_at)];
    next_bundle(&mut tablet);
    tablet.settle();
    assert_eq!(tablet.only().confirmed, BTreeSet::from([child(2)]));
    tablet.now.at += SignedDuration::from_mins(1);
    tablet.tag(id, &[2, 3]);
    let both = BTreeSet::from([child(2), child(3)]);
    for _ in 0..2 {
        tablet.restart();
        next_bundle(&mut tablet);
        tablet.settle();
        assert_eq!(tablet.only().confirmed, both);
    }
    let events = known(&tablet).len();
    // The same word with other content is still the older one.
    tablet.bundle.corrections = vec![correction(id, &[1], decided_at)];
    next_bundle(&mut tablet);
    tablet.settle();
    assert_eq!(tablet.only().confirmed, both);
    assert_eq!(known(&tablet).len(), events);
}

#[test]
fn of_two_words_of_a_manager_the_later_stands_and_on_what_staff_said_since_neither() {
    let mut tablet = Tablet::new();
    let id = tablet.photo_of_one("a.jpg");
    let film = {
        tablet.write("a.png", &super::testing::jpeg(2));
        tablet.look();
        tablet.list().into_iter().find(|l| l.id != id).unwrap().id
    };
    let confirmed = |tablet: &Tablet, photo| {
        let list = tablet.list();
        let of_it = list.into_iter().find(|l| l.id == photo).unwrap();
        of_it.confirmed
    };
    let say = |tablet: &mut Tablet, children: &[u128], minutes: i64| {
        let decided_at = tablet.now.at + SignedDuration::from_mins(minutes);
        tablet.bundle.corrections = vec![correction(id, children, decided_at)];
        next_bundle(tablet);
        tablet.settle();
    };
    tablet.now.at += SignedDuration::from_mins(10);
    say(&mut tablet, &[2], -2);
    say(&mut tablet, &[3], -1);
    assert_eq!(confirmed(&tablet, id), BTreeSet::from([child(3)]));
    say(&mut tablet, &[2], -2);
    assert_eq!(confirmed(&tablet, id), BTreeSet::from([child(3)]));
    assert_eq!(confirmed(&tablet, film), BTreeSet::from([child(3)]));
    // What staff said of the one after a word that comes only now stands for both.
    tablet.now.at += SignedDuration::from_mins(5);
    tablet.tag(film, &[3]);
    tablet.now.at += SignedDuration::from_mins(5);
    say(&mut tablet, &[2], -6);
    assert_eq!(confirmed(&tablet, id), BTreeSet::from([child(3)]));
    assert_eq!(confirmed(&tablet, film), BTreeSet::from([child(3)]));
}

fn with_one_found() -> Tablet {
    let mut tablet = Tablet::unscanned();
    tablet.write("old.jpg", &jpeg(9));
    // File systems stamp by the tick; what came within one of the first look counts as new, which is the stricter.
    std::thread::sleep(std::time::Duration::from_millis(20));
    tablet.look();
    assert!(tablet.only().found_at_enrolment);
    assert!(known(&tablet).is_empty());
    tablet.now.at += SignedDuration::from_hours(1);
    tablet
}

#[test]
fn found_photos_that_are_to_be_sorted_are_taken_at_the_decision() {
    let mut tablet = with_one_found();
    let decided_at = tablet.now.at;
    tablet.bundle.found_photos = Some(FoundPhotos {
        decision: FoundDecision::Sort,
        decided_at,
    });
    next_bundle(&mut tablet);
    tablet.settle();
    let listed = tablet.only();
    assert!(!listed.found_at_enrolment);
    assert_eq!(listed.captured_at, decided_at);
    assert_eq!(listed.tagging, Tagging::Untagged);
    assert_eq!(known(&tablet).len(), 1);
    next_bundle(&mut tablet);
    tablet.restart();
    tablet.settle();
    assert_eq!(known(&tablet).len(), 1);
    // Nobody says who is in it, so it is sealed after seven opening days like any other.
    tablet.pass_hours(24 * 14);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
}

#[test]
fn found_photos_that_are_left_stay_counted() {
    let mut tablet = with_one_found();
    tablet.bundle.found_photos = Some(FoundPhotos {
        decision: FoundDecision::Leave,
        decided_at: tablet.now.at,
    });
    next_bundle(&mut tablet);
    tablet.pass_hours(24 * 60);
    tablet.settle();
    assert!(tablet.only().found_at_enrolment);
    assert_eq!(tablet.pictures().len(), 1);
}

#[test]
fn photos_found_after_the_decision_wait_for_another() {
    let mut tablet = with_one_found();
    tablet.bundle.found_photos = Some(FoundPhotos {
        decision: FoundDecision::Sort,
        decided_at: tablet.now.at - SignedDuration::from_hours(2),
    });
    next_bundle(&mut tablet);
    tablet.settle();
    assert!(tablet.only().found_at_enrolment);
}

#[test]
fn a_found_photo_that_somebody_tags_is_a_photo_like_any_other() {
    let mut tablet = with_one_found();
    tablet.set_consent(1, ConsentState::Refused);
    let id = tablet.only().id;
    tablet.tag(id, &[1]);
    let listed = tablet.only();
    assert!(!listed.found_at_enrolment);
    assert_eq!(listed.captured_at, tablet.now.at);
    assert_eq!(listed.stage, Stage::Sealed, "she refused");
    let told = known(&tablet);
    assert_eq!(told[0].subjects.confirmed, BTreeSet::from([child(1)]));
    assert!(!told[0].found_at_enrolment);
}

#[test]
fn what_was_found_is_never_compliant_until_somebody_decided() {
    let mut tablet = with_one_found();
    let waits = |tablet: &mut Tablet| {
        let watched = Watchfulness {
            scanned: true,
            roots: 1,
            problems: Vec::new(),
            late: false,
        };
        let outcome = tablet
            .with(|engine, moment| engine.outcome(moment, &watched))
            .unwrap();
        if let Outcome::Unknown { error } = outcome {
            return Some(error);
        }
        assert_eq!(outcome, Outcome::Compliant);
        None
    };
    let says = waits(&mut tablet).unwrap();
    assert!(
        says.starts_with("1 photo found at enrolment waits"),
        "{says}"
    );
    let decide = |tablet: &mut Tablet, hours| {
        tablet.bundle.found_photos = Some(FoundPhotos {
            decision: FoundDecision::Leave,
            decided_at: tablet.now.at - SignedDuration::from_hours(hours),
        });
    };
    decide(&mut tablet, 2);
    assert!(waits(&mut tablet).is_some(), "decided before it was found");
    decide(&mut tablet, 0);
    assert_eq!(waits(&mut tablet), None);
    tablet.bundle.found_photos = None;
    let id = tablet.only().id;
    tablet.tag(id, &[1]);
    assert_eq!(waits(&mut tablet), None);
}
