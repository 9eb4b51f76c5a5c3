//! What is said of a photo after it went out of use.

use crate::nursery::{answers, at, child, example, given, standing, withdrawn};
use nestwarden_policy_schema::consent::{
    Cause, ConsentState, PhotoFacts, Stage, Subjects, Tagging,
};
use std::collections::BTreeSet;

#[test]
fn the_days_to_object_run_from_the_day_a_child_who_refused_long_ago_was_named() {
    let refused = answers(&withdrawn("2026-02-02T10:00:00Z"));
    let mut photo = example(answers(&given()))
        .with(2, refused)
        .sealed("2026-03-12T10:00:00Z");
    photo.photo.subjects.unregistered_person = true;
    let later = photo.at("2026-03-16T10:00:00Z");
    assert_eq!(later.stage(), Some(Stage::Sealed));
    photo.photo.subjects.unregistered_person = false;
    photo.photo.subjects.confirmed.insert(child(2));
    photo.photo.tagged_at = Some(at("2026-03-16T10:00:00Z"));
    // A Monday; Tuesday, Wednesday and Thursday are there to object.
    let named = photo.at("2026-03-16T10:00:01Z");
    assert_eq!(named.due(), (Stage::Sealed, Some(Cause::Withdrawn)));
    assert_eq!(
        photo.at("2026-03-19T12:00:00Z").stage(),
        Some(Stage::Sealed)
    );
    let over = photo.at("2026-03-20T12:00:00Z");
    assert_eq!(over.stage(), Some(Stage::Destroyed));
}

#[test]
fn a_leaver_named_late_has_the_days_too() {
    use crate::nursery::leaves;
    use nestwarden_policy_schema::consent::LeaveReason;
    let left = leaves(answers(&given()), "2026-03-02", LeaveReason::Left);
    let mut photo = example(left).sealed("2026-03-17T00:00:00Z");
    photo.photo.tagged_at = Some(at("2026-03-19T10:00:00Z"));
    assert_eq!(
        photo.at("2026-03-26T09:00:00Z").stage(),
        Some(Stage::Sealed)
    );
    assert_eq!(
        photo.at("2026-03-26T11:00:00Z").stage(),
        Some(Stage::Destroyed)
    );
}

#[test]
fn a_later_word_adds_and_takes_nothing_back() {
    let mut sealed = example(answers(&standing(ConsentState::Refused))).photo;
    sealed.sealed_at = Some(at("2026-03-03T10:00:00Z"));
    let mut says = PhotoFacts {
        sealed_at: None,
        care_record: true,
        found_at_enrolment: true,
        captured_at: at("2026-12-01T10:00:00Z"),
        ..sealed.clone()
    };
    for tagging in [Tagging::NoChild, Tagging::Complete] {
        says.subjects.tagging = tagging;
        says.subjects.confirmed = BTreeSet::new();
        assert_eq!(sealed.tightened_by(&says), sealed);
    }
    says.subjects.confirmed = [child(2)].into();
    says.subjects.unregistered_person = true;
    let both = sealed.tightened_by(&says);
    assert_eq!(both.subjects.confirmed, [child(1), child(2)].into());
    assert!(both.subjects.unregistered_person);
    assert_eq!(both.subjects.tagging, Tagging::Complete);
    let mut untagged = sealed.clone();
    untagged.subjects.tagging = Tagging::Untagged;
    untagged.subjects.confirmed = BTreeSet::new();
    says.subjects.tagging = Tagging::NoChild;
    says.subjects.confirmed = BTreeSet::new();
    assert_eq!(
        untagged.tightened_by(&says).subjects.tagging,
        Tagging::Untagged
    );
}

#[test]
fn of_two_words_on_one_photo_the_stricter_of_each_kind_stands_whichever_came_first() {
    let plain = example(answers(&given())).photo;
    let strict = PhotoFacts {
        subjects: Subjects {
            unregistered_person: true,
            possible_when_taken: [child(3)].into(),
            ..plain.subjects.clone()
        },
        staff: serde_json::from_str("\"00000000-0000-0000-0000-00000000b000\"").unwrap(),
        uploaded_at: Some(at("2026-03-02T11:00:00Z")),
        sealed_at: Some(at("2026-03-03T10:00:00Z")),
        tagged_at: Some(at("2026-03-04T10:00:00Z")),
        ..plain.clone()
    };
    assert_eq!(plain.tightened_by(&strict), strict);
    assert_eq!(strict.tightened_by(&plain), strict);
    let spared = PhotoFacts {
        care_record: true,
        found_at_enrolment: true,
        ..plain.clone()
    };
    assert_eq!(plain.tightened_by(&spared), plain);
    assert_eq!(spared.tightened_by(&plain), plain);
    assert_eq!(spared.tightened_by(&spared), spared);
}
