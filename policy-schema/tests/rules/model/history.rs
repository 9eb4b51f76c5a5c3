//! What may happen in a nursery, in any order: the only thing the model and the product have in common.

use super::days::HOUR;
use jiff::civil::Date;
use nestwarden_policy_schema::consent::{
    ConsentSource, ConsentState, GivenBy, Purpose, Restriction, Tagging,
};
use nestwarden_policy_schema::hold::HoldCategory;
use nestwarden_policy_schema::policy::PhotosPolicy;
use proptest::collection::{btree_map, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt;

pub(super) const CHILDREN: u8 = 4;

/// Some of the eight, one of them external.
pub(super) const PURPOSES: [Purpose; 4] = [
    Purpose::OwnLearningJournal,
    Purpose::DisplayInSetting,
    Purpose::Website,
    Purpose::Training,
];

/// Days are numbered from here; weekends, closures and a change of clocks lie ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) zone: &'static str,
    pub(super) first_day: Date,
}

/// Clocks change at one, at midnight forwards, at midnight backwards, and by half an hour.
const PLACES: [(&str, i16, i8, i8); 6] = [
    ("Europe/London", 2026, 3, 18),
    ("Europe/London", 2026, 10, 14),
    ("Asia/Beirut", 2026, 3, 16),
    ("America/Havana", 2026, 10, 19),
    ("Australia/Lord_Howe", 2026, 3, 25),
    ("UTC", 2026, 5, 4),
];

/// The moment of the day of an answer that counts for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfDay {
    /// As a Yes that has only a date is read.
    Start,
    /// As a No that has only a date is read.
    LastSecond,
    /// Written down as it was said.
    AsWritten,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) child: u8,
    pub(super) purpose: Purpose,
    pub(super) state: ConsentState,
    pub(super) giver: GivenBy,
    pub(super) source: ConsentSource,
    /// Answered on the day that was so many days ago, as imports have it; `None`: undated.
    pub(super) days_ago: Option<i64>,
    pub(super) of_day: OfDay,
    pub(super) from: Option<i64>,
    pub(super) until: Option<i64>,
    /// Withdrawn so many hours before it was written here.
    pub(super) withdrawn_hours_ago: Option<i64>,
}

impl Answer {
    pub(super) fn answered_at(&self, written: i64) -> Option<i64> {
        let day = 24 * HOUR;
        let then = written - self.days_ago? * day;
        let start = then.div_euclid(day) * day;
        Some(match self.of_day {
            OfDay::Start => start,
            OfDay::LastSecond => start + day - 1,
            OfDay::AsWritten => then,
        })
    }

    pub(super) fn withdrawn_at(&self, written: i64) -> Option<i64> {
        self.withdrawn_hours_ago.map(|ago| written - ago * HOUR)
    }
}

#[derive(Clone, Debug)]
pub(super) enum HoldOn {
    ThisPhoto,
    AnotherPhoto,
    Child(u8),
    ThisTablet,
    AnotherTablet,
    Staff(u8),
    /// Hours before and after the photo was taken; the end is excluded.
    Window(i64, i64),
}

/// Rooms, days and children are bit sets; days of the month are counted from `Place::first_day`.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    // Said at the server, known to the tablet from the next sync on.
    Answered(Answer),
    Moved {
        child: u8,
        rooms: u8,
        days: u8,
    },
    Starts {
        child: u8,
        day: i64,
    },
    Leaves {
        child: u8,
        day: i64,
        died: bool,
    },
    Stays {
        child: u8,
    },
    Restricted {
        child: u8,
        to: Restriction,
    },
    Missing {
        child: u8,
    },
    Listed {
        child: u8,
    },
    Erased {
        child: u8,
    },
    Held {
        hold: u8,
        on: HoldOn,
        category: HoldCategory,
    },
    Released {
        hold: u8,
    },
    Closed {
        from: i64,
        days: i64,
    },
    Policy(Box<PhotosPolicy>),
    // Done on the tablet.
    Tagged {
        tagging: Tagging,
        confirmed: u8,
        stranger: bool,
    },
    CareRecord(bool),
    /// A manager decided that what was found at enrolment counts as taken now.
    Sorted,
    Uploaded,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Happens(Fact),
    /// The server answered; where it has a newer list of holds that did not arrive, nothing newer did.
    Contact,
    Sync,
    Hours(i64),
    /// As `Hours`, with the tablet switched off.
    Off(i64),
    ToNextChange,
    ClockAhead(i64),
    /// Only what is on disk goes on.
    Restart,
}

#[derive(Clone)]
pub(super) struct History {
    pub(super) place: Place,
    pub(super) policy: PhotosPolicy,
    /// Before the tablet had its first bundle.
    pub(super) before: Vec<Fact>,
    pub(super) rooms_of_session: u8,
    pub(super) taken_by: Option<u8>,
    pub(super) found_at_enrolment: bool,
    pub(super) taken_at_hour: i64,
    pub(super) steps: Vec<Step>,
}

/// The numbers of a policy that matter here.
struct Terms<'a>(&'a PhotosPolicy);

