//! A nursery in which everything happens twice: in the product, and in the model of its rules.

use super::days::{HOUR, instant, plus};
use super::deed::{Deed, Network};
use super::device::Device;
use super::hand::HandClock;
use super::history::{CHILDREN, Fact, HoldOn, Place};
use super::office::{Office, profile_of, rooms};
use super::reading::{Reading, day_number, recorded};
use super::reference::Clock;
use super::shot::{Shot, another, seen_from};
use super::told::{Said, Told};
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use nestwarden_agent::photos::listing::Tags;
use nestwarden_policy_schema::consent::{ConsentState, Stage, TagCorrection, Tagging};
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{ChildId, HoldId, PhotoId};
use nestwarden_policy_schema::policy::PhotosPolicy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const FIRST_DAY: Date = date(2026, 5, 4);
/// Of one machine that was off, and still believed.
const MOST_OFF: i64 = 14 * 24 * HOUR;

pub(super) struct World {
    office: Office,
    device: Device,
    door: Arc<HandClock>,
    reading: Reading,
    /// By number.
    children: Vec<ChildId>,
    /// Everything that was said in the office, and how much of it the tablet knows.
    facts: Vec<Said>,
    synced: usize,
    first_policy: PhotosPolicy,
    terms: usize,
    closures: Vec<(Date, Date)>,
    holds: BTreeMap<u8, HoldId>,
    corrections: BTreeMap<usize, TagCorrection>,
    photos: Vec<Shot>,
    now: i64,
    /// Seconds by which the tablet's wall clock is wrong.
    wrong: i64,
    /// The tablet's time.
    clock: Clock,
    connected: bool,
    /// Removed last.
    _dir: tempfile::TempDir,
}

impl World {
    pub(super) fn open() -> Self {
        let dir = quick_dir();
        let now = FIRST_DAY.at(9, 0, 0, 0).in_tz("UTC").unwrap();
        let now = now.timestamp().as_second();
        let door = Arc::new(HandClock::at(now));
        let device = Device::open(&dir.path().join("tablet"), Arc::clone(&door));
        let office = Office::open(dir.path(), device.id, device.public_key(), instant(now));
        let (source, profile) = profile_of(0, &[]);
        office.apply(&source, now);
        let mut world = Self {
            office,
            device,
            door,
            reading: Reading::default(),
            children: Vec::new(),
            facts: Vec::new(),
            synced: 0,
            first_policy: profile.policy.photos.unwrap(),
            terms: 0,
            closures: Vec::new(),
            holds: BTreeMap::new(),
            corrections: BTreeMap::new(),
            photos: Vec::new(),
            now,
            wrong: 0,
            clock: Clock {
                now,
                doubtful: true,
                contact: now,
                holds_confirmed: now,
            },
            connected: true,
            _dir: dir,
        };
        world.sync();
        // What is taken after the first look was not there at enrolment.
        world.device.look();
        world
    }

    pub(super) fn live(&mut self, deed: &Deed) {
        // No two things happen at once.
        self.pass(1);
        self.happen(deed);
        self.round();
    }

    /// The network is back, and both sides say the same.
    pub(super) fn close(&mut self) {
        self.live(&Deed::Network(Network::There));
        self.device.tell(&self.office, self.now);
        for shot in &self.photos {
            assert_eq!(
                self.office.stage(shot.id),
                Some(shot.stage),
                "the server has another stage of {}",
                shot.id
            );
        }
    }

    fn today(&self) -> i64 {
        let today = instant(self.now).in_tz("UTC").unwrap().date();
        day_number(FIRST_DAY, today)
    }

    fn say(&mut self, fact: Fact) {
        for shot in &mut self.photos {
            shot.told.add(self.now, seen_from(&fact, shot.id, None));
        }
        self.facts.push(Said { at: self.now, fact });
    }

