//! A month of a nursery with everything that goes wrong in one: told by tablets, with when the server heard it.

use crate::storage::event::Erasure;
use crate::storage::testing::{
    TestStorage, TestTablet, audit, child, destroyed, device, known, photo_id, told,
};
use crate::storage::{Device, StoredEvent};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::consent::{Cause, Stage, Tagging};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use std::collections::BTreeMap;

pub(crate) const TABLETS: usize = 6;

/// Numbers that look like chance and are the same every time.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `most`.
    pub(crate) fn pick(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }

    pub(crate) fn one_in(&mut self, most: u64) -> bool {
        self.pick(most) == 0
    }
}

pub(crate) struct Month {
    pub(crate) test: TestStorage,
    pub(crate) devices: Vec<DeviceId>,
    /// When each tablet told how it stands.
    pub(crate) told: BTreeMap<DeviceId, Vec<Timestamp>>,
    days: (Date, Date),
}

pub(crate) fn london() -> TimeZone {
    super::super::period::zone(Some("Europe/London"))
}

pub(crate) fn at(day: Date, hour: i8, minute: i8) -> Timestamp {
    let local = day.at(hour, minute, 0, 0);
    local.to_zoned(london()).unwrap().timestamp()
}

impl Month {
    /// From the middle of February to the middle of April 2026.
    pub(crate) async fn told(seed: u64) -> Self {
        let days = (
            jiff::civil::date(2026, 2, 16),
            jiff::civil::date(2026, 4, 12),
        );
        Self::lived(seed, TABLETS, days).await
    }

    /// So many tablets, from a first day to a last.
    pub(crate) async fn lived(seed: u64, tablets: usize, days: (Date, Date)) -> Self {
        let test = TestStorage::create().await;
        let storage = &test.storage;
        storage
            .profile_put("early-years", 0, EARLY_YEARS, &audit("p"))
            .await
            .unwrap();
        let mut chance = Chance::new(seed);
        let mut month = Self {
            devices: Vec::new(),
            told: BTreeMap::new(),
            test,
            days,
        };
        for number in 0..tablets {
            let device = Device {
                name: format!("Ladybird-{}", number + 1),
                enrolled_at: at(days.0, 7, 0),
                ..device("early-years")
            };
            let mut tablet = TestTablet::enrol_as(&month.test.storage, device).await;
            month.devices.push(tablet.id);
            month.life(number, &mut tablet, &mut chance).await;
        }
        month
    }

    async fn life(&mut self, number: usize, tablet: &mut TestTablet, chance: &mut Chance) {
        let storage = self.test.storage.clone();
        let (first, last) = self.days;
        let mut album = Album::new(number);
        let mut waiting = vec![(at(first, 7, 30), bundle(1))];
        let mut day = first;
        while day <= last {
            let is_open = day.weekday().to_monday_one_offset() <= 5;
            // One tablet lies in a drawer for days on end, and one for weeks.
            let in_drawer = match number {
                1 => (9..=12).contains(&day.day()),
                4 if self.days.0.year() == 2025 => day.month() == 2,
                _ => false,
            };
            if is_open && !in_drawer {
                if day == jiff::civil::date(2026, 3, 16) || day == jiff::civil::date(2026, 4, 6) {
                    waiting.push((at(day, 7, 30), bundle(u64::from(day.day().unsigned_abs()))));
                }
                self.day(tablet, &mut album, day, chance, &mut waiting)
                    .await;
                // Some evenings there is no network.
                if !waiting.is_empty() && !chance.one_in(4) {
                    let received = at(day, 18, 0);
                    for told in waiting.chunks(40) {
                        let batch = tablet.batch_at(told, received);
                        storage.event_append(batch).await.unwrap();
                    }
                    waiting.clear();
                }
            }
            day = day.tomorrow().unwrap();
        }
        if !waiting.is_empty() {
            let batch = tablet.batch_at(&waiting, at(last, 20, 0));
            storage.event_append(batch).await.unwrap();
        }
        let end = storage.event_position(tablet.id).await.unwrap().seq;
        for seq in 1..=end {
            if chance.one_in(40) {
                let erasure = Erasure {
                    at: at(last, 21, 0),
                    why: "a parent asked".to_owned(),
                };
                storage.event_erase(tablet.id, seq, &erasure).await.unwrap();
            }
        }
    }

