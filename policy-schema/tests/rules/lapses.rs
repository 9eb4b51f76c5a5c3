//! Histories in which a photo once went too soon, too late, or came back.

use super::nursery::{
    Example, answers, at, calendar, child, example, given, leaves, photos_policy, standing, until,
    withdrawn,
};
use nestwarden_policy_schema::consent::{
    Cause, ChildEntry, ConsentRecord, ConsentSource, ConsentStanding, ConsentState, GivenBy,
    LeaveReason, Method, Purpose, Restriction, Stage, Tagging, record,
};
use nestwarden_policy_schema::id::ConsentId;
use nestwarden_policy_schema::policy::PhotosPolicy;
use std::collections::BTreeMap;
use uuid::Uuid;

fn said(state: ConsentState, answered: Option<&str>, written: &str) -> ConsentRecord {
    ConsentRecord {
        id: ConsentId::from_uuid(Uuid::from_u128(0xf000)),
        child: child(1),
        purpose: Purpose::OwnLearningJournal,
        state,
        given_by: GivenBy::Parent,
        has_parental_responsibility: None,
        method: Method::BookingSystem,
        wording_version: None,
        answered_at: answered.map(at),
        recorded_at: at(written),
        valid_from: None,
        valid_until: None,
        withdrawn_at: None,
        source: ConsentSource::Import,
    }
}

fn resolved(records: &[ConsentRecord]) -> ConsentStanding {
    record::resolve(records)
        .remove(&Purpose::OwnLearningJournal)
        .unwrap()
}

/// Of the journal, with the display given all along.
fn journal(standing: ConsentStanding) -> ChildEntry {
    let mut entry = answers(&given());
    entry.purposes.insert(Purpose::OwnLearningJournal, standing);
    entry
}

#[test]
fn a_dated_blank_does_not_hide_a_later_one_without_a_date() {
    let records = [
        said(
            ConsentState::Unanswered,
            Some("2026-02-01T09:00:00Z"),
            "2026-02-01T09:00:00Z",
        ),
        said(
            ConsentState::Given,
            Some("2026-02-02T09:00:00Z"),
            "2026-02-02T09:00:00Z",
        ),
        said(ConsentState::Unanswered, None, "2026-02-10T09:00:00Z"),
    ];
    assert_eq!(resolved(&records).state, ConsentState::Unanswered);
    assert_eq!(resolved(&records[..2]).state, ConsentState::Given);
}

#[test]
fn a_withdrawal_answered_after_its_own_date_stands_until_a_yes_after_both() {
    let mut no = said(
        ConsentState::Withdrawn,
        Some("2026-02-05T09:00:00Z"),
        "2026-02-05T09:00:00Z",
    );
    no.withdrawn_at = Some(at("2026-02-03T09:00:00Z"));
    let yes = said(
        ConsentState::Given,
        Some("2026-02-04T09:00:00Z"),
        "2026-02-06T09:00:00Z",
    );
    assert_eq!(resolved(&[no, yes]).state, ConsentState::Withdrawn);
}

#[test]
fn a_no_and_a_blank_say_when_they_took_a_yes_away() {
    let yes = said(
        ConsentState::Given,
        Some("2026-02-01T09:00:00Z"),
        "2026-02-01T09:00:00Z",
    );
    let taken = Some(at("2026-02-03T09:00:00Z"));
    for state in [
        ConsentState::Refused,
        ConsentState::Withdrawn,
        ConsentState::Unanswered,
        ConsentState::Expired,
    ] {
        let no = said(state, None, "2026-02-03T09:00:00Z");
        let both = resolved(&[yes.clone(), no.clone()]);
        assert_eq!((both.state, both.withdrawn_at), (state, taken));
        let alone = resolved(&[no]).withdrawn_at;
        assert_eq!(
            alone.is_some(),
            state == ConsentState::Withdrawn,
            "{state:?}"
        );
    }
    let leaver = said(ConsentState::EndedLeaver, None, "2026-02-03T09:00:00Z");
    assert_eq!(resolved(&[yes, leaver]).withdrawn_at, None);
}

#[test]
fn what_is_dated_to_the_end_of_a_day_counts_from_when_it_was_written_on_that_day() {
    let yes = said(
        ConsentState::Given,
        Some("2026-02-01T09:00:00Z"),
        "2026-02-01T09:00:00Z",
    );
    let (end_of_day, written) = ("2026-03-30T22:59:59Z", "2026-03-30T08:00:00Z");
    for state in [
        ConsentState::Withdrawn,
        ConsentState::Refused,
        ConsentState::Unanswered,
    ] {
        let no = said(state, Some(end_of_day), written);
        let both = resolved(&[yes.clone(), no]);
        assert_eq!(both.withdrawn_at, Some(at(written)), "{state:?}");
        let dated = "2026-03-28T22:59:59Z";
        let both = resolved(&[yes.clone(), said(state, Some(dated), written)]);
        assert_eq!(both.withdrawn_at, Some(at(dated)), "{state:?}");
    }
    // The age of 28 days, which comes two hours later, does not take the withdrawal's place.
    let withdrawal = resolved(&[
        yes,
        said(ConsentState::Withdrawn, Some(end_of_day), written),
    ]);
    let photo = example(answers(&withdrawal));
    for when in [
        "2026-03-30T08:00:00Z",
        "2026-03-30T09:00:00Z",
        "2026-03-30T12:00:00Z",
    ] {
        let sealed = (Stage::Sealed, Some(Cause::Withdrawn));
        assert_eq!(photo.at(when).due(), sealed, "{when}");
    }
}

