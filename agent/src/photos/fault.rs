//! The instants at which a power cut would hurt. Every act that lasts passes here before and after; in a tablet's build
//! there is nothing to see.

use std::io;

#[cfg(not(test))]
#[expect(
    clippy::unnecessary_wraps,
    clippy::inline_always,
    reason = "tests end the run here; everywhere else it must cost nothing"
)]
#[inline(always)]
pub(super) fn reach() -> io::Result<()> {
    Ok(())
}

/// Whether an error is the end of the run and not a failure to be dealt with.
#[cfg(not(test))]
pub(super) fn is_over(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
pub(super) use armed::{is_over, reach};

/// Ends the "process" at the n-th instant: this and everything durable after it fails until the test starts it again.
#[cfg(test)]
pub(super) mod armed {
    use super::io;
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
        static PASSED: Cell<u64> = const { Cell::new(0) };
    }

    pub(in crate::photos) fn reach() -> io::Result<()> {
        PASSED.set(PASSED.get() + 1);
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power was cut here")),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }

    /// Cuts the power after `instants` more.
    pub(in crate::photos) fn cut_after(instants: u64) {
        LEFT.set(Some(instants));
    }

    pub(in crate::photos) fn restore_power() {
        LEFT.set(None);
    }

    pub(in crate::photos) fn is_over(_: &io::Error) -> bool {
        LEFT.get() == Some(0)
    }

    /// Instants passed by this thread so far.
    pub(in crate::photos) fn passed() -> u64 {
        PASSED.get()
    }
}
