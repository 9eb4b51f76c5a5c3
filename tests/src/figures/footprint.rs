//! Memory of the processes at rest, with one tablet enrolled and nothing to do.

use super::sample::Figure;
use crate::fleet::Fleet;
use crate::process::Programs;
use crate::profile;
use crate::register::Register;
use anyhow::{Context as _, Result};
use std::fs;

const ROOM: &str = "Hedgehogs";

/// A tablet with 2 GB runs apps beside the agent; the server runs on the smallest box a nursery buys.
const AGENT_MB: f64 = 60.0;
const SERVER_MB: f64 = 100.0;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let today = crate::clock::system_now().in_tz(crate::fleet::ZONE)?.date();
    let register = Register::of(today.yesterday()?, 100, ROOM);
    let programs = Programs::of_this_process()?;
    let mut fleet = Fleet::open(&programs, &profile::everything(), &register)?;
    fleet.enrol("tablet-1", profile::NAME, &[ROOM])?;
    fleet.tablets[0].wait_until_reported()?;
    Ok(vec![
        figure("agent, resident at rest", fleet.tablets[0].agent_id())?.at_most(AGENT_MB),
        figure("serve, resident at rest", fleet.server.serve_id())?.at_most(SERVER_MB),
        figure("signer, resident at rest", fleet.server.signer_id())?.at_most(SERVER_MB),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of memory")]
fn figure(name: &str, process: Option<u32>) -> Result<Figure> {
    let process = process.context("not running")?;
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let resident_kb: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("no VmRSS")?
        .parse()?;
    Ok(Figure::new(name, resident_kb as f64 / 1024.0, "MiB"))
}
