//! The instants at which a power cut would hurt. Every act that lasts passes here before and after; in a tablet's build
//! there is nothing to see.

use std::io;

macro_rules! writes {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Every act of the photos that outlives a power cut.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum Write {
            $($(#[doc = $doc])* $name,)*
        }

        #[cfg(test)]
        impl Write {
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

writes! {
    // Commits of the catalogue and its journal.
    RootsBegun,
    RootsDone,
    VaultsNoted,
    Sightings,
    Missing,
    Tagged,
    Present,
    Corrections,
    FoundSorted,
    ToldLate,
    SessionStarted,
    SessionEnded,
    Observed,
    Incomplete,
    Alarm,
    SidecarsFound,
    WithholdBegun,
    Withheld,
    RestoreBegun,
    Restored,
    SealBegun,
    Sealed,
    PlainDropped,
    ContentChanged,
    UnsealBegun,
    Unsealed,
    UnsealCleared,
    ReviewRefused,
    ReviewBegun,
    ReviewSaid,
    ReviewFinished,
    ExportReady,
    ExportSent,
    DestroyBegun,
    LateCopy,
    Destroyed,
    ReplayedWithhold,
    ReplayedRestore,
    ReplayClosed,
    // Changes to files.
    Create,
    Ciphertext,
    ExportCiphertext,
    Plaintext,
    Rename,
    Truncate,
    Unlink,
    SyncDir,
}

#[cfg(not(test))]
#[expect(
    clippy::unnecessary_wraps,
    clippy::inline_always,
    reason = "tests end the run here; everywhere else it must cost nothing"
)]
#[inline(always)]
pub(super) fn reach(_: Write) -> io::Result<()> {
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
    use super::{Write, io};
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;

    type Act = Box<dyn FnOnce()>;

    thread_local! {
        static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
        static PASSED: Cell<u64> = const { Cell::new(0) };
        static SEEN: RefCell<BTreeSet<Write>> = const { RefCell::new(BTreeSet::new()) };
        static CUT_AT: RefCell<BTreeSet<Write>> = const { RefCell::new(BTreeSet::new()) };
        static KILL: Cell<bool> = const { Cell::new(false) };
        static THEN: RefCell<Option<(Write, Act)>> = const { RefCell::new(None) };
    }

    pub(in crate::photos) fn reach(write: Write) -> io::Result<()> {
        PASSED.set(PASSED.get() + 1);
        SEEN.with_borrow_mut(|seen| seen.insert(write));
        let then = THEN.with_borrow_mut(|then| then.take_if(|(at, _)| *at == write));
        if let Some((_, act)) = then {
            act();
        }
        match LEFT.get() {
            None => Ok(()),
            Some(0) => {
                if KILL.get() {
                    // The real thing: nothing of this process is flushed, closed or unwound.
                    let own = nix::unistd::Pid::this();
                    let _ = nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGKILL);
                }
                CUT_AT.with_borrow_mut(|cut| cut.insert(write));
                Err(io::Error::other("the power was cut here"))
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }

    /// What somebody else does the next time this thread is about to `write`.
    pub(in crate::photos) fn at(write: Write, act: impl FnOnce() + 'static) {
        THEN.set(Some((write, Box::new(act))));
    }

    /// Cuts the power after `instants` more.
    pub(in crate::photos) fn cut_after(instants: u64) {
        LEFT.set(Some(instants));
    }

    /// Ends this process by SIGKILL after `instants` more.
    pub(in crate::photos) fn kill_after(instants: u64) {
        KILL.set(true);
        cut_after(instants);
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

    /// What was reached, and at what the power was cut, by this thread so far.
    pub(in crate::photos) fn reached() -> (BTreeSet<Write>, BTreeSet<Write>) {
        (
            SEEN.with_borrow(Clone::clone),
            CUT_AT.with_borrow(Clone::clone),
        )
    }
}
