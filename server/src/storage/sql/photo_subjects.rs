//! Who tablets said is in which photo.

use super::value::parsed;
use super::{SqlStorage, failed};
use crate::storage::{PhotoRow, StorageError};
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId};
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};
use std::collections::BTreeSet;

const WHAT: &str = "who is in a photo";

/// Of a photo in which anybody may be.
const ANYBODY: &str = "";

/// Under which children a photo is found; a photo that is there and does not name everybody is found under all of them.
pub(super) fn of(row: &PhotoRow) -> BTreeSet<String> {
    let told = [
        row.facts.as_ref(),
        row.floor.as_ref().map(|floor| &floor.facts),
    ];
    let told: Vec<_> = told.into_iter().flatten().map(|f| &f.subjects).collect();
    let names_everybody = !told.is_empty() && told.iter().all(|who| who.names_everybody());
    if row.stage != Stage::Destroyed && !names_everybody {
        return BTreeSet::from([ANYBODY.to_owned()]);
    }
    let confirmed = told.iter().flat_map(|who| &who.confirmed).copied();
    let of_receipt = row.receipt.as_ref().and_then(|receipt| receipt.child);
    confirmed
        .chain(of_receipt)
        .map(|child| child.to_string())
        .collect()
}

/// Replaces those of a photo.
pub(super) async fn put(
    tx: &mut SqliteConnection,
    setting: &str,
    row: &PhotoRow,
    children: &BTreeSet<String>,
) -> Result<(), StorageError> {
    forget(tx, setting, row.device, row.photo).await?;
    for child in children {
        sqlx::query(
            "INSERT INTO photo_subjects (setting_id, child_id, device_id, photo_id) \
             VALUES ($1, $2, $3, $4)",
        )
        .bind(setting)
        .bind(child)
        .bind(row.device.to_string())
        .bind(row.photo.to_string())
        .execute(&mut *tx)
        .await
        .map_err(failed("note who is in a photo"))?;
    }
    Ok(())
}

pub(super) async fn forget(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    photo: PhotoId,
) -> Result<(), StorageError> {
    sqlx::query(
        "DELETE FROM photo_subjects WHERE setting_id = $1 AND device_id = $2 AND photo_id = $3",
    )
    .bind(setting)
    .bind(device.to_string())
    .bind(photo.to_string())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("forget who is in a photo"))
}

pub(super) async fn forget_all(
    tx: &mut SqliteConnection,
    setting: &str,
) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM photo_subjects WHERE setting_id = $1")
        .bind(setting)
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("forget who is in photos"))
}

impl SqlStorage {
    /// With every photo of which a person said who is in it: that is not told by tablets.
    pub(super) async fn photos_that_may_show(
        &self,
        children: &BTreeSet<ChildId>,
    ) -> Result<Vec<(DeviceId, PhotoId)>, StorageError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT device_id, photo_id FROM photo_corrections WHERE setting_id = ",
        );
        query.push_bind(&self.setting_text);
        query.push(" UNION SELECT device_id, photo_id FROM photo_subjects WHERE setting_id = ");
        query.push_bind(&self.setting_text);
        query.push(" AND child_id IN (");
        let mut ids = query.separated(", ");
        ids.push_bind(ANYBODY);
        for child in children {
            ids.push_bind(child.to_string());
        }
        query.push(") ORDER BY 1, 2");
        let rows = query.build().fetch_all(&self.readers).await;
        rows.map_err(failed("find the photos of children"))?
            .iter()
            .map(|row| {
                let device = parsed(row, "device_id", WHAT)?;
                Ok((device, parsed(row, "photo_id", WHAT)?))
            })
            .collect()
    }
}