impl fmt::Display for Terms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.0;
        write!(
            f,
            "{:?}, age {} d, upload {} h, untagged {} od, destroy {} od or {} d, leaver {} d, lease {} od",
            policy.purposes,
            policy.max_age_days,
            policy.after_upload_hours,
            policy.untagged_opening_days,
            policy.destroy_after_opening_days,
            policy.destroy_unconfirmed_after_days,
            policy.leaver_days,
            policy.lease_opening_days
        )
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} from {}", self.place.zone, self.place.first_day)?;
        writeln!(f, "  {}", Terms(&self.policy))?;
        for fact in &self.before {
            writeln!(f, "  before: {fact:?}")?;
        }
        let found = if self.found_at_enrolment {
            "found"
        } else {
            "taken"
        };
        writeln!(
            f,
            "  {found} in hour {}, rooms {:b}, by {:?}",
            self.taken_at_hour, self.rooms_of_session, self.taken_by
        )?;
        for step in &self.steps {
            writeln!(f, "  {step:?}")?;
        }
        Ok(())
    }
}

pub(super) fn history() -> impl Strategy<Value = History> {
    (
        select(&PLACES[..]),
        policy(),
        everybody(),
        vec(said_at_server(), 0..6),
        (0_u8..4, weighted(0.7, 0_u8..2), prop::bool::weighted(0.05)),
        0_i64..80,
        photo_is_tagged(),
        vec(steps(), 4..18),
    )
        .prop_map(
            |(place, policy, everybody, more, (rooms, staff, found), hour, tags, steps)| {
                let (zone, year, month, day) = place;
                let steps = tags.into_iter().chain(steps.concat()).collect();
                History {
                    place: Place {
                        zone,
                        first_day: Date::new(year, month, day).unwrap(),
                    },
                    policy,
                    before: everybody.into_iter().chain(more).collect(),
                    rooms_of_session: rooms,
                    taken_by: staff,
                    found_at_enrolment: found,
                    taken_at_hour: hour,
                    steps,
                }
            },
        )
}

/// Most photos have somebody in them, or there would be little to lose.
fn photo_is_tagged() -> impl Strategy<Value = Vec<Step>> {
    vec(tagged().prop_map(Step::Happens), 0..3)
}

/// Every child is in rooms and has answered most; what is not asked of them is said later, or never.
fn everybody() -> impl Strategy<Value = Vec<Fact>> {
    let child = |child: u8| {
        let some = || 0_u8..16;
        (0_u8..4, 0_u8..32, some(), some(), some()).prop_map(
            move |(rooms, days, one, two, three)| {
                let mut facts = vec![Fact::Moved { child, rooms, days }];
                for (index, purpose) in PURPOSES.into_iter().enumerate() {
                    // Seven of eight are Yes.
                    if (one | two | three) & (1 << index) != 0 {
                        facts.push(Fact::Answered(Answer {
                            child,
                            purpose,
                            state: ConsentState::Given,
                            giver: GivenBy::Parent,
                            source: ConsentSource::Import,
                            days_ago: Some(30),
                            of_day: OfDay::Start,
                            from: None,
                            until: None,
                            withdrawn_hours_ago: None,
                        }));
                    }
                }
                facts
            },
        )
    };
    (child(0), child(1), child(2), child(3)).prop_map(|(a, b, c, d)| [a, b, c, d].concat())
}

