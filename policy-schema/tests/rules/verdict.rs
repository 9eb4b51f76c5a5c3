//! What holds of every verdict, whatever the photo, the register, the holds and the time.

use crate::nursery::{
    Example, answers, at, cases, child, date, example, given, hold, standing, withdrawn,
};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::consent::{
    BeforeDeath, Cause, ChildEntry, ConsentStanding, ConsentState, LeaveReason, Leaving, Purpose,
    RegisterSnapshot, Restriction, Stage, Standing, Tagging, TrustedNow,
};
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldScope};
use nestwarden_policy_schema::id::ChildId;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Hours into the five weeks that the examples cover.
fn instant() -> impl Strategy<Value = Timestamp> {
    (0i64..60 * 24 * 42)
        .prop_map(|minutes| at("2026-03-01T00:00:00Z") + SignedDuration::from_mins(minutes))
}

fn day() -> impl Strategy<Value = jiff::civil::Date> {
    (0i64..42).prop_map(|days| date("2026-03-01") + jiff::Span::new().days(days))
}

fn answer() -> impl Strategy<Value = ConsentStanding> {
    let state = prop::sample::select(vec![
        ConsentState::Given,
        ConsentState::Given,
        ConsentState::Given,
        ConsentState::Refused,
        ConsentState::Withdrawn,
        ConsentState::Unanswered,
        ConsentState::EndedLeaver,
        ConsentState::Expired,
    ]);
    (
        state,
        weighted(0.2, day()),
        weighted(0.4, day()),
        of(instant()),
    )
        .prop_map(
            |(state, valid_from, valid_until, withdrawn_at)| ConsentStanding {
                valid_from,
                valid_until,
                withdrawn_at: withdrawn_at.filter(|_| state == ConsentState::Withdrawn),
                ..standing(state)
            },
        )
}

prop_compose! {
    fn entry()(
        journal in weighted(0.95, answer()),
        display in weighted(0.7, answer()),
        restriction in prop::sample::select(vec![
            Restriction::None, Restriction::None, Restriction::None, Restriction::NoExternal, Restriction::DoNotPhotograph,
        ]),
        missing_since in weighted(0.1, instant()),
        leaves in weighted(0.2, (day(), prop::sample::select(vec![LeaveReason::Left, LeaveReason::Left, LeaveReason::Died]))),
        room in prop::sample::select(vec!["Ladybirds", "Bumblebees"]),
    ) -> ChildEntry {
        let purposes = [(Purpose::OwnLearningJournal, journal), (Purpose::DisplayInSetting, display)];
        ChildEntry {
            rooms: BTreeSet::from([room.parse().unwrap()]),
            restriction,
            missing_since,
            leaves: leaves.map(|(date, reason)| Leaving { date, reason }),
            purposes: purposes.into_iter().filter_map(|(p, s)| Some((p, s?))).collect(),
            ..ChildEntry::default()
        }
    }
}

prop_compose! {
    fn tagged()(
        tagging in prop::sample::select(vec![Tagging::Untagged, Tagging::Partial, Tagging::Complete, Tagging::NoChild]),
        confirmed in prop::collection::btree_set(0u8..5, 0..3),
        unregistered_person in prop::bool::weighted(0.1),
        then in prop::collection::btree_set(0u8..5, 0..2),
    ) -> (Tagging, BTreeSet<ChildId>, bool, BTreeSet<ChildId>) {
        let ids = |numbers: BTreeSet<u8>| numbers.into_iter().map(child).collect();
        let confirmed = if tagging == Tagging::Untagged { BTreeSet::new() } else { ids(confirmed) };
        (tagging, confirmed, unregistered_person, ids(then))
    }
}

prop_compose! {
    fn question()(
        children in prop::collection::btree_map((0u8..4).prop_map(child), entry(), 0..4),
        (tagging, confirmed, unregistered_person, possible_when_taken) in tagged(),
        (captured, now) in (instant(), instant()),
        sealed in weighted(0.5, 0i64..60 * 24 * 20),
        uploaded in weighted(0.2, 0i64..60 * 24 * 20),
        (care_record, found_at_enrolment, doubtful) in (prop::bool::weighted(0.05), prop::bool::weighted(0.05), prop::bool::weighted(0.15)),
        contact in of(0i64..60 * 24 * 15),
        holds_age in of(-60i64..60 * 48),
        held in weighted(0.1, 0u8..4),
    ) -> Example {
        let (captured, now) = (captured.min(now), captured.max(now));
        let later = |minutes: i64| (captured + SignedDuration::from_mins(minutes)).min(now);
        let before = |minutes: i64| now - SignedDuration::from_mins(minutes);
        let mut example = example(ChildEntry::default());
        example.children = children;
        example.photo.captured_at = captured;
        example.photo.subjects.tagging = tagging;
        example.photo.subjects.confirmed = confirmed;
        example.photo.subjects.unregistered_person = unregistered_person;
        example.photo.subjects.possible_when_taken = possible_when_taken;
        example.photo.sealed_at = sealed.map(later);
        example.photo.uploaded_at = uploaded.map(later);
        example.photo.care_record = care_record;
        example.photo.found_at_enrolment = found_at_enrolment;
        example.holds = held.map(|n| hold(HoldScope::Child { child: child(n) })).into_iter().collect();
        example.now = TrustedNow {
            at: now,
            doubtful,
            last_contact: contact.map(before),
            lost_since: None,
            holds_confirmed_at: holds_age.map(before),
        };
        example
    }
}

