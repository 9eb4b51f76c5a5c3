//! What a verdict names as its reason, which receipts quote; and which reasons only a clock gives.

use crate::nursery::{
    Example, answers, at, child, date, example, given, leaves, standing, until, withdrawn,
};
use nestwarden_policy_schema::consent::{
    Cause, ChildEntry, ConsentStanding, ConsentState, Due, LeaveReason, Purpose, Restriction, Stage,
};
use nestwarden_policy_schema::id::{ChildId, ConsentId};
use uuid::Uuid;

fn record() -> ConsentId {
    ConsentId::from_uuid(Uuid::from_u128(0xf000))
}

fn named(example: &Example) -> (Cause, Option<ChildId>, Option<ConsentId>) {
    let (_, due) = example
        .verdict()
        .due(&example.calendar, &example.now)
        .unwrap();
    let Due {
        cause,
        child,
        consent,
        ..
    } = due.unwrap();
    (cause, child, consent)
}

#[test]
fn a_verdict_names_the_child_and_the_record_it_rests_on() {
    let one = Some(child(1));
    let mut restricted = answers(&given());
    restricted.restriction = Restriction::DoNotPhotograph;
    let left = leaves(answers(&given()), "2026-02-01", LeaveReason::Left);
    let ended = leaves(
        answers(&standing(ConsentState::EndedLeaver)),
        "2026-03-01",
        LeaveReason::Left,
    );
    let mut missing = answers(&given());
    missing.missing_since = Some(at("2026-02-01T00:00:00Z"));
    let mut outer_only = answers(&standing(ConsentState::Refused));
    outer_only.restriction = Restriction::NoExternal;
    for (entry, wanted) in [
        (
            answers(&withdrawn("2026-03-02T11:00:00Z")),
            (Cause::Withdrawn, one, Some(record())),
        ),
        (
            answers(&until("2026-03-01")),
            (Cause::Expired, one, Some(record())),
        ),
        (
            answers(&standing(ConsentState::Expired)),
            (Cause::Expired, one, Some(record())),
        ),
        (
            answers(&standing(ConsentState::Refused)),
            (Cause::NoConsent, one, Some(record())),
        ),
        (outer_only, (Cause::NoConsent, one, Some(record()))),
        (ChildEntry::default(), (Cause::NoConsent, one, None)),
        (restricted, (Cause::Restricted, one, None)),
        (left, (Cause::Left, one, None)),
        (ended, (Cause::Left, one, Some(record()))),
        (missing, (Cause::NotOnRegister, one, None)),
    ] {
        assert_eq!(named(&example(entry.clone())), wanted, "{entry:?}");
    }
    let mut unknown = example(answers(&given()));
    unknown.children.clear();
    assert_eq!(named(&unknown), (Cause::NotOnRegister, one, None));
    let possible = example(answers(&standing(ConsentState::Refused))).untagged();
    assert_eq!(named(&possible), (Cause::PossibleChild, one, None));
}

fn but(entry: ChildEntry, purpose: Purpose, answer: ConsentStanding) -> ChildEntry {
    let mut entry = entry;
    entry.purposes.insert(purpose, answer);
    entry
}

#[test]
fn the_last_consent_that_was_lost_is_the_reason() {
    let lost = but(
        answers(&until("2026-03-04")),
        Purpose::DisplayInSetting,
        withdrawn("2026-03-10T09:00:00Z"),
    );
    assert_eq!(
        example(lost).at("2026-03-20T12:00:00Z").due().1,
        Some(Cause::Withdrawn)
    );
    let lost = but(
        answers(&until("2026-03-12")),
        Purpose::DisplayInSetting,
        withdrawn("2026-03-10T09:00:00Z"),
    );
    assert_eq!(
        example(lost).at("2026-03-20T12:00:00Z").due().1,
        Some(Cause::Expired)
    );
}

#[test]
fn a_use_that_was_restricted_all_along_is_not_lost_when_its_consent_ends() {
    let mut entry = but(
        answers(&standing(ConsentState::Refused)),
        Purpose::Website,
        until("2026-03-04"),
    );
    entry.restriction = Restriction::NoExternal;
    let mut photo = example(entry).at("2026-03-20T12:00:00Z");
    photo.policy.purposes.insert(Purpose::Website, 28);
    assert_eq!(photo.due().1, Some(Cause::NoConsent));
}

#[test]
fn what_was_lost_before_the_photo_was_taken_was_never_common() {
    let at_that_instant = |when| {
        let journal = but(
            answers(&given()),
            Purpose::DisplayInSetting,
            withdrawn(when),
        );
        let mut display = answers(&given());
        display.purposes.remove(&Purpose::OwnLearningJournal);
        example(journal).and(2, display).due().1
    };
    assert_eq!(
        at_that_instant("2026-03-02T10:00:00Z"),
        Some(Cause::NoCommonPurpose)
    );
    assert_eq!(
        at_that_instant("2026-03-02T10:00:01Z"),
        Some(Cause::Withdrawn)
    );
}

#[test]
fn a_purpose_keeps_a_photo_within_its_own_retention_only() {
    let lost_at = |when: &str| {
        let entry = but(
            answers(&given()),
            Purpose::OwnLearningJournal,
            withdrawn(when),
        );
        example(entry).at("2026-03-31T12:00:00Z").due().1
    };
    // Display keeps it for 14 days, the journal for 28.
    assert_eq!(lost_at("2026-03-16T10:00:00Z"), Some(Cause::MaximumAge));
    assert_eq!(lost_at("2026-03-16T10:00:01Z"), Some(Cause::Withdrawn));
    assert_eq!(lost_at("2026-03-30T09:59:59Z"), Some(Cause::Withdrawn));
    assert_eq!(lost_at("2026-03-30T10:00:00Z"), Some(Cause::MaximumAge));
}

