//! The lifecycle, one example per cause.

use crate::nursery::{answers, at, child, example, given, leaves, standing, until, withdrawn};
use nestwarden_policy_schema::consent::{
    Cause, ConsentState, LeaveReason, Purpose, Restriction, Stage, Tagging,
};
use std::collections::BTreeSet;

const LIVE: (Stage, Option<Cause>) = (Stage::Live, None);

fn sealed(cause: Cause) -> (Stage, Option<Cause>) {
    (Stage::Sealed, Some(cause))
}

fn withheld(cause: Cause) -> (Stage, Option<Cause>) {
    (Stage::Withheld, Some(cause))
}

fn destroyed(cause: Cause) -> (Stage, Option<Cause>) {
    (Stage::Destroyed, Some(cause))
}

#[test]
fn a_photo_with_consent_stays() {
    let photo = example(answers(&given()));
    assert_eq!(photo.due(), LIVE);
    let both = BTreeSet::from([Purpose::OwnLearningJournal, Purpose::DisplayInSetting]);
    assert_eq!(photo.verdict().usable, both);
}

#[test]
fn a_withdrawn_consent_seals_at_sync_and_destroys_three_opening_days_later() {
    let photo = example(answers(&withdrawn("2026-03-05T09:00:00Z"))).at("2026-03-05T10:00:00Z");
    assert_eq!(photo.due(), sealed(Cause::Withdrawn));
    let photo = photo.sealed("2026-03-05T10:00:00Z");
    // Thursday; Friday, Monday and Tuesday are the three opening days.
    assert_eq!(photo.times()[2].as_deref(), Some("2026-03-11T00:00:00Z"));
    assert_eq!(
        photo.at("2026-03-10T23:59:59Z").due(),
        sealed(Cause::Withdrawn)
    );
    assert_eq!(
        photo.at("2026-03-11T00:00:00Z").due(),
        destroyed(Cause::Withdrawn)
    );
}

#[test]
fn an_expired_consent_removes_at_the_end_of_its_last_day_also_offline() {
    let photo = example(answers(&until("2026-03-04")));
    assert_eq!(
        photo
            .clone()
            .offline_at_instant(at("2026-03-04T23:59:59Z"))
            .due(),
        LIVE
    );
    let expired = photo.offline_at_instant(at("2026-03-05T00:00:00Z"));
    assert_eq!(expired.due(), sealed(Cause::Expired));
    let expired = expired.sealed("2026-03-05T00:00:00Z");
    assert_eq!(expired.times()[2].as_deref(), Some("2026-03-11T00:00:00Z"));
}

#[test]
fn a_confirmed_child_who_never_agreed_seals_at_once() {
    for state in [
        ConsentState::Unanswered,
        ConsentState::Refused,
        ConsentState::Conflicted,
    ] {
        let photo = example(answers(&standing(state)));
        assert_eq!(photo.due(), sealed(Cause::NoConsent));
        let photo = photo.sealed("2026-03-02T12:00:00Z");
        assert_eq!(photo.times()[2].as_deref(), Some("2026-03-06T00:00:00Z"));
    }
}

#[test]
fn a_possible_child_who_never_agreed_withholds_at_once_and_seals_after_seven_opening_days() {
    let photo = example(answers(&given()))
        .untagged()
        .with(2, answers(&standing(ConsentState::Refused)));
    assert_eq!(photo.due(), withheld(Cause::PossibleChild));
    assert_eq!(
        photo.at("2026-03-11T23:59:59Z").due(),
        withheld(Cause::PossibleChild)
    );
    let late = photo.at("2026-03-12T00:00:00Z");
    assert_eq!(late.due(), sealed(Cause::PossibleChild));
    let late = late.sealed("2026-03-12T00:00:00Z");
    assert_eq!(late.times()[2].as_deref(), Some("2026-03-19T00:00:00Z"));
}

#[test]
fn a_restriction_seals_at_once_and_destroys_on_the_dsls_word_only() {
    let mut entry = answers(&given());
    entry.restriction = Restriction::DoNotPhotograph;
    let photo = example(entry).and(2, answers(&withdrawn("2026-03-02T11:00:00Z")));
    assert_eq!(photo.due(), sealed(Cause::Restricted));
    let years_later = photo
        .sealed("2026-03-02T12:00:00Z")
        .at("2028-03-02T12:00:00Z");
    assert_eq!(years_later.times()[2], None);
    assert_eq!(years_later.stage(), Some(Stage::Sealed));
}