    fn happen(&mut self, deed: &Deed) {
        let (now, today) = (self.now, self.today());
        match deed {
            Deed::Import { rows, confirmed } => {
                let outcome = self.office.import(rows, *confirmed, FIRST_DAY, now);
                assert_eq!(outcome.imported, !outcome.stopped);
                assert!(!outcome.stopped || (!confirmed && !outcome.plan.concerns.is_empty()));
                if outcome.imported {
                    for fact in self.reading.import(rows, today) {
                        self.say(fact);
                    }
                }
                if self.children.is_empty() {
                    let children = (0..CHILDREN).map(|child| self.office.child(child));
                    self.children = children.collect();
                }
            }
            Deed::Give {
                child,
                purposes,
                by,
                until,
            } => {
                let until = until.map(|days| today + days);
                let last_day = until.map(|day| plus(FIRST_DAY, day));
                self.office.give(*child, purposes, *by, last_day, now);
                for purpose in purposes {
                    self.say(recorded(*child, *purpose, ConsentState::Given, *by, until));
                }
            }
            Deed::Refuse {
                child,
                purposes,
                by,
            } => {
                self.office.refuse(*child, purposes, *by, now);
                for purpose in purposes {
                    self.say(recorded(*child, *purpose, ConsentState::Refused, *by, None));
                }
            }
            Deed::Withdraw {
                child,
                purposes,
                by,
            } => {
                for purpose in self.office.withdraw(*child, purposes, *by, now) {
                    let state = ConsentState::Withdrawn;
                    self.say(recorded(*child, purpose, state, *by, None));
                }
            }
            Deed::Restrict { child, to } => {
                self.office.restrict(*child, *to, now);
                self.say(Fact::Restricted {
                    child: *child,
                    to: *to,
                });
            }
            Deed::Leave { child, day } => {
                let day = today + day;
                if self
                    .office
                    .leave(*child, plus(FIRST_DAY, day), now)
                    .is_some()
                {
                    let fact = self.reading.leaves(*child, Some(day));
                    self.say(fact);
                }
            }
            Deed::Died { child } => {
                self.office.died(*child, plus(FIRST_DAY, today), now);
                let fact = self.reading.died(*child, today);
                self.say(fact);
            }
            Deed::Stay { child } => {
                self.office.stay(*child, now);
                if self.reading.is_leaving(*child) {
                    let fact = self.reading.leaves(*child, None);
                    self.say(fact);
                }
            }
            // The model has a child that is moved back on the list.
            Deed::Room { child, .. } if self.reading.is_missing(*child) => {}
            Deed::Room { child, rooms } => {
                self.office.room(*child, *rooms, now);
                if let Some(fact) = self.reading.moves(*child, *rooms) {
                    self.say(fact);
                }
            }
            Deed::Hold {
                hold,
                on,
                photo,
                category,
            } => self.hold(*hold, on, *photo, *category),
            Deed::Release { hold } => {
                if let Some(id) = self.holds.remove(hold) {
                    self.office.release(id, now);
                    self.say(Fact::Released { hold: *hold });
                }
            }
            Deed::Close { from, days } => {
                let (from, days) = (today + from, *days);
                let closure = (plus(FIRST_DAY, from), plus(FIRST_DAY, from + days));
                self.closures.push(closure);
                self.office
                    .apply(&profile_of(self.terms, &self.closures).0, now);
                self.say(Fact::Closed { from, days });
            }
            Deed::Policy(terms) => {
                self.terms = *terms;
                let (source, profile) = profile_of(self.terms, &self.closures);
                self.office.apply(&source, now);
                let policy = profile.policy.photos.unwrap();
                self.say(Fact::Policy(Box::new(policy)));
            }
            Deed::Correct { photo, who } => {
                let Some(shot) = self.photos.get(*photo) else {
                    return;
                };
                if let Some(correction) = self.office.correct(shot.id, *who, now) {
                    self.corrections.insert(*photo, correction);
                }
            }
            Deed::Take { session } => self.take(*session),
            Deed::Tag {
                photo,
                children,
                complete,
            } => {
                let tagging = if *complete {
                    Tagging::Complete
                } else {
                    Tagging::Partial
                };
                self.tag(*photo, tagging, *children, false);
            }
            Deed::NoChild { photo } => self.tag(*photo, Tagging::NoChild, 0, false),
            Deed::Stranger { photo } => self.tag(*photo, Tagging::Complete, 0, true),
            Deed::Hours(hours) => self.wait(hours * HOUR),
            Deed::Off(hours) => self.off(hours * HOUR),
            Deed::Clock(hours) => {
                self.wrong = hours * HOUR;
                self.door.set_wall(self.now + self.wrong);
            }
            Deed::AgentRestarts => {
                self.device.switch_off();
                self.device.start();
            }
            Deed::ServerRestarts => self.office.restart(),
            Deed::Network(network) => self.connected = *network == Network::There,
        }
    }

