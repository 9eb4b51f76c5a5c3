//! Photos that were there before their root was looked after: only their beginning is read, and still no copy escapes.

use super::testing::{Tablet, a_tick_passes, child, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, FoundDecision, FoundPhotos, Stage, Tagging};
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};

fn found(photos: &[(&str, Vec<u8>)]) -> Tablet {
    let mut tablet = Tablet::unscanned();
    for (name, bytes) in photos {
        tablet.write(name, bytes);
    }
    a_tick_passes();
    tablet.look();
    tablet
}

fn hashes(tablet: &Tablet) -> Vec<bool> {
    let rows = tablet.ledger.read(super::catalogue::photos).unwrap();
    rows.iter().map(|row| row.hash.is_some()).collect()
}

fn sort(tablet: &mut Tablet) {
    tablet.bundle.found_photos = Some(FoundPhotos {
        decision: FoundDecision::Sort,
        decided_at: tablet.now.at,
    });
    tablet.bundle.generation = Generation::new(2);
    tablet.settle();
}

/// Another content of the same length that begins the same.
fn alike(seed: u8) -> Vec<u8> {
    let mut bytes = jpeg(seed);
    bytes.resize(8_000, 0);
    let mut other = bytes.clone();
    *other.last_mut().unwrap() = 1;
    other
}

#[test]
fn they_are_catalogued_by_how_they_begin() {
    let mut tablet = found(&[("a.jpg", jpeg(1)), ("b.jpg", jpeg(2))]);
    assert_eq!(hashes(&tablet), [false, false]);
    tablet.look();
    assert_eq!(tablet.read, 0, "and not opened again");
    tablet.assert_sound();
}

#[test]
fn two_that_are_one_content_are_one_photo() {
    let tablet = found(&[
        ("a.jpg", jpeg(1)),
        ("b.jpg", jpeg(2)),
        ("copy.jpg", jpeg(1)),
    ]);
    let mut names: Vec<usize> = tablet.list().iter().map(|l| l.files).collect();
    names.sort_unstable();
    assert_eq!(names, [1, 2]);
}

#[test]
fn two_that_only_begin_alike_are_two() {
    let mut bytes = jpeg(1);
    bytes.resize(8_000, 0);
    let tablet = found(&[("a.jpg", bytes), ("b.jpg", alike(1))]);
    assert_eq!(tablet.list().len(), 2);
    assert_eq!(hashes(&tablet), [true, true]);
}

#[test]
fn a_copy_made_later_is_the_same_photo() {
    let mut tablet = found(&[("a.jpg", jpeg(1))]);
    tablet.write("copy.jpg", &jpeg(1));
    tablet.look();
    let listed = tablet.only();
    assert!(listed.found_at_enrolment);
    assert_eq!(listed.files, 2);
    tablet.assert_sound();
}

#[test]
fn a_copy_elsewhere_goes_with_a_sorted_photo() {
    let mut tablet = found(&[("a.jpg", jpeg(1))]);
    sort(&mut tablet);
    let elsewhere = tablet.temp.path().join("home/anna/copy.jpg");
    std::fs::write(&elsewhere, jpeg(1)).unwrap();
    tablet.look();
    tablet.tag(tablet.only().id, &[1]);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert!(!elsewhere.exists());
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
}

#[test]
fn what_was_never_read_whole_is_read_when_it_is_sealed() {
    let mut tablet = found(&[("a.jpg", jpeg(1)), ("b.jpg", jpeg(2))]);
    sort(&mut tablet);
    tablet.tag(tablet.list()[0].id, &[1]);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let sealed = tablet.list();
    let sealed = sealed.iter().find(|l| l.stage == Stage::Sealed).unwrap();
    assert!(sealed.confirmed.contains(&child(1)));
    assert_eq!(sealed.tagging, Tagging::Complete);
    // One was sealed, and what it holds is known by now; the other was not looked at.
    assert_eq!(hashes(&tablet).iter().filter(|known| **known).count(), 1);
    tablet.assert_sound();
    tablet.pass_hours(96);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
}

#[test]
fn one_that_was_written_to_is_read_whole() {
    let mut tablet = found(&[("a.jpg", jpeg(1))]);
    let id = tablet.only().id;
    let path = tablet.path("a.jpg");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, b"edited").unwrap();
    drop(file);
    tablet.look();
    assert_eq!(tablet.only().id, id);
    assert_eq!(hashes(&tablet), [true]);
    tablet.assert_sound();
}

#[test]
fn what_is_new_is_passed_over_at_once_and_what_is_only_counted_when_a_hold_asks() {
    let mut tablet = Tablet::unscanned();
    tablet.write("a.jpg", &jpeg(1));
    a_tick_passes();
    assert!(tablet.try_absorb().unwrap().is_empty());
    tablet.write("b.jpg", &jpeg(2));
    let new = tablet.try_absorb().unwrap();
    let listed = tablet.list();
    let b = listed.iter().find(|l| !l.found_at_enrolment).unwrap();
    assert_eq!(new.into_iter().collect::<Vec<_>>(), [b.id]);
    let mut held = Tablet::unscanned();
    held.write("a.jpg", &jpeg(1));
    a_tick_passes();
    held.hold(
        HoldScope::Child { child: child(1) },
        HoldCategory::Safeguarding,
    );
    assert_eq!(held.try_absorb().unwrap().len(), 1);
}

#[test]
fn a_new_photo_as_long_as_one_that_was_sealed_is_of_nobody_who_is_in_that_one() {
    let mut tablet = found(&[("a.jpg", jpeg(1))]);
    sort(&mut tablet);
    tablet.tag(tablet.only().id, &[1]);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let sealed = tablet.only();
    assert_eq!(sealed.stage, Stage::Sealed);
    tablet.write("b.jpg", &jpeg(2));
    tablet.look();
    let new = tablet.list().into_iter().find(|l| l.id != sealed.id);
    assert!(new.unwrap().confirmed.is_empty());
}

#[test]
fn what_an_editor_leaves_beside_one_that_is_only_counted_is_new() {
    let mut tablet = found(&[("a.jpg", jpeg(1))]);
    tablet.write("a.jpg.orig", &jpeg(2));
    tablet.look();
    let counted: Vec<bool> = tablet.list().iter().map(|l| l.found_at_enrolment).collect();
    assert_eq!(counted.iter().filter(|counted| **counted).count(), 1);
    assert_eq!(counted.len(), 2);
}