    async fn day(
        &mut self,
        tablet: &TestTablet,
        album: &mut Album,
        day: Date,
        chance: &mut Chance,
        told: &mut Vec<(Timestamp, EventBody)>,
    ) {
        for hour in 8..18_i8 {
            let now = at(day, hour, i8::try_from(chance.pick(50)).unwrap());
            if !chance.one_in(9) {
                let stale = chance.one_in(12);
                self.tells(tablet.id, now, stale).await;
            }
            for _ in 0..chance.pick(4) {
                let minutes = i64::try_from(chance.pick(9)).unwrap();
                // A clock that is wrong now and then, by hours or weeks.
                let wrong = match chance.pick(60) {
                    0 => SignedDuration::from_hours(-30),
                    1 => SignedDuration::from_hours(24 * 20),
                    _ => SignedDuration::ZERO,
                };
                let when = now + SignedDuration::from_mins(minutes) + wrong;
                told.push((when, album.happens(tablet.id, when, chance)));
            }
        }
    }

    async fn tells(&mut self, device: DeviceId, now: Timestamp, stale: bool) {
        let age = if stale { 30 } else { 0 };
        let measured_at = now - SignedDuration::from_hours(age);
        let stored = told(
            now,
            vec![ControlReport {
                control: ControlName::Radios,
                outcome: Outcome::Compliant,
                measured_at,
            }],
        );
        self.test
            .storage
            .inventory_put(device, &stored)
            .await
            .unwrap();
        self.told.entry(device).or_default().push(now);
    }

    /// Everything a tablet told, as it is stored.
    pub(crate) async fn events(&self, device: DeviceId) -> Vec<StoredEvent> {
        let mut all = Vec::new();
        loop {
            let after = all
                .last()
                .map_or(0, |stored: &StoredEvent| stored.event.seq);
            let page = self
                .test
                .storage
                .event_list(device, after, 400)
                .await
                .unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }
}

fn bundle(generation: u64) -> EventBody {
    EventBody::BundleApplied {
        generation: Generation::new(generation),
        digest: None,
    }
}

/// The photos of one tablet, and how far each has gone.
struct Album {
    next: u128,
    photos: Vec<(u128, Stage, Option<Timestamp>)>,
}

impl Album {
    fn new(number: usize) -> Self {
        Self {
            next: u128::try_from(number).unwrap() * 100_000,
            photos: Vec::new(),
        }
    }

    fn happens(&mut self, device: DeviceId, now: Timestamp, chance: &mut Chance) -> EventBody {
        match chance.pick(20) {
            0 => EventBody::ControlChanged {
                control: ControlName::ALL[usize::try_from(chance.pick(7)).unwrap()],
                outcome: outcome(chance),
            },
            1 => EventBody::DriftReverted {
                control: if chance.one_in(2) {
                    ControlName::Radios
                } else {
                    ControlName::Hours
                },
                what: "Bluetooth".to_owned(),
                count: 1 + chance.pick(3),
            },
            2 => EventBody::AppRefused {
                program: "/home/staff/game".to_owned(),
                observed_only: chance.one_in(2),
                count: 1 + chance.pick(5),
            },
            3 => EventBody::ClockDoubt {
                doubtful: chance.one_in(2),
                reason: "set back".to_owned(),
            },
            4 => EventBody::PasscodeLockedOut {
                tries: 5,
                until: now,
            },
            5 => EventBody::Alarm {
                what: "disk full".to_owned(),
            },
            6..=9 => self.taken(now),
            _ => self.goes_on(device, now, chance),
        }
    }