/// Whether one child's own answer permits a purpose, written without the code under test in mind.
fn agrees(entry: Option<&ChildEntry>, purpose: Purpose, question: &Example) -> bool {
    let Some(entry) = entry else { return false };
    let Some(answer) = entry.purposes.get(&purpose) else {
        return false;
    };
    let (now, today) = (
        question.now.at,
        question.calendar.local_date(question.now.at),
    );
    let listed = entry
        .missing_since
        .is_none_or(|since| now.duration_since(since) < SignedDuration::from_hours(72));
    answer.state == ConsentState::Given
        && entry.restriction != Restriction::DoNotPhotograph
        && listed
        && answer.valid_from.is_none_or(|from| from <= today)
        && answer.valid_until.is_none_or(|until| today <= until)
}

/// Everyone who is in it for certain, and, unless somebody named everybody, those booked there.
/// As the register of `question` has it, of a photo in which others may be.
fn in_it_by_register(question: &Example) -> BTreeSet<ChildId> {
    let register = RegisterSnapshot {
        as_of: question.now.at,
        children: question.children.clone(),
    };
    let day = question.calendar.local_date(question.photo.captured_at);
    question.photo.subjects.possible(&register, day)
}

fn in_it(question: &Example) -> BTreeSet<ChildId> {
    let subjects = &question.photo.subjects;
    let mut all = subjects.confirmed.clone();
    if matches!(subjects.tagging, Tagging::Untagged | Tagging::Partial) {
        let day = question.calendar.local_date(question.photo.captured_at);
        let there = |e: &ChildEntry| e.may_be_present(&subjects.rooms, day);
        all.extend(
            question
                .children
                .iter()
                .filter(|(_, e)| there(e))
                .map(|(id, _)| *id),
        );
        all.extend(&subjects.possible_when_taken);
    }
    all
}

fn anyone_died(question: &Example) -> bool {
    let died = |id: &ChildId| question.children.get(id).is_some_and(ChildEntry::has_died);
    in_it(question).iter().any(died)
}

