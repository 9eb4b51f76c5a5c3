//! The tablet's clocks, moved by hand.

use super::days::instant;
use jiff::Timestamp;
use nestwarden_agent::door::ClockDoor;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

#[derive(Clone, Copy)]
struct Hand {
    wall: i64,
    since_boot: u64,
    boots: u32,
}

pub(super) struct HandClock(Mutex<Hand>);

impl HandClock {
    pub(super) fn at(wall: i64) -> Self {
        Self(Mutex::new(Hand {
            wall,
            since_boot: 100,
            boots: 1,
        }))
    }

    /// Both clocks go on.
    pub(super) fn pass(&self, seconds: i64) {
        let mut hand = self.0.lock().unwrap();
        hand.wall += seconds;
        hand.since_boot += seconds.unsigned_abs();
    }

    pub(super) fn set_wall(&self, wall: i64) {
        self.0.lock().unwrap().wall = wall;
    }

    /// Switched on again, when the wall clock reads this.
    pub(super) fn boot(&self, wall: i64) {
        let mut hand = self.0.lock().unwrap();
        hand.wall = wall;
        hand.since_boot = 10;
        hand.boots += 1;
    }

    fn read(&self) -> Hand {
        *self.0.lock().unwrap()
    }
}

impl ClockDoor for HandClock {
    fn wall(&self) -> Timestamp {
        instant(self.read().wall)
    }

    fn since_boot(&self) -> Duration {
        Duration::from_secs(self.read().since_boot)
    }

    fn boot_id(&self) -> String {
        self.read().boots.to_string()
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // Nothing here waits.
        Box::pin(std::future::pending())
    }
}
