//! The product's rules as a tablet asks them: what it keeps, and what it does with the answers.

use super::super::nursery::child;
use super::bundle::{calendar_of, children, holds, id, register, rooms};
use super::days::{HOUR, instant};
use super::history::{Fact, History, Step};
use super::reference::{Answer as Expected, Clock, Place, Reference};
use super::resolved::Resolved;
use super::told::Told;
use jiff::Timestamp;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::{
    ConsentState, PhotoFacts, RegisterSnapshot, Stage, Standing, Subjects, TrustedNow, Verdict,
    verdict,
};
use nestwarden_policy_schema::hold::HoldList;
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId, StaffId};
use nestwarden_policy_schema::policy::PhotosPolicy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is on the tablet's disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    photo: PhotoFacts,
    register: RegisterSnapshot,
    holds: HoldList,
    policy: PhotosPolicy,
    calendar: Calendar,
    stage: Stage,
}

pub(super) struct Tablet {
    pub(super) told: Told,
    kept: Kept,
    now: i64,
    /// Seconds by which its clock runs ahead.
    ahead: i64,
    contact: i64,
    holds_confirmed: i64,
    /// Whether the server can be asked to open what is sealed.
    in_reach: bool,
}

impl Tablet {
    pub(super) fn new(history: &History) -> Self {
        let told = Told::new(history);
        let kept = Kept {
            photo: PhotoFacts {
                photo: id(PhotoId::from_uuid, 0),
                device: id(DeviceId::from_uuid, 0),
                captured_at: instant(told.taken_at),
                subjects: Subjects {
                    rooms: rooms(history.rooms_of_session),
                    ..Subjects::default()
                },
                staff: history.taken_by.map(|n| id(StaffId::from_uuid, n)),
                care_record: false,
                found_at_enrolment: history.found_at_enrolment,
                uploaded_at: None,
                sealed_at: None,
                tagged_at: None,
            },
            register: register(&told),
            holds: holds(&told),
            policy: told.policy().clone(),
            calendar: calendar_of(&told),
            stage: Stage::Live,
        };
        let now = told.taken_at;
        let mut tablet = Self {
            told,
            kept,
            now,
            ahead: 0,
            contact: now,
            holds_confirmed: now,
            in_reach: true,
        };
        tablet.remember_who_may_be_in_it();
        tablet
    }

    pub(super) fn is_over(&self) -> bool {
        self.kept.stage == Stage::Destroyed
    }

    pub(super) fn take(&mut self, step: &Step) {
        self.in_reach = false;
        match step {
            Step::Happens(fact) => {
                // No two things happen at once.
                self.now += 1;
                self.happens(fact);
            }
            Step::Contact => self.meet(),
            Step::Sync => {
                self.meet();
                self.told.sync();
                self.holds_confirmed = self.now;
                self.kept.register = register(&self.told);
                self.kept.holds = holds(&self.told);
                self.kept.policy = self.told.policy().clone();
                self.kept.calendar = calendar_of(&self.told);
                self.in_reach = true;
                self.compare_answers();
            }
            Step::Hours(hours) => self.wait(hours * HOUR),
            Step::Off(hours) => self.now += hours * HOUR,
            Step::ToNextChange => {
                let next = self.verdict(self.clock()).next_change;
                let next = next.map_or(self.now, whole_second);
                // Anything further would only wait for the end of a calendar.
                if next < self.now + 100 * 24 * HOUR {
                    self.now = next;
                }
            }
            Step::ClockAhead(hours) => {
                self.ahead += hours * HOUR;
                self.now += hours * HOUR;
            }
            Step::Restart => {
                let disk = serde_json::to_string(&self.kept).unwrap();
                let read: Kept = serde_json::from_str(&disk).unwrap();
                assert_eq!(read, self.kept);
                self.kept = read;
            }
        }
        self.act();
    }

    fn meet(&mut self) {
        self.now -= self.ahead;
        self.ahead = 0;
        self.contact = self.now;
    }

