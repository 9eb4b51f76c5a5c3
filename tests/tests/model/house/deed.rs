//! What people, machines and time may do, in any order.

use super::history::{CHILDREN, HoldOn, PURPOSES};
use nestwarden_policy_schema::consent::{GivenBy, Purpose, Restriction};
use nestwarden_policy_schema::hold::HoldCategory;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Yes,
    No,
    Withdrawn,
    Blank,
    /// A word nobody knows.
    Odd,
}

/// What the booking system's file says of one child. Days are counted from the first, rooms and weekdays are bit sets.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) child: u8,
    pub(super) rooms: u8,
    pub(super) days: u8,
    pub(super) leave: Option<i64>,
    /// So many days ago; `None`: undated.
    pub(super) answered: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) cells: [Cell; PURPOSES.len()],
}

/// Who is in a photo, as somebody in the office says who looked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Children(u8),
    NoChild,
    SomeoneElse,
    Untagged,
}

#[derive(Clone, Debug)]
pub(super) enum Deed {
    // In the office.
    Import {
        rows: Vec<Row>,
        confirmed: bool,
    },
    Give {
        child: u8,
        purposes: Vec<Purpose>,
        by: GivenBy,
        /// Days from today.
        until: Option<i64>,
    },
    Refuse {
        child: u8,
        purposes: Vec<Purpose>,
        by: GivenBy,
    },
    Withdraw {
        child: u8,
        purposes: Vec<Purpose>,
        by: GivenBy,
    },
    Restrict {
        child: u8,
        to: Restriction,
    },
    Leave {
        child: u8,
        day: i64,
    },
    Died {
        child: u8,
    },
    Stay {
        child: u8,
    },
    Room {
        child: u8,
        rooms: u8,
    },
    Hold {
        hold: u8,
        on: HoldOn,
        photo: usize,
        category: HoldCategory,
    },
    Release {
        hold: u8,
    },
    Close {
        from: i64,
        days: i64,
    },
    Policy(usize),
    Correct {
        photo: usize,
        who: Who,
    },
    // On the tablet.
    Take {
        session: Option<u8>,
    },
    Tag {
        photo: usize,
        children: u8,
        complete: bool,
    },
    NoChild {
        photo: usize,
    },
    Stranger {
        photo: usize,
    },
    // To the machines.
    Hours(i64),
    /// The tablet is switched off for so many hours.
    Off(i64),
    /// Its wall clock is set wrong by so many hours.
    Clock(i64),
    AgentRestarts,
    ServerRestarts,
    Network(Network),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    There,
    Gone,
}

/// A history, one deed after another.
#[derive(Clone)]
pub(super) struct Deeds(pub(super) Vec<Deed>);

impl fmt::Debug for Deeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|deed| write!(f, "\n  {deed:?}"))
    }
}

/// Begins with a file of everybody and a photo.
pub(super) fn deeds() -> impl Strategy<Value = Deeds> {
    let children = [0_u8, 1, 2, 3].map(|child| row(child, true));
    let first = children.prop_map(|rows| Deed::Import {
        rows: rows.into(),
        confirmed: true,
    });
    let taken = Just(Deed::Take { session: None });
    let named = (1_u8..16).prop_map(|children| Deed::Tag {
        photo: 0,
        children,
        complete: true,
    });
    (first, taken, named, vec(deed(), 4..22)).prop_map(|(first, taken, named, more)| {
        let begin = [first, taken, named];
        Deeds(begin.into_iter().chain(more).collect())
    })
}

fn a_child() -> std::ops::Range<u8> {
    0..CHILDREN
}

fn a_photo() -> std::ops::Range<usize> {
    0..4
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        10 => in_the_office(),
        7 => on_the_tablet(),
        9 => to_the_machines(),
    ]
}

fn in_the_office() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (file(), prop::bool::weighted(0.7))
            .prop_map(|(rows, confirmed)| Deed::Import { rows, confirmed }),
        3 => (a_child(), purposes(), giver(), weighted(0.3, 0_i64..20))
            .prop_map(|(child, purposes, by, until)| Deed::Give { child, purposes, by, until }),
        1 => (a_child(), purposes(), giver())
            .prop_map(|(child, purposes, by)| Deed::Refuse { child, purposes, by }),
        4 => (a_child(), purposes(), giver())
            .prop_map(|(child, purposes, by)| Deed::Withdraw { child, purposes, by }),
        1 => (a_child(), restriction()).prop_map(|(child, to)| Deed::Restrict { child, to }),
        1 => (a_child(), -3_i64..30).prop_map(|(child, day)| Deed::Leave { child, day }),
        1 => a_child().prop_map(|child| Deed::Died { child }),
        1 => a_child().prop_map(|child| Deed::Stay { child }),
        1 => (a_child(), 0_u8..4).prop_map(|(child, rooms)| Deed::Room { child, rooms }),
        2 => (0_u8..3, hold_on(), a_photo(), category())
            .prop_map(|(hold, on, photo, category)| Deed::Hold { hold, on, photo, category }),
        2 => (0_u8..3).prop_map(|hold| Deed::Release { hold }),
        1 => (0_i64..40, 0_i64..10).prop_map(|(from, days)| Deed::Close { from, days }),
        1 => (0_usize..3).prop_map(Deed::Policy),
        1 => (a_photo(), who()).prop_map(|(photo, who)| Deed::Correct { photo, who }),
    ]
}

