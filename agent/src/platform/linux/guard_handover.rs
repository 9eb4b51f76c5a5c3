//! One guard at a time per root, without a moment between two: the new one relieves the former after its own rules are
//! in force, and the former answers on until nobody can be waiting for it alone.

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

const LOCK: &str = "apps-guard.lock";
const ENDS_WITHIN: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// A guard that another relieved answers on for this long: what was asked before the other one's marks were set is asked
/// of this one alone.
const LEAVES_AFTER: Duration = Duration::from_secs(1);

/// A relieved guard on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    at: Instant,
    /// How many it will have decided when everybody who asked by then has an answer.
    last: Option<u64>,
}

impl Leaving {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            at: now + LEAVES_AFTER,
            last: None,
        }
    }

    /// Whether whoever asked before it was time has an answer. What the kernel still holds when the last descriptor closes
    /// starts unasked, and a queue can be longer than any time. `decided`: so far; `waiting`: questions without an answer,
    /// `None` where the kernel does not tell, and then nobody goes.
    pub(super) fn is_over(&mut self, now: Instant, decided: u64, waiting: Option<u64>) -> bool {
        let Some(waiting) = waiting.filter(|_| now >= self.at) else {
            return false;
        };
        let last = *self.last.get_or_insert(decided.saturating_add(waiting));
        waiting == 0 || decided >= last
    }
}

/// The lock whose holder is the guard of this root. The kernel says who holds it, so no number in a file can be stale.
pub(super) struct Seat {
    file: File,
    former: Option<Pid>,
    is_taken: bool,
}

impl Seat {
    /// Opened once: closing any other descriptor of the file would let the lock go.
    pub(super) fn find(run_dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(run_dir)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(run_dir.join(LOCK))?;
        let mut seat = Self {
            file,
            former: None,
            is_taken: false,
        };
        seat.take_if_free();
        if !seat.is_taken {
            seat.former = seat.holder();
        }
        Ok(seat)
    }

    pub(super) fn take_if_free(&mut self) {
        if !self.is_taken {
            self.is_taken = fcntl(&self.file, FcntlArg::F_SETLK(&whole_file())).is_ok();
        }
    }

    pub(super) fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// For the guard that comes after, while this one still answers.
    pub(super) fn let_go(&mut self) {
        let mut lock = whole_file();
        lock.l_type = i16::try_from(libc::F_UNLCK).unwrap_or(2);
        self.is_taken = fcntl(&self.file, FcntlArg::F_SETLK(&lock)).is_err();
    }

    /// Tells the guard that was there before to leave.
    pub(super) fn relieve_former(&mut self) {
        if let Some(former) = self.former.take()
            && self.holder() == Some(former)
        {
            let _ = kill(former, Signal::SIGTERM);
        }
    }

    fn holder(&self) -> Option<Pid> {
        let mut lock = whole_file();
        fcntl(&self.file, FcntlArg::F_GETLK(&mut lock)).ok()?;
        let is_held = i32::from(lock.l_type) != libc::F_UNLCK && lock.l_pid > 0;
        is_held.then(|| Pid::from_raw(lock.l_pid))
    }
}

/// Ends whatever guard there is, and returns once it has ended.
pub(super) fn dismiss(run_dir: &Path) -> io::Result<()> {
    if !run_dir.join(LOCK).exists() {
        return Ok(());
    }
    let seat = Seat::find(run_dir)?;
    let Some(former) = seat.former else {
        return Ok(());
    };
    let guard = match rustix::process::Pid::from_raw(former.as_raw()).map(open_process) {
        Some(Ok(guard)) => guard,
        Some(Err(rustix::io::Errno::SRCH)) | None => return Ok(()),
        Some(Err(error)) => return Err(error.into()),
    };
    // Still the one that was opened: a number is given anew only once its process is gone, and then the lock is free.
    if seat.holder() != Some(former) {
        return Ok(());
    }
    rustix::process::pidfd_send_signal(&guard, rustix::process::Signal::TERM)?;
    let mut ended = [PollFd::new(&guard, PollFlags::IN)];
    if poll(&mut ended, Some(&ENDS_WITHIN))? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("process {former} does not end"),
        ));
    }
    Ok(())
}

fn open_process(pid: rustix::process::Pid) -> rustix::io::Result<rustix::fd::OwnedFd> {
    pidfd_open(pid, PidfdFlags::empty())
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap_or(1),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_goes_once_those_who_asked_in_time_have_an_answer_however_many_come_after() {
        let now = Instant::now();
        let mut leaving = Leaving::begin(now);
        assert!(!leaving.is_over(now, 10, Some(0)), "it is not time");
        let time = now + LEAVES_AFTER;
        assert!(!leaving.is_over(time, 10, None), "nobody knows who waits");
        assert!(!leaving.is_over(time, 10, Some(300)));
        assert!(!leaving.is_over(time, 309, Some(500)));
        assert!(leaving.is_over(time, 310, Some(500)));
    }

    #[test]
    fn a_guard_nobody_asks_goes_when_it_is_time() {
        let now = Instant::now();
        assert!(Leaving::begin(now).is_over(now + LEAVES_AFTER, 10, Some(0)));
    }
}
