//! Who may be in what a session's camera took, and which photos a person may look at.

use super::error::PhotosError;
use super::roll::Camera;
use super::testing::{Tablet, child, jpeg};
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentState, Restriction, RoomName, Stage, Tagging,
};
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use std::collections::BTreeSet;
use std::io::Read as _;

fn room(name: &str) -> RoomName {
    name.parse().unwrap()
}

/// Children 1 to 3 are in Owls, child 4, who said nothing, in Foxes.
fn two_rooms() -> Tablet {
    let mut tablet = Tablet::new();
    for entry in tablet.bundle.register.children.values_mut() {
        entry.rooms = BTreeSet::from([room("Owls")]);
    }
    let visitor = ChildEntry {
        rooms: BTreeSet::from([room("Foxes")]),
        ..ChildEntry::default()
    };
    tablet.bundle.register.children.insert(child(4), visitor);
    tablet.with(|engine, moment| {
        engine
            .session_start(moment, BTreeSet::from([room("Owls")]))
            .unwrap();
    });
    tablet
}

fn present(tablet: &mut Tablet, children: &[u128]) -> Result<(), PhotosError> {
    let children = children.iter().map(|number| child(*number)).collect();
    tablet.with(|engine, moment| engine.present(moment, &children).map(drop))
}

#[test]
fn a_child_who_was_ticked_may_be_in_what_was_taken_before_and_after() {
    let mut tablet = two_rooms();
    tablet.write("before.jpg", &jpeg(1));
    tablet.look();
    assert_eq!(tablet.only().stage, Stage::Live);
    present(&mut tablet, &[1, 4]).unwrap();
    tablet.write("after.jpg", &jpeg(2));
    tablet.look();
    tablet.settle();
    for photo in tablet.list() {
        let possible = [1, 2, 3, 4].map(child);
        assert_eq!(photo.subjects, BTreeSet::from(possible));
        assert_eq!(photo.stage, Stage::Withheld, "child 4 never said Yes");
    }
}

#[test]
fn nobody_drops_out_of_a_photo_by_not_being_ticked() {
    let mut tablet = two_rooms();
    present(&mut tablet, &[4]).unwrap();
    tablet.write("one.jpg", &jpeg(1));
    tablet.look();
    present(&mut tablet, &[1]).unwrap();
    tablet.settle();
    let possible = [1, 2, 3, 4].map(child);
    assert_eq!(tablet.only().subjects, BTreeSet::from(possible));
    let roll = tablet.with(|engine, moment| engine.roll(moment).unwrap());
    let ticked = roll.children.iter().filter(|c| c.present).map(|c| c.child);
    assert_eq!(ticked.collect::<Vec<_>>(), [child(1)]);
}

#[test]
fn who_is_there_survives_a_restart_and_needs_a_session() {
    let mut tablet = two_rooms();
    present(&mut tablet, &[4]).unwrap();
    tablet.restart();
    let roll = tablet.with(|engine, moment| engine.roll(moment).unwrap());
    assert!(
        roll.children
            .iter()
            .any(|c| c.child == child(4) && c.present)
    );
    let now = tablet.now.at;
    tablet.with(|engine, _| engine.session_end(now).unwrap());
    assert!(matches!(
        present(&mut tablet, &[4]),
        Err(PhotosError::NoSession)
    ));
}

#[test]
fn the_camera_leaves_out_whoever_is_restricted_unanswered_missing_or_unknown() {
    let mut tablet = two_rooms();
    tablet.set_consent(2, ConsentState::Withdrawn);
    let now = tablet.now.at;
    let register = &mut tablet.bundle.register.children;
    register.get_mut(&child(1)).unwrap().restriction = Restriction::DoNotPhotograph;
    register.get_mut(&child(3)).unwrap().missing_since = Some(now);
    present(&mut tablet, &[4]).unwrap();
    let roll = tablet.with(|engine, moment| engine.roll(moment).unwrap());
    assert_eq!(roll.children.len(), 4);
    assert!(roll.children.iter().all(|c| c.camera == Camera::MayNot));
    tablet.bundle.register.children.remove(&child(4));
    let roll = tablet.with(|engine, moment| engine.roll(moment).unwrap());
    let gone = roll.children.iter().find(|c| c.child == child(4)).unwrap();
    assert!(gone.present && gone.camera == Camera::MayNot);
}

#[test]
fn a_withheld_photo_can_be_looked_at_and_a_frozen_or_sealed_one_cannot() {
    let mut tablet = two_rooms();
    present(&mut tablet, &[4]).unwrap();
    tablet.write("one.jpg", &jpeg(1));
    tablet.look();
    tablet.settle();
    let photo = tablet.only();
    assert_eq!(photo.stage, Stage::Withheld);
    let left = |tablet: &mut Tablet| {
        tablet.with(|engine, moment| engine.to_sort(moment, 10).unwrap().count)
    };
    let view = |tablet: &mut Tablet| {
        tablet.with(|engine, moment| {
            let mut viewed = engine.view(moment, photo.id)?;
            let mut bytes = Vec::new();
            viewed.file.read_to_end(&mut bytes)?;
            Ok::<_, PhotosError>((viewed.media, bytes))
        })
    };
    assert_eq!(left(&mut tablet), 1);
    let (media, bytes) = view(&mut tablet).unwrap();
    assert_eq!((media.as_str(), bytes), ("image/jpeg", jpeg(1)));
    // No pass has seen the hold yet.
    let device = tablet.signer.device;
    tablet.hold(HoldScope::Device { device }, HoldCategory::IllegalContent);
    assert!(matches!(view(&mut tablet), Err(PhotosError::NotShown(_))));
    assert_eq!(left(&mut tablet), 0);
    tablet.release_holds();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.tag(photo.id, &[1]);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(matches!(view(&mut tablet), Err(PhotosError::NotShown(_))));
}

#[test]
fn a_file_put_in_a_photos_place_is_not_shown() {
    let mut tablet = Tablet::new();
    tablet.write("one.jpg", &jpeg(1));
    tablet.look();
    let photo = tablet.only();
    assert_eq!(photo.tagging, Tagging::Untagged);
    std::fs::remove_file(tablet.path("one.jpg")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tablet.path("one.jpg")).unwrap();
    let viewed = tablet.with(|engine, moment| engine.view(moment, photo.id).map(|v| v.bytes));
    assert!(viewed.is_err(), "{viewed:?}");
    std::fs::remove_file(tablet.path("one.jpg")).unwrap();
    tablet.write("one.jpg", &jpeg(2));
    let viewed = tablet.with(|engine, moment| engine.view(moment, photo.id).map(|v| v.bytes));
    assert!(viewed.is_err(), "{viewed:?}");
}
