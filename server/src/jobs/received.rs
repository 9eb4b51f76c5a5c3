//! Removes what tablets sent for subject access requests, once its time is over.

use crate::domain::subject_access::request;
use crate::door::Clock;
use crate::storage::Storage;
use crate::storage::received::ReceivedFiles;
use std::sync::Arc;
use std::time::Duration;

const ROUND: Duration = Duration::from_mins(5);

pub struct ReceivedJob {
    pub storage: Storage,
    pub files: ReceivedFiles,
    pub clock: Arc<dyn Clock>,
}

impl ReceivedJob {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            match request::purge_due(&self.storage, &self.files, self.clock.now()).await {
                Ok(0) => {}
                Ok(requests) => {
                    tracing::info!(requests, "photos received for subject access were removed");
                }
                Err(error) => {
                    tracing::error!(%error, "photos received for subject access could not be removed; trying again");
                }
            }
        }
    }
}