    fn happens(&mut self, fact: &Fact) {
        let photo = &mut self.kept.photo;
        match fact {
            Fact::Tagged {
                tagging,
                confirmed,
                stranger,
            } => {
                photo.subjects.tagging = *tagging;
                photo.subjects.confirmed = children(*confirmed);
                photo.subjects.unregistered_person = *stranger;
                photo.tagged_at = Some(instant(self.now));
            }
            Fact::CareRecord(is) => photo.care_record = *is,
            Fact::Uploaded => photo.uploaded_at = photo.uploaded_at.or(Some(instant(self.now))),
            Fact::Sorted if photo.found_at_enrolment => {
                photo.found_at_enrolment = false;
                photo.captured_at = instant(self.now);
                self.told.add(self.now, fact.clone());
                self.remember_who_may_be_in_it();
                return;
            }
            Fact::Sorted
            | Fact::Answered(_)
            | Fact::Moved { .. }
            | Fact::Starts { .. }
            | Fact::Leaves { .. }
            | Fact::Stays { .. }
            | Fact::Restricted { .. }
            | Fact::Missing { .. }
            | Fact::Listed { .. }
            | Fact::Erased { .. }
            | Fact::Held { .. }
            | Fact::Released { .. }
            | Fact::Closed { .. }
            | Fact::Policy(_) => {
                // Said somewhere else, where the time is right.
                self.told.add(self.now - self.ahead, fact.clone());
                return;
            }
        }
        self.told.add(self.now, fact.clone());
    }

    fn remember_who_may_be_in_it(&mut self) {
        let photo = &mut self.kept.photo;
        let date = self.kept.calendar.local_date(photo.captured_at);
        let possible = photo.subjects.possible(&self.kept.register, date);
        photo.subjects.possible_when_taken = possible;
        let expected = self.reference(self.clock()).possible_when_taken();
        let expected: BTreeSet<ChildId> = expected.into_iter().map(child).collect();
        assert_eq!(
            self.kept.photo.subjects.possible_when_taken, expected,
            "who may be in it"
        );
    }

    /// Wakes whenever time alone may change something.
    fn wait(&mut self, seconds: i64) {
        let until = self.now + seconds;
        while let Some(next) = self.verdict(self.clock()).next_change {
            let next = whole_second(next);
            assert!(next > self.now, "the next change is not in the future");
            if next > until || self.is_over() {
                break;
            }
            self.now = next;
            self.act();
        }
        self.now = until;
    }

    /// Does what the rules ask for, after each answer was found to be the model's.
    fn act(&mut self) {
        for _ in 0..4 {
            if self.is_over() {
                return;
            }
            let clock = self.clock();
            match stage(&self.agreed(clock, &self.reference(clock))) {
                None => break,
                Some(stage) if stage == self.kept.stage => break,
                Some(Stage::Destroyed) => {
                    self.assert_may_be_destroyed();
                    self.kept.stage = Stage::Destroyed;
                }
                Some(Stage::Sealed) => {
                    self.kept.stage = Stage::Sealed;
                    self.kept.photo.sealed_at = Some(instant(self.now));
                }
                Some(back @ (Stage::Live | Stage::Withheld)) => {
                    if self.kept.stage == Stage::Sealed && !self.in_reach {
                        break;
                    }
                    self.kept.stage = back;
                    self.kept.photo.sealed_at = None;
                }
            }
        }
        self.look_ahead();
    }

    /// Whatever the reason: sealed for a day at least, open, nobody's hold, a fresh list, and a clock to trust.
    fn assert_may_be_destroyed(&self) {
        assert_eq!(self.kept.stage, Stage::Sealed, "without being sealed");
        let sealed_at = self.kept.photo.sealed_at.unwrap().as_second();
        assert!(self.now >= sealed_at + 24 * HOUR, "too soon");
        assert!(!self.kept.photo.found_at_enrolment, "found, undecided");
        let reference = self.reference(self.clock());
        assert!(reference.may_destroy() && !reference.has_lost_a_child());
    }

    /// Asks about later, without anything happening until then.
    fn look_ahead(&self) {
        if self.is_over() {
            return;
        }
        let now = self.clock();
        let verdict = self.verdict(now);
        let today = self.answer(&verdict, now);
        let mut reference = self.reference(now);
        let next = verdict.next_change.map(whole_second);
        let hours = |hours| now.now + hours * HOUR;
        let mut moments = vec![hours(5), hours(40)];
        moments.extend(next.into_iter().flat_map(|at| [at - 1, at]));
        if let Standing::Scheduled(schedule) = &verdict.standing {
            let dues = [schedule.withhold, schedule.seal, schedule.destroy];
            moments.extend(dues.into_iter().flatten().map(|due| due.at.as_second()));
        }
        moments.retain(|later| now.now < *later && *later < hours(400 * 24));
        moments.sort_unstable();
        moments.dedup();
        for later in moments {
            let clock = Clock { now: later, ..now };
            let answer = self.agreed(clock, reference.at(later));
            if next.is_none_or(|next| later < next) {
                // Of two reasons for one stage the older is named, and one that rests on a capture ahead of the clock grows
                // no older until the clock is there.
                let named = now.now >= self.kept.photo.captured_at.as_second();
                let same = if named {
                    answer == today
                } else {
                    stage(&answer) == stage(&today) && answer.usable == today.usable
                };
                let when = instant(later);
                assert!(
                    same,
                    "changed at {when} before it said\n{today:?}\n{answer:?}"
                );
            }
            if !self.waits_for_a_first_day() {
                let sealed = |answer: &Expected| stage(answer).map(|s| s.min(Stage::Sealed));
                assert!(sealed(&answer) >= sealed(&today), "time alone loosened");
                assert!(answer.usable.is_subset(&today.usable), "time alone allowed");
            }
        }
    }

