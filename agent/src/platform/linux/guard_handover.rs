//! One guard at a time per root, without a moment between two: the new one relieves the former after its own rules are
//! in force.

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
            .open(run_dir.join("apps-guard.lock"))?;
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

    /// Ends the guard that was there before.
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

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap_or(1),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
