//! All tablets at once.

use super::value::{json, number, optional_time, parsed, time};
use super::{SqlStorage, device, failed, report};
use crate::storage::{
    Answer, FleetRow, FleetStore, NumberedInventory, PutBackRow, RecordConflict, StorageError,
    StoredInventory,
};
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use std::collections::HashMap;

const WHAT: &str = "a tablet among all";

/// Fewer than SQLite binds to one statement.
const ASKED_AT_ONCE: usize = 500;

const ROWS: &str = "SELECT d.*, i.version AS inventory, r.generation AS asked_with, \
     b.generation AS issued, b.issued_at AS issued_at FROM devices d \
     LEFT JOIN inventories i ON i.setting_id = d.setting_id AND i.device_id = d.device_id \
     LEFT JOIN bundle_reports r ON r.setting_id = d.setting_id AND r.device_id = d.device_id \
     LEFT JOIN bundles b ON b.setting_id = d.setting_id AND b.device_id = d.device_id \
     AND b.generation = (SELECT MAX(n.generation) FROM bundles n \
     WHERE n.setting_id = d.setting_id AND n.device_id = d.device_id) \
     WHERE d.setting_id = ";

/// What is the matter with few tablets.
struct Matters {
    put_backs: HashMap<DeviceId, PutBackRow>,
    conflicts: HashMap<DeviceId, RecordConflict>,
}

fn optional_number(row: &SqliteRow, column: &'static str) -> Result<Option<u64>, StorageError> {
    let is_there = row
        .try_get::<Option<i64>, _>(column)
        .map_err(failed("read a tablet among all"))?
        .is_some();
    is_there.then(|| number(row, column, WHAT)).transpose()
}

fn fleet_row(row: &SqliteRow, matters: &mut Matters) -> Result<FleetRow, StorageError> {
    let device = device::device(row)?;
    let issued = optional_number(row, "issued")?.map(Generation::new);
    let issued_at = optional_time(row, "issued_at", WHAT)?;
    Ok(FleetRow {
        inventory: optional_number(row, "inventory")?,
        issued: issued.zip(issued_at),
        asked_with: optional_number(row, "asked_with")?.map(Generation::new),
        put_back: matters.put_backs.remove(&device.id),
        conflict: matters.conflicts.remove(&device.id),
        device,
    })
}

impl SqlStorage {
    async fn matters(&self) -> Result<Matters, StorageError> {
        let put_backs =
            sqlx::query("SELECT * FROM put_backs WHERE setting_id = $1 AND settled_at IS NULL")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list what tablets had"))?;
        let conflicts =
            sqlx::query("SELECT * FROM record_conflicts WHERE setting_id = $1 AND over_at IS NULL")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list conflicts of records"))?;
        Ok(Matters {
            put_backs: put_backs
                .iter()
                .map(|row| report::put_back(row).map(|found| (found.device, found)))
                .collect::<Result<_, _>>()?,
            conflicts: conflicts
                .iter()
                .map(|row| Ok((parsed(row, "device_id", WHAT)?, report::conflict(row)?)))
                .collect::<Result<_, StorageError>>()?,
        })
    }
}

impl FleetStore for SqlStorage {
    fn fleet_list(&self) -> Answer<'_, Vec<FleetRow>> {
        Box::pin(async move {
            let mut matters = self.matters().await?;
            let mut query = QueryBuilder::<Sqlite>::new(ROWS);
            query.push_bind(&self.setting_text);
            query.push(" ORDER BY d.name, d.device_id");
            let rows = query.build().fetch_all(&self.readers).await;
            rows.map_err(failed("list all tablets"))?
                .iter()
                .map(|row| fleet_row(row, &mut matters))
                .collect()
        })
    }

    fn fleet_find(&self, device: DeviceId) -> Answer<'_, Option<FleetRow>> {
        Box::pin(async move {
            let mut matters = self.matters().await?;
            let mut query = QueryBuilder::<Sqlite>::new(ROWS);
            query.push_bind(&self.setting_text);
            query.push(" AND d.device_id = ");
            query.push_bind(device.to_string());
            let row = query.build().fetch_optional(&self.readers).await;
            row.map_err(failed("find a tablet among all"))?
                .as_ref()
                .map(|row| fleet_row(row, &mut matters))
                .transpose()
        })
    }

    fn inventory_list<'a>(&'a self, devices: &'a [DeviceId]) -> Answer<'a, Vec<NumberedInventory>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(devices.len());
            for some in devices.chunks(ASKED_AT_ONCE) {
                let mut query = QueryBuilder::<Sqlite>::new(
                    "SELECT device_id, version, received_at, inventory FROM inventories \
                     WHERE setting_id = ",
                );
                query.push_bind(&self.setting_text);
                query.push(" AND device_id IN (");
                let mut ids = query.separated(", ");
                for device in some {
                    ids.push_bind(device.to_string());
                }
                query.push(")");
                let rows = query.build().fetch_all(&self.readers).await;
                for row in &rows.map_err(failed("list inventories"))? {
                    found.push(NumberedInventory {
                        device: parsed(row, "device_id", WHAT)?,
                        number: number(row, "version", WHAT)?,
                        stored: StoredInventory {
                            received_at: time(row, "received_at", WHAT)?,
                            inventory: json(row, "inventory", WHAT)?,
                        },
                    });
                }
            }
            Ok(found)
        })
    }
}