fn on_the_tablet() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => weighted(0.6, 0_u8..4).prop_map(|session| Deed::Take { session }),
        6 => (a_photo(), 1_u8..16, prop::bool::weighted(0.85))
            .prop_map(|(photo, children, complete)| Deed::Tag { photo, children, complete }),
        1 => a_photo().prop_map(|photo| Deed::NoChild { photo }),
        1 => a_photo().prop_map(|photo| Deed::Stranger { photo }),
    ]
}

fn to_the_machines() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1_i64..30).prop_map(Deed::Hours),
        4 => (24_i64..250).prop_map(Deed::Hours),
        2 => (1_i64..500).prop_map(Deed::Off),
        1 => (-200_i64..500).prop_map(Deed::Clock),
        1 => Just(Deed::AgentRestarts),
        1 => Just(Deed::ServerRestarts),
        1 => Just(Deed::Network(Network::Gone)),
        2 => Just(Deed::Network(Network::There)),
    ]
}

/// Of some children, mostly all.
fn file() -> impl Strategy<Value = Vec<Row>> {
    let child = |child: u8| (row(child, false), prop::bool::weighted(0.85));
    (child(0), child(1), child(2), child(3)).prop_map(|(a, b, c, d)| {
        let kept: Vec<Row> = [a.clone(), b, c, d]
            .into_iter()
            .filter_map(|(row, is_there)| is_there.then_some(row))
            .collect();
        // A file of nobody is refused.
        if kept.is_empty() { vec![a.0] } else { kept }
    })
}

fn row(child: u8, first: bool) -> impl Strategy<Value = Row> {
    let cell = if first {
        prop_oneof![
            30 => Just(Cell::Yes),
            4 => Just(Cell::No),
            3 => Just(Cell::Blank),
            1 => Just(Cell::Odd),
        ]
        .boxed()
    } else {
        prop_oneof![
            12 => Just(Cell::Yes),
            2 => Just(Cell::No),
            2 => Just(Cell::Blank),
            1 => Just(Cell::Withdrawn),
            1 => Just(Cell::Odd),
        ]
        .boxed()
    };
    (
        (0_u8..4, 0_u8..32),
        weighted(if first { 0.02 } else { 0.06 }, -3_i64..30),
        weighted(0.8, 0_i64..6),
        weighted(0.15, 0_i64..30),
        [cell.clone(), cell.clone(), cell.clone(), cell],
    )
        .prop_map(move |((rooms, days), leave, answered, until, cells)| Row {
            child,
            rooms,
            days,
            leave,
            answered: if first { Some(3) } else { answered },
            until,
            cells,
        })
}

fn purposes() -> impl Strategy<Value = Vec<Purpose>> {
    prop_oneof![
        2 => Just(PURPOSES.to_vec()),
        1 => select(&PURPOSES[..]).prop_map(|purpose| vec![purpose]),
    ]
}

fn giver() -> impl Strategy<Value = GivenBy> {
    prop_oneof![
        5 => Just(GivenBy::Parent),
        1 => Just(GivenBy::OtherParent),
        1 => Just(GivenBy::Court),
    ]
}

fn restriction() -> impl Strategy<Value = Restriction> {
    select(vec![
        Restriction::None,
        Restriction::NoExternal,
        Restriction::DoNotPhotograph,
    ])
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => (1_u8..16).prop_map(Who::Children),
        1 => Just(Who::NoChild),
        1 => Just(Who::SomeoneElse),
        1 => Just(Who::Untagged),
    ]
}

fn hold_on() -> impl Strategy<Value = HoldOn> {
    prop_oneof![
        3 => Just(HoldOn::ThisPhoto),
        3 => a_child().prop_map(HoldOn::Child),
        1 => Just(HoldOn::ThisTablet),
    ]
}

fn category() -> impl Strategy<Value = HoldCategory> {
    select(vec![
        HoldCategory::Safeguarding,
        HoldCategory::SubjectAccess,
        HoldCategory::Police,
        HoldCategory::IllegalContent,
    ])
}