fn policy() -> impl Strategy<Value = PhotosPolicy> {
    let of_defaults = super::super::nursery::photos_policy();
    prop_oneof![
        2 => Just(of_defaults.clone()),
        3 => (
            btree_map(select(&PURPOSES[..]), 3_u16..50, 1..4),
            (5_u16..50, 1_u16..100, 1_u16..10),
            (1_u16..6, 2_u16..10, 1_u16..20, 1_u16..9),
        )
            .prop_map(move |(purposes, (age, upload, untagged), rest)| PhotosPolicy {
                purposes,
                max_age_days: age,
                after_upload_hours: upload,
                untagged_opening_days: untagged,
                destroy_after_opening_days: rest.0,
                destroy_unconfirmed_after_days: rest.1,
                leaver_days: rest.2,
                lease_opening_days: rest.3,
                ..of_defaults.clone()
            }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        8 => step().prop_map(|step| vec![step]),
        // One answer to everything, and the tablet hears of it.
        1 => answer().prop_map(|answer| {
            let each = PURPOSES.map(|purpose| Answer { purpose, ..answer.clone() });
            let facts = each.map(|answer| Step::Happens(Fact::Answered(answer)));
            facts.into_iter().chain([Step::Sync]).collect()
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => said_at_server().prop_map(Step::Happens),
        3 => done_on_tablet().prop_map(Step::Happens),
        6 => Just(Step::Sync),
        1 => Just(Step::Contact),
        4 => (1_i64..72).prop_map(Step::Hours),
        2 => (24_i64..400).prop_map(Step::Hours),
        2 => (1_i64..300).prop_map(Step::Off),
        4 => Just(Step::ToNextChange),
        1 => (1_i64..900).prop_map(Step::ClockAhead),
        1 => Just(Step::Restart),
    ]
}

fn a_child() -> std::ops::Range<u8> {
    0..CHILDREN
}

fn said_at_server() -> impl Strategy<Value = Fact> {
    let day = || -5_i64..45;
    prop_oneof![
        8 => answer().prop_map(Fact::Answered),
        1 => (a_child(), 0_u8..4, 0_u8..32)
            .prop_map(|(child, rooms, days)| Fact::Moved { child, rooms, days }),
        1 => (a_child(), day()).prop_map(|(child, day)| Fact::Starts { child, day }),
        2 => (a_child(), day(), prop::bool::weighted(0.3))
            .prop_map(|(child, day, died)| Fact::Leaves { child, day, died }),
        1 => a_child().prop_map(|child| Fact::Stays { child }),
        2 => (
            a_child(),
            select(vec![
                Restriction::None,
                Restriction::NoExternal,
                Restriction::DoNotPhotograph,
                Restriction::DoNotPhotograph,
            ]),
        )
            .prop_map(|(child, to)| Fact::Restricted { child, to }),
        1 => a_child().prop_map(|child| Fact::Missing { child }),
        1 => a_child().prop_map(|child| Fact::Listed { child }),
        1 => a_child().prop_map(|child| Fact::Erased { child }),
        2 => (0_u8..3, hold_on(), category())
            .prop_map(|(hold, on, category)| Fact::Held { hold, on, category }),
        2 => (0_u8..3).prop_map(|hold| Fact::Released { hold }),
        1 => (day(), 0_i64..12).prop_map(|(from, days)| Fact::Closed { from, days }),
        1 => policy().prop_map(|policy| Fact::Policy(Box::new(policy))),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let state = prop_oneof![
        8 => Just(ConsentState::Given),
        5 => Just(ConsentState::Withdrawn),
        3 => Just(ConsentState::Refused),
        3 => Just(ConsentState::Unanswered),
        1 => Just(ConsentState::Conflicted),
        1 => Just(ConsentState::Expired),
        1 => Just(ConsentState::EndedLeaver),
    ];
    let giver = prop_oneof![
        5 => Just(GivenBy::Parent),
        2 => Just(GivenBy::OtherParent),
        1 => Just(GivenBy::LocalAuthority),
        1 => Just(GivenBy::Court),
    ];
    (
        (a_child(), select(&PURPOSES[..]), state, giver),
        select(vec![ConsentSource::Import, ConsentSource::Recorded]),
        (
            weighted(0.75, 0_i64..6),
            select(vec![
                OfDay::Start,
                OfDay::Start,
                OfDay::LastSecond,
                OfDay::AsWritten,
            ]),
        ),
        weighted(0.15, -5_i64..30),
        weighted(0.3, -5_i64..45),
        weighted(0.1, 0_i64..80),
    )
        .prop_map(
            |((child, purpose, state, giver), source, said, from, until, withdrawn)| Answer {
                child,
                purpose,
                state,
                giver,
                source,
                days_ago: said.0,
                of_day: said.1,
                from,
                until,
                withdrawn_hours_ago: withdrawn.filter(|_| state != ConsentState::Unanswered),
            },
        )
}

fn hold_on() -> impl Strategy<Value = HoldOn> {
    prop_oneof![
        2 => Just(HoldOn::ThisPhoto),
        1 => Just(HoldOn::AnotherPhoto),
        3 => a_child().prop_map(HoldOn::Child),
        1 => Just(HoldOn::ThisTablet),
        1 => Just(HoldOn::AnotherTablet),
        2 => (0_u8..2).prop_map(HoldOn::Staff),
        2 => (-3_i64..4, -3_i64..4).prop_map(|(from, to)| HoldOn::Window(from, to)),
    ]
}

fn category() -> impl Strategy<Value = HoldCategory> {
    select(vec![
        HoldCategory::Safeguarding,
        HoldCategory::Complaint,
        HoldCategory::SubjectAccess,
        HoldCategory::Police,
        HoldCategory::IllegalContent,
    ])
}

fn tagged() -> impl Strategy<Value = Fact> {
    let tagging = prop_oneof![
        1 => Just(Tagging::Untagged),
        2 => Just(Tagging::Partial),
        9 => Just(Tagging::Complete),
        1 => Just(Tagging::NoChild),
    ];
    let who = prop_oneof![3 => (0_u8..CHILDREN).prop_map(|n| 1 << n), 1 => 0_u8..16];
    (tagging, who, prop::bool::weighted(0.08)).prop_map(|(tagging, confirmed, stranger)| {
        let names_nobody = matches!(tagging, Tagging::Untagged | Tagging::NoChild);
        Fact::Tagged {
            tagging,
            confirmed: if names_nobody { 0 } else { confirmed },
            stranger: stranger && tagging != Tagging::NoChild,
        }
    })
}

fn done_on_tablet() -> impl Strategy<Value = Fact> {
    prop_oneof![
        5 => tagged(),
        1 => any::<bool>().prop_map(Fact::CareRecord),
        1 => Just(Fact::Sorted),
        1 => Just(Fact::Uploaded),
    ]
}