#[test]
fn consents_that_ended_with_leaving_are_no_disagreement_between_parents() {
    let yes = said(
        ConsentState::Given,
        Some("2026-02-01T09:00:00Z"),
        "2026-02-01T09:00:00Z",
    );
    let mut ended = said(ConsentState::EndedLeaver, None, "2026-02-03T09:00:00Z");
    ended.given_by = GivenBy::OtherParent;
    let state = |records: &[ConsentRecord]| resolved(records).state;
    assert_eq!(
        state(&[yes.clone(), ended.clone()]),
        ConsentState::EndedLeaver
    );
    let again = said(
        ConsentState::Given,
        Some("2026-02-04T09:00:00Z"),
        "2026-02-04T09:00:00Z",
    );
    assert_eq!(state(&[yes, ended, again]), ConsentState::Given);
}

#[test]
fn a_no_or_a_blank_in_place_of_a_yes_leaves_a_withdrawals_days_to_object() {
    for (state, cause) in [
        (ConsentState::Refused, Cause::Withdrawn),
        (ConsentState::Conflicted, Cause::Withdrawn),
        (ConsentState::Unanswered, Cause::NoConsent),
    ] {
        // The display kept it for 14 days, the journal for 28.
        let taken_away = ConsentStanding {
            withdrawn_at: Some(at("2026-03-18T09:00:00Z")),
            ..standing(state)
        };
        let photo = example(journal(taken_away)).sealed("2026-03-18T09:00:00Z");
        let on = |when| photo.at(when).due();
        assert_eq!(on("2026-03-23T23:59:59Z"), (Stage::Sealed, Some(cause)));
        assert_eq!(on("2026-03-24T00:00:00Z"), (Stage::Destroyed, Some(cause)));
    }
}

#[test]
fn what_a_possible_child_takes_away_leaves_the_days_to_say_who_is_in_it() {
    let mut photo = example(answers(&given())).with(2, journal(withdrawn("2026-03-18T09:00:00Z")));
    photo.photo.subjects.tagging = Tagging::Partial;
    let photo = photo.sealed("2026-03-18T09:00:00Z");
    let on = |when| photo.at(when).due();
    let cause = Some(Cause::PossibleChild);
    assert_eq!(on("2026-03-24T12:00:00Z"), (Stage::Sealed, cause));
    assert_eq!(on("2026-03-25T09:00:00Z"), (Stage::Destroyed, cause));
}

#[test]
fn a_child_who_goes_missing_after_a_withdrawal_stays_withdrawn() {
    let mut entry = answers(&withdrawn("2026-03-03T09:00:00Z"));
    entry.missing_since = Some(at("2026-03-04T09:00:00Z"));
    let photo = example(entry).sealed("2026-03-03T09:00:00Z");
    let due = photo.at("2026-03-20T12:00:00Z").due();
    assert_eq!(due, (Stage::Sealed, Some(Cause::Withdrawn)));
}

#[test]
fn a_child_who_goes_missing_lengthens_no_retention() {
    let mut entry = answers(&given());
    entry.purposes.remove(&Purpose::OwnLearningJournal);
    entry.missing_since = Some(at("2026-03-14T09:00:00Z"));
    let photo = example(entry).sealed("2026-03-16T10:00:00Z");
    let due = (Stage::Sealed, Some(Cause::MaximumAge));
    assert_eq!(photo.at("2026-03-17T08:59:59Z").due(), due);
    assert_eq!(photo.at("2026-03-17T09:00:00Z").due(), due);
}

#[test]
fn a_possible_childs_last_day_lengthens_no_retention() {
    let mut entry = answers(&until("2026-03-05"));
    entry.purposes.remove(&Purpose::OwnLearningJournal);
    let mut photo = example(entry).untagged();
    photo.policy = PhotosPolicy {
        purposes: BTreeMap::from([(Purpose::DisplayInSetting, 2)]),
        ..photos_policy()
    };
    let photo = photo.sealed("2026-03-05T20:00:00Z");
    for when in ["2026-03-05T23:59:59Z", "2026-03-06T09:00:00Z"] {
        let due = photo.at(when).due();
        assert_eq!(due, (Stage::Sealed, Some(Cause::MaximumAge)), "{when}");
    }
}

#[test]
fn confirmed_children_with_no_use_in_common_seal_at_once_whoever_else_may_be_in_it() {
    let only = |purpose: Purpose| {
        let mut entry = answers(&given());
        entry.purposes.retain(|p, _| *p == purpose);
        entry
    };
    let mut photo = example(only(Purpose::OwnLearningJournal))
        .and(2, only(Purpose::DisplayInSetting))
        .with(3, answers(&given()));
    photo.photo.subjects.tagging = Tagging::Partial;
    let due = (Stage::Sealed, Some(Cause::NoCommonPurpose));
    assert_eq!(photo.due(), due);
    photo.photo.subjects.unregistered_person = true;
    assert_eq!(photo.due(), due);
}