    /// A consent given for a later day is the one thing that time loosens.
    fn waits_for_a_first_day(&self) -> bool {
        let mut said = self.told.by_server().iter();
        said.any(|said| matches!(&said.fact, Fact::Answered(answer) if answer.from.is_some()))
    }

    /// The product's answer, after the model gave the same.
    fn agreed(&self, clock: Clock, reference: &Reference<'_>) -> Expected {
        let verdict = self.verdict(clock);
        let found = self.answer(&verdict, clock);
        let expected = reference.answer();
        let agree = match (&found.place, &expected.place) {
            (Place::Due(stage, cause), Place::Due(expected, causes)) => {
                stage == expected && cause.is_subset(causes)
            }
            (found, expected) => found == expected,
        };
        assert!(
            agree && found.usable == expected.usable && found.blocked == expected.blocked,
            "at {}, {clock:?}\nproduct {found:?}\nmodel   {expected:?}\n{:#?}\n{verdict:?}",
            instant(clock.now),
            self.kept.photo,
        );
        found
    }

    fn answer(&self, verdict: &Verdict, clock: Clock) -> Expected {
        let place = match (
            verdict.due(&self.kept.calendar, &trusted(clock)),
            &verdict.standing,
        ) {
            (Some((stage, due)), Standing::Scheduled(_)) => {
                Place::Due(stage, due.into_iter().map(|due| due.cause).collect())
            }
            (None, Standing::Frozen) => Place::Frozen,
            (due, standing) => panic!("{due:?} does not go with {standing:?}"),
        };
        Expected {
            place,
            usable: verdict.usable.clone(),
            blocked: verdict.blocked.clone(),
        }
    }

    fn compare_answers(&self) {
        let reference = self.reference(self.clock());
        for number in 0..super::history::CHILDREN {
            let Some(entry) = self.kept.register.children.get(&child(number)) else {
                continue;
            };
            for purpose in super::history::PURPOSES {
                let standing = entry.purposes.get(&purpose);
                let found = match standing.map(|standing| standing.state) {
                    None | Some(ConsentState::Unanswered) => "nothing",
                    Some(ConsentState::Given) => "yes",
                    Some(_) => "no",
                };
                let expected = reference.resolved(number, purpose);
                let word = match expected {
                    Resolved::Nothing { .. } => "nothing",
                    Resolved::Yes { .. } => "yes",
                    Resolved::No { .. } | Resolved::Ended => "no",
                };
                assert_eq!(
                    found, word,
                    "{number} {purpose}: {standing:?}, model {expected:?}"
                );
            }
        }
    }

    fn clock(&self) -> Clock {
        Clock {
            now: self.now,
            doubtful: self.ahead != 0,
            contact: self.contact,
            holds_confirmed: self.holds_confirmed,
        }
    }

    fn verdict(&self, clock: Clock) -> Verdict {
        let kept = &self.kept;
        verdict(
            &kept.photo,
            &kept.register,
            &kept.holds,
            &kept.policy,
            &kept.calendar,
            &trusted(clock),
        )
    }

    fn reference(&self, clock: Clock) -> Reference<'_> {
        let sealed_at = self.kept.photo.sealed_at.map(Timestamp::as_second);
        Reference::new(&self.told, clock, sealed_at)
    }
}

fn stage(answer: &Expected) -> Option<Stage> {
    match answer.place {
        Place::Due(stage, _) => Some(stage),
        Place::Frozen => None,
    }
}

/// The model counts in seconds: the first at which it is so.
fn whole_second(at: Timestamp) -> i64 {
    at.as_second() + i64::from(at.subsec_nanosecond() > 0)
}

fn trusted(clock: Clock) -> TrustedNow {
    TrustedNow {
        at: instant(clock.now),
        doubtful: clock.doubtful,
        last_contact: Some(instant(clock.contact)),
        lost_since: None,
        holds_confirmed_at: Some(instant(clock.holds_confirmed)),
    }
}
