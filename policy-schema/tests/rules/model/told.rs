//! Everything that was ever said, and how much of it a tablet has been told.

use super::days::{Days, HOUR};
use super::history::{Fact, History, Place};
use jiff::tz::TimeZone;
use nestwarden_policy_schema::policy::PhotosPolicy;

#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) at: i64,
    pub(super) fact: Fact,
}

/// Facts are only ever added.
pub(super) struct Told {
    pub(super) place: Place,
    pub(super) zone: TimeZone,
    pub(super) first_policy: PhotosPolicy,
    pub(super) taken_at: i64,
    pub(super) found_at_enrolment: bool,
    pub(super) rooms_of_session: u8,
    pub(super) taken_by: Option<u8>,
    pub(super) said: Vec<Said>,
    /// What the server had said when the tablet last heard all of it.
    pub(super) synced: usize,
    /// And when the photo was taken or sorted.
    pub(super) synced_when_taken: usize,
}

impl Told {
    pub(super) fn new(history: &History) -> Self {
        let zone = TimeZone::get(history.place.zone).unwrap();
        let noon = history.place.first_day.at(8, 0, 0, 0);
        let start = zone.to_timestamp(noon).unwrap().as_second();
        let said: Vec<Said> = (0..)
            .zip(&history.before)
            .map(|(number, fact)| Said {
                at: start - 240 * HOUR + number * HOUR,
                fact: fact.clone(),
            })
            .collect();
        let synced = said.len();
        Self {
            place: history.place,
            zone,
            first_policy: history.policy.clone(),
            taken_at: start + history.taken_at_hour * HOUR,
            found_at_enrolment: history.found_at_enrolment,
            rooms_of_session: history.rooms_of_session,
            taken_by: history.taken_by,
            said,
            synced,
            synced_when_taken: synced,
        }
    }

    pub(super) fn add(&mut self, at: i64, fact: Fact) {
        if matches!(fact, Fact::Sorted) && self.is_found() {
            self.synced_when_taken = self.synced;
        }
        self.said.push(Said { at, fact });
    }

    pub(super) fn sync(&mut self) {
        self.synced = self.said.len();
    }

    /// What the server said, as far as the tablet knows.
    pub(super) fn by_server(&self) -> &[Said] {
        &self.said[..self.synced]
    }

    pub(super) fn by_server_when_taken(&self) -> &[Said] {
        &self.said[..self.synced_when_taken]
    }

    pub(super) fn on_tablet(&self) -> &[Said] {
        &self.said
    }

    pub(super) fn policy(&self) -> &PhotosPolicy {
        self.by_server()
            .iter()
            .rev()
            .find_map(|said| match &said.fact {
                Fact::Policy(policy) => Some(policy.as_ref()),
                _ => None,
            })
            .unwrap_or(&self.first_policy)
    }

    /// Nothing happens to what was there before until somebody decides.
    pub(super) fn is_found(&self) -> bool {
        self.found_at_enrolment && self.sorted_at().is_none()
    }

    fn sorted_at(&self) -> Option<i64> {
        let mut sorted = self
            .said
            .iter()
            .filter(|said| matches!(said.fact, Fact::Sorted));
        sorted.next().map(|said| said.at)
    }

    pub(super) fn captured_at(&self) -> i64 {
        match self.sorted_at() {
            Some(at) if self.found_at_enrolment => at,
            Some(_) | None => self.taken_at,
        }
    }

    pub(super) fn days(&self) -> Days {
        let closures = self.by_server().iter().filter_map(|said| match said.fact {
            Fact::Closed { from, days } => Some((self.day(from), self.day(from + days))),
            _ => None,
        });
        Days {
            zone: self.zone.clone(),
            closures: closures.collect(),
        }
    }

    pub(super) fn day(&self, number: i64) -> jiff::civil::Date {
        super::days::plus(self.place.first_day, number)
    }
}
