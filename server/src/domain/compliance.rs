//! How a tablet stands, from what it last reported. What was not heard, or not heard lately, is never fine.

use super::local_time::LocalTime;
use super::loss::Loss;
use crate::storage::{FleetRow, PutBackRow, RecordConflict, StoredInventory};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::device_api::LockOut;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::policy::{Mode, Policy};
use serde::Serialize;

/// A report older than this says how things were, not how they are. A tablet in reach reports every seven minutes.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_mins(16);
/// How far a report may be ahead of this clock: more, and one of the two is wrong, and nothing is known.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// How long a tablet may be on its way to the bundle issued last.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_mins(2);

/// The worst of a tablet's controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Every control the policy names was read back lately, as the policy wants it.
    Fine,
    /// Some controls are only watched.
    Observing,
    /// Not heard lately, or never: nothing is known.
    NotChecked,
    /// Something is not as the policy wants it, or cannot be read.
    Attention,
    Revoked,
}

#[derive(Clone, Debug, Serialize)]
pub struct ControlStanding {
    pub control: ControlName,
    /// `None`: the policy does not name this control.
    pub mode: Option<Mode>,
    /// What was found when it was last measured; `None`: never.
    pub report: Option<ControlReport>,
    /// The report is too old to say how things are.
    pub stale: bool,
    pub standing: Standing,
}

#[derive(Clone, Debug, Serialize)]
pub struct Compliance {
    pub standing: Standing,
    /// When the tablet last reported; `None`: never.
    pub reported_at: Option<Timestamp>,
    /// What the tablet enforces; `NONE` until it said so.
    pub generation_applied: Generation,
    /// What was issued to it last; `NONE`: nothing.
    pub generation_issued: Generation,
    /// It has had long enough to take over what was issued last, and has not.
    pub bundle_behind: bool,
    /// It had a bundle that this server never issued, because this server's data was put back from an earlier copy, and
    /// nobody settled that.
    pub put_back: Option<PutBackRow>,
    /// Its events are refused, because they do not continue the record that is here.
    pub record_conflict: Option<RecordConflict>,
    /// Too many wrong passcodes were tried, and whoever holds it has to wait.
    pub locked_out: Option<LockOut>,
    /// Somebody marked it as lost.
    pub loss: Option<Loss>,
    pub clock_doubtful: Option<bool>,
    pub events_waiting: Option<u64>,
    pub controls: Vec<ControlStanding>,
}

/// What a tablet's standing rests on.
pub struct Facts<'a> {
    pub row: &'a FleetRow,
    /// What it is held to; `None`: its profile is not there.
    pub policy: Option<&'a Policy>,
    /// `None`: it never reported.
    pub inventory: Option<&'a StoredInventory>,
    /// `None`: nobody marked it as lost.
    pub loss: Option<&'a Loss>,
}

impl Facts<'_> {
    /// The worst of what is known.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.row.device.revoked.is_some() {
            return Standing::Revoked;
        }
        let asked_for = ControlName::ALL
            .into_iter()
            .filter_map(|control| Some((control, self.policy?.mode(control)?)));
        let worst = asked_for
            .map(|(control, mode)| {
                let report = self.report(control);
                let stale = report.is_some_and(|report| self.is_stale(report, now));
                of_control(report, stale, Some(mode))
            })
            .max();
        // A policy that names nothing proves nothing.
        let mut standing = worst.unwrap_or(Standing::NotChecked);
        if self.is_behind(now) {
            standing = standing.max(Standing::NotChecked);
        }
        let is_doubtful = self.inventory.is_some_and(|i| i.inventory.clock_doubtful);
        let is_tried = is_doubtful || self.locked_out(now).is_some();
        let needs_somebody =
            self.row.put_back.is_some() || self.row.conflict.is_some() || self.loss.is_some();
        if needs_somebody || is_tried && worst.is_some() {
            standing = standing.max(Standing::Attention);
        }
        standing
    }

    pub fn compliance(&self, now: Timestamp) -> Compliance {
        let controls = ControlName::ALL
            .into_iter()
            .map(|control| self.control(control, now));
        let told = self.inventory;
        Compliance {
            standing: self.standing(now),
            reported_at: told.map(|i| i.received_at),
            generation_applied: self.applied(),
            generation_issued: self
                .row
                .issued
                .map_or(Generation::NONE, |(issued, _)| issued),
            bundle_behind: self.is_behind(now),
            put_back: self.row.put_back,
            record_conflict: self.row.conflict.clone(),
            locked_out: self.locked_out(now),
            loss: self.loss.cloned(),
            clock_doubtful: told.map(|i| i.inventory.clock_doubtful),
            events_waiting: told.map(|i| i.inventory.events_waiting),
            controls: controls.collect(),
        }
    }

    fn applied(&self) -> Generation {
        self.inventory
            .map_or(Generation::NONE, |told| told.inventory.generation)
    }

    fn is_behind(&self, now: Timestamp) -> bool {
        // What the tablet asked with last is known sooner than what it put in force.
        let has = self
            .row
            .asked_with
            .unwrap_or(Generation::NONE)
            .max(self.applied());
        self.row.issued.is_some_and(|(issued, at)| {
            let passed = now.duration_since(at);
            has < issued && (passed >= ON_ITS_WAY || passed <= -AHEAD)
        })
    }

    fn locked_out(&self, now: Timestamp) -> Option<LockOut> {
        let told = self.inventory?;
        told.inventory.locked_out.filter(|out| now < out.until)
    }

    fn report(&self, control: ControlName) -> Option<&ControlReport> {
        let reports = &self.inventory?.inventory.controls;
        reports.iter().find(|report| report.control == control)
    }

    fn is_stale(&self, report: &ControlReport, now: Timestamp) -> bool {
        // Both ends count: a report that arrived just now may rest on an old reading.
        let is_fresh = |at: Timestamp| {
            let old = now.duration_since(at);
            old < STALE_AFTER && old > -AHEAD
        };
        let is_told = self
            .inventory
            .is_some_and(|told| is_fresh(told.received_at));
        !is_told || !is_fresh(report.measured_at)
    }

    fn control(&self, control: ControlName, now: Timestamp) -> ControlStanding {
        let mode = self.policy.and_then(|policy| policy.mode(control));
        let report = self.report(control);
        let stale = report.is_some_and(|report| self.is_stale(report, now));
        ControlStanding {
            control,
            mode,
            report: report.cloned(),
            stale,
            standing: of_control(report, stale, mode),
        }
    }
}

