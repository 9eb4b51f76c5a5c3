//! Inventories.

use super::value::{json, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::{Answer, InventoryStore, StoredInventory};
use nestwarden_policy_schema::id::DeviceId;

const WHAT: &str = "an inventory";

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
            sqlx::query(
                "INSERT INTO inventories (setting_id, device_id, received_at, inventory) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (setting_id, device_id) \
                 DO UPDATE SET received_at = excluded.received_at, inventory = excluded.inventory",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(inventory.received_at.as_microsecond())
            .bind(to_json(&inventory.inventory, WHAT)?)
            .execute(&mut *tx)
            .await
            .map_err(failed("keep an inventory"))?;
            commit(tx).await
        })
    }

    fn inventory_find(&self, device: DeviceId) -> Answer<'_, Option<StoredInventory>> {
        Box::pin(async move {
            let found = sqlx::query(
                "SELECT received_at, inventory FROM inventories \
                 WHERE setting_id = $1 AND device_id = $2",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find an inventory"))?;
            let Some(row) = found.as_ref() else {
                return Ok(None);
            };
            Ok(Some(StoredInventory {
                received_at: time(row, "received_at", WHAT)?,
                inventory: json(row, "inventory", WHAT)?,
            }))
        })
    }
}
