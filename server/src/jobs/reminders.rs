//! Looks for what people have to do: when register, holds or photos changed, and every hour by the clock, because days
//! end without anybody changing anything.

use crate::domain::task;
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
}

/// Everything that can give rise to a task: equal marks, equal tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inputs: i64,
    photos: u64,
    hour: i64,
}

impl ReminderJob {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let (mut done, mut failing) = (None, false);
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            let begun = Instant::now();
            match self.round(&mut done).await {
                Ok(()) => failing = false,
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

    async fn round(&self, done: &mut Option<Mark>) -> Result<(), StorageError> {
        let now = self.clock.now();
        // Read before the look: a change in between is seen in the next round.
        let mark = Mark {
            inputs: self.storage.inputs_version().await?,
            photos: self.storage.photo_version().await?,
            hour: now.as_second().div_euclid(3600),
        };
        if *done != Some(mark) {
            let changes = task::round(&self.storage, now).await?;
            *done = Some(mark);
            tracing::debug!(
                opened = changes.opened,
                closed = changes.closed,
                "looked for tasks"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
