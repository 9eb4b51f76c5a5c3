//! A server that forgot what a tablet still knows loosens nothing, and is not kept from tightening.

use crate::nursery::at;
use crate::papers::bundle;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentStanding, ConsentState, LeaveReason, Leaving, Purpose, Restriction,
};
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldList, HoldScope};
use nestwarden_policy_schema::id::{ChildId, HoldId};
use std::collections::BTreeMap;
use uuid::Uuid;

const PURPOSE: Purpose = Purpose::OwnLearningJournal;

fn child(number: u128) -> ChildId {
    ChildId::from_uuid(Uuid::from_u128(number))
}

fn with(state: ConsentState) -> ChildEntry {
    ChildEntry {
        purposes: BTreeMap::from([(
            PURPOSE,
            ConsentStanding {
                state,
                ..ConsentStanding::UNANSWERED
            },
        )]),
        ..ChildEntry::default()
    }
}

fn of(children: impl IntoIterator<Item = (u128, ChildEntry)>) -> Bundle {
    let mut bundle = bundle(1);
    bundle.register.children = children
        .into_iter()
        .map(|(number, entry)| (child(number), entry))
        .collect();
    bundle
}

fn permits(bundle: &Bundle, number: u128, calendar: &Calendar) -> bool {
    let entry = &bundle.register.children[&child(number)];
    entry.permits(PURPOSE, calendar, bundle.register.as_of)
}

#[test]
fn a_no_of_either_side_stands_and_two_yeses_do_not_become_a_no() {
    use ConsentState::{Given, Refused, Withdrawn};
    for (new, held, is_permitted) in [
        (Given, Given, true),
        (Given, Withdrawn, false),
        (Withdrawn, Given, false),
        (Refused, Withdrawn, false),
    ] {
        let both = of([(1, with(new))]).no_looser_than(&of([(1, with(held))]));
        let calendar = both.calendar.clone();
        assert_eq!(
            permits(&both, 1, &calendar),
            is_permitted,
            "{new:?} {held:?}"
        );
    }
}

#[test]
fn a_child_only_one_side_knows_may_be_in_a_photo_and_permits_nothing() {
    let known = with(ConsentState::Given);
    let both = of([(1, known.clone())]).no_looser_than(&of([(2, known)]));
    let calendar = both.calendar.clone();
    for number in [1, 2] {
        assert!(!permits(&both, number, &calendar));
        let entry = &both.register.children[&child(number)];
        assert!(entry.is_missing_too_long(both.register.as_of));
    }
}

#[test]
fn restrictions_earlier_ends_deaths_and_holds_of_either_side_stand() {
    let left = |date: &str, reason| {
        Some(Leaving {
            date: date.parse().unwrap(),
            reason,
        })
    };
    let mut new = with(ConsentState::Given);
    new.leaves = left("2026-03-01", LeaveReason::Left);
    let mut held = with(ConsentState::Given);
    held.restriction = Restriction::DoNotPhotograph;
    held.leaves = left("2026-05-01", LeaveReason::Died);
    if let Some(standing) = held.purposes.get_mut(&PURPOSE) {
        standing.valid_until = Some("2026-04-01".parse().unwrap());
    }
    let opened = Hold {
        id: HoldId::from_uuid(Uuid::from_u128(7)),
        scope: HoldScope::Child { child: child(1) },
        category: HoldCategory::Safeguarding,
        opened_at: at("2026-03-02T09:00:00Z"),
        review_by: at("2026-03-20T09:00:00Z"),
    };
    let new = of([(1, new)]);
    let mut held = of([(1, held)]);
    held.holds = HoldList::new(held.holds.as_of, vec![opened.clone()]);
    let both = new.no_looser_than(&held);
    let entry = &both.register.children[&child(1)];
    assert_eq!(entry.restriction, Restriction::DoNotPhotograph);
    assert!(entry.has_died());
    assert_eq!(
        entry.purposes[&PURPOSE].valid_until,
        Some("2026-04-01".parse().unwrap())
    );
    assert!(both.holds.holds.contains(&opened));
}

#[test]
fn what_both_say_alike_stays_as_it_is() {
    let one = of([(1, with(ConsentState::Given))]);
    assert_eq!(one.clone().no_looser_than(&one), one);
}
