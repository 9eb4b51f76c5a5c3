//! Erases passcodes as soon as nobody waits for them any more.

use crate::door::Clock;
use crate::storage::{Erased, Storage, StorageError};
use std::sync::Arc;
use std::time::Duration;

const ROUND: Duration = Duration::from_secs(1);

pub struct PasscodeJob {
    pub storage: Storage,
    pub clock: Arc<dyn Clock>,
}

impl PasscodeJob {
    /// Runs until it is dropped.
    pub async fn run(self) {
        // What a process before this one had removed may still be in the log.
        let mut is_left = true;
        let mut failing = false;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            match self.round(is_left).await {
                Ok(erased) => {
                    is_left = erased == Erased::NotFromLog;
                    failing = false;
                }
                // Said once; every round tries again.
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "passcodes that are over could not be erased; trying again every second");
                }
                Err(_) => {}
            }
        }
    }

    async fn round(&self, is_left: bool) -> Result<Erased, StorageError> {
        let now = self.clock.now();
        let ended = self.storage.passcode_ended(now).await?;
        if ended == 0 && !is_left {
            return Ok(Erased::All);
        }
        let erased = self.storage.passcode_erase_ended(now).await?;
        if ended > 0 {
            tracing::info!(passcodes = ended, "passcodes that are over were erased");
        }
        Ok(erased)
    }
}
