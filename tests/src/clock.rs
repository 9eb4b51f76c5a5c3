//! The clock the harness gives to the programs under test: the machine's own, moved by what a file says. Only the harness
//! has this door; no build for tablets or servers does.

use jiff::{SignedDuration, Timestamp};
use nestwarden_agent::door::ClockDoor;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Names the file, in the environment of a program under test.
pub const CLOCK_VARIABLE: &str = "NESTWARDEN_HARNESS_CLOCK";

/// What the file says. An absent file says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// Time that passed: moves the wall clock and the time since boot alike. Only grows.
    pub passed_ms: i64,
    /// Somebody set the wall clock.
    #[serde(default)]
    pub tampered_ms: i64,
    /// Restarts of the machine: each changes the boot id.
    #[serde(default)]
    pub boots: u32,
}

impl Shift {
    fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other),
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(other) => Err(other),
        }
    }

    fn passed(self) -> SignedDuration {
        SignedDuration::from_millis(self.passed_ms)
    }

    fn wall(self) -> SignedDuration {
        SignedDuration::from_millis(self.passed_ms.saturating_add(self.tampered_ms))
    }
}

/// The hand on the clock: writes the file that [`FileClock`]s follow.
#[derive(Debug)]
pub struct ClockHand {
    path: PathBuf,
}

impl ClockHand {
    pub fn new(path: PathBuf) -> io::Result<Self> {
        let hand = Self { path };
        hand.set(Shift::default())?;
        Ok(hand)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn advance(&self, by: SignedDuration) -> io::Result<()> {
        let shift = Shift::read(&self.path)?;
        let by_ms = i64::try_from(by.as_millis()).map_err(io::Error::other)?;
        self.set(Shift {
            passed_ms: shift.passed_ms.saturating_add(by_ms),
            ..shift
        })
    }

    /// Moves the clock on to `at`; a time that has passed is refused.
    pub fn advance_to(&self, at: Timestamp) -> io::Result<()> {
        let by = at.duration_since(self.now()?);
        if by.is_negative() {
            return Err(io::Error::other(format!("{at} has passed")));
        }
        self.advance(by)
    }

    /// Sets the wall clock wrong by `by`, as somebody with the machine in hand would.
    pub fn tamper(&self, by: SignedDuration) -> io::Result<()> {
        let by_ms = i64::try_from(by.as_millis()).map_err(io::Error::other)?;
        self.set(Shift {
            tampered_ms: by_ms,
            ..Shift::read(&self.path)?
        })
    }

    /// The time as a program under test reads it that nobody tampered with.
    pub fn now(&self) -> io::Result<Timestamp> {
        system_now()
            .checked_add(Shift::read(&self.path)?.passed())
            .map_err(io::Error::other)
    }

    fn set(&self, shift: Shift) -> io::Result<()> {
        let text = serde_json::to_vec(&shift)?;
        // Renamed into place: a reader sees the old shift or the new one.
        let next = self.path.with_extension("next");
        std::fs::write(&next, text)?;
        std::fs::rename(&next, &self.path)
    }
}

/// The machine's time.
pub fn system_now() -> Timestamp {
    Timestamp::now()
}

/// The machine's clocks, moved by the file. Sleepers wake at once when it moves them past their time.
#[derive(Debug)]
pub struct FileClock {
    path: PathBuf,
    last: Mutex<Shift>,
    moved: watch::Receiver<()>,
}

impl FileClock {
    /// Follows the file named in [`CLOCK_VARIABLE`].
    pub fn from_environment() -> io::Result<Self> {
        let path = std::env::var_os(CLOCK_VARIABLE).ok_or_else(|| {
            io::Error::other(format!(
                "{CLOCK_VARIABLE} is not set; it names the file that moves the clock"
            ))
        })?;
        Self::following(PathBuf::from(path))
    }

    pub fn following(path: PathBuf) -> io::Result<Self> {
        let dir = path
            .parent()
            .ok_or_else(|| io::Error::other("the clock's file needs a directory"))?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(
            dir,
            AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE,
        )?;
        let last = Mutex::new(Shift::read(&path)?);
        let (tell, moved) = watch::channel(());
        std::thread::Builder::new()
            .name("clock".to_owned())
            .spawn(move || {
                while !tell.is_closed() {
                    match inotify.read_events() {
                        Ok(_) | Err(nix::errno::Errno::EINTR) => tell.send_replace(()),
                        Err(_) => return,
                    }
                }
            })?;
        Ok(Self { path, last, moved })
    }

    /// What the file says; what it said last when it cannot be read now, because time never jumps back for want of a
    /// file descriptor.
    fn shift(&self) -> Shift {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(now) = Shift::read(&self.path) {
            *last = now;
        }
        *last
    }

    async fn sleep_until(&self, end: Duration) {
        let mut moved = self.moved.clone();
        loop {
            moved.mark_unchanged();
            let left = end.saturating_sub(self.since_boot());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                alive = moved.changed() => if alive.is_err() { tokio::time::sleep(left).await },
            }
        }
    }
}

impl ClockDoor for FileClock {
    fn wall(&self) -> Timestamp {
        system_now()
            .checked_add(self.shift().wall())
            .unwrap_or(Timestamp::MAX)
    }

    fn since_boot(&self) -> Duration {
        let read = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(read.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(read.tv_nsec).unwrap_or_default();
        let passed = u64::try_from(self.shift().passed_ms).unwrap_or_default();
        Duration::new(seconds, nanoseconds) + Duration::from_millis(passed)
    }

    fn boot_id(&self) -> String {
        let real = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        format!("{}+{}", real.trim(), self.shift().boots)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let end = self.since_boot().saturating_add(duration);
        Box::pin(self.sleep_until(end))
    }
}

impl nestwarden_server::door::Clock for FileClock {
    fn now(&self) -> Timestamp {
        ClockDoor::wall(self)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_file_moves_the_clock_past_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let hand = ClockHand::new(dir.path().join("clock.json")).unwrap();
        let clock = FileClock::following(hand.path().to_owned()).unwrap();
        let mut sleep = clock.sleep(Duration::from_hours(48));
        let fell_asleep = tokio::select! {
            biased;
            () = &mut sleep => false,
            () = std::future::ready(()) => true,
        };
        assert!(fell_asleep);
        hand.advance(SignedDuration::from_hours(49)).unwrap();
        sleep.await;
        let woke_at = clock.wall();
        assert!(woke_at.duration_since(system_now()) > SignedDuration::from_hours(48));
    }

    #[test]
    fn tampering_moves_the_wall_clock_alone() {
        let dir = tempfile::tempdir().unwrap();
        let hand = ClockHand::new(dir.path().join("clock.json")).unwrap();
        let clock = FileClock::following(hand.path().to_owned()).unwrap();
        let before = clock.since_boot();
        hand.tamper(SignedDuration::from_hours(-72)).unwrap();
        assert!(clock.wall() < system_now());
        assert!(clock.since_boot() >= before);
        assert!(clock.since_boot() < before + Duration::from_hours(1));
    }
}
