//! What the agent takes from the world and a test must be able to give it instead. The tablet's program opens only the
//! system's own doors; no build of it knows another.

use jiff::Timestamp;
use nestwarden_policy_schema::device_api::{NamesAnswer, NamesRequest};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The machine's clocks.
pub trait ClockDoor: Send + Sync + 'static {
    /// The wall clock, which anybody with the machine in hand may have set.
    fn wall(&self) -> Timestamp;

    /// Time since boot, sleep included; never goes back within one boot.
    fn since_boot(&self) -> Duration;

    /// Changes with every boot.
    fn boot_id(&self) -> String;

    /// Returns once `since_boot` has grown by `duration`. A machine that slept wakes it at once when it is overdue.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Whoever knows the children's names. They are for the screens of one session and stay in memory.
pub trait NamesDoor: Send + Sync + 'static {
    /// An error is for the person who waits. Takes as long as the network does.
    fn names(
        &self,
        request: NamesRequest,
    ) -> Pin<Box<dyn Future<Output = Result<NamesAnswer, String>> + Send + '_>>;
}

/// Everything `cli::run` is given.
#[derive(Clone)]
pub struct Doors {
    pub clock: Arc<dyn ClockDoor>,
}

/// The machine's wall clock; what the system's own clock door reads.
pub(crate) fn system_wall() -> Timestamp {
    Timestamp::now()
}