#[test]
fn a_child_without_external_use_keeps_the_inner_uses() {
    let mut entry = answers(&given());
    entry.restriction = Restriction::NoExternal;
    entry.purposes.insert(Purpose::Website, given());
    let mut photo = example(entry);
    photo.policy.purposes.insert(Purpose::Website, 28);
    assert_eq!(photo.due(), LIVE);
    assert_eq!(photo.verdict().blocked, BTreeSet::from([Purpose::Website]));
}

#[test]
fn a_leavers_photo_goes_fourteen_days_after_leaving() {
    let photo = example(leaves(answers(&given()), "2026-03-06", LeaveReason::Left));
    assert_eq!(photo.at("2026-03-20T23:59:59Z").due(), LIVE);
    let gone = photo.at("2026-03-21T00:00:00Z");
    assert_eq!(gone.due(), sealed(Cause::Left));
    let gone = gone.sealed("2026-03-21T00:00:00Z");
    assert_eq!(gone.times()[2].as_deref(), Some("2026-03-28T00:00:00Z"));
}

#[test]
fn a_leaver_whose_consents_ended_is_out_of_use_but_not_gone_before_the_pack() {
    let ended = answers(&standing(ConsentState::EndedLeaver));
    let photo = example(leaves(ended, "2026-03-06", LeaveReason::Left));
    let photo = photo.at("2026-03-10T00:00:00Z");
    assert_eq!(photo.due(), withheld(Cause::Left));
    assert_eq!(photo.at("2026-03-21T00:00:00Z").due(), sealed(Cause::Left));
}

#[test]
fn another_childs_withdrawal_withholds_a_dead_childs_photo_and_no_more() {
    let entry = leaves(answers(&given()), "2026-03-03", LeaveReason::Died);
    let photo = example(entry).and(2, answers(&withdrawn("2026-03-04T11:00:00Z")));
    assert_eq!(
        photo.at("2026-06-01T12:00:00Z").due(),
        withheld(Cause::Withdrawn)
    );
}

#[test]
fn an_untagged_photo_is_sealed_after_seven_opening_days() {
    let photo = example(answers(&given())).untagged();
    assert_eq!(photo.at("2026-03-11T23:59:59Z").due(), LIVE);
    let late = photo.at("2026-03-12T00:00:00Z");
    assert_eq!(late.due(), sealed(Cause::Untagged));
    let late = late.sealed("2026-03-12T00:00:00Z");
    assert_eq!(late.times()[2].as_deref(), Some("2026-03-19T00:00:00Z"));
}

#[test]
fn a_photo_tagged_complete_with_nobody_named_is_untagged() {
    let mut photo = example(answers(&given()))
        .untagged()
        .with(2, answers(&standing(ConsentState::Refused)));
    photo.photo.subjects.tagging = Tagging::Complete;
    assert_eq!(photo.due(), withheld(Cause::PossibleChild));
    assert_eq!(
        photo.at("2026-03-12T00:00:00Z").stage(),
        Some(Stage::Sealed)
    );
}

#[test]
fn a_photo_on_a_day_without_bookings_may_show_any_child_of_the_room() {
    let photo = example(answers(&given()))
        .untagged()
        .with(2, answers(&standing(ConsentState::Refused)));
    let mut saturday = photo.clone();
    for entry in saturday.children.values_mut() {
        entry.attends = BTreeSet::from(
            ["monday", "tuesday"].map(|d| serde_json::from_value(d.into()).unwrap()),
        );
    }
    saturday.photo.captured_at = at("2026-03-07T10:00:00Z");
    assert_eq!(
        saturday.at("2026-03-07T11:00:00Z").due(),
        withheld(Cause::PossibleChild)
    );
    let mut elsewhere = photo.clone();
    elsewhere.photo.subjects.rooms = BTreeSet::from(["Laydbirds".parse().unwrap()]);
    assert_eq!(elsewhere.due(), withheld(Cause::PossibleChild));
    let mut before_anyone_started = photo;
    before_anyone_started.photo.captured_at = at("1970-01-01T00:00:10Z");
    for entry in before_anyone_started.children.values_mut() {
        entry.starts = Some("2026-01-01".parse().unwrap());
    }
    let due = before_anyone_started.verdict();
    assert!(due.usable.is_empty());
}

#[test]
fn a_photo_that_nobody_can_account_for_does_not_stay_in_use() {
    let mut photo = example(answers(&given())).untagged();
    photo.children.clear();
    assert_eq!(photo.due(), withheld(Cause::PossibleChild));
    assert!(photo.verdict().usable.is_empty());
    photo.photo.subjects.tagging = Tagging::NoChild;
    assert_eq!(photo.due(), LIVE);
}

