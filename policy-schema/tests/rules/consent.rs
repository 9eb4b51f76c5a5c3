//! How the answers about a child resolve.

use crate::nursery::{at, calendar, cases, child, date};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::record::resolve;
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentRecord, ConsentSource, ConsentStanding, ConsentState, GivenBy, Method,
    Purpose, Restriction,
};
use nestwarden_policy_schema::id::ConsentId;
use proptest::prelude::*;
use uuid::Uuid;

const P: Purpose = Purpose::Website;

fn id(number: u128) -> ConsentId {
    ConsentId::from_uuid(Uuid::from_u128(number))
}

/// `state`, said on the `said`-th of March at noon (0: not dated) and written here on the `written`-th.
fn record(state: ConsentState, said: i8, written: i8) -> ConsentRecord {
    let noon = |day: i8| at(&format!("2026-03-{day:02}T12:00:00Z"));
    let said = (said > 0).then(|| noon(said));
    let withdrawn = state == ConsentState::Withdrawn;
    ConsentRecord {
        id: id(u128::from(written.unsigned_abs())),
        child: child(1),
        purpose: P,
        state,
        given_by: GivenBy::Parent,
        has_parental_responsibility: None,
        method: Method::PaperForm,
        wording_version: None,
        answered_at: said.filter(|_| !withdrawn),
        recorded_at: noon(written),
        valid_from: None,
        valid_until: None,
        withdrawn_at: said.filter(|_| withdrawn),
        source: ConsentSource::Import,
    }
}

use ConsentState::{Conflicted, EndedLeaver, Expired, Given, Refused, Unanswered, Withdrawn};

/// The state, the day it was said (0: not dated) and the day it was written here.
type Said = (ConsentState, i8, i8);

fn resolved(records: &[Said]) -> ConsentStanding {
    let records: Vec<_> = records
        .iter()
        .map(|(state, said, written)| record(*state, *said, *written))
        .collect();
    resolve(&records)
        .remove(&P)
        .unwrap_or(ConsentStanding::UNANSWERED)
}

#[test]
fn answers_resolve_as_the_table_says() {
    // What was said: (state, day said or 0, day written); what it comes to, and on which record it rests.
    let table: &[(&[Said], ConsentState, u128)] = &[
        (&[(Given, 5, 5)], Given, 5),
        (&[(Given, 0, 5)], Given, 5),
        (&[(Unanswered, 0, 5)], Unanswered, 5),
        // The later answer wins, in whatever order they were written down.
        (&[(Given, 5, 5), (Refused, 6, 6)], Refused, 6),
        (&[(Refused, 5, 5), (Given, 6, 6)], Given, 6),
        (&[(Refused, 6, 5), (Given, 5, 6)], Refused, 5),
        (&[(Given, 5, 5), (Given, 4, 6)], Given, 5),
        // A withdrawal stands until a Yes answered after it; the same instant is not after.
        (&[(Given, 5, 5), (Withdrawn, 7, 7)], Withdrawn, 7),
        (&[(Withdrawn, 7, 7), (Given, 7, 8)], Withdrawn, 7),
        (&[(Withdrawn, 7, 7), (Given, 6, 9)], Withdrawn, 7),
        (&[(Withdrawn, 7, 7), (Given, 8, 9)], Given, 9),
        (
            &[(Withdrawn, 7, 7), (Given, 8, 9), (Withdrawn, 10, 10)],
            Withdrawn,
            10,
        ),
        (&[(Withdrawn, 7, 7), (Refused, 8, 9)], Withdrawn, 7),
        (&[(Withdrawn, 7, 7), (Refused, 0, 9)], Withdrawn, 7),
        (&[(Withdrawn, 0, 7), (Given, 7, 8)], Withdrawn, 7),
        (&[(Withdrawn, 0, 7), (Given, 8, 8)], Given, 8),
        // A Yes without a date never restores.
        (&[(Withdrawn, 7, 7), (Given, 0, 9)], Withdrawn, 7),
        (
            &[(Withdrawn, 7, 7), (Unanswered, 0, 8), (Given, 0, 9)],
            Withdrawn,
            7,
        ),
        (&[(Refused, 7, 7), (Given, 0, 9)], Refused, 7),
        (&[(Refused, 0, 7), (Given, 0, 9)], Refused, 7),
        (&[(Expired, 0, 7), (Given, 0, 9)], Expired, 7),
        (&[(EndedLeaver, 0, 7), (Given, 0, 9)], EndedLeaver, 7),
        // A No without a date is believed from the day it was written.
        (&[(Given, 5, 5), (Refused, 0, 7)], Refused, 7),
        (&[(Refused, 0, 7), (Given, 6, 8)], Refused, 7),
        (&[(Refused, 0, 7), (Given, 8, 9)], Given, 9),
        // A blank answer takes a Yes away and stands in the way of none.
        (&[(Given, 5, 5), (Unanswered, 0, 7)], Unanswered, 7),
        (&[(Given, 5, 5), (Unanswered, 4, 7)], Given, 5),
        (&[(Given, 5, 9), (Unanswered, 6, 7)], Unanswered, 7),
        (&[(Given, 5, 5), (Unanswered, 5, 7)], Unanswered, 7),
        (&[(Unanswered, 0, 7), (Given, 6, 8)], Given, 8),
        (&[(Unanswered, 0, 7), (Given, 0, 8)], Given, 8),
        (
            &[(Given, 5, 5), (Unanswered, 0, 7), (Given, 0, 8)],
            Unanswered,
            7,
        ),
        // The same instant, both ways: a conflict, whatever is repeated.
        (&[(Given, 5, 5), (Refused, 5, 6)], Conflicted, 6),
        (&[(Refused, 5, 5), (Given, 5, 6)], Conflicted, 6),
        (
            &[(Refused, 5, 5), (Given, 5, 6), (Given, 5, 7)],
            Conflicted,
            7,
        ),
        (&[(Refused, 5, 5), (Given, 5, 6), (Given, 6, 7)], Given, 7),
        (
            &[(Refused, 5, 5), (Given, 5, 6), (Refused, 6, 7)],
            Refused,
            7,
        ),
        (&[(Given, 5, 5), (Expired, 5, 6)], Expired, 6),
        (&[(Given, 5, 5), (Conflicted, 0, 6)], Conflicted, 6),
    ];
    for (records, state, rests_on) in table {
        let standing = resolved(records);
        assert_eq!(
            (standing.state, standing.consent),
            (*state, Some(id(*rests_on))),
            "{records:?}"
        );
    }
}

