//! A small nursery to ask questions about: one tablet, a few children, London, Monday to Friday.

use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::{Calendar, Closure, Day, TimeRange};
use nestwarden_policy_schema::consent::{
    Cause, ChildEntry, ConsentStanding, ConsentState, LeaveReason, Leaving, PhotoFacts, Purpose,
    RegisterSnapshot, Stage, Standing, Subjects, Tagging, TrustedNow, Verdict, verdict,
};
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldList, HoldScope};
use nestwarden_policy_schema::id::{ChildId, ConsentId, DeviceId, HoldId, PhotoId};
use nestwarden_policy_schema::policy::PhotosPolicy;
use nestwarden_policy_schema::profile::{EARLY_YEARS, PolicyProfile};
use proptest::test_runner::{Config, RngSeed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use uuid::Uuid;

/// Fixed seed unless the environment asks for another; cases likewise.
pub(crate) fn cases(cases: u32) -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0x6e65_7374);
    }
    config
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn child(number: u8) -> ChildId {
    ChildId::from_uuid(Uuid::from_u128(0xc000 + u128::from(number)))
}

pub(crate) fn device() -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(0xd000))
}

pub(crate) fn hold(scope: HoldScope) -> Hold {
    Hold {
        id: HoldId::from_uuid(Uuid::from_u128(0xe000)),
        scope,
        category: HoldCategory::Safeguarding,
        opened_at: at("2026-03-02T09:00:00Z"),
        review_by: at("2026-03-30T09:00:00Z"),
    }
}

pub(crate) fn calendar(zone: &str, closures: &[(&str, &str)]) -> Calendar {
    let hours = TimeRange {
        from: "07:30".parse().unwrap(),
        to: "18:30".parse().unwrap(),
    };
    Calendar {
        time_zone: zone.to_owned(),
        contact_hours: Day::ALL[..5]
            .iter()
            .map(|day| (*day, vec![hours]))
            .collect(),
        closures: closures
            .iter()
            .map(|(from, to)| Closure {
                from: date(from),
                to: date(to),
                reason: String::new(),
            })
            .collect(),
    }
}

pub(crate) fn photos_policy() -> PhotosPolicy {
    static POLICY: LazyLock<PhotosPolicy> = LazyLock::new(read_photos_policy);
    POLICY.clone()
}

fn read_photos_policy() -> PhotosPolicy {
    let profile = PolicyProfile::from_toml(EARLY_YEARS).unwrap();
    PhotosPolicy {
        purposes: BTreeMap::from([
            (Purpose::OwnLearningJournal, 28),
            (Purpose::DisplayInSetting, 14),
        ]),
        ..profile.policy.photos.unwrap()
    }
}

pub(crate) fn standing(state: ConsentState) -> ConsentStanding {
    ConsentStanding {
        state,
        consent: Some(ConsentId::from_uuid(Uuid::from_u128(0xf000))),
        ..ConsentStanding::UNANSWERED
    }
}

pub(crate) fn given() -> ConsentStanding {
    standing(ConsentState::Given)
}

pub(crate) fn withdrawn(when: &str) -> ConsentStanding {
    ConsentStanding {
        withdrawn_at: Some(at(when)),
        ..standing(ConsentState::Withdrawn)
    }
}

pub(crate) fn until(last_day: &str) -> ConsentStanding {
    ConsentStanding {
        valid_until: Some(date(last_day)),
        ..given()
    }
}

/// A child of the Ladybirds with the same answer for journal and display.
pub(crate) fn answers(standing: &ConsentStanding) -> ChildEntry {
    ChildEntry {
        rooms: BTreeSet::from(["Ladybirds".parse().unwrap()]),
        purposes: [Purpose::OwnLearningJournal, Purpose::DisplayInSetting]
            .map(|p| (p, standing.clone()))
            .into(),
        ..ChildEntry::default()
    }
}

pub(crate) fn leaves(entry: ChildEntry, day: &str, reason: LeaveReason) -> ChildEntry {
    ChildEntry {
        leaves: Some(Leaving {
            date: date(day),
            reason,
        }),
        ..entry
    }
}

