//! Looks for what people have to do: when register, holds or photos changed, and every hour by the clock, because days
//! end without anybody changing anything.

use crate::domain::task::looked::Looked;
use crate::door::Clock;
use crate::storage::{Storage, StorageError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the database is asked whether anything changed.
const ROUND: Duration = Duration::from_secs(1);

pub struct ReminderJob {
    pub storage: Storage,
    pub clock: Arc<dyn Clock>,
    pub looked: Arc<Looked>,
}

impl ReminderJob {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut failing = false;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            let begun = Instant::now();
            match self.round().await {
                Ok(_) => failing = false,
                // Said once; every round tries again.
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "tasks cannot be looked for; trying again every second");
                }
                Err(_) => {}
            }
            // Many photos take long to look at, and tablets may go on telling: half of the time is for everybody else.
            round.reset_after(begun.elapsed().max(ROUND));
        }
    }

    /// Whether there was anything to look at.
    async fn round(&self) -> Result<bool, StorageError> {
        let found = self.looked.renew(&self.storage, self.clock.now()).await?;
        if let Some(changes) = &found {
            tracing::debug!(
                opened = changes.opened,
                closed = changes.closed,
                "looked for tasks"
            );
        }
        Ok(found.is_some())
    }
}

#[cfg(test)]
mod tests;
