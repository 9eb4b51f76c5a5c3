//! How a tablet stands, from what it last reported. What was not heard, or not heard lately, is never fine.

use super::local_time::LocalTime;
use crate::storage::{Device, PutBackRow, RecordConflict, Storage, StorageError, StoredInventory};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::device_api::LockOut;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::policy::{Mode, Policy};
use nestwarden_policy_schema::profile::PolicyProfile;
use serde::Serialize;

/// A report older than this says how things were, not how they are. A tablet in reach reports every seven minutes.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_mins(16);
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
    pub clock_doubtful: Option<bool>,
    pub events_waiting: Option<u64>,
    pub controls: Vec<ControlStanding>,
}

/// Reads profile and inventory and judges.
pub async fn of_device(
    storage: &Storage,
    device: &Device,
    now: Timestamp,
) -> Result<Compliance, StorageError> {
    let policy = storage
        .profile_find(&device.profile)
        .await?
        .and_then(|live| PolicyProfile::from_toml(&live.source).ok())
        .map(|profile| profile.policy_with(&device.overrides));
    let inventory = storage.inventory_find(device.id).await?;
    let mut compliance = judge(
        device.revoked.is_some(),
        policy.as_ref(),
        inventory.as_ref(),
        now,
    );
    if let Some(newest) = storage.bundle_newest(device.id).await? {
        compliance.generation_issued = newest.generation;
        // What the tablet asked with last is known sooner than what it put in force.
        let asked = storage.bundle_reported(device.id).await?;
        let has = asked.map_or(Generation::NONE, |report| report.generation);
        let has = has.max(compliance.generation_applied);
        compliance.bundle_behind =
            has < newest.generation && now.duration_since(newest.issued_at) >= ON_ITS_WAY;
    }
    let mut put_backs = storage.put_back_list().await?;
    put_backs.retain(|row| row.device == device.id && row.settled_at.is_none());
    compliance.put_back = put_backs.pop();
    let conflict = storage.conflict_find(device.id).await?;
    compliance.record_conflict = conflict.filter(|conflict| conflict.over_at.is_none());
    if compliance.bundle_behind {
        compliance.standing = compliance.standing.max(Standing::NotChecked);
    }
    if compliance.put_back.is_some() || compliance.record_conflict.is_some() {
        compliance.standing = compliance.standing.max(Standing::Attention);
    }
    Ok(compliance)
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
        let found = put_back.into_iter().chain(conflict);
        found.chain(behind).chain(locked_out).collect()
    }
}

fn judge(
    revoked: bool,
    policy: Option<&Policy>,
    inventory: Option<&StoredInventory>,
    now: Timestamp,
) -> Compliance {
    let controls: Vec<ControlStanding> = ControlName::ALL
        .into_iter()
        .map(|control| one(control, policy, inventory, now))
        .collect();
    let worst = controls
        .iter()
        .filter(|c| c.mode.is_some())
        .map(|c| c.standing)
        .max();
    let locked_out = inventory
        .and_then(|stored| stored.inventory.locked_out)
        .filter(|locked_out| now < locked_out.until);
    let is_doubtful = inventory.is_some_and(|i| i.inventory.clock_doubtful);
    Compliance {
        standing: match (revoked, worst) {
            (true, _) => Standing::Revoked,
            (false, Some(worst)) if is_doubtful || locked_out.is_some() => {
                worst.max(Standing::Attention)
            }
            (false, Some(worst)) => worst,
            // A policy that names nothing proves nothing.
            (false, None) => Standing::NotChecked,
        },
        reported_at: inventory.map(|i| i.received_at),
        generation_applied: inventory.map_or(Generation::NONE, |i| i.inventory.generation),
        generation_issued: Generation::NONE,
        bundle_behind: false,
        put_back: None,
        record_conflict: None,
        locked_out,
        clock_doubtful: inventory.map(|i| i.inventory.clock_doubtful),
        events_waiting: inventory.map(|i| i.inventory.events_waiting),
        controls,
    }
}

fn one(
    control: ControlName,
    policy: Option<&Policy>,
    inventory: Option<&StoredInventory>,
    now: Timestamp,
) -> ControlStanding {
    let mode = policy.and_then(|policy| policy.mode(control));
    let report = inventory.and_then(|i| {
        i.inventory
            .controls
            .iter()
            .find(|report| report.control == control)
            .cloned()
    });
    // Both ends count: a report that arrived just now may rest on an old reading.
    let is_fresh = |at: Timestamp| now.duration_since(at) < STALE_AFTER;
    let stale = report
        .as_ref()
        .zip(inventory)
        .is_some_and(|(report, i)| !is_fresh(report.measured_at) || !is_fresh(i.received_at));
    let standing = match (&report, stale) {
        (None, _) | (_, true) => Standing::NotChecked,
        (Some(report), false) => match (&report.outcome, mode) {
            (Outcome::Compliant | Outcome::Corrected { .. }, Some(Mode::Enforce) | None)
            | (Outcome::Unmanaged, None) => Standing::Fine,
            // What was measured against an earlier policy says nothing about this one.
            (Outcome::Unmanaged, Some(_)) => Standing::NotChecked,
            (
                Outcome::Observed { .. } | Outcome::Compliant | Outcome::Corrected { .. },
                Some(Mode::Observe),
            )
            | (Outcome::Observed { .. }, Some(Mode::Enforce) | None) => Standing::Observing,
            (
                Outcome::Drifted { .. } | Outcome::Unsupported { .. } | Outcome::Unknown { .. },
                _,
            ) => Standing::Attention,
        },
    };
    ControlStanding {
        control,
        mode,
        report,
        stale,
        standing,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use nestwarden_policy_schema::device_api::Inventory;
    use nestwarden_policy_schema::policy::StoragePolicy;
    use std::collections::BTreeMap;

    #[test]
    fn only_a_fresh_reading_of_an_enforced_control_is_fine() {
        let policy = Policy {
            storage: Some(storage_policy(Mode::Enforce)),
            ..Policy::default()
        };
        let compliant = reported(Outcome::Compliant, 0);
        assert_eq!(standing(&policy, Some(&compliant)), Standing::Fine);
        assert_eq!(standing(&policy, None), Standing::NotChecked);
        let old = reported(Outcome::Compliant, 3);
        assert_eq!(standing(&policy, Some(&old)), Standing::NotChecked);
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
        let found = judge(false, Some(&policy), Some(&tried), now());
        assert_eq!(found.standing, Standing::Attention);
        let said = found.findings(&LocalTime::utc()).join("\n");
        assert!(said.starts_with("5 wrong passcodes were tried"), "{said}");
        tried.inventory.locked_out = Some(until(0));
        assert_eq!(standing(&policy, Some(&tried)), Standing::Fine);
    }

    fn standing(policy: &Policy, inventory: Option<&StoredInventory>) -> Standing {
        judge(false, Some(policy), inventory, now()).standing
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
        StoredInventory {
            received_at: at,
            inventory: Inventory {
                at,
                generation: Generation::new(1),
                agent_version: String::new(),
                time_zone_data: String::new(),
                controls: vec![ControlReport {
                    control: ControlName::Storage,
                    outcome,
                    measured_at: at,
                }],
                photos: BTreeMap::new(),
                found_at_enrolment: BTreeMap::new(),
                events_waiting: 0,
                clock_doubtful: false,
                disk_free_bytes: None,
                locked_out: None,
            },
        }
    }
}
