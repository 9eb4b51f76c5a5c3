//! Photos that were there before their root was looked after: only their beginning is read, and still no copy escapes.

use super::testing::{Tablet, child, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, FoundDecision, FoundPhotos, Stage, Tagging};
use nestwarden_policy_schema::generation::Generation;

fn found(photos: &[(&str, Vec<u8>)]) -> Tablet {
    let mut tablet = Tablet::unscanned();
    for (name, bytes) in photos {
        tablet.write(name, bytes);
    }
    // File systems stamp by the tick; what came within one of the first look counts as new, which is the stricter.
    std::thread::sleep(std::time::Duration::from_millis(20));
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
