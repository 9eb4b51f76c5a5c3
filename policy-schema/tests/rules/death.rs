//! A child's death stops what leads to deletion, and brings nothing back into use.

use crate::nursery::{
    Example, answers, at, date, example, given, leaves, standing, until, withdrawn,
};
use nestwarden_policy_schema::consent::{
    BeforeDeath, Cause, ChildEntry, ConsentState, LeaveReason, Purpose, Restriction, Stage, Tagging,
};

const LATER: &str = "2026-12-01T12:00:00Z";

/// On the day after the photo was taken.
fn died(entry: ChildEntry) -> ChildEntry {
    leaves(entry, "2026-03-03", LeaveReason::Died)
}

fn stays(photo: &Example, stage: Stage, cause: Cause) {
    let later = photo.at(LATER);
    assert_eq!(later.due(), (stage, Some(cause)));
    let verdict = later.verdict();
    assert_eq!(
        verdict
            .due(&later.calendar, &later.now)
            .map(|(stage, _)| stage),
        Some(stage)
    );
    assert_eq!(later.times()[2], None, "nothing is destroyed");
}

#[test]
fn a_photo_in_use_stays_in_use_whatever_time_brings() {
    for entry in [given(), until("2026-03-10")] {
        let mut photo = example(died(answers(&entry)));
        photo.photo.uploaded_at = Some(at("2026-03-02T11:00:00Z"));
        assert_eq!(photo.at(LATER).due(), (Stage::Live, None));
        photo.photo.subjects.tagging = Tagging::Untagged;
        assert_eq!(photo.at(LATER).due(), (Stage::Live, None));
    }
}

#[test]
fn what_the_child_s_own_withdrawal_sealed_stays_sealed_and_is_not_destroyed() {
    let entry = answers(&withdrawn("2026-03-02T10:00:00Z"));
    let alive = example(entry.clone());
    assert_eq!(alive.due(), (Stage::Sealed, Some(Cause::Withdrawn)));
    let photo = example(died(entry)).sealed("2026-03-02T11:00:00Z");
    stays(&photo, Stage::Sealed, Cause::Withdrawn);
}

#[test]
fn what_was_withdrawn_but_not_sealed_yet_stays_withheld() {
    let photo = example(died(answers(&withdrawn("2026-03-02T10:00:00Z"))));
    stays(&photo, Stage::Withheld, Cause::Withdrawn);
}

#[test]
fn a_restriction_from_before_the_death_stands() {
    let mut entry = died(answers(&given()));
    entry.restriction = Restriction::DoNotPhotograph;
    stays(&example(entry.clone()), Stage::Withheld, Cause::Restricted);
    let photo = example(entry).sealed("2026-03-02T11:00:00Z");
    stays(&photo, Stage::Sealed, Cause::Restricted);
}

#[test]
fn a_child_nobody_ever_answered_for_stays_out_of_use() {
    let entry = died(answers(&standing(ConsentState::Unanswered)));
    stays(&example(entry.clone()), Stage::Withheld, Cause::NoConsent);
    let mut possible = example(entry);
    possible.photo.subjects.tagging = Tagging::Untagged;
    possible.photo.subjects.confirmed.clear();
    stays(&possible, Stage::Withheld, Cause::PossibleChild);
}

#[test]
fn a_last_day_before_the_death_counts_and_one_after_it_does_not() {
    let before = example(died(answers(&until("2026-03-02"))));
    stays(&before, Stage::Withheld, Cause::Expired);
    // Recorded a week later: what had come by then stays.
    let mut entry = died(answers(&until("2026-03-06")));
    assert_eq!(example(entry.clone()).at(LATER).due(), (Stage::Live, None));
    entry.before_death = Some(BeforeDeath {
        recorded_at: at("2026-03-10T09:00:00Z"),
        left: None,
    });
    stays(&example(entry), Stage::Withheld, Cause::Expired);
}

#[test]
fn what_a_last_day_sealed_before_the_tablet_heard_of_the_death_stays_sealed() {
    let photo = example(died(answers(&until("2026-03-10")))).sealed("2026-03-11T00:00:00Z");
    stays(&photo, Stage::Sealed, Cause::Expired);
}

#[test]
fn a_last_day_after_the_death_opens_nothing_that_its_age_sealed() {
    // The display keeps it for 14 days; without a use in time it would be the 28 of any photo.
    let mut entry = answers(&until("2026-03-20"));
    entry.purposes.remove(&Purpose::OwnLearningJournal);
    let photo = example(died(entry)).sealed("2026-03-16T10:00:00Z");
    let later = photo.at("2026-03-25T12:00:00Z");
    assert_eq!(later.due(), (Stage::Sealed, Some(Cause::MaximumAge)));
}

#[test]
fn a_child_who_is_no_longer_listed_after_the_death_is_not_missed() {
    let mut entry = died(answers(&given()));
    entry.missing_since = Some(at("2026-03-10T09:00:00Z"));
    assert_eq!(example(entry).at(LATER).due(), (Stage::Live, None));
}

#[test]
fn what_was_sealed_by_its_age_or_for_nobody_s_name_stays_sealed() {
    let photo = example(died(answers(&given())));
    stays(
        &photo.clone().sealed("2026-03-30T12:00:00Z"),
        Stage::Sealed,
        Cause::MaximumAge,
    );
    let photo = photo.untagged().sealed("2026-03-12T00:00:00Z");
    stays(&photo, Stage::Sealed, Cause::Untagged);
}

#[test]
fn a_leaver_who_died_afterwards_stays_a_leaver() {
    let mut entry = leaves(answers(&given()), "2026-04-20", LeaveReason::Died);
    entry.before_death = Some(BeforeDeath {
        recorded_at: at("2026-04-21T09:00:00Z"),
        left: Some(date("2026-03-06")),
    });
    let photo = example(entry.clone()).sealed("2026-03-21T00:00:00Z");
    stays(&photo, Stage::Sealed, Cause::Left);
    // The leaver's pack was on offer still when the child died.
    entry.before_death = entry.before_death.map(|before| BeforeDeath {
        left: Some(date("2026-04-18")),
        ..before
    });
    assert_eq!(example(entry).at(LATER).due(), (Stage::Live, None));
}

#[test]
fn a_word_after_the_death_still_counts() {
    let mut entry = died(answers(&withdrawn("2026-05-02T10:00:00Z")));
    stays(&example(entry.clone()), Stage::Withheld, Cause::Withdrawn);
    // The family gives it back to be looked at.
    entry.purposes = answers(&given()).purposes;
    let photo = example(entry).sealed("2026-03-02T11:00:00Z");
    assert_eq!(photo.at("2026-03-20T12:00:00Z").due(), (Stage::Live, None));
}

#[test]
fn a_death_that_was_a_mistake_leaves_everything_as_it_was() {
    let entry = answers(&withdrawn("2026-03-02T10:00:00Z"));
    let photo = example(entry).sealed("2026-03-02T11:00:00Z");
    assert_eq!(
        photo.at("2026-03-12T12:00:00Z").due(),
        (Stage::Destroyed, Some(Cause::Withdrawn))
    );
}
