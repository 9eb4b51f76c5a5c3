//! Inventories, and the hours in which they came.

use super::value::{json, number, optional_time, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::{Answer, InventoryStore, StorageError, StoredInventory, ToldHour};
use jiff::Timestamp;
use nestwarden_policy_schema::id::DeviceId;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const WHAT: &str = "an inventory";
const HOUR: &str = "an hour in which a tablet told something";
const MICROS_PER_HOUR: i64 = 3_600_000_000;

fn told_hour(row: &SqliteRow) -> Result<ToldHour, StorageError> {
    Ok(ToldHour {
        first_at: time(row, "first_at", HOUR)?,
        last_at: time(row, "last_at", HOUR)?,
        measured_at: optional_time(row, "measured_at", HOUR)?,
    })
}

async fn note_hour(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    stored: &StoredInventory,
) -> Result<(), StorageError> {
    let at = stored.received_at.as_microsecond();
    let controls = &stored.inventory.controls;
    let measured = controls.iter().map(|report| report.measured_at).min();
    sqlx::query(
        "INSERT INTO device_hours (setting_id, device_id, hour, first_at, last_at, measured_at) \
         VALUES ($1, $2, $3, $4, $4, $5) ON CONFLICT (setting_id, device_id, hour) \
         DO UPDATE SET last_at = excluded.last_at, measured_at = excluded.measured_at",
    )
    .bind(setting)
    .bind(device.to_string())
    .bind(at.div_euclid(MICROS_PER_HOUR))
    .bind(at)
    .bind(measured.map(Timestamp::as_microsecond))
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("note that a tablet told how it stands"))
}

async fn found(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    device: DeviceId,
) -> Result<Option<StoredInventory>, StorageError> {
    let found = sqlx::query(
        "SELECT received_at, inventory FROM inventories WHERE setting_id = $1 AND device_id = $2",
    )
    .bind(setting)
    .bind(device.to_string())
    .fetch_optional(on)
    .await
    .map_err(failed("find an inventory"))?;
    let Some(row) = found.as_ref() else {
        return Ok(None);
    };
    Ok(Some(StoredInventory {
        received_at: time(row, "received_at", WHAT)?,
        inventory: json(row, "inventory", WHAT)?,
    }))
}

/// Whether every control was found as before, whenever that was.
fn stands_alike(before: &StoredInventory, now: &StoredInventory) -> bool {
    let (before, now) = (&before.inventory.controls, &now.inventory.controls);
    let pairs = before.iter().zip(now);
    before.len() == now.len()
        && pairs
            .into_iter()
            .all(|(a, b)| (a.control, &a.outcome) == (b.control, &b.outcome))
}

/// How often a control changed how it stands.
const OUTCOMES: &str = "outcomes";

async fn note_outcome(tx: &mut SqliteConnection, setting: &str) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO projections (setting_id, name, version, changes) VALUES ($1, $2, 1, 1) \
         ON CONFLICT (setting_id, name) DO UPDATE SET changes = projections.changes + 1",
    )
    .bind(setting)
    .bind(OUTCOMES)
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("note that a control stands otherwise"))
}

impl InventoryStore for SqlStorage {
    fn inventory_put<'a>(
        &'a self,
        device: DeviceId,
        inventory: &'a StoredInventory,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let known = sqlx::query(
                "UPDATE devices SET agent_version = $3, time_zone_data = $4, last_seen_at = $5 \
                 WHERE setting_id = $1 AND device_id = $2",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(&inventory.inventory.agent_version)
            .bind(&inventory.inventory.time_zone_data)
            .bind(inventory.received_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("note a device's versions"))?;
            if known.rows_affected() == 0 {
                return Ok(());
            }
            let before = match found(&mut *tx, &self.setting_text, device).await {
                // What nobody can read is replaced like any other.
                Err(StorageError::Corrupt { .. }) => None,
                before => before?,
            };
            if !before.is_some_and(|before| stands_alike(&before, inventory)) {
                note_outcome(&mut tx, &self.setting_text).await?;
            }
            sqlx::query(
                "INSERT INTO inventories (setting_id, device_id, received_at, inventory) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (setting_id, device_id) \
                 DO UPDATE SET received_at = excluded.received_at, inventory = excluded.inventory, \
                 version = inventories.version + 1",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(inventory.received_at.as_microsecond())
            .bind(to_json(&inventory.inventory, WHAT)?)
            .execute(&mut *tx)
            .await
            .map_err(failed("keep an inventory"))?;
            note_hour(&mut tx, &self.setting_text, device, inventory).await?;
            commit(tx).await
        })
    }

    fn outcome_version(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            let row =
                sqlx::query("SELECT changes FROM projections WHERE setting_id = $1 AND name = $2")
                    .bind(&self.setting_text)
                    .bind(OUTCOMES)
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(failed("find how often controls changed"))?;
            row.map_or(Ok(0), |row| number(&row, "changes", WHAT))
        })
    }

    fn inventory_find(&self, device: DeviceId) -> Answer<'_, Option<StoredInventory>> {
        Box::pin(async move { found(&self.readers, &self.setting_text, device).await })
    }

    fn told_hours(
        &self,
        device: DeviceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Vec<ToldHour>> {
        Box::pin(async move {
            let (from, until) = (from.as_microsecond(), until.as_microsecond());
            sqlx::query(
                "SELECT first_at, last_at, measured_at FROM device_hours \
                 WHERE setting_id = $1 AND device_id = $2 AND hour >= $3 AND hour <= $4 \
                 AND last_at >= $5 AND first_at < $6 ORDER BY hour",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(from.div_euclid(MICROS_PER_HOUR))
            .bind(until.div_euclid(MICROS_PER_HOUR))
            .bind(from)
            .bind(until)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the hours a tablet told something in"))?
            .iter()
            .map(told_hour)
            .collect()
        })
    }

    fn told_before(&self, device: DeviceId, until: Timestamp) -> Answer<'_, Option<ToldHour>> {
        Box::pin(async move {
            let until = until.as_microsecond();
            sqlx::query(
                "SELECT first_at, last_at, measured_at FROM device_hours \
                 WHERE setting_id = $1 AND device_id = $2 AND hour <= $3 AND first_at < $4 \
                 ORDER BY hour DESC LIMIT 1",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(until.div_euclid(MICROS_PER_HOUR))
            .bind(until)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find when a tablet last told something"))?
            .as_ref()
            .map(told_hour)
            .transpose()
        })
    }

    fn told_first(&self, device: DeviceId) -> Answer<'_, Option<ToldHour>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT first_at, last_at, measured_at FROM device_hours \
                 WHERE setting_id = $1 AND device_id = $2 ORDER BY hour LIMIT 1",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find when a tablet first told something"))?
            .as_ref()
            .map(told_hour)
            .transpose()
        })
    }
}
