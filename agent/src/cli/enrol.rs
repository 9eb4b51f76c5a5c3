//! `enrol`: a certificate and the anchors, and the first trusted time.

use super::Ended;
use super::print::{self, Output};
use crate::clock::TrustedClock;
use crate::door::Doors;
use crate::identity::{IdentityStore, enrol};
use crate::ledger::{self, Enrolment, LedgerError};
use crate::paths::Paths;
use nestwarden_policy_schema::enrol_link::EnrolLink;
use serde_json::json;
use std::sync::Arc;

pub(super) async fn enrol(
    paths: &Paths,
    link: &EnrolLink,
    doors: &Doors,
    output: Output,
) -> anyhow::Result<Ended> {
    print::story(&format!("Asking the server at {} …", link.server));
    let store = IdentityStore::new(paths);
    let asked = doors.clock.since_boot();
    let enrolment = enrol::enrol(&store, link).await?;
    let round_trip = doors.clock.since_boot().saturating_sub(asked);
    // The identity on disk is what counts: were this cut short, the agent would take it over when it starts.
    take_over(paths, &enrolment, doors, round_trip)?;
    output.answer(
        &json!({
            "device": enrolment.device,
            "setting": enrolment.setting,
            "device_name": enrolment.device_name,
            "server": enrolment.server,
        }),
        || {
            format!(
                "This tablet is enrolled as \"{}\" (device {}). Start the agent with `nestwarden-agent run` or its service.",
                enrolment.device_name, enrolment.device
            )
        },
    );
    Ok(Ended::Done)
}

fn take_over(
    paths: &Paths,
    enrolment: &Enrolment,
    doors: &Doors,
    round_trip: std::time::Duration,
) -> Result<(), LedgerError> {
    let ledger = ledger::take_up(paths, enrolment)?.ledger;
    let clock = TrustedClock::open(ledger.clone(), Arc::clone(&doors.clock))?;
    clock.confirm(enrolment.enrolled_at, round_trip)?;
    clock.checkpoint()?;
    ledger.record(clock.now().at, &crate::wiring::enrolled_event())?;
    Ok(())
}