impl Compliance {
    /// What somebody has to do something about, with what to do.
    pub fn findings(&self, local: &LocalTime) -> Vec<String> {
        let put_back = self.put_back.map(|row| {
            format!(
                "it had bundle {}, which this server never issued: this server's data was put back from an earlier copy (noticed {}). The tablet keeps the stricter of both and destroys nothing. Enter again what was decided since the copy was made, then run `nestwarden-server put-back settle --reason …` and say after it how that was made sure",
                row.bundle.generation, local.at(row.noticed_at)
            )
        });
        let conflict = self.record_conflict.as_ref().map(|conflict| {
            format!(
                "its events are refused since {}, {} times: {}. Its record or this server's was put back or changed. It continues by itself within minutes; if this stays, run `nestwarden-agent doctor` on the tablet, update the agent, and if it still stays keep the tablet and enrol it anew",
                local.at(conflict.since), conflict.times, conflict.problem
            )
        });
        let behind = self.bundle_behind.then(|| {
            format!(
                "bundle {} was issued to it and it has {}; connect it to the network, and run `nestwarden-agent doctor` on it if it is",
                self.generation_issued, self.generation_applied
            )
        });
        let locked_out = self.locked_out.map(|locked_out| {
            format!(
                "{} wrong passcodes were tried on it, the last at {}; it makes whoever holds it wait until {} and wipes nothing. Find out who has it",
                locked_out.tries, local.at(locked_out.since), local.at(locked_out.until)
            )
        });
        let doubtful = (self.clock_doubtful == Some(true)).then(|| {
            "its clock is in doubt, so it destroys nothing; leave it on where it reaches this server".to_owned()
        });
        let lost = self.loss.as_ref().map(|loss| loss.says(local));
        let found = lost.into_iter().chain(put_back).chain(conflict);
        found
            .chain(behind)
            .chain(locked_out)
            .chain(doubtful)
            .collect()
    }
}

