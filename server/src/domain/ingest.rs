//! Taking in what a tablet tells: its batch must be one stretch of a chain that ends in a head it signed.

use super::registers::told;
use crate::storage::{AppendOutcome, DeviceKey, NewBatch, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::device_api::{EventBatch, MAX_BATCH_EVENTS};
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::event::{
    ChainError, ChainPosition, Event, HeadError, verify_chain, verify_head,
};
use nestwarden_policy_schema::id::DeviceId;

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error("the batch has {0} events; send at most {MAX_BATCH_EVENTS} at once")]
    TooManyEvents(usize),
    #[error("the batch has events but no signed head")]
    HeadMissing,
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("events after {on_disk} are missing; send from event {} on", on_disk.saturating_add(1))]
    Gap { on_disk: u64 },
    #[error(
        "event {seq} differs from the one received before under that number, or does not follow it"
    )]
    Conflict { seq: u64 },
    #[error("the device is not known")]
    DeviceMissing,
    #[error("failed to take in events")]
    Storage(#[from] StorageError),
}

/// Answers with the end of the record on disk, once it is there. A record that cannot be continued is noted.
pub async fn take_in(
    storage: &Storage,
    device: DeviceId,
    batch: EventBatch,
    now: Timestamp,
) -> Result<ChainPosition, IngestError> {
    let has_events = !batch.events.is_empty();
    let taken = continue_record(storage, device, batch, now).await;
    match &taken {
        Ok(_) if has_events => {
            storage.conflict_over(device, now).await?;
            // Their events are on disk: what cannot be written now is written with the next, or at the next start.
            if let Err(error) = told::write_all(storage).await {
                tracing::error!(device.id = %device, %error, "who has a tablet could not be written down yet");
            }
        }
        Err(error) if error.breaks_the_record() => {
            tracing::warn!(device.id = %device, %error, "a tablet's events do not continue its record");
            storage
                .conflict_note(device, &error.to_string(), now)
                .await?;
        }
        Ok(_) | Err(_) => {}
    }
    taken
}

async fn continue_record(
    storage: &Storage,
    device: DeviceId,
    batch: EventBatch,
    now: Timestamp,
) -> Result<ChainPosition, IngestError> {
    let EventBatch { events, head } = batch;
    let Some(end) = chain_end(device, &events)? else {
        return Ok(storage.event_position(device).await?);
    };
    let head = head.ok_or(IngestError::HeadMissing)?;
    let keys = storage.device_keys(device).await?;
    let public_key = signer_of(&head, device, keys, end)?;
    let batch = NewBatch {
        device,
        events,
        head,
        public_key,
        received_at: now,
    };
    match storage.event_append(batch).await? {
        AppendOutcome::OnDisk(on_disk) if on_disk == end.seq => Ok(end),
        AppendOutcome::OnDisk(_) => Ok(storage.event_position(device).await?),
        AppendOutcome::Gap { on_disk } => Err(IngestError::Gap { on_disk }),
        AppendOutcome::Conflict { seq } => Err(IngestError::Conflict { seq }),
        AppendOutcome::DeviceMissing => Err(IngestError::DeviceMissing),
    }
}

impl IngestError {
    /// Whether the tablet's record and this server's disagree, and not only this request is at fault.
    fn breaks_the_record(&self) -> bool {
        match self {
            Self::Chain(_) | Self::Head(_) | Self::Gap { .. } | Self::Conflict { .. } => true,
            Self::TooManyEvents(_) | Self::HeadMissing | Self::DeviceMissing | Self::Storage(_) => {
                false
            }
        }
    }
}

/// Checks the links among themselves; whether they continue what is stored is storage's to say. `None`: no events.
fn chain_end(device: DeviceId, events: &[Event]) -> Result<Option<ChainPosition>, IngestError> {
    if events.len() > MAX_BATCH_EVENTS {
        return Err(IngestError::TooManyEvents(events.len()));
    }
    let Some(first) = events.first() else {
        return Ok(None);
    };
    let seq = first.seq.checked_sub(1).ok_or(ChainError::Gap {
        seq: 0,
        expected: 1,
    })?;
    let before = ChainPosition {
        seq,
        hash: first.previous,
    };
    Ok(Some(verify_chain(device, before, events)?))
}

/// Which of the device's keys signed the head: a batch may have been signed before the last renewal.
fn signer_of(
    head: &Signed,
    device: DeviceId,
    keys: Vec<DeviceKey>,
    end: ChainPosition,
) -> Result<Vec<u8>, HeadError> {
    let mut problem = HeadError::BadSignature;
    for key in keys {
        match verify_head(head, device, &key.public_key, end) {
            Ok(()) => return Ok(key.public_key),
            Err(HeadError::BadSignature) => {}
            Err(other @ (HeadError::Unreadable(_) | HeadError::OtherPosition { .. })) => {
                problem = other;
            }
        }
    }
    Err(problem)
}
