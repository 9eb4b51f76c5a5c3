//! Tallies of tablets' events.

use super::value::{number, stored, text};
use super::{SqlStorage, commit, failed};
use crate::storage::{Answer, StorageError, StoredTally, TallyStore};
use nestwarden_policy_schema::id::DeviceId;
use sqlx::sqlite::SqliteConnection;

const WHAT: &str = "a tally";

/// What was read from an event goes when its body does.
pub(super) async fn forget(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    seq: u64,
) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM tallies WHERE setting_id = $1 AND device_id = $2 AND seq >= $3")
        .bind(setting)
        .bind(device.to_string())
        .bind(stored(seq))
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("forget a tally"))
}

impl TallyStore for SqlStorage {
    fn tally_find(&self, device: DeviceId) -> Answer<'_, Option<StoredTally>> {
        Box::pin(async move {
            let found = sqlx::query(
                "SELECT seq, version, erased, tally FROM tallies \
                 WHERE setting_id = $1 AND device_id = $2",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find a tally"))?;
            let Some(row) = found.as_ref() else {
                return Ok(None);
            };
            Ok(Some(StoredTally {
                seq: number(row, "seq", WHAT)?,
                version: u32::try_from(number(row, "version", WHAT)?).unwrap_or(u32::MAX),
                erased: number(row, "erased", WHAT)?,
                tally: text(row, "tally", WHAT)?,
            }))
        })
    }

    fn tally_put<'a>(&'a self, device: DeviceId, tally: &'a StoredTally) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let erased = sqlx::query(
                "SELECT COUNT(*) AS erased FROM events \
                 WHERE setting_id = $1 AND device_id = $2 AND seq <= $3 AND body IS NULL",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(stored(tally.seq))
            .fetch_one(&mut *tx)
            .await
            .map_err(failed("count what is erased"))?;
            if number(&erased, "erased", WHAT)? != tally.erased {
                return Ok(false);
            }
            sqlx::query(
                "INSERT INTO tallies (setting_id, device_id, seq, version, erased, tally) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (setting_id, device_id) \
                 DO UPDATE SET seq = excluded.seq, version = excluded.version, \
                 erased = excluded.erased, tally = excluded.tally \
                 WHERE excluded.seq > tallies.seq OR excluded.version > tallies.version",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(stored(tally.seq))
            .bind(i64::from(tally.version))
            .bind(stored(tally.erased))
            .bind(&tally.tally)
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a tally"))?;
            commit(tx).await?;
            Ok(true)
        })
    }
}
