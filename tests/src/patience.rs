//! Waiting for something that can be seen from outside. Bounded, and what was seen instead is part of the failure.

use anyhow::{Result, bail, ensure};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take here before it counts as broken: far longer than it ever needs, on a machine that is busy
/// with other things.
pub const PATIENCE: Duration = Duration::from_mins(1);

static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// From now on nobody in this process waits for anything: whoever does fails, and whatever they had is dropped.
pub fn give_up() {
    GIVEN_UP.store(true, Ordering::SeqCst);
}

pub fn is_given_up() -> bool {
    GIVEN_UP.load(Ordering::SeqCst)
}

/// Looks until `see` gives something.
pub fn until<T>(what: &str, mut see: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match see() {
            Ok(Some(seen)) => return Ok(seen),
            _ if is_given_up() => bail!("nobody waits any more for this: {what}"),
            Ok(None) if Instant::now() > end => {
                bail!("waited {PATIENCE:?} for this, which did not happen: {what}")
            }
            Err(problem) if Instant::now() > end => {
                return Err(problem.context(format!("waited {PATIENCE:?} for: {what}")));
            }
            Ok(None) | Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Looks until nothing is `left`, for as long as it becomes less.
pub fn until_empty<T: Debug>(what: &str, mut left: impl FnMut() -> Result<Vec<T>>) -> Result<()> {
    let mut least = usize::MAX;
    loop {
        let fewer = until(what, || {
            let left = left()?;
            ensure!(left.len() < least, "{} are left: {left:?}", left.len());
            Ok(Some(left.len()))
        })?;
        if fewer == 0 {
            return Ok(());
        }
        least = fewer;
    }
}

/// Looks until `see` gives what is `wanted`.
pub fn until_equal<T: PartialEq + Debug>(
    what: &str,
    wanted: &T,
    mut see: impl FnMut() -> Result<T>,
) -> Result<()> {
    let mut last = None;
    let outcome = until(what, || {
        let seen = see()?;
        let same = seen == *wanted;
        last = Some(seen);
        Ok(same.then_some(()))
    });
    outcome.map_err(|problem| problem.context(format!("wanted {wanted:?}, last saw {last:?}")))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_less_is_waited_for_until_nothing_is_left() {
        let mut counts = [3, 3, 2, 3, 1, 0].into_iter();
        until_empty("nothing", || Ok(vec!["left"; counts.next().unwrap()])).unwrap();
        assert_eq!(counts.next(), None);
    }
}
