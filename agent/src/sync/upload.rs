//! Events to the server in order until it says they are on its disk, and the inventory after them.

use super::schedule::{Attempt, Schedule};
use super::{Connected, SyncContext, SyncError, blocking, is_revoked, jitter, record};
use nestwarden_policy_schema::device_api::{
    EVENTS_PATH, EventBatch, EventsAck, INVENTORY_AGAIN_PATH, INVENTORY_PATH, Inventory,
    MAX_BATCH_EVENTS, MAX_BODY_BYTES, code,
};
use nestwarden_policy_schema::event::{ChainHead, ChainPosition, Event};
use nestwarden_policy_schema::inventory::InventoryAgain;
use std::sync::Arc;
use std::time::Duration;

/// Events that come close together go out together.
const GATHER: Duration = Duration::from_millis(250);
/// An inventory goes out this often also when nothing changed: silence is never green.
const INVENTORY_EVERY: Duration = Duration::from_mins(7);
/// How often a record may go on from the server's.
const CONTINUED_AT_MOST_EVERY: Duration = Duration::from_hours(1);
/// Bodies are quoted once more inside the request.
const MAX_BATCH_BYTES: usize = MAX_BODY_BYTES / 2;

pub(super) struct Uploader {
    context: SyncContext,
    /// What the server has on disk, as it said since the last failure.
    on_disk: Option<u64>,
    sent: Option<Inventory>,
    /// Since boot, when the record last went on from the server's.
    continued_at: Option<Duration>,
}

pub(super) async fn run(context: SyncContext) {
    let door = context.clock.door();
    let mut schedule = Schedule::default();
    let mut recorded = context.ledger.event_recorded();
    let mut changed = context.inventory_changed.clone();
    let back = Arc::clone(&context.back);
    let mut uploader = Uploader::new(context);
    let mut inventory_sent_at = None;
    loop {
        recorded.mark_unchanged();
        changed.mark_unchanged();
        let overdue = inventory_sent_at
            .is_none_or(|sent: Duration| door.since_boot().saturating_sub(sent) >= INVENTORY_EVERY);
        match uploader.round(overdue).await {
            Ok(sent) => {
                if sent {
                    inventory_sent_at = Some(door.since_boot());
                }
                schedule.next(Attempt::Progress, 0.0);
                tokio::select! {
                    _ = recorded.changed() => {}
                    _ = changed.changed() => {}
                    () = door.sleep(INVENTORY_EVERY) => {}
                }
                door.sleep(GATHER).await;
            }
            Err(error) => {
                tracing::debug!(%error, "events could not be sent");
                uploader.on_disk = None;
                uploader.context.failed(&error);
                let attempt = if is_revoked(&error) {
                    Attempt::Revoked
                } else {
                    Attempt::Failed {
                        hung: Duration::ZERO,
                    }
                };
                let next = schedule.next(attempt, jitter());
                tokio::select! {
                    () = back.notified() => {}
                    () = door.sleep(next.pause) => {}
                }
            }
        }
    }
}

impl Uploader {
    pub(super) fn new(context: SyncContext) -> Self {
        Self {
            context,
            on_disk: None,
            sent: None,
            continued_at: None,
        }
    }

    /// Sends everything that waits, then the inventory if it is overdue or says something new. Whether that went.
    pub(super) async fn round(&mut self, inventory_overdue: bool) -> Result<bool, SyncError> {
        self.send_events().await?;
        let inventory = (self.context.inventory)()
            .await
            .map_err(SyncError::Inventory)?;
        let is_news = self
            .sent
            .as_ref()
            .is_none_or(|sent| sent.without_readings() != inventory.without_readings());
        if !is_news && !inventory_overdue {
            return Ok(false);
        }
        let connection = Arc::clone(&self.context.connection);
        let connected = blocking(move || connection.connected()).await?;
        let again = if is_news {
            None
        } else {
            inventory.substance().ok().and_then(|s| inventory.again(s))
        };
        let is_told = match &again {
            Some(again) => tell_again(&connected, again).await?,
            None => false,
        };
        if !is_told {
            connected
                .server
                .put_down(INVENTORY_PATH, &inventory)
                .await?;
        }
        self.sent = Some(inventory);
        Ok(true)
    }

    async fn send_events(&mut self) -> Result<(), SyncError> {
        loop {
            let on_disk = match self.on_disk {
                Some(on_disk) => on_disk,
                None => self.send(Vec::new()).await?,
            };
            let ledger = self.context.ledger.clone();
            let batch = blocking(move || {
                Ok::<_, SyncError>(ledger.events_after(
                    on_disk,
                    MAX_BATCH_EVENTS,
                    MAX_BATCH_BYTES,
                )?)
            })
            .await?;
            if batch.is_empty() {
                return Ok(());
            }
            self.send(batch).await?;
        }
    }

    /// Sends a batch; what the server then has on disk.
    async fn send(&mut self, mut events: Vec<Event>) -> Result<u64, SyncError> {
        let connection = Arc::clone(&self.context.connection);
        let connected = blocking(move || connection.connected()).await?;
        let answer: EventsAck = loop {
            let head = events
                .last()
                .map(|last| {
                    connected.identity.key.sign_head(&ChainHead {
                        device: connected.identity.enrolment.device,
                        position: last.position(),
                    })
                })
                .transpose()?;
            let batch = EventBatch { events, head };
            match connected.server.post(EVENTS_PATH, &batch).await {
                Ok(answer) => break answer,
                // Quoting made it larger than it may be.
                Err(error) if error.is_code(code::BODY_TOO_LARGE) && batch.events.len() > 1 => {
                    events = batch.events;
                    events.truncate(events.len() / 2);
                }
                Err(error) => return Err(error.into()),
            }
        };
        let on_disk = answer.on_disk;
        let ledger = self.context.ledger.clone();
        if let Some(differs) = blocking(move || record::difference(&ledger, answer)).await? {
            self.go_on_from(&connected, answer, differs).await?;
        } else {
            let (ledger, now) = (self.context.ledger.clone(), self.context.clock.now().at);
            blocking(move || Ok::<_, SyncError>(ledger.acknowledge(on_disk, now)?)).await?;
        }
        self.on_disk = Some(on_disk);
        Ok(on_disk)
    }
}

impl Uploader {
    /// Lets the record go on from where the server's ends, at most once an hour: two that differ again at once are not for
    /// a program to settle.
    async fn go_on_from(
        &mut self,
        connected: &Connected,
        answer: EventsAck,
        differs: SyncError,
    ) -> Result<(), SyncError> {
        let now = self.context.clock.door().since_boot();
        let recently = self
            .continued_at
            .is_some_and(|at| now.saturating_sub(at) < CONTINUED_AT_MOST_EVERY);
        let Some(hash) = answer.hash.filter(|_| !recently) else {
            return Err(differs);
        };
        tracing::warn!(%differs, "the record goes on from where the server's ends");
        let server = ChainPosition {
            seq: answer.on_disk,
            hash,
        };
        record::go_on_from(&self.context, connected, server).await?;
        self.continued_at = Some(now);
        Ok(())
    }
}

/// Whether the server took the readings for what it has; if not, it wants everything.
async fn tell_again(connected: &Connected, again: &InventoryAgain) -> Result<bool, SyncError> {
    match connected.server.put_down(INVENTORY_AGAIN_PATH, again).await {
        Ok(()) => Ok(true),
        // An older server knows no such path.
        Err(error) if error.is_code(code::INVENTORY_OTHER) || error.is_code(code::NOT_FOUND) => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