proptest! {
    #![proptest_config(cases(700))]

    #[test]
    fn no_use_is_open_that_any_subject_does_not_permit(question in question()) {
        let verdict = question.verdict();
        for purpose in &verdict.usable {
            for id in in_it(&question) {
                prop_assert!(agrees(question.children.get(&id), *purpose, &question), "{purpose} of {id}");
            }
            prop_assert!(!question.photo.subjects.unregistered_person);
        }
        let all: BTreeSet<Purpose> = question.policy.purposes.keys().copied().collect();
        prop_assert_eq!(&verdict.usable | &verdict.blocked, all);
        prop_assert!(verdict.usable.is_disjoint(&verdict.blocked));
    }

    #[test]
    fn a_photo_without_any_use_does_not_stay(question in question()) {
        let exempt = question.photo.found_at_enrolment || question.photo.care_record || anyone_died(&question);
        if let (false, Some(stage)) = (exempt, question.stage()) && question.verdict().usable.is_empty() {
            prop_assert!(stage >= Stage::Withheld);
        }
    }

    #[test]
    fn a_frozen_photo_has_no_stage(mut question in question()) {
        let freeze = hold(HoldScope::Photo { photo: question.photo.photo });
        question.holds = vec![Hold { category: HoldCategory::IllegalContent, ..freeze }];
        prop_assert_eq!(question.stage(), None);
        prop_assert_eq!(question.verdict().standing, Standing::Frozen);
    }

    #[test]
    fn a_hold_that_does_not_freeze_changes_nothing_but_that_nothing_is_destroyed(mut question in question()) {
        question.holds.clear();
        let before = question.stage();
        question.holds = vec![hold(HoldScope::Photo { photo: question.photo.photo })];
        prop_assert_eq!(question.stage(), before.map(|stage| stage.min(Stage::Sealed)));
    }

    #[test]
    fn a_clock_in_doubt_destroys_nothing_and_seals_nothing_by_time(mut question in question()) {
        question.now.doubtful = true;
        prop_assert_ne!(question.stage(), Some(Stage::Destroyed));
        if question.stage() != Some(Stage::Sealed) {
            return Ok(());
        }
        // Nothing that a clock says: every answer without its dates, no age, no upload, nobody left, nobody missing.
        let mut timeless = question.clone();
        for entry in timeless.children.values_mut() {
            entry.missing_since = None;
            entry.leaves = None;
            for answer in entry.purposes.values_mut() {
                (answer.valid_from, answer.valid_until) = (None, None);
            }
        }
        timeless.now.doubtful = false;
        timeless.now.at = question.photo.captured_at;
        timeless.now.last_contact = Some(question.photo.captured_at);
        timeless.photo.uploaded_at = None;
        prop_assert_eq!(timeless.stage(), Some(Stage::Sealed));
    }

    #[test]
    fn nothing_is_destroyed_without_a_seal_a_fresh_hold_list_an_opening_day_and_its_grace(question in question()) {
        if question.stage() != Some(Stage::Destroyed) {
            return Ok(());
        }
        let now = question.now;
        prop_assert!(!now.doubtful && !anyone_died(&question));
        prop_assert!(question.calendar.is_opening_day(question.calendar.local_date(now.at)));
        let age = now.at.duration_since(now.holds_confirmed_at.unwrap());
        prop_assert!(!age.is_negative() && age <= SignedDuration::from_hours(24));
        // The shortest grace of all.
        prop_assert!(now.at.duration_since(question.photo.sealed_at.unwrap()) >= SignedDuration::from_hours(24));
        let (_, due) = question.verdict().due(&question.calendar, &now).unwrap();
        let due = due.unwrap();
        let (sealed_at, policy) = (question.photo.sealed_at.unwrap(), &question.policy);
        let days = |days: u16| sealed_at + SignedDuration::from_hours(24 * i64::from(days));
        let least = match due.cause {
            Cause::Uploaded | Cause::MaximumAge => days(1),
            Cause::Withdrawn | Cause::Expired | Cause::NoConsent | Cause::NoCommonPurpose => {
                question.calendar.after_opening_days(sealed_at, u32::from(policy.destroy_after_opening_days))
            }
            Cause::PossibleChild | Cause::Untagged | Cause::Left => days(policy.destroy_unconfirmed_after_days),
            Cause::Restricted
            | Cause::NotOnRegister
            | Cause::UnregisteredPerson
            | Cause::Lease
            | Cause::Lost => {
                panic!("{:?} destroys nothing", due.cause)
            }
        };
        prop_assert!(now.at >= least);
    }

    #[test]
    fn on_a_lost_tablet_no_photo_is_in_use_none_is_destroyed_and_found_undoes_just_that(
        mut question in question(),
        minutes in -30i64..60 * 24 * 15,
    ) {
        let before = question.stage();
        question.now.lost_since = Some(question.now.at - SignedDuration::from_mins(minutes));
        // Out of sight at least, sealed for what else there is, and never further.
        let lost = before.map(|stage| stage.clamp(Stage::Withheld, Stage::Sealed));
        prop_assert_eq!(question.stage(), lost);
        if let Standing::Scheduled(schedule) = question.verdict().standing {
            prop_assert_eq!(schedule.destroy, None);
            prop_assert_ne!(schedule.seal.map(|due| due.cause), Some(Cause::Lost));
        }
        question.now.lost_since = None;
        prop_assert_eq!(question.stage(), before);
    }

    #[test]
    fn a_death_leads_to_no_seal_and_no_destruction_and_opens_nothing(
        mut question in question(),
        number in 0u8..4,
    ) {
        question.photo.subjects.confirmed.insert(child(number));
        question.children.entry(child(number)).or_default().leaves = None;
        let alive = question.clone();
        let entry = question.children.entry(child(number)).or_default();
        entry.leaves = Some(Leaving { date: date("2026-04-30"), reason: LeaveReason::Died });
        entry.before_death = Some(BeforeDeath { recorded_at: question.now.at, left: None });
        let Some((stage, before)) = question.stage().zip(alive.stage()) else {
            return Ok(());
        };
        let most = if question.photo.sealed_at.is_some() { Stage::Sealed } else { Stage::Withheld };
        prop_assert!(stage <= most);
        let (_, due) = alive.verdict().due(&alive.calendar, &alive.now).unwrap();
        let by_age = due.is_some_and(|due| {
            matches!(due.cause, Cause::Uploaded | Cause::MaximumAge | Cause::Untagged)
        });
        if question.photo.sealed_at.is_some() || !by_age {
            prop_assert!(stage >= before.min(most));
        }
    }

    #[test]
    fn until_the_next_change_nothing_changes(question in question(), part in 0.0..1.0f64) {
        let verdict = question.verdict();
        let now = question.now.at;
        let next = verdict.next_change.unwrap_or(now + SignedDuration::from_hours(24 * 400));
        prop_assert!(next > now);
        // In doubt no time passes that anyone could vouch for.
        if question.now.doubtful {
            return Ok(());
        }
        let between = now + next.duration_since(now).mul_f64(part.min(0.999_999));
        for then in [between, next - SignedDuration::from_nanos(1)] {
            let later = question.clone().offline_at_instant(then);
            prop_assert_eq!(later.stage(), question.stage(), "at {}", then);
            prop_assert_eq!(&later.verdict().usable, &verdict.usable);
        }
    }

    #[test]
    fn one_more_child_never_opens_a_use_or_moves_a_photo_back(question in question(), entry in entry(), number in 5u8..7) {
        if entry.has_died() || anyone_died(&question) {
            return Ok(());
        }
        let subjects = &question.photo.subjects;
        let unnamed = subjects.confirmed.is_empty() && !subjects.unregistered_person;
        if subjects.tagging == Tagging::NoChild || unnamed {
            return Ok(());
        }
        let mut more = question.clone().and(number, entry);
        // Who may have been there when it was taken stays so, whoever is found to have been there, too.
        more.photo.subjects.possible_when_taken.extend(in_it_by_register(&question));
        prop_assert!(more.verdict().usable.is_subset(&question.verdict().usable));
        // A destruction may turn into a wait for a person; nothing comes back into use.
        let gone = |stage: Option<Stage>| stage.map(|stage| stage >= Stage::Withheld);
        prop_assert!(gone(more.stage()) >= gone(question.stage()));
    }
}