#[test]
fn a_restriction_that_leaves_no_use_is_undone_or_carried_out_by_the_dsl_alone() {
    let mut entry = answers(&given());
    entry.purposes = BTreeMap::from([(Purpose::Website, given())]);
    entry.restriction = Restriction::NoExternal;
    let mut photo = example(entry).sealed("2026-03-02T11:00:00Z");
    photo.policy.purposes.insert(Purpose::Website, 28);
    let due = photo.at("2026-06-01T12:00:00Z").due();
    assert_eq!(due, (Stage::Sealed, Some(Cause::Restricted)));
}

#[test]
fn a_possible_child_who_left_leaves_the_photo_to_those_who_are_in_it() {
    let gone = leaves(answers(&given()), "2026-03-02", LeaveReason::Left);
    let mut photo = example(answers(&given())).with(2, gone);
    photo.photo.subjects.tagging = Tagging::Partial;
    assert_eq!(photo.at("2026-03-20T12:00:00Z").due(), (Stage::Live, None));
}

#[test]
fn an_overdue_destruction_is_looked_at_again_after_a_midnight_that_was_skipped() {
    // In Beirut clocks go from midnight to one o'clock on Sunday 29 March 2026.
    let mut photo = example(answers(&given())).sealed("2026-03-26T10:00:00Z");
    photo.calendar = calendar("Asia/Beirut", &[]);
    photo.photo.uploaded_at = Some(at("2026-03-25T10:00:00Z"));
    for (when, next) in [
        ("2026-03-28T20:59:59Z", "2026-03-28T21:00:00Z"),
        ("2026-03-28T21:30:00Z", "2026-03-28T22:00:00Z"),
        ("2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"),
    ] {
        assert_eq!(
            photo.at(when).verdict().next_change,
            Some(at(next)),
            "{when}"
        );
    }
}

#[test]
fn a_photo_taken_while_the_clock_ran_ahead_is_withheld_once_it_is_right_again() {
    let refused = answers(&standing(ConsentState::Refused));
    let mut photo = example(refused);
    photo.photo.captured_at = at("2026-04-02T10:00:00Z");
    let due = photo.at("2026-03-02T12:00:00Z").due();
    assert_eq!(due, (Stage::Sealed, Some(Cause::NoConsent)));
    let possible = photo.untagged().at("2026-03-02T12:00:00Z").due();
    assert_eq!(possible, (Stage::Withheld, Some(Cause::PossibleChild)));
}

#[test]
fn what_a_possible_child_takes_away_late_counts_from_then() {
    // The display keeps it for 14 days, the journal would for 28.
    let mut photo = example(answers(&given())).with(2, journal(withdrawn("2026-03-18T09:00:00Z")));
    photo.photo.subjects.tagging = Tagging::Partial;
    let then = Some("2026-03-18T09:00:00Z".to_owned());
    let late = photo.at("2026-03-19T12:00:00Z");
    assert_eq!(late.times(), [then.clone(), then, None]);
}

#[test]
fn a_clock_in_doubt_seals_nothing_that_would_be_in_use_without_its_dates() {
    let mut one = answers(&given());
    let withdrawal = withdrawn("2026-03-11T12:00:00Z");
    one.purposes.insert(Purpose::DisplayInSetting, withdrawal);
    let mut photo = example(one).and(2, journal(until("2026-03-10")));
    photo = photo.at("2026-03-12T12:00:00Z");
    let stage = |photo: &Example| photo.due().0;
    assert_eq!(stage(&photo), Stage::Sealed);
    photo.now.doubtful = true;
    assert_eq!(stage(&photo), Stage::Withheld);
}

#[test]
fn what_was_lost_at_a_time_the_tablet_has_yet_to_reach_counts_at_once() {
    // The server's clock is half an hour ahead.
    for state in [
        ConsentState::Withdrawn,
        ConsentState::Refused,
        ConsentState::Expired,
        ConsentState::Unanswered,
    ] {
        let ahead = ConsentStanding {
            withdrawn_at: Some(at("2026-03-02T12:30:00Z")),
            ..standing(state)
        };
        let stage = example(answers(&ahead)).at("2026-03-02T12:00:00Z").stage();
        assert_eq!(stage, Some(Stage::Sealed), "{state:?}");
    }
}

#[test]
fn what_spoke_against_a_photo_before_it_was_taken_counts_from_then() {
    let taken = Some("2026-03-02T10:00:00Z".to_owned());
    let withdrawn = answers(&withdrawn("2026-02-20T10:00:00Z"));
    assert_eq!(example(withdrawn).times()[0], taken);
    let mut missing = answers(&given());
    missing.missing_since = Some(at("2026-02-20T10:00:00Z"));
    assert_eq!(example(missing).times()[0], taken);
}