#[test]
fn what_one_person_refused_no_other_gives_except_a_court() {
    use GivenBy::{Court, LocalAuthority, OtherParent, Parent};
    type By = (ConsentState, GivenBy, i8, i8);
    let table: &[(&[By], ConsentState)] = &[
        (&[(Given, Parent, 5, 5), (Given, OtherParent, 6, 6)], Given),
        (
            &[(Given, Parent, 5, 5), (Refused, OtherParent, 6, 6)],
            Conflicted,
        ),
        (
            &[(Refused, OtherParent, 5, 5), (Given, Parent, 6, 6)],
            Conflicted,
        ),
        (
            &[(Given, Parent, 0, 5), (Refused, OtherParent, 6, 6)],
            Conflicted,
        ),
        (
            &[(Given, Parent, 5, 5), (Withdrawn, OtherParent, 6, 6)],
            Withdrawn,
        ),
        (
            &[
                (Given, Parent, 5, 5),
                (Withdrawn, OtherParent, 6, 6),
                (Given, Parent, 7, 7),
            ],
            Conflicted,
        ),
        (
            &[(Withdrawn, OtherParent, 6, 6), (Given, Parent, 0, 7)],
            Withdrawn,
        ),
        // Whoever said No says Yes, or a court does.
        (
            &[
                (Given, Parent, 5, 5),
                (Refused, OtherParent, 6, 6),
                (Given, OtherParent, 7, 7),
            ],
            Given,
        ),
        (
            &[(Withdrawn, OtherParent, 6, 6), (Given, Court, 7, 7)],
            Given,
        ),
        (&[(Given, Court, 5, 5), (Refused, Parent, 6, 6)], Conflicted),
        (&[(Refused, Court, 5, 5), (Given, Parent, 6, 6)], Refused),
        // In the end both said No: nobody disagrees.
        (
            &[
                (Given, Parent, 5, 5),
                (Refused, OtherParent, 6, 6),
                (Refused, Parent, 7, 7),
            ],
            Refused,
        ),
        (
            &[(Refused, LocalAuthority, 5, 5), (Given, Parent, 9, 9)],
            Conflicted,
        ),
    ];
    for (said, state) in table {
        let records: Vec<ConsentRecord> = said
            .iter()
            .map(|(state, by, said, written)| ConsentRecord {
                given_by: *by,
                ..record(*state, *said, *written)
            })
            .collect();
        assert_eq!(standing_of(&records).state, *state, "{said:?}");
        let backwards: Vec<ConsentRecord> = records.into_iter().rev().collect();
        assert_eq!(standing_of(&backwards).state, *state, "{said:?}");
    }
}

#[test]
fn a_dated_yes_keeps_its_end_when_an_undated_one_is_imported_after_it() {
    let mut dated = record(Given, 5, 5);
    dated.valid_until = Some(date("2026-06-30"));
    let undated = record(Given, 0, 9);
    let standing = resolve(&[dated, undated]).remove(&P).unwrap();
    assert_eq!(standing.valid_until, Some(date("2026-06-30")));
}

#[test]
fn a_yes_that_carries_a_withdrawal_is_one() {
    let mut yes = record(Given, 5, 9);
    yes.withdrawn_at = Some(at("2026-03-09T12:00:00Z"));
    let standing = resolve(&[yes.clone(), record(Given, 8, 10)])
        .remove(&P)
        .unwrap();
    assert_eq!(standing.state, Withdrawn);
    assert_eq!(standing.withdrawn_at, yes.withdrawn_at);
}