    fn hold(&mut self, hold: u8, on: &HoldOn, photo: usize, category: HoldCategory) {
        let freezes = category == HoldCategory::IllegalContent;
        let scope = match on {
            HoldOn::Child(child) => HoldScope::Child {
                child: self.children[usize::from(*child)],
            },
            // A tablet that is frozen takes no photo in.
            HoldOn::ThisTablet if !freezes => HoldScope::Device {
                device: self.device.id,
            },
            _ => {
                let Some(shot) = self.photos.get(photo) else {
                    return;
                };
                HoldScope::Photo { photo: shot.id }
            }
        };
        if self.holds.contains_key(&hold) {
            return;
        }
        let id = self.office.hold(scope.clone(), category, self.now);
        self.holds.insert(hold, id);
        let on = match scope {
            HoldScope::Child { .. } => on.clone(),
            HoldScope::Device { .. } => HoldOn::ThisTablet,
            HoldScope::Photo { .. } | HoldScope::Staff { .. } | HoldScope::Window { .. } => {
                HoldOn::ThisPhoto
            }
        };
        let only = match scope {
            HoldScope::Photo { photo } => Some(photo),
            _ => None,
        };
        let fact = Fact::Held { hold, on, category };
        for shot in &mut self.photos {
            shot.told.add(self.now, seen_from(&fact, shot.id, only));
        }
        // Whatever is photographed from now on is another photo.
        let fact = only.map_or(fact.clone(), |_| another(fact));
        self.facts.push(Said { at: self.now, fact });
    }

    fn take(&mut self, session: Option<u8>) {
        if self.photos.len() == 4 {
            return;
        }
        let number = self.photos.len();
        let rooms_of_session = session.filter(|set| *set != 0).unwrap_or(1);
        let content = picture(number);
        let name = format!("{number}.jpg");
        let path = self.device.take(&name, &content, session.map(rooms));
        let id = self.device.photo_at(&path).unwrap();
        self.photos.push(Shot {
            id,
            path,
            told: Told {
                place: Place {
                    zone: "UTC",
                    first_day: FIRST_DAY,
                },
                zone: TimeZone::UTC,
                first_policy: self.first_policy.clone(),
                taken_at: self.clock.now,
                found_at_enrolment: false,
                rooms_of_session,
                taken_by: None,
                said: self.facts.clone(),
                synced: self.synced,
                synced_when_taken: self.synced,
            },
            stage: Stage::Live,
            sealed_at: None,
            tagging: Tagging::Untagged,
            children: 0,
            stranger: false,
            tagged_at: None,
        });
    }

    fn tag(&mut self, photo: usize, tagging: Tagging, children: u8, stranger: bool) {
        let Some(shot) = self.photos.get_mut(photo) else {
            return;
        };
        let tags = Tags {
            tagging,
            confirmed: numbered(&self.children, children),
            unregistered_person: stranger,
            care_record: false,
        };
        // A name may be added, and never taken back here.
        let others_may_be = |said| matches!(said, Tagging::Untagged | Tagging::Partial);
        // Of what is sealed nobody here says that no other child is in it.
        let loosens = shot.children & !children != 0
            || (shot.stranger && !stranger)
            || (shot.stage == Stage::Sealed
                && others_may_be(shot.tagging)
                && !others_may_be(tagging));
        let tagged = self.device.tag(shot.id, &tags);
        let may = !loosens && shot.stage != Stage::Destroyed;
        assert_eq!(
            tagged.is_ok(),
            may,
            "{tagged:?} {deed}",
            deed = tags.confirmed.len()
        );
        if may {
            shot.tagged_at = Some(self.clock.now);
            shot.says(self.now, tagging, children, stranger);
        }
    }

    fn off(&mut self, seconds: i64) {
        self.device.switch_off();
        let last_seen = self.clock.now;
        self.now += seconds;
        let wall = self.now + self.wrong;
        self.door.boot(wall);
        self.device.start();
        let off = wall - last_seen;
        self.clock.doubtful |= !(-120..=MOST_OFF).contains(&off);
        self.clock.now = wall.max(last_seen);
    }

