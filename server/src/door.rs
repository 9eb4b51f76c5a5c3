//! What the server takes from the world and a test must be able to give it instead.

use jiff::Timestamp;
use std::sync::Arc;

/// The wall clock. The server's time is the time its tablets trust, so everything asks this and nothing else.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Everything `cli::run` is given.
#[derive(Clone)]
pub struct Doors {
    pub clock: Arc<dyn Clock>,
}

impl Doors {
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
        }
    }
}
