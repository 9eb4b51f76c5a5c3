//! How a tablet stands, told again in a few bytes: most of the time only the readings are newer.

use crate::bytes::Digest;
use crate::device_api::Inventory;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What was sent last still holds, with newer readings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryAgain {
    pub at: Timestamp,
    /// [`Inventory::substance`] of what was sent last.
    pub substance: Digest,
    /// For each control, in the order of what was sent last: whole seconds from its reading to `at`, rounded up, so that
    /// no reading appears newer than it is.
    pub measured_before_s: Vec<u64>,
    pub events_waiting: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
}

impl Inventory {
    /// What is worth telling at once: all of it without what changes all the time.
    #[must_use]
    pub fn without_readings(&self) -> Self {
        let mut quiet = self.clone();
        quiet.at = Timestamp::UNIX_EPOCH;
        quiet.events_waiting = 0;
        quiet.disk_free_bytes = None;
        for report in &mut quiet.controls {
            report.measured_at = Timestamp::UNIX_EPOCH;
        }
        quiet
    }

    /// SHA-256 of the JSON of [`Self::without_readings`]. Two versions that know different fields do not agree on it, and
    /// then everything is sent.
    ///
    /// # Errors
    /// Never for what was read from JSON.
    pub fn substance(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::sha256(&serde_json::to_vec(
            &self.without_readings(),
        )?))
    }

    /// For a server that has something of the same substance. `None` where a reading is from after [`Self::at`], which is
    /// for everything to be sent.
    #[must_use]
    pub fn again(&self, substance: Digest) -> Option<InventoryAgain> {
        let before_s = |measured: Timestamp| {
            let before = self.at.duration_since(measured);
            let whole = u64::try_from(before.as_secs()).ok()?;
            let part = before.subsec_nanos();
            (part >= 0).then_some(whole + u64::from(part > 0))
        };
        let controls = self.controls.iter();
        Some(InventoryAgain {
            at: self.at,
            substance,
            measured_before_s: controls
                .map(|report| before_s(report.measured_at))
                .collect::<Option<_>>()?,
            events_waiting: self.events_waiting,
            disk_free_bytes: self.disk_free_bytes,
        })
    }

    /// This with the newer readings; `None` when they are of something else, or impossible.
    #[must_use]
    pub fn with_readings(mut self, again: &InventoryAgain) -> Option<Self> {
        let is_same = self.substance().ok()? == again.substance
            && self.controls.len() == again.measured_before_s.len();
        if !is_same {
            return None;
        }
        for (report, before_s) in self.controls.iter_mut().zip(&again.measured_before_s) {
            let before = SignedDuration::from_secs(i64::try_from(*before_s).ok()?);
            report.measured_at = again.at.checked_sub(before).ok()?;
        }
        self.at = again.at;
        self.events_waiting = again.events_waiting;
        self.disk_free_bytes = again.disk_free_bytes;
        Some(self)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod tests {
    use super::*;
    use crate::control::{ControlName, ControlReport, Outcome};
    use crate::generation::Generation;
    use proptest::prelude::*;

    fn inventory(at: &str, measured: &[(ControlName, &str)]) -> Inventory {
        let report = |(control, measured_at): &(ControlName, &str)| ControlReport {
            control: *control,
            outcome: Outcome::Compliant,
            measured_at: measured_at.parse().unwrap(),
        };
        Inventory {
            at: at.parse().unwrap(),
            generation: Generation::new(4),
            agent_version: "0.1.0".to_owned(),
            time_zone_data: "2026a".to_owned(),
            controls: measured.iter().map(report).collect(),
            photos: std::collections::BTreeMap::new(),
            found_at_enrolment: std::collections::BTreeMap::new(),
            events_waiting: 2,
            clock_doubtful: false,
            disk_free_bytes: Some(5),
            locked_out: None,
        }
    }

    const NOON: &str = "2026-03-02T12:00:00Z";

    #[test]
    fn newer_readings_of_the_same_are_taken_over_and_never_made_newer_than_they_are() {
        let before = inventory(NOON, &[(ControlName::Radios, "2026-03-02T11:59:00Z")]);
        let mut now = inventory(
            "2026-03-02T12:05:00.25Z",
            &[(ControlName::Radios, "2026-03-02T12:04:00.5Z")],
        );
        now.events_waiting = 0;
        now.disk_free_bytes = None;
        let again = now.again(now.substance().unwrap()).unwrap();
        let told = before.with_readings(&again).unwrap();
        let measured_at = told.controls[0].measured_at;
        assert_eq!(measured_at, "2026-03-02T12:04:00.25Z".parse().unwrap());
        now.controls[0].measured_at = measured_at;
        assert_eq!(told, now);
    }

    #[test]
    fn readings_of_something_else_are_not_taken_over() {
        let before = inventory(NOON, &[(ControlName::Radios, NOON)]);
        let mut other = before.clone();
        other.controls[0].outcome = Outcome::Unknown {
            error: "no bus".to_owned(),
        };
        let again = other.again(other.substance().unwrap()).unwrap();
        assert_eq!(before.clone().with_readings(&again), None);
        let mut again = before.again(before.substance().unwrap()).unwrap();
        again.measured_before_s.push(1);
        assert_eq!(before.clone().with_readings(&again), None);
        again.measured_before_s = vec![u64::MAX];
        assert_eq!(before.with_readings(&again), None);
    }

    #[test]
    fn a_reading_from_after_the_telling_has_to_be_told_whole() {
        let odd = inventory(NOON, &[(ControlName::Radios, "2026-03-02T12:00:00.1Z")]);
        assert_eq!(odd.again(odd.substance().unwrap()), None);
    }

    proptest! {
        #[test]
        fn no_reading_is_ever_told_newer_or_a_second_older(
            at in 0_i64..4_000_000_000_000_000,
            before in 0_i64..10_000_000_000,
        ) {
            let at = Timestamp::from_microsecond(at).unwrap();
            let measured = at - SignedDuration::from_micros(before);
            let mut now = inventory(NOON, &[(ControlName::Radios, NOON)]);
            let last = now.clone();
            now.at = at;
            now.controls[0].measured_at = measured;
            let again = now.again(now.substance().unwrap()).unwrap();
            let told = last.with_readings(&again).unwrap().controls[0].measured_at;
            prop_assert!(told <= measured);
            prop_assert!(measured.duration_since(told) < SignedDuration::from_secs(1));
        }
    }
}