#[test]
fn a_reason_that_only_a_clock_gives_seals_nothing_while_the_clock_is_in_doubt() {
    let from_next_week = ConsentStanding {
        valid_from: Some(date("2026-03-09")),
        ..given()
    };
    let left = leaves(answers(&given()), "2026-03-01", LeaveReason::Left);
    let both = but(
        answers(&until("2026-03-04")),
        Purpose::DisplayInSetting,
        withdrawn("2026-03-10T09:00:00Z"),
    );
    let journal_ends = but(
        answers(&given()),
        Purpose::OwnLearningJournal,
        until("2026-03-18"),
    );
    for (what, entry, when) in [
        (
            "expired",
            answers(&until("2026-03-04")),
            "2026-03-06T12:00:00Z",
        ),
        (
            "not begun",
            answers(&from_next_week),
            "2026-03-06T12:00:00Z",
        ),
        ("left", left, "2026-03-20T12:00:00Z"),
        (
            "expired, then another withdrawn",
            both,
            "2026-03-13T12:00:00Z",
        ),
        (
            "the longer purpose expired",
            journal_ends,
            "2026-03-20T12:00:00Z",
        ),
        ("old", answers(&given()), "2026-04-20T12:00:00Z"),
    ] {
        let mut photo = example(entry).at(when);
        assert_eq!(photo.stage(), Some(Stage::Sealed), "{what}");
        photo.now.doubtful = true;
        assert_eq!(photo.stage(), Some(Stage::Withheld), "{what}");
    }
}

#[test]
fn what_no_date_would_bring_back_is_sealed_also_while_the_clock_is_in_doubt() {
    // The last thing lost is lost by its date, and without it there would still be nothing in common.
    let mut one = but(
        answers(&given()),
        Purpose::DisplayInSetting,
        until("2026-03-10"),
    );
    let mut two = answers(&withdrawn("2026-03-05T09:00:00Z"));
    let refused = standing(ConsentState::Refused);
    one.purposes.insert(Purpose::Training, refused);
    two.purposes.insert(Purpose::Training, given());
    let mut photo = example(one).and(2, two);
    photo.policy.purposes.insert(Purpose::Training, 28);
    let mut photo = photo.at("2026-03-12T12:00:00Z");
    photo.now.doubtful = true;
    assert_eq!(photo.due(), (Stage::Sealed, Some(Cause::Expired)));
}

#[test]
fn an_expiry_that_somebody_wrote_down_is_no_matter_of_the_clock() {
    let expired = ConsentStanding {
        withdrawn_at: Some(at("2026-03-18T09:00:00Z")),
        ..standing(ConsentState::Expired)
    };
    let sealed = (Stage::Sealed, Some(Cause::Expired));
    let mut photo = example(answers(&expired)).at("2026-03-20T12:00:00Z");
    assert_eq!(photo.due(), sealed);
    photo.now.doubtful = true;
    assert_eq!(photo.due(), sealed);
    // The journal kept it beyond the 14 days of the display, and that those are over is a matter of the clock.
    let entry = but(answers(&given()), Purpose::OwnLearningJournal, expired);
    let mut photo = example(entry).at("2026-03-20T12:00:00Z");
    assert_eq!(photo.due(), sealed);
    photo.now.doubtful = true;
    assert_eq!(photo.stage(), Some(Stage::Withheld));
}

#[test]
fn what_one_reason_leaves_to_a_person_no_other_takes_from_them() {
    let mut photo =
        example(answers(&withdrawn("2026-03-02T11:00:00Z"))).sealed("2026-03-02T12:00:00Z");
    assert_eq!(
        photo.at("2026-04-01T12:00:00Z").stage(),
        Some(Stage::Destroyed)
    );
    photo.photo.subjects.confirmed.insert(child(2));
    assert_eq!(
        photo.at("2026-04-01T12:00:00Z").stage(),
        Some(Stage::Sealed)
    );
    let mut restricted = answers(&given());
    restricted.restriction = Restriction::DoNotPhotograph;
    photo.children.insert(child(2), restricted);
    assert_eq!(
        photo.at("2026-04-01T12:00:00Z").stage(),
        Some(Stage::Sealed)
    );
}

#[test]
fn a_child_who_must_not_be_photographed_is_for_the_dsl_also_where_nobody_ever_answered() {
    let mut entry = answers(&ConsentStanding::UNANSWERED);
    entry.restriction = Restriction::DoNotPhotograph;
    let photo = example(entry).sealed("2026-03-02T12:00:00Z");
    let later = photo.at("2026-06-01T12:00:00Z");
    assert_eq!(later.due(), (Stage::Sealed, Some(Cause::Restricted)));
}

#[test]
fn the_days_to_object_to_an_expiry_are_not_cut_short_by_a_purpose_that_ended_with_it() {
    // A Saturday; Monday, Tuesday and Wednesday are there to object, though the display's 14 days are over on Monday.
    let photo = example(answers(&until("2026-03-13"))).sealed("2026-03-14T00:00:00Z");
    let stage = |when| photo.at(when).stage();
    assert_eq!(stage("2026-03-18T12:00:00Z"), Some(Stage::Sealed));
    assert_eq!(stage("2026-03-19T12:00:00Z"), Some(Stage::Destroyed));
}

#[test]
fn a_sealed_photo_that_may_come_back_has_no_destruction_ahead_of_it() {
    let photo = example(answers(&given())).sealed("2026-03-02T12:00:00Z");
    assert_eq!(photo.times()[2], None);
}
