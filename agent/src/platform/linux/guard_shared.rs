//! The page that guardian and worker share: the worker's pulse, and everything another must know to finish its work.

#![expect(unsafe_code, reason = "memory shared between two processes")]

use super::fanotify::RawEvent;
use crate::decision::failure::Failure;
use crate::decision::ticket::Ticket;
use std::cell::UnsafeCell;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events a worker takes at a time.
pub(super) const BATCH: usize = 64;
const TICKETS: usize = 1024;
const SUSPECTS: usize = 256;

#[repr(C)]
pub(super) struct Shared {
    /// Grows with every step of the worker.
    pulse: AtomicU64,
    decided: AtomicU64,
    failures: [AtomicU64; Failure::ALL.len()],
    /// The kernel writes here, so a file and who asked for it are never known apart.
    events: UnsafeCell<[RawEvent; BATCH]>,
    /// Licences of interpreters outlive the worker that gave them. Thread 0: free.
    tickets: UnsafeCell<[Ticket; TICKETS]>,
    next_ticket: AtomicU64,
    /// Inode numbers of files that were open for writing. Not every file system notes the time of a store through a
    /// mapping, so their content is read. 0: free.
    suspects: [AtomicU64; SUSPECTS],
    /// More than fit: every file is one.
    all_suspect: AtomicU64,
}

// SAFETY: the cells are used by one process at a time: by the worker while it lives, by the guardian after it was
// reaped. Everything else is atomic.
unsafe impl Sync for Shared {}

impl Shared {
    /// A page that stays shared with every process forked afterwards; it is never unmapped.
    pub(super) fn map() -> nix::Result<&'static Self> {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
        let length = NonZeroUsize::new(size_of::<Self>()).ok_or(nix::errno::Errno::EINVAL)?;
        // SAFETY: an anonymous mapping at an address of the kernel's choice aliases nothing.
        let address = unsafe {
            mmap_anonymous(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
            )
        }?;
        // SAFETY: the mapping is zeroed, page-aligned, long enough and lives as long as the process; zeroes are valid
        // for every field.
        let shared: &'static Self = unsafe { address.cast::<Self>().as_ref() };
        shared.with_events(|events| events.fill(RawEvent::EMPTY));
        Ok(shared)
    }

    pub(super) fn beat(&self) {
        self.pulse.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn pulse(&self) -> u64 {
        self.pulse.load(Ordering::Relaxed)
    }

    pub(super) fn count_decided(&self) {
        self.decided.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn decided(&self) -> u64 {
        self.decided.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, failure: Failure) {
        self.failures[failure.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counted(&self, failure: Failure) -> u64 {
        self.failures[failure.index()].load(Ordering::Relaxed)
    }

    pub(super) fn suspect(&self, inode: u64) {
        let free = self.suspects.iter().find(|suspect| {
            let held = suspect.load(Ordering::Relaxed);
            held == 0 || held == inode
        });
        match free {
            Some(suspect) => suspect.store(inode, Ordering::Relaxed),
            None => self.all_suspect.store(1, Ordering::Relaxed),
        }
    }

    pub(super) fn is_suspect(&self, inode: u64) -> bool {
        let is_listed = || {
            let mut suspects = self.suspects.iter();
            suspects.any(|suspect| suspect.load(Ordering::Relaxed) == inode)
        };
        self.all_suspect.load(Ordering::Relaxed) != 0 || is_listed()
    }

    /// Its content was found to be what it should be.
    pub(super) fn trust_again(&self, inode: u64) {
        let held = self.suspects.iter();
        for suspect in held.filter(|suspect| suspect.load(Ordering::Relaxed) == inode) {
            suspect.store(0, Ordering::Relaxed);
        }
    }

    /// Only for the worker while it lives, and for the guardian once it was reaped.
    pub(super) fn with_events<T>(&self, act: impl FnOnce(&mut [RawEvent; BATCH]) -> T) -> T {
        // SAFETY: one process at a time (see `Sync`), one thread each, and `act` cannot come back here with another
        // borrow but through this function, which nothing inside the guard nests.
        act(unsafe { &mut *self.events.get() })
    }

    pub(super) fn issue(&self, ticket: Ticket) {
        // SAFETY: as in `with_events`.
        let tickets = unsafe { &mut *self.tickets.get() };
        let thread = ticket.thread();
        // One per thread: a second script of the same thread means that the first call is over.
        for old in tickets.iter_mut().filter(|old| old.thread() == thread) {
            *old = Ticket::default();
        }
        if tickets.iter().all(|ticket| ticket.thread() != 0) {
            for old in tickets.iter_mut().filter(|old| is_gone(old.thread())) {
                *old = Ticket::default();
            }
        }
        let free = tickets.iter().position(|ticket| ticket.thread() == 0);
        // With none free one after the other goes.
        let place = free.unwrap_or_else(|| {
            let next = self.next_ticket.fetch_add(1, Ordering::Relaxed);
            usize::try_from(next).unwrap_or(0) % TICKETS
        });
        tickets[place] = ticket;
    }

    /// Whether the thread has a ticket that `accepts`. It stays until [`Self::spend`], so that whoever decides again
    /// after a worker's death decides the same.
    pub(super) fn has_ticket(&self, thread: i32, accepts: impl FnOnce(&Ticket) -> bool) -> bool {
        // SAFETY: as in `with_events`.
        let tickets = unsafe { &*self.tickets.get() };
        let ticket = tickets.iter().find(|ticket| ticket.thread() == thread);
        ticket.is_some_and(accepts)
    }

    /// Takes the thread's ticket away, once its interpreter was answered for.
    pub(super) fn spend(&self, thread: i32) {
        // SAFETY: as in `with_events`.
        let tickets = unsafe { &mut *self.tickets.get() };
        for ticket in tickets
            .iter_mut()
            .filter(|ticket| ticket.thread() == thread)
        {
            *ticket = Ticket::default();
        }
    }
}

/// A call that failed leaves its ticket behind.
fn is_gone(thread: i32) -> bool {
    let asked = nix::sys::signal::kill(nix::unistd::Pid::from_raw(thread), None);
    asked == Err(nix::errno::Errno::ESRCH)
}