    fn taken(&mut self, now: Timestamp) -> EventBody {
        self.next += 1;
        let _ = now;
        self.photos.push((self.next, Stage::Live, None));
        EventBody::PhotoSeen {
            photo: photo_id(self.next),
            session: None,
            media: "image/jpeg".to_owned(),
        }
    }

    fn goes_on(&mut self, device: DeviceId, now: Timestamp, chance: &mut Chance) -> EventBody {
        if self.photos.is_empty() {
            return self.taken(now);
        }
        let most = u64::try_from(self.photos.len()).unwrap();
        let index = usize::try_from(chance.pick(most)).unwrap();
        let (photo, stage, sealed_at) = &mut self.photos[index];
        let photo = *photo;
        if chance.one_in(3) {
            let tagging = [
                Tagging::Untagged,
                Tagging::Partial,
                Tagging::Complete,
                Tagging::NoChild,
            ];
            let tagging = tagging[usize::try_from(chance.pick(4)).unwrap()];
            let mut body = known(device, photo, &[1], tagging);
            if let EventBody::PhotoKnown { facts, .. } = &mut body {
                facts.captured_at =
                    now - SignedDuration::from_hours(i64::try_from(chance.pick(300)).unwrap());
                facts.care_record = chance.one_in(15);
                facts.found_at_enrolment = chance.one_in(25);
            }
            return body;
        }
        if chance.one_in(6) {
            return EventBody::PhotoIncomplete {
                photo: photo_id(photo),
                stage: Stage::Withheld,
                problem: "the file is locked".to_owned(),
            };
        }
        let from = *stage;
        let observed_only = chance.one_in(8);
        let to = match from {
            Stage::Live => Stage::Withheld,
            Stage::Withheld if chance.one_in(5) => Stage::Live,
            Stage::Withheld => Stage::Sealed,
            Stage::Sealed | Stage::Destroyed => Stage::Destroyed,
        };
        if to == Stage::Destroyed {
            *stage = to;
            let mut body = destroyed(photo_id(photo), child(1).id);
            if let EventBody::Destroyed { receipt } = &mut body {
                receipt.sealed_at = sealed_at.filter(|_| !chance.one_in(10));
                receipt.destroyed_at = now;
                receipt.rescan.found = u64::from(chance.one_in(12));
            }
            return body;
        }
        if !observed_only {
            *stage = to;
            *sealed_at = (to == Stage::Sealed).then_some(now);
        }
        let causes = [
            Cause::Withdrawn,
            Cause::Expired,
            Cause::Untagged,
            Cause::PossibleChild,
        ];
        let cause = causes[usize::try_from(chance.pick(4)).unwrap()];
        EventBody::PhotoStage {
            photo: photo_id(photo),
            from,
            to,
            cause: (to != Stage::Live && !chance.one_in(20)).then_some(cause),
            observed_only,
        }
    }
}

fn outcome(chance: &mut Chance) -> Outcome {
    let words = [
        "the passcode of account 1000 is overdue until somebody changes it",
        "have account 1001 choose a new passcode at the next sign-in",
        "check passcode ages: no such file",
        "encrypt the disk behind `/`",
        "check whether the disk is encrypted: no such device",
        "block USB sticks and memory cards",
    ];
    let mut said = Vec::new();
    for _ in 0..chance.pick(4) {
        let word = words[usize::try_from(chance.pick(6)).unwrap()];
        said.push(word.to_owned());
    }
    match chance.pick(7) {
        0 => Outcome::Unmanaged,
        1 => Outcome::Observed { would_change: said },
        2 => Outcome::Drifted {
            remaining: said,
            error: None,
        },
        3 => Outcome::Unsupported {
            reason: "old kernel".to_owned(),
        },
        4 => Outcome::Unknown {
            error: "not read".to_owned(),
        },
        5 => Outcome::Corrected { changed: said },
        _ => Outcome::Compliant,
    }
}

/// The local days of March 2026.
pub(crate) fn march() -> Vec<Date> {
    let first = jiff::civil::date(2026, 3, 1);
    (0..31).map(|days: i32| first + days.days()).collect()
}
