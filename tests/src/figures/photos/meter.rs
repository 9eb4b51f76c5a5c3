//! What can be read of a running agent from outside.

use crate::fleet::Tablet;
use anyhow::{Context as _, Result};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A pause between two questions, as somebody impatient would make.
const BETWEEN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub(super) enum Memory {
    Resident,
    /// The most that ever was.
    Peak,
}

/// Of the tablet's agent, in MiB.
#[expect(clippy::cast_precision_loss, reason = "kilobytes of memory")]
pub(super) fn memory(tablet: &Tablet, which: Memory) -> Result<f64> {
    let process = tablet.agent_id().context("no agent is running")?;
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let label = match which {
        Memory::Resident => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let kb: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix(label))
        .and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("no {label}"))?
        .parse()?;
    Ok(kb as f64 / 1024.0)
}

/// The peak is counted anew from now on.
pub(super) fn forget_peak(tablet: &Tablet) -> Result<()> {
    let process = tablet.agent_id().context("no agent is running")?;
    Ok(fs::write(format!("/proc/{process}/clear_refs"), "5")?)
}

/// How long each answer to `status` took, from starting the program to its end, while `work` is done.
pub(super) fn asked_during<T>(
    tablet: &Tablet,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<Duration>)> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let begun = Instant::now();
                tablet.status()?;
                answers.push(begun.elapsed());
                std::thread::sleep(BETWEEN);
            }
            anyhow::Ok(answers)
        });
        let done = work();
        over.store(true, Ordering::SeqCst);
        let answers = asking
            .join()
            .map_err(|_| anyhow::anyhow!("asking failed"))??;
        Ok((done?, answers))
    })
}
