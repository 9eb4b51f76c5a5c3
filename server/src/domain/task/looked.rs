//! When tasks were looked for last, shared by whoever looks: nobody has to look again where nothing changed since.

use super::round;
use crate::storage::task::TaskChanges;
use crate::storage::{Storage, StorageError};
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A look that took longer is left to the background: nobody waits for a page that long.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Everything that can give rise to a task: equal marks, equal tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inputs: i64,
    photos: u64,
    outcomes: u64,
    hour: i64,
}

impl Mark {
    async fn read(storage: &Storage, now: Timestamp) -> Result<Self, StorageError> {
        Ok(Self {
            inputs: storage.inputs_version().await?,
            photos: storage.photo_version().await?,
            outcomes: storage.outcome_version().await?,
            hour: now.as_second().div_euclid(3600),
        })
    }
}

#[derive(Clone, Copy)]
struct Last {
    mark: Mark,
    at: Timestamp,
    took: Duration,
}

/// The last look at the whole setting.
#[derive(Default)]
pub struct Looked {
    last: Mutex<Option<Last>>,
    /// Held by whoever looks: once is enough.
    looking: tokio::sync::Mutex<()>,
}

/// How far the list of tasks can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Whatever gives rise to a task was looked at.
    Current,
    /// Something changed since this instant, which takes long to look at; the background does.
    Of(Timestamp),
    /// Nobody has looked yet since this program started; somebody does now.
    NotYet,
}

impl Looked {
    /// Looks, unless nothing changed since the last look; `None`: it did not.
    pub async fn renew(
        &self,
        storage: &Storage,
        now: Timestamp,
    ) -> Result<Option<TaskChanges>, StorageError> {
        let _looking = self.looking.lock().await;
        // Read before the look: a change in between is seen in the next one.
        let mark = Mark::read(storage, now).await?;
        if self.last().is_some_and(|last| last.mark == mark) {
            return Ok(None);
        }
        self.look(storage, mark, now).await.map(Some)
    }

    /// Looks where that is soon done, and nobody else looks at this moment.
    pub async fn renew_if_soon_done(
        &self,
        storage: &Storage,
        now: Timestamp,
    ) -> Result<Freshness, StorageError> {
        let mark = Mark::read(storage, now).await?;
        let last = self.last();
        if last.is_some_and(|last| last.mark == mark) {
            return Ok(Freshness::Current);
        }
        let stale = last.map_or(Freshness::NotYet, |last| Freshness::Of(last.at));
        if last.is_some_and(|last| last.took > AT_ONCE) {
            return Ok(stale);
        }
        // Whoever looks is soon done, or takes long: that is waited for as long as a look at once may take.
        let Ok(_looking) = tokio::time::timeout(AT_ONCE, self.looking.lock()).await else {
            return Ok(stale);
        };
        if !self.last().is_some_and(|last| last.mark == mark) {
            self.look(storage, mark, now).await?;
        }
        Ok(Freshness::Current)
    }

    async fn look(
        &self,
        storage: &Storage,
        mark: Mark,
        now: Timestamp,
    ) -> Result<TaskChanges, StorageError> {
        let begun = Instant::now();
        let changes = round(storage, now).await?;
        let last = Last {
            mark,
            at: now,
            took: begun.elapsed(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        Ok(changes)
    }

    fn last(&self) -> Option<Last> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::storage::testing::{TestStorage, audit, enrol, now, told};
    use crate::storage::{StoredInventory, WaitingFile};
    use nestwarden_policy_schema::bytes::Digest;
    use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};

    #[tokio::test]
    async fn a_look_that_takes_long_is_not_waited_for_and_what_it_leaves_out_is_said() {
        let test = TestStorage::create().await;
        let (storage, looked) = (&test.storage, Looked::default());
        let soon = looked.renew_if_soon_done(storage, now()).await.unwrap();
        assert_eq!(soon, Freshness::Current);
        assert_eq!(looked.renew(storage, now()).await.unwrap(), None);

        if let Some(last) = looked.last.lock().unwrap().as_mut() {
            last.took = AT_ONCE * 2;
        }
        let still = looked.renew_if_soon_done(storage, now()).await.unwrap();
        assert_eq!(still, Freshness::Current);

        storage
            .profile_put("p", 0, "name = \"p\"", &audit("p"))
            .await
            .unwrap();
        enrol(storage, "p").await;
        let left_out = looked.renew_if_soon_done(storage, now()).await.unwrap();
        assert_eq!(left_out, Freshness::Of(now()));
        assert!(looked.renew(storage, now()).await.unwrap().is_some());
        let after = looked.renew_if_soon_done(storage, now()).await.unwrap();
        assert_eq!(after, Freshness::Current);
    }

    #[tokio::test]
    async fn whatever_may_give_rise_to_a_task_is_looked_at_again() {
        let test = TestStorage::create().await;
        let (storage, looked) = (&test.storage, Looked::default());
        let device = enrol(storage, "p").await;
        let again = async |what| {
            let found = looked.renew(storage, now()).await.unwrap();
            assert!(found.is_some(), "{what}");
            assert_eq!(looked.renew(storage, now()).await.unwrap(), None, "{what}");
        };
        again("the first time").await;
        let file = WaitingFile {
            name: "register.csv".to_owned(),
            digest: Digest::sha256(b"register"),
            since: now(),
            why: "it would change a lot".to_owned(),
        };
        storage.waiting_put(&file).await.unwrap();
        again("a file waits").await;
        storage.waiting_remove("register.csv").await.unwrap();
        again("it waits no more").await;
        for (remaining, what) in [
            ("none is set", "no passcode"),
            ("another", "another reason"),
        ] {
            let stands = without_passcode(remaining);
            storage.inventory_put(device, &stands).await.unwrap();
            again(what).await;
            storage.inventory_put(device, &stands).await.unwrap();
            assert_eq!(looked.renew(storage, now()).await.unwrap(), None);
        }
    }

    fn without_passcode(remaining: &str) -> StoredInventory {
        told(
            now(),
            vec![ControlReport {
                control: ControlName::Passcode,
                outcome: Outcome::Drifted {
                    remaining: vec![remaining.to_owned()],
                    error: None,
                },
                measured_at: now(),
            }],
        )
    }
}