#[test]
fn what_a_last_day_brings_before_time_stops_for_a_death_is_said_before_it_comes() {
    let mut entry = answers(&given());
    entry.leaves = Some(Leaving {
        date: date("2026-03-06"),
        reason: LeaveReason::Died,
    });
    entry.before_death = Some(BeforeDeath {
        left: Some(date("2026-02-20")),
        recorded_at: at("2026-03-01T09:00:00Z"),
    });
    // Fourteen days after the last day.
    let photo = example(entry);
    let comes = at("2026-03-07T00:00:00Z");
    assert_eq!(photo.due(), (Stage::Live, None));
    assert_eq!(photo.verdict().next_change, Some(comes));
    let left = photo.at_instant(comes);
    assert_eq!(left.due(), (Stage::Withheld, Some(Cause::Left)));
}

#[test]
fn the_next_change_is_the_first_of_everything_that_time_can_change() {
    let next = |example: &Example| example.verdict().next_change.unwrap().to_string();
    // The age of the photo comes after the end of the lease.
    let photo = example(answers(&given()));
    assert_eq!(next(&photo), "2026-03-12T00:00:00Z");
    let mut missing = photo.clone();
    missing.children.get_mut(&child(1)).unwrap().missing_since = Some(at("2026-03-02T11:00:00Z"));
    assert_eq!(next(&missing), "2026-03-05T11:00:00Z");
    let mut dated = photo.clone();
    let answer = dated
        .children
        .get_mut(&child(1))
        .unwrap()
        .purposes
        .get_mut(&Purpose::OwnLearningJournal)
        .unwrap();
    answer.valid_until = Some(date("2026-03-04"));
    answer.valid_from = Some(date("2026-03-03"));
    assert_eq!(next(&dated), "2026-03-03T00:00:00Z");
    assert_eq!(
        next(&dated.at("2026-03-03T00:00:00Z")),
        "2026-03-05T00:00:00Z"
    );
    let gone = example(answers(&withdrawn("2026-03-02T11:00:00Z"))).sealed("2026-03-02T11:30:00Z");
    assert_eq!(next(&gone), "2026-03-03T12:00:00.000000001Z");
    assert_eq!(
        next(&gone.at("2026-03-05T12:00:00Z")),
        "2026-03-06T00:00:00Z"
    );
    // Overdue on a Saturday: asked again every midnight.
    assert_eq!(
        next(&gone.at("2026-03-07T12:00:00Z")),
        "2026-03-08T00:00:00Z"
    );
    let children: BTreeMap<ChildId, ChildEntry> = BTreeMap::new();
    let mut found = Example { children, ..photo };
    found.photo.found_at_enrolment = true;
    assert_eq!(next(&found), "2026-03-12T00:00:00Z");
}
