//! What the programs take of a machine at rest: one enrolled tablet under every control, connected, with nothing to do.
//! The programs are those that are shipped.

use super::sample::Figure;
use crate::fleet::Fleet;
use crate::machine::Machine;
use crate::patience::until;
use crate::process::{Programs, is_root};
use crate::profile;
use crate::proxy::ChaosProxy;
use crate::register::Register;
use anyhow::{Context as _, Result};
use std::fs;
use std::time::{Duration, Instant};

const ROOM: &str = "Hedgehogs";

const AGENT_MIB: f64 = 12.0;
const AGENT_CPU_PERCENT: f64 = 0.1;
const NETWORK_KB_A_DAY: f64 = 150.0;
/// The server runs on the smallest box a nursery buys.
const SERVER_MIB: f64 = 100.0;

/// Of `/proc/PID/stat`, on every architecture we build for.
const TICKS_A_SECOND: u64 = 100;

/// Without a word between tablet and server.
const SETTLED_AFTER: Duration = Duration::from_mins(2);
const DAY: Duration = Duration::from_hours(24);

/// Blocks for `period`.
pub(super) fn measure(period: Duration) -> Result<Vec<Figure>> {
    let today = crate::clock::system_now().in_tz(crate::fleet::ZONE)?.date();
    let register = Register::of(today.yesterday()?, 100, ROOM);
    let programs = Programs::shipped()?;
    let mut fleet = Fleet::open(&programs, &profile::everything(), &register)?;
    let machine = if is_root() {
        let root_dir = fleet.root_dir_of("tablet-1");
        fs::create_dir_all(&root_dir)?;
        Some(Machine::apart(&root_dir)?)
    } else {
        None
    };
    let proxy = ChaosProxy::before(fleet.server.tablets_address())?;
    fleet.server.be_reached_at(proxy.address())?;
    fleet.enrol("tablet-1", profile::NAME, &[ROOM])?;
    if let Some(machine) = &machine {
        until("the guard of programs to stand", || {
            Ok(machine.others_are_refused()?.then_some(()))
        })?;
    }
    fleet.tablets[0].wait_until_reported()?;
    // What enrolling and the first looks brought about is told within seconds.
    let mut told = u64::MAX;
    while told != proxy.passed_bytes() {
        told = proxy.passed_bytes();
        std::thread::sleep(SETTLED_AFTER);
    }
    let agent = fleet.tablets[0].agent_id().context("no agent")?;
    let begun = Instant::now();
    let (bytes, cpu) = (proxy.passed_bytes(), cpu_of(&with_children(agent)?)?);
    std::thread::sleep(period);
    let took = begun.elapsed();
    let days = took.as_secs_f64() / DAY.as_secs_f64();
    let all = with_children(agent)?;
    let cpu = cpu_of(&all)?.saturating_sub(cpu);
    let kb = bytes_in_kb(proxy.passed_bytes() - bytes);
    let percent = cpu.as_secs_f64() / took.as_secs_f64() * 100.0;
    let resident = |name: &str, id: Option<u32>| {
        let kb = status_kb(id.context("not running")?, "VmRSS:")?;
        anyhow::Ok(Figure::new(name, mib(kb), "MiB"))
    };
    let own: u64 = all.iter().map(|id| own_kb(*id)).sum::<Result<u64>>()?;
    let figures = vec![
        resident("agent, resident at rest", Some(agent))?.at_most(AGENT_MIB),
        Figure::new(
            "agent with its guard, memory nobody else has",
            mib(own),
            "MiB",
        ),
        Figure::new("agent with its guard, share of a core", percent, "%")
            .at_most(AGENT_CPU_PERCENT),
        Figure::new("between tablet and server", kb / days, "kB a day").at_most(NETWORK_KB_A_DAY),
        resident("serve, resident at rest", fleet.server.serve_id())?.at_most(SERVER_MIB),
        resident("signer, resident at rest", fleet.server.signer_id())?.at_most(SERVER_MIB),
    ];
    // The file system first, or its directory could not be removed.
    drop(machine);
    drop(fleet);
    Ok(figures)
}

/// A process and all that came of it.
fn with_children(id: u32) -> Result<Vec<u32>> {
    let mut all = vec![id];
    let mut next = 0;
    while let Some(&parent) = all.get(next) {
        for task in fs::read_dir(format!("/proc/{parent}/task"))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            for child in children.split_whitespace() {
                all.push(child.parse()?);
            }
        }
        next += 1;
    }
    Ok(all)
}

fn cpu_of(processes: &[u32]) -> Result<Duration> {
    let mut ticks = 0;
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name in brackets may hold anything.
        let (_, rest) = stat.rsplit_once(')').context("a stat without a name")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        for field in [11, 12] {
            ticks += fields.get(field).context("a short stat")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
}

fn status_kb(process: u32, key: &str) -> Result<u64> {
    line_kb(&format!("/proc/{process}/status"), key)
}

/// What would be free if the process ended.
fn own_kb(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/smaps_rollup");
    Ok(line_kb(&path, "Private_Clean:")? + line_kb(&path, "Private_Dirty:")?)
}

fn line_kb(path: &str, key: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("no {key} in {path}"))?;
    Ok(value.parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of memory")]
fn mib(kb: u64) -> f64 {
    kb as f64 / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a day at rest")]
fn bytes_in_kb(bytes: u64) -> f64 {
    bytes as f64 / 1000.0
}
