//! The machine's own clocks behind the clock door: the boot clock that counts sleep, and a timer on it.

use crate::door::{ClockDoor, system_wall};
use jiff::Timestamp;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl ClockDoor for SystemClock {
    fn wall(&self) -> Timestamp {
        system_wall()
    }

    fn since_boot(&self) -> Duration {
        let now = clock_gettime(ClockId::Boottime);
        Duration::new(
            u64::try_from(now.tv_sec).unwrap_or(0),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        )
    }

    fn boot_id(&self) -> String {
        // Without it every start counts as a restart, which is the stricter reading.
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| String::new(), |text| text.trim().to_owned())
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let Err(error) = sleep_on_boot_clock(duration).await {
                tracing::warn!(%error, "the boot clock offers no timer; sleep of the machine will delay this wait");
                tokio::time::sleep(duration).await;
            }
        })
    }
}

async fn sleep_on_boot_clock(duration: Duration) -> std::io::Result<()> {
    // A timer of zero would never fire.
    let duration = duration.max(Duration::from_nanos(1));
    let timer = timerfd_create(
        TimerfdClockId::Boottime,
        TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
    )?;
    let once = Itimerspec {
        it_interval: Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: Timespec {
            tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(duration.subsec_nanos()),
        },
    };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    #[expect(
        unsafe_code,
        reason = "the only way to wait for a timer without a thread"
    )]
    // SAFETY: an `OwnedFd` stays open, and stays the same descriptor, until the `AsyncFd` that owns it is dropped.
    let timer: AsyncFd<OwnedFd> = unsafe { AsyncFd::register(timer)? };
    timer.readable().await?.retain_ready();
    Ok(())
}