fn of_control(report: Option<&ControlReport>, stale: bool, mode: Option<Mode>) -> Standing {
    let Some(report) = report.filter(|_| !stale) else {
        return Standing::NotChecked;
    };
    match (&report.outcome, mode) {
        (Outcome::Compliant | Outcome::Corrected { .. }, Some(Mode::Enforce) | None)
        | (Outcome::Unmanaged, None) => Standing::Fine,
        // What was measured against an earlier policy says nothing about this one.
        (Outcome::Unmanaged, Some(_)) => Standing::NotChecked,
        (
            Outcome::Observed { .. } | Outcome::Compliant | Outcome::Corrected { .. },
            Some(Mode::Observe),
        )
        | (Outcome::Observed { .. }, Some(Mode::Enforce) | None) => Standing::Observing,
        (Outcome::Drifted { .. } | Outcome::Unsupported { .. } | Outcome::Unknown { .. }, _) => {
            Standing::Attention
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::storage::testing::{device, told};
    use nestwarden_policy_schema::policy::StoragePolicy;

    #[test]
    fn only_a_fresh_reading_of_an_enforced_control_is_fine() {
        let policy = Policy {
            storage: Some(storage_policy(Mode::Enforce)),
            ..Policy::default()
        };
        let compliant = reported(Outcome::Compliant, 0);
        assert_eq!(standing(&policy, Some(&compliant)), Standing::Fine);
        assert_eq!(standing(&policy, None), Standing::NotChecked);
        // Nor one of a clock that was ahead, until time has caught up with it.
        for hours_ago in [3, -3] {
            let old = reported(Outcome::Compliant, hours_ago);
            assert_eq!(standing(&policy, Some(&old)), Standing::NotChecked);
        }
        let unmanaged = reported(Outcome::Unmanaged, 0);
        assert_eq!(standing(&policy, Some(&unmanaged)), Standing::NotChecked);
        let unknown = reported(
            Outcome::Unknown {
                error: "no such file".to_owned(),
            },
            0,
        );
        assert_eq!(standing(&policy, Some(&unknown)), Standing::Attention);
        assert_eq!(
            standing(&Policy::default(), Some(&compliant)),
            Standing::NotChecked
        );
    }

    #[test]
    fn an_observed_control_is_never_fine() {
        let policy = Policy {
            storage: Some(storage_policy(Mode::Observe)),
            ..Policy::default()
        };
        for outcome in [
            Outcome::Compliant,
            Outcome::Observed {
                would_change: vec![],
            },
        ] {
            assert_eq!(
                standing(&policy, Some(&reported(outcome, 0))),
                Standing::Observing
            );
        }
    }

    #[test]
    fn a_tablet_somebody_tries_passcodes_on_needs_attention_until_the_wait_is_over() {
        let policy = Policy {
            storage: Some(storage_policy(Mode::Enforce)),
            ..Policy::default()
        };
        let mut tried = reported(Outcome::Compliant, 0);
        let until = |minutes| LockOut {
            since: now(),
            until: now() + SignedDuration::from_mins(minutes),
            tries: 5,
        };
        tried.inventory.locked_out = Some(until(10));
        let row = row();
        let facts = Facts {
            row: &row,
            policy: Some(&policy),
            inventory: Some(&tried),
            loss: None,
        };
        let found = facts.compliance(now());
        assert_eq!(found.standing, Standing::Attention);
        let said = found.findings(&LocalTime::utc()).join("\n");
        assert!(said.starts_with("5 wrong passcodes were tried"), "{said}");
        tried.inventory.locked_out = Some(until(0));
        assert_eq!(standing(&policy, Some(&tried)), Standing::Fine);
    }

    #[test]
    fn a_bundle_that_is_not_there_counts_as_missing_also_where_the_clock_went_back_since() {
        let behind = |issued_minutes_ago: i64| {
            let at = now() - SignedDuration::from_mins(issued_minutes_ago);
            let row = FleetRow {
                issued: Some((Generation::new(2), at)),
                ..row()
            };
            let facts = Facts {
                row: &row,
                policy: None,
                inventory: Some(&reported(Outcome::Compliant, 0)),
                loss: None,
            };
            facts.compliance(now()).bundle_behind
        };
        assert!(behind(3) && !behind(1), "it may be on its way");
        assert!(behind(-6) && !behind(-1));
    }

    #[test]
    fn a_tablet_whose_clock_is_in_doubt_is_said_to_destroy_nothing() {
        let row = row();
        let says = |inventory: &StoredInventory| {
            let facts = Facts {
                row: &row,
                policy: None,
                inventory: Some(inventory),
                loss: None,
            };
            facts
                .compliance(now())
                .findings(&LocalTime::utc())
                .join("\n")
        };
        let mut reported = reported(Outcome::Compliant, 0);
        assert_eq!(says(&reported), "");
        reported.inventory.clock_doubtful = true;
        assert!(says(&reported).starts_with("its clock is in doubt"));
    }

    fn standing(policy: &Policy, inventory: Option<&StoredInventory>) -> Standing {
        let facts = Facts {
            row: &row(),
            policy: Some(policy),
            inventory,
            loss: None,
        };
        facts.standing(now())
    }

    fn row() -> FleetRow {
        FleetRow {
            device: device("early-years"),
            inventory: None,
            issued: None,
            asked_with: None,
            put_back: None,
            conflict: None,
        }
    }

    fn now() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().unwrap()
    }

    fn storage_policy(mode: Mode) -> StoragePolicy {
        serde_json::from_value(serde_json::json!({
            "mode": mode, "removable_media": "never", "usb_transfer": "never"
        }))
        .unwrap()
    }

    fn reported(outcome: Outcome, hours_ago: i64) -> StoredInventory {
        let at = now() - SignedDuration::from_hours(hours_ago);
        told(
            at,
            vec![ControlReport {
                control: ControlName::Storage,
                outcome,
                measured_at: at,
            }],
        )
    }
}
