//! Stops new versions of profiles that trouble a tablet.

use crate::domain::rollout;
use crate::door::Clock;
use crate::storage::{Storage, StorageError};
use std::sync::Arc;
use std::time::Duration;

/// Tablets report every seven minutes, and at once what changed.
const ROUND: Duration = Duration::from_secs(5);

pub struct RolloutJob {
    pub storage: Storage,
    pub clock: Arc<dyn Clock>,
}

impl RolloutJob {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut failing = false;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            match self.round().await {
                Ok(_) => failing = false,
                // Said once; every round tries again.
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "whether a new version of a profile troubles tablets could not be looked at; trying again every five seconds");
                }
                Err(_) => {}
            }
        }
    }

    async fn round(&self) -> Result<usize, StorageError> {
        rollout::watch(&self.storage, self.clock.now()).await
    }
}
