//! Events and heads, as read back; writing them is [`super::ingest`]'s.

use super::value::{bytes, number, optional_text, optional_time, parsed, stored, text, time};
use super::{SqlStorage, commit, failed, photo, tally};
use crate::storage::event::Erasure;
use crate::storage::{
    Answer, AppendOutcome, EventStore, NewBatch, StorageError, StoredEvent, StoredHead,
};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::event::{ChainPosition, Event};
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::trust::KeyId;
use sqlx::sqlite::SqliteRow;

const WHAT: &str = "an event";

fn event(row: &SqliteRow) -> Result<StoredEvent, StorageError> {
    let salt = match optional_text(row, "salt", WHAT)? {
        Some(_) => Some(Base64(bytes(row, "salt", WHAT)?)),
        None => None,
    };
    let why = optional_text(row, "erased_why", WHAT)?.unwrap_or_default();
    Ok(StoredEvent {
        event: Event {
            seq: number(row, "seq", WHAT)?,
            at: parsed(row, "at", WHAT)?,
            body: optional_text(row, "body", WHAT)?,
            salt,
            body_digest: parsed(row, "body_digest", WHAT)?,
            previous: parsed(row, "previous", WHAT)?,
            hash: parsed(row, "hash", WHAT)?,
        },
        kind: text(row, "kind", WHAT)?,
        received_at: time(row, "received_at", WHAT)?,
        erased: optional_time(row, "erased_at", WHAT)?.map(|at| Erasure { at, why }),
    })
}

fn head(row: &SqliteRow) -> Result<StoredHead, StorageError> {
    Ok(StoredHead {
        seq: number(row, "seq", WHAT)?,
        head: Signed {
            payload: text(row, "payload", WHAT)?,
            key_id: KeyId(parsed(row, "key_id", WHAT)?),
            signature: Base64(bytes(row, "signature", WHAT)?),
        },
        public_key: bytes(row, "public_key", WHAT)?,
    })
}

/// Where the stored chain of a device ends.
pub(super) async fn position(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    device: DeviceId,
) -> Result<ChainPosition, StorageError> {
    let found = sqlx::query(
        "SELECT seq, hash FROM events WHERE setting_id = $1 AND device_id = $2 \
         ORDER BY seq DESC LIMIT 1",
    )
    .bind(setting)
    .bind(device.to_string())
    .fetch_optional(on)
    .await
    .map_err(failed("find the end of a chain"))?;
    let Some(row) = found.as_ref() else {
        return Ok(ChainPosition::START);
    };
    Ok(ChainPosition {
        seq: number(row, "seq", WHAT)?,
        hash: parsed(row, "hash", WHAT)?,
    })
}

/// As times of events are compared with it. They have as many digits of a second as there were; without its letter a whole
/// second sorts before all of its own.
fn whole_second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

impl EventStore for SqlStorage {
    fn event_append(&self, batch: NewBatch) -> Answer<'_, AppendOutcome> {
        Box::pin(self.ingest.append(batch))
    }

    fn event_position(&self, device: DeviceId) -> Answer<'_, ChainPosition> {
        Box::pin(position(&self.readers, &self.setting_text, device))
    }

    fn event_list(&self, device: DeviceId, after: u64, limit: u32) -> Answer<'_, Vec<StoredEvent>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM events WHERE setting_id = $1 AND device_id = $2 AND seq > $3 \
                 ORDER BY seq LIMIT $4",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(stored(after))
            .bind(stored(limit.into()))
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list events"))?
            .iter()
            .map(event)
            .collect()
        })
    }

    fn event_last_before(&self, device: DeviceId, until: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT COALESCE(MAX(seq), 0) AS seq FROM events \
                 WHERE setting_id = $1 AND device_id = $2 AND at < $3",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(whole_second(until))
            .fetch_one(&self.readers)
            .await
            .map_err(failed("find the last event of a time"))?;
            number(&row, "seq", WHAT)
        })
    }

    fn event_first_from(&self, device: DeviceId, from: Timestamp) -> Answer<'_, Option<u64>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT COALESCE(MIN(seq), 0) AS seq FROM events \
                 WHERE setting_id = $1 AND device_id = $2 AND at >= $3",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(whole_second(from))
            .fetch_one(&self.readers)
            .await
            .map_err(failed("find the first event of a time"))?;
            let seq = number(&row, "seq", WHAT)?;
            Ok((seq > 0).then_some(seq))
        })
    }

    fn head_list(&self, device: DeviceId, after: u64, limit: u32) -> Answer<'_, Vec<StoredHead>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM event_heads WHERE setting_id = $1 AND device_id = $2 AND seq > $3 \
                 ORDER BY seq LIMIT $4",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(stored(after))
            .bind(stored(limit.into()))
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list batch heads"))?
            .iter()
            .map(head)
            .collect()
        })
    }

    fn event_erase<'a>(
        &'a self,
        device: DeviceId,
        seq: u64,
        erasure: &'a Erasure,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let said = sqlx::query(
                "SELECT body FROM events WHERE setting_id = $1 AND device_id = $2 AND seq = $3 \
                 AND body IS NOT NULL",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(stored(seq))
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed("find an event"))?;
            let Some(row) = said else {
                return Ok(false);
            };
            sqlx::query(
                "UPDATE events SET body = NULL, salt = NULL, erased_at = $4, erased_why = $5 \
                 WHERE setting_id = $1 AND device_id = $2 AND seq = $3 AND body IS NOT NULL",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(stored(seq))
            .bind(erasure.at.as_microsecond())
            .bind(&erasure.why)
            .execute(&mut *tx)
            .await
            .map_err(failed("erase the body of an event"))?;
            // What was read from it goes with it.
            let body = serde_json::from_str(&text(&row, "body", WHAT)?);
            if let Some(id) = body.ok().as_ref().and_then(photo::about) {
                photo::forget_erased(&mut tx, &self.setting_text, device, id).await?;
            }
            tally::forget(&mut tx, &self.setting_text, device, seq).await?;
            commit(tx).await?;
            Ok(true)
        })
    }
}
