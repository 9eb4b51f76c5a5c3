//! How a tablet stands, as the running agent says it, and what the ledger last recorded when no agent runs.

use crate::ledger::{Ledger, LedgerError};
use crate::{clock, reconcile::board};
use jiff::Timestamp;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::control::ControlReport;
use nestwarden_policy_schema::device_api::LockOut;
use nestwarden_policy_schema::id::{DeviceId, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Measured by the agent that answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub agent_version: String,
    pub device: DeviceId,
    pub device_name: String,
    pub server: String,
    pub now: Timestamp,
    /// Of the setting; `None` before the first bundle.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Why the clock is in doubt.
    pub clock_doubt: Option<String>,
    /// 0 before the first bundle.
    pub generation: Generation,
    pub profile: Option<String>,
    pub bundle_expires_at: Option<Timestamp>,
    pub bundle_expired: bool,
    /// The server's data was put back from an earlier copy: the stricter of what it says and what this tablet had is enforced.
    #[serde(default)]
    pub held_to_earlier: bool,
    /// Since when it has been marked as lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_since: Option<Timestamp>,
    /// The newest time the server signed for.
    pub last_contact: Option<Timestamp>,
    pub server_problem: Option<String>,
    pub revoked: bool,
    pub events_waiting: u64,
    pub controls: Vec<ControlReport>,
    /// While somebody has to wait after too many wrong passcodes.
    #[serde(default)]
    pub locked_out: Option<LockOut>,
    pub session: Option<SessionId>,
    pub photos: BTreeMap<Stage, u64>,
    pub found_at_enrolment: BTreeMap<String, u64>,
    pub certificate_ends_at: Timestamp,
    /// Whether the device key is sealed to this machine, and not only protected by its file's mode.
    pub key_sealed: bool,
}

/// Old news: nothing here says how things stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastRecorded {
    pub running: bool,
    pub device_name: String,
    #[serde(default)]
    pub time_zone: Option<String>,
    pub last_seen: Option<Timestamp>,
    pub generation: Generation,
    pub events_waiting: u64,
    pub recorded: Vec<ControlReport>,
}

impl LastRecorded {
    pub fn read(ledger: &Ledger) -> Result<Self, LedgerError> {
        let enrolment = ledger.enrolment()?.ok_or(LedgerError::NotEnrolled)?;
        Ok(Self {
            running: false,
            device_name: enrolment.device_name,
            time_zone: ledger
                .bundle()
                .map(|bundle| bundle.bundle().calendar.time_zone.clone()),
            last_seen: clock::last_seen(ledger)?,
            generation: ledger.newest_generation()?,
            events_waiting: ledger.events_waiting()?,
            recorded: board::recorded(ledger)?,
        })
    }
}
