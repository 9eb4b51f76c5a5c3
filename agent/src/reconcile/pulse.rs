//! When the reconciler last came to the end of a pass, for whoever watches that it still does.

use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Longer than a pass in which every control hangs, with what is given back after it and the pause before it.
const TIMELY: Duration = Duration::from_mins(5);

/// Clones share it. The machine's own time: a task hangs in no other.
#[derive(Clone, Debug, Default)]
pub struct Pulse(watch::Sender<Option<Instant>>);

impl Pulse {
    pub fn beat(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    /// Changes at every beat.
    pub fn watch(&self) -> watch::Receiver<Option<Instant>> {
        self.0.subscribe()
    }

    /// Waits for the first pass to end.
    pub async fn first(&self) {
        // Fails only when every sender is gone, and one is here.
        let _ = self.watch().wait_for(Option::is_some).await;
    }

    /// Whether a pass ended lately enough.
    pub fn is_timely(&self) -> bool {
        self.0.borrow().is_some_and(|at| at.elapsed() < TIMELY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_none_before_the_first_pass() {
        let pulse = Pulse::default();
        assert!(!pulse.is_timely());
        pulse.clone().beat();
        pulse.first().await;
        assert!(pulse.is_timely());
    }
}