    /// Time passes for everybody.
    fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        self.clock.now += seconds;
        self.door.pass(seconds);
    }

    /// The tablet wakes whenever time alone may change something.
    fn wait(&mut self, seconds: i64) {
        let until = self.now + seconds;
        for _ in 0..400 {
            let Some(next) = self.device.next_change else {
                break;
            };
            let left = whole_second(next) - self.clock.now;
            assert!(left > 0, "the next change is not in the future");
            if self.now + left > until {
                break;
            }
            self.pass(left);
            self.round();
        }
        self.pass((until - self.now).max(0));
    }

    fn round(&mut self) {
        if self.connected {
            self.sync();
        }
        self.settle();
        // Past every pause before the server is asked again.
        for _ in 0..8 {
            let Some(wait) = self.device.retry_in.filter(|_| self.connected) else {
                break;
            };
            self.pass(i64::try_from(wait.as_secs()).unwrap() + 1);
            self.sync();
            self.settle();
        }
        self.compare();
    }

    fn sync(&mut self) {
        self.device.tell(&self.office, self.now);
        let bundle = self.office.bundle(self.now);
        self.device.hear(bundle, instant(self.now));
        self.clock = Clock {
            now: self.now,
            doubtful: false,
            contact: self.now,
            holds_confirmed: self.now,
        };
        self.synced = self.facts.len();
        for shot in &mut self.photos {
            shot.told.sync();
        }
        for (number, correction) in std::mem::take(&mut self.corrections) {
            let shot = &mut self.photos[number];
            let tagged_since = shot
                .tagged_at
                .is_some_and(|at| instant(at) > correction.decided_at);
            if shot.stage == Stage::Destroyed || tagged_since {
                continue;
            }
            let numbers = (0_u8..).zip(&self.children);
            let children = numbers
                .filter(|(_, id)| correction.confirmed.contains(id))
                .fold(0, |set, (n, _)| set | 1 << n);
            let stranger = correction.unregistered_person;
            // It counts from when it was decided, on the server as on the tablet.
            let decided_at = correction.decided_at.as_second();
            shot.says(decided_at, correction.tagging, children, stranger);
        }
    }

    fn settle(&mut self) {
        let office = self.connected.then_some((&self.office, self.now));
        self.device.settle(office);
        for shot in &mut self.photos {
            shot.settle(self.clock, self.connected);
        }
        if self.connected {
            self.device.tell(&self.office, self.now);
        }
    }

    fn compare(&mut self) {
        let trusted = self.device.now();
        assert_eq!(trusted.at, instant(self.clock.now), "the tablet's time");
        assert_eq!(trusted.doubtful, self.clock.doubtful, "the tablet's doubt");
        let listed = self.device.list();
        let found: BTreeMap<PhotoId, Stage> = listed.iter().map(|p| (p.id, p.stage)).collect();
        for shot in &self.photos {
            let stage = found.get(&shot.id).copied().unwrap_or(Stage::Destroyed);
            let reference = shot.reference(self.clock);
            assert_eq!(
                stage,
                shot.stage,
                "{} at {}: the product's is left, the model's right, because {:?}\n{:?}",
                shot.path.display(),
                instant(self.clock.now),
                reference.answer(),
                listed.iter().find(|photo| photo.id == shot.id)
            );
            let is_shown = shot.path.exists();
            assert_eq!(is_shown, stage == Stage::Live, "{}", shot.path.display());
        }
    }
}

fn numbered(children: &[ChildId], set: u8) -> BTreeSet<ChildId> {
    let numbers = (0_u8..).zip(children);
    numbers
        .filter(|(n, _)| set & (1 << n) != 0)
        .map(|(_, id)| *id)
        .collect()
}

/// The first second at which it is so.
fn whole_second(at: Timestamp) -> i64 {
    at.as_second() + i64::from(at.subsec_nanosecond() > 0)
}

fn picture(number: usize) -> Vec<u8> {
    let taken = FIRST_DAY.at(9, 0, 0, 0);
    system_tests::jpeg::Photo::small(number as u64, taken).jpeg()
}

/// In memory where the machine has such a place, because thousands of disks are made here.
fn quick_dir() -> tempfile::TempDir {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("nestwarden-model-");
        builder
    };
    builder()
        .tempdir_in("/dev/shm")
        .or_else(|_| builder().tempdir())
        .unwrap()
}