#[test]
fn a_child_who_changed_rooms_afterwards_is_still_in_the_photo() {
    let mut moved = answers(&standing(ConsentState::Refused));
    moved.rooms = BTreeSet::from(["Bumblebees".parse().unwrap()]);
    let mut photo = example(answers(&given())).untagged().with(2, moved);
    assert_eq!(photo.due(), LIVE);
    photo.photo.subjects.possible_when_taken = BTreeSet::from([child(1), child(2)]);
    assert_eq!(photo.due(), withheld(Cause::PossibleChild));
}

#[test]
fn a_photo_without_children_stays_until_its_age() {
    let mut photo = example(answers(&standing(ConsentState::Refused))).untagged();
    photo.photo.subjects.tagging = Tagging::NoChild;
    assert_eq!(photo.at("2026-03-30T09:59:59Z").due(), LIVE);
    assert_eq!(
        photo.at("2026-03-30T10:00:00Z").due(),
        sealed(Cause::MaximumAge)
    );
}

#[test]
fn an_uploaded_photo_goes_after_24_hours_and_any_photo_after_28_days() {
    let photo = example(answers(&given()));
    assert_eq!(photo.at("2026-03-30T09:59:59Z").due(), LIVE);
    let old = photo.at("2026-03-30T10:00:00Z");
    assert_eq!(old.due(), sealed(Cause::MaximumAge));
    let mut uploaded = photo;
    uploaded.photo.uploaded_at = Some(at("2026-03-02T12:30:00Z"));
    assert_eq!(uploaded.at("2026-03-03T12:29:59Z").due(), LIVE);
    let uploaded = uploaded.at("2026-03-03T12:30:00Z");
    assert_eq!(uploaded.due(), sealed(Cause::Uploaded));
    let uploaded = uploaded.sealed("2026-03-03T12:30:00Z");
    assert_eq!(uploaded.times()[2].as_deref(), Some("2026-03-04T12:30:00Z"));
}

#[test]
fn a_photo_lasts_as_long_as_its_longest_usable_purpose() {
    let mut entry = answers(&given());
    entry
        .purposes
        .insert(Purpose::OwnLearningJournal, standing(ConsentState::Refused));
    let photo = example(entry);
    assert_eq!(photo.at("2026-03-16T09:59:59Z").due(), LIVE);
    assert_eq!(
        photo.at("2026-03-16T10:00:00Z").due(),
        sealed(Cause::MaximumAge)
    );
}

#[test]
fn losing_the_purpose_that_still_kept_a_photo_gives_the_withdrawals_days_to_object() {
    let mut entry = answers(&given());
    entry.purposes.insert(
        Purpose::OwnLearningJournal,
        withdrawn("2026-03-20T09:00:00Z"),
    );
    // Display alone would have kept it for 14 days only.
    let photo = example(entry).at("2026-03-20T10:00:00Z");
    assert_eq!(photo.due(), sealed(Cause::Withdrawn));
    let photo = photo.sealed("2026-03-20T10:00:00Z");
    assert_eq!(photo.times()[2].as_deref(), Some("2026-03-26T00:00:00Z"));
}

#[test]
fn losing_one_of_several_purposes_blocks_that_one() {
    let mut entry = answers(&given());
    entry
        .purposes
        .insert(Purpose::DisplayInSetting, withdrawn("2026-03-02T11:00:00Z"));
    let photo = example(entry);
    assert_eq!(photo.due(), LIVE);
    assert_eq!(
        photo.verdict().usable,
        BTreeSet::from([Purpose::OwnLearningJournal])
    );
    assert_eq!(
        photo.verdict().blocked,
        BTreeSet::from([Purpose::DisplayInSetting])
    );
}

#[test]
fn children_with_nothing_in_common_leave_a_photo_no_use() {
    let (mut journal, mut display) = (answers(&given()), answers(&given()));
    journal.purposes.remove(&Purpose::DisplayInSetting);
    display.purposes.remove(&Purpose::OwnLearningJournal);
    let photo = example(journal).and(2, display);
    assert_eq!(photo.due(), sealed(Cause::NoCommonPurpose));
    let mut possible = photo.clone();
    possible.photo.subjects.tagging = Tagging::Partial;
    possible.photo.subjects.confirmed.remove(&child(2));
    assert_eq!(possible.due(), withheld(Cause::PossibleChild));
}

#[test]
fn the_purpose_last_lost_between_children_is_the_cause() {
    let mut journal = answers(&given());
    journal
        .purposes
        .insert(Purpose::DisplayInSetting, withdrawn("2026-03-02T11:00:00Z"));
    let mut display = answers(&given());
    display.purposes.remove(&Purpose::OwnLearningJournal);
    let photo = example(journal).and(2, display);
    assert_eq!(photo.due(), sealed(Cause::Withdrawn));
}
