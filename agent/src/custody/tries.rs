//! How often a PIN may be tried: per person and per tablet, with waits that grow. Never a wipe, and nobody is locked out for
//! good: small children hold these tablets.
//!
//! A wait has to be lived through on the boot clock, awake or asleep. No clock that is set makes it shorter, and a tablet that
//! is switched off and on has all of it before it that was left at the last wrong try. A try counts as wrong before it is
//! checked, so that ending the agent in between gains nobody another one.

use nestwarden_policy_schema::id::StaffId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Wrong ones in a row, of one person, that are told.
const TOLD_AFTER: u32 = 5;

/// What the boot clock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BootReading {
    pub(super) boot: String,
    pub(super) since: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tries {
    tablet: InRow,
    people: BTreeMap<StaffId, InRow>,
}

/// Wrong tries since the last right one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct InRow {
    count: u32,
    wait: Option<Wait>,
    told: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wait {
    boot: String,
    since_ms: u64,
    length_s: u64,
}

/// So many in a row that somebody should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockedOut {
    pub(super) tries: u32,
    pub(super) wait: Duration,
}

/// Of one person after so many wrong tries in a row.
const fn wait_of_person(count: u32) -> Duration {
    match count {
        0..=2 => Duration::ZERO,
        3 => Duration::from_secs(30),
        4 => Duration::from_mins(1),
        5 => Duration::from_mins(5),
        6 => Duration::from_mins(15),
        7.. => Duration::from_mins(30),
    }
}

/// Of everybody, whoever they say they are.
const fn wait_of_tablet(count: u32) -> Duration {
    match count {
        0..=9 => Duration::ZERO,
        10..=14 => Duration::from_mins(1),
        15.. => Duration::from_mins(5),
    }
}

impl Tries {
    /// Counts a try of somebody on the roster; `Err`: how long they have to wait for one.
    pub(super) fn admit(
        &mut self,
        staff: StaffId,
        roster: &BTreeSet<StaffId>,
        now: &BootReading,
    ) -> Result<(), Duration> {
        self.people.retain(|known, _| roster.contains(known));
        let left = self.left(staff, now);
        if !left.is_zero() {
            return Err(left);
        }
        self.people
            .entry(staff)
            .or_default()
            .add(wait_of_person, now);
        self.tablet.add(wait_of_tablet, now);
        Ok(())
    }

    /// How long somebody still has to wait.
    pub(super) fn left(&self, staff: StaffId, now: &BootReading) -> Duration {
        let of_person = self.people.get(&staff).map(|row| row.left(now));
        of_person.unwrap_or_default().max(self.tablet.left(now))
    }

    /// The try that was admitted last was right.
    pub(super) fn right(&mut self, staff: StaffId) {
        self.people.remove(&staff);
        self.tablet = InRow::default();
    }

    /// It was wrong. `Some`: once in each row, that there are many.
    pub(super) fn wrong(&mut self, staff: StaffId) -> Option<LockedOut> {
        let row = self.people.get_mut(&staff)?;
        if row.told || row.count < TOLD_AFTER {
            return None;
        }
        row.told = true;
        Some(LockedOut {
            tries: row.count,
            wait: wait_of_person(row.count),
        })
    }
}

impl InRow {
    fn add(&mut self, wait: fn(u32) -> Duration, now: &BootReading) {
        self.count = self.count.saturating_add(1);
        let length = wait(self.count);
        self.wait = (!length.is_zero()).then(|| Wait {
            boot: now.boot.clone(),
            since_ms: u64::try_from(now.since.as_millis()).unwrap_or(u64::MAX),
            length_s: length.as_secs(),
        });
    }

    fn left(&self, now: &BootReading) -> Duration {
        let Some(wait) = &self.wait else {
            return Duration::ZERO;
        };
        let length = Duration::from_secs(wait.length_s);
        // After a restart only the time since then is known to have passed.
        let from = if wait.boot == now.boot {
            Duration::from_millis(wait.since_ms)
        } else {
            Duration::ZERO
        };
        length.saturating_sub(now.since.saturating_sub(from))
    }
}

#[cfg(test)]
#[path = "tries_tests.rs"]
mod tests;
