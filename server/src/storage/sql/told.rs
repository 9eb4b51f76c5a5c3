//! What tablets told of who has them. It is put aside in the transaction that keeps their events.

use super::value::{json, number, parsed, stored, time};
use super::{SqlStorage, StorageError, commit, failed};
use crate::storage::Answer;
use crate::storage::told::{ToldCustody, ToldStore};
use jiff::Timestamp;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::DeviceId;
use sqlx::sqlite::SqliteConnection;

const WHAT: &str = "what a tablet told of who has it";

pub(super) async fn read(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    (seq, at): (u64, Timestamp),
    body: &str,
) -> Result<(), StorageError> {
    // Most events are of other kinds, and are not parsed twice for this.
    if !body.contains("\"custody_") {
        return Ok(());
    }
    let Ok(EventBody::CustodyTaken { .. } | EventBody::CustodyReturned { .. }) =
        serde_json::from_str(body)
    else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO told_custody (setting_id, device_id, seq, at, body) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(setting)
    .bind(device.to_string())
    .bind(stored(seq))
    .bind(at.as_microsecond())
    .bind(body)
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("put aside what a tablet told of who has it"))
}

impl ToldStore for SqlStorage {
    fn told_list(&self, most: u32) -> Answer<'_, Vec<ToldCustody>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM told_custody WHERE setting_id = $1 ORDER BY device_id, seq LIMIT $2",
            )
            .bind(&self.setting_text)
            .bind(i64::from(most))
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list what tablets told of who has them"))?
            .iter()
            .map(|row| {
                Ok(ToldCustody {
                    device: parsed(row, "device_id", WHAT)?,
                    seq: number(row, "seq", WHAT)?,
                    at: time(row, "at", WHAT)?,
                    body: json(row, "body", WHAT)?,
                })
            })
            .collect()
        })
    }

    fn told_done(&self, device: DeviceId, seq: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "DELETE FROM told_custody WHERE setting_id = $1 AND device_id = $2 AND seq = $3",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(stored(seq))
            .execute(&mut *tx)
            .await
            .map_err(failed("note that it is written"))?;
            commit(tx).await
        })
    }
}
