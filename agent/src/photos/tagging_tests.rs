//! Who may say what of a photo after somebody already did.

use super::error::PhotosError;
use super::listing::Tags;
use super::testing::{Tablet, child, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, Stage, Tagging};
use std::collections::BTreeSet;

#[test]
fn no_tag_brings_back_a_photo_that_a_parent_refused() {
    let mut tablet = Tablet::new();
    let id = tablet.photo_of_one("one.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let before = tablet.stages();
    let nobody = Tags {
        tagging: Tagging::NoChild,
        confirmed: BTreeSet::new(),
        unregistered_person: false,
        care_record: false,
    };
    let other = Tags {
        tagging: Tagging::Complete,
        confirmed: [child(2)].into(),
        ..nobody.clone()
    };
    let care = Tags {
        tagging: Tagging::Complete,
        confirmed: [child(1)].into(),
        care_record: true,
        ..nobody.clone()
    };
    for tags in [nobody, other, care] {
        let refused = tablet.with(|engine, moment| engine.tag(moment, id, &tags));
        assert!(matches!(refused, Err(PhotosError::TagsLoosened(_))));
        tablet.settle();
        assert_eq!(tablet.stages(), before);
    }
}

#[test]
fn a_child_who_is_not_on_the_register_cannot_be_named() {
    let mut tablet = Tablet::new();
    let id = tablet.photo_of_one("one.jpg");
    let tags = Tags {
        tagging: Tagging::Complete,
        confirmed: [child(1), child(4_000_000)].into(),
        unregistered_person: false,
        care_record: false,
    };
    let refused = tablet.with(|engine, moment| engine.tag(moment, id, &tags));
    assert!(matches!(refused, Err(PhotosError::NoSuchChild(_))));
}

#[test]
fn a_sealed_photo_takes_names_and_nobody_says_there_that_no_other_child_is_in_it() {
    let mut tablet = Tablet::new();
    tablet.write("one.jpg", &jpeg(1));
    tablet.look();
    let id = tablet.only().id;
    tablet.pass_hours(24 * 14);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    let says = |tagging, children: &[u128]| Tags {
        tagging,
        confirmed: children.iter().map(|n| child(*n)).collect(),
        unregistered_person: false,
        care_record: false,
    };
    for tags in [says(Tagging::NoChild, &[]), says(Tagging::Complete, &[1])] {
        let refused = tablet.with(|engine, moment| engine.tag(moment, id, &tags));
        assert!(
            matches!(refused, Err(PhotosError::Sealed(_))),
            "{refused:?}"
        );
    }
    let more = says(Tagging::Partial, &[1]);
    let added = tablet.with(|engine, moment| engine.tag(moment, id, &more));
    assert!(added.is_ok(), "{added:?}");
    assert_eq!(tablet.only().confirmed, BTreeSet::from([child(1)]));
}