/// One photo of child 1, tagged completely, taken on Monday 2 March 2026 at ten, and everything a verdict rests on.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    pub(crate) photo: PhotoFacts,
    pub(crate) children: BTreeMap<ChildId, ChildEntry>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) policy: PhotosPolicy,
    pub(crate) calendar: Calendar,
    pub(crate) now: TrustedNow,
}

pub(crate) fn example(child_1: ChildEntry) -> Example {
    Example {
        photo: PhotoFacts {
            photo: PhotoId::from_uuid(Uuid::from_u128(0xa000)),
            device: device(),
            captured_at: at("2026-03-02T10:00:00Z"),
            subjects: Subjects {
                tagging: Tagging::Complete,
                confirmed: BTreeSet::from([child(1)]),
                rooms: BTreeSet::from(["Ladybirds".parse().unwrap()]),
                ..Subjects::default()
            },
            staff: None,
            care_record: false,
            found_at_enrolment: false,
            uploaded_at: None,
            sealed_at: None,
            tagged_at: None,
        },
        children: BTreeMap::from([(child(1), child_1)]),
        holds: Vec::new(),
        policy: photos_policy(),
        calendar: calendar("Europe/London", &[]),
        now: TrustedNow {
            at: at("2026-03-02T12:00:00Z"),
            doubtful: false,
            last_contact: Some(at("2026-03-02T12:00:00Z")),
            lost_since: None,
            holds_confirmed_at: Some(at("2026-03-02T12:00:00Z")),
        },
    }
}

impl Example {
    pub(crate) fn untagged(mut self) -> Self {
        self.photo.subjects.tagging = Tagging::Untagged;
        self.photo.subjects.confirmed.clear();
        self
    }

    pub(crate) fn with(mut self, number: u8, entry: ChildEntry) -> Self {
        self.children.insert(child(number), entry);
        self
    }

    /// Also in the photo.
    pub(crate) fn and(mut self, number: u8, entry: ChildEntry) -> Self {
        self.photo.subjects.confirmed.insert(child(number));
        self.with(number, entry)
    }

    pub(crate) fn sealed(mut self, when: &str) -> Self {
        self.photo.sealed_at = Some(at(when));
        self
    }

    /// The same question at another time, with the server in reach until then.
    pub(crate) fn at(&self, when: &str) -> Self {
        self.clone().at_instant(at(when))
    }

    pub(crate) fn at_instant(mut self, when: Timestamp) -> Self {
        self.now.at = when;
        self.now.last_contact = Some(when);
        self.now.holds_confirmed_at = Some(when);
        self
    }

    /// The same question at another time, without the server since.
    pub(crate) fn offline_at_instant(mut self, when: Timestamp) -> Self {
        self.now.at = when;
        self
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let register = RegisterSnapshot {
            as_of: at("2026-03-02T06:00:00Z"),
            children: self.children.clone(),
        };
        let holds = HoldList::new(at("2026-03-02T06:00:00Z"), self.holds.clone());
        verdict(
            &self.photo,
            &register,
            &holds,
            &self.policy,
            &self.calendar,
            &self.now,
        )
    }

    /// Where the photo has to be; `None` while frozen.
    pub(crate) fn stage(&self) -> Option<Stage> {
        Some(self.verdict().due(&self.calendar, &self.now)?.0)
    }

    /// Where the photo has to be, and why.
    pub(crate) fn due(&self) -> (Stage, Option<Cause>) {
        let (stage, due) = self.verdict().due(&self.calendar, &self.now).unwrap();
        (stage, due.map(|due| due.cause))
    }

    /// When the stages are due: withheld, sealed, destroyed.
    pub(crate) fn times(&self) -> [Option<String>; 3] {
        let Standing::Scheduled(schedule) = self.verdict().standing else {
            return [None, None, None];
        };
        [schedule.withhold, schedule.seal, schedule.destroy]
            .map(|due| due.map(|due| due.at.to_string()))
    }
}
