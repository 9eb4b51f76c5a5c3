//! What is written to just before it goes out of use, or while it is.

use super::engine::Scope;
use super::testing::{Tablet, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use nestwarden_policy_schema::event::EventBody;
use std::fs::File;
use std::io::Write as _;

#[test]
fn what_was_written_to_before_it_was_withheld_is_read_again_when_it_comes_back() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let path = tablet.path("a.jpg");
    let mut edit = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    edit.write_all(b"edited").unwrap();
    tablet.now.doubtful = true;
    tablet.settle();
    tablet.now.doubtful = false;
    tablet.look();
    assert_eq!(tablet.only().stage, Stage::Live);
    tablet.assert_sound();
}

#[test]
fn another_photo_written_over_one_just_before_it_was_withheld_is_known_in_the_vault_and_goes_its_own_way()
 {
    let mut tablet = Tablet::new();
    tablet.write("a.jpg", &jpeg(1));
    tablet.write("b.jpg", &jpeg(1));
    tablet.look();
    let before = tablet.only().id;
    tablet.set_consent(3, ConsentState::Withdrawn);
    tablet.write("b.jpg", &jpeg(2));
    tablet.settle();
    assert!(tablet.pictures().is_empty());
    let list = tablet.list();
    assert!(list.iter().all(|photo| photo.stage == Stage::Withheld));
    let other: Vec<_> = list.iter().filter(|photo| photo.id != before).collect();
    assert_eq!(other.len(), 1, "{list:?}");
    tablet.tag(other[0].id, &[2]);
    tablet.set_consent(2, ConsentState::Withdrawn);
    tablet.settle();
    let left: Vec<_> = tablet.vault().into_values().collect();
    assert!(left.contains(&jpeg(1)) && !left.contains(&jpeg(2)));
    tablet.tag(before, &[1]);
    tablet.settle();
    let pictures = tablet.pictures();
    assert!(pictures.len() == 1 && pictures.contains_key("a.jpg"));
    tablet.assert_sound();
}

/// A photo of child 1 that a program goes on writing to.
fn held_open() -> (Tablet, File) {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let camera = File::options().append(true).open(tablet.path("a.jpg"));
    (tablet, camera.unwrap())
}

#[test]
fn what_is_written_through_an_old_descriptor_while_withheld_is_sealed_as_it_is() {
    let (mut tablet, mut camera) = held_open();
    tablet.now.doubtful = true;
    tablet.settle();
    camera.write_all(b"more").unwrap();
    tablet.now.doubtful = false;
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
    let content = age::decrypt(&tablet.release, tablet.vault().values().next().unwrap()).unwrap();
    assert!(content.ends_with(b"more"));
    assert_eq!(written_to(&tablet), 1, "it may be evidence");
}

/// How often it was told that something was written to out of use.
fn written_to(tablet: &Tablet) -> usize {
    let told = |event: &EventBody| matches!(event, EventBody::PhotoIncomplete { problem, .. } if problem.contains("written to"));
    tablet.events().iter().filter(|event| told(event)).count()
}

#[test]
fn whoever_goes_on_writing_to_a_withheld_photo_is_waited_for_longer_and_longer_and_it_shows() {
    let (mut tablet, mut camera) = held_open();
    tablet.set_consent(1, ConsentState::Withdrawn);
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    let mut attempts = 0;
    for _ in 0..5 {
        let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
        for job in passed.jobs.into_iter().filter(|job| job.photo().is_some()) {
            camera.write_all(b"more").unwrap();
            let done = job.run(&vaults);
            tablet.with(|engine, moment| engine.finish(moment, done).unwrap());
            attempts += 1;
        }
    }
    assert_eq!(attempts, 2);
    assert!(tablet.only().note.unwrap().contains("written to"));
    assert_eq!(written_to(&tablet), 1);
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
}