#[test]
fn each_purpose_is_answered_by_itself() {
    let mut press = record(Refused, 9, 9);
    press.purpose = Purpose::Press;
    let all = resolve(&[record(Given, 5, 5), press]);
    assert_eq!(
        (all[&P].state, all[&Purpose::Press].state),
        (Given, Refused)
    );
    assert_eq!(all.len(), 2);
}

#[test]
fn a_consent_holds_from_its_first_to_its_last_local_day() {
    let calendar = calendar("Europe/London", &[]);
    let standing = ConsentStanding {
        state: Given,
        valid_from: Some(date("2026-06-02")),
        valid_until: Some(date("2026-06-03")),
        ..ConsentStanding::UNANSWERED
    };
    let permits = |when| standing.permits(&calendar, at(when));
    assert!(!permits("2026-06-01T22:59:59Z"));
    assert!(permits("2026-06-01T23:00:00Z"));
    assert!(permits("2026-06-03T22:59:59Z"));
    assert!(!permits("2026-06-03T23:00:00Z"));
}

#[test]
fn a_restriction_outranks_a_yes() {
    let calendar = calendar("Europe/London", &[]);
    let now = at("2026-03-02T12:00:00Z");
    let yes = ConsentStanding {
        state: Given,
        ..ConsentStanding::UNANSWERED
    };
    for purpose in Purpose::ALL {
        let mut entry = ChildEntry {
            purposes: [(purpose, yes.clone())].into(),
            ..ChildEntry::default()
        };
        let external = matches!(
            purpose,
            Purpose::Website | Purpose::SocialMedia | Purpose::Press | Purpose::Marketing
        );
        assert_eq!(purpose.is_external(), external);
        assert!(entry.permits(purpose, &calendar, now));
        entry.restriction = Restriction::NoExternal;
        assert_eq!(entry.permits(purpose, &calendar, now), !external);
        entry.restriction = Restriction::DoNotPhotograph;
        assert!(!entry.permits(purpose, &calendar, now));
    }
}

fn any_record() -> impl Strategy<Value = ConsentRecord> {
    let state = prop::sample::select(vec![
        Unanswered,
        Given,
        Given,
        Refused,
        Withdrawn,
        Expired,
        EndedLeaver,
        Conflicted,
    ]);
    let by = prop::sample::select(vec![
        GivenBy::Parent,
        GivenBy::Parent,
        GivenBy::OtherParent,
        GivenBy::Court,
    ]);
    (state, by, 0i8..6, 1i8..28).prop_map(|(state, given_by, said, written)| ConsentRecord {
        given_by,
        ..record(state, said, written)
    })
}

fn any_records() -> impl Strategy<Value = Vec<ConsentRecord>> {
    prop::collection::vec(any_record(), 0..7).prop_map(|mut records| {
        for (index, record) in records.iter_mut().enumerate() {
            record.id = id(index as u128);
        }
        records
    })
}

fn standing_of(records: &[ConsentRecord]) -> ConsentStanding {
    resolve(records)
        .remove(&P)
        .unwrap_or(ConsentStanding::UNANSWERED)
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn the_order_in_which_answers_arrive_does_not_matter(records in any_records(), seed in any::<u64>()) {
        let mut shuffled = records.clone();
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
        }
        prop_assert_eq!(standing_of(&records), standing_of(&shuffled));
    }

    #[test]
    fn a_yes_counts_only_after_every_no(records in any_records()) {
        let standing = standing_of(&records);
        if standing.state != Given {
            return Ok(());
        }
        let yes = records.iter().find(|r| Some(r.id) == standing.consent).unwrap();
        prop_assert_eq!(yes.state, Given);
        for no in records.iter().filter(|r| r.state != Given && r.state != Unanswered) {
            let said: Timestamp = no.withdrawn_at.or(no.answered_at).unwrap_or(no.recorded_at);
            prop_assert!(yes.answered_at.is_some_and(|answered| answered > said), "{:?} over {:?}", yes, no);
        }
    }

    #[test]
    fn an_undated_yes_added_to_anything_but_blanks_and_yeses_changes_nothing(records in any_records(), written in 1i8..28) {
        let before = standing_of(&records);
        if before.state == Given || before.state == Unanswered {
            return Ok(());
        }
        let mut more = records;
        let mut yes = record(Given, 0, written);
        yes.id = id(100);
        more.push(yes);
        let after = standing_of(&more);
        // Somebody else's refusal and this Yes disagree: still nothing is permitted.
        if after.state != Conflicted {
            // There was a Yes to take away, if it came before.
            let withdrawn_at = after.withdrawn_at;
            prop_assert_eq!(after, ConsentStanding { withdrawn_at, ..before });
        }
    }

    #[test]
    fn a_withdrawal_is_believed_whatever_was_said_until_then(records in any_records()) {
        let mut more = records;
        let mut no = record(Withdrawn, 7, 28);
        no.id = id(100);
        more.push(no);
        prop_assert_ne!(standing_of(&more).state, Given);
    }
}
