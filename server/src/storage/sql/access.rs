//! Subject access requests for photos.

use super::value::{number, optional_text, optional_time, parsed, stored, text, time};
use super::{SqlStorage, commit, failed};
use crate::storage::access::{
    AccessRow, AccessState, AccessStore, AskedPhoto, AskedTablet, Received,
};
use crate::storage::hold::HoldAct;
use crate::storage::{Answer, AuditEntry, Changed, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::access::{ReviewStep, Reviewed};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{AccessRequestId, DeviceId, PhotoId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::{BTreeMap, BTreeSet};

const WHAT: &str = "a subject access request";

fn act(
    row: &SqliteRow,
    by: &'static str,
    at: &'static str,
) -> Result<Option<HoldAct>, StorageError> {
    Ok(optional_text(row, by, WHAT)?
        .zip(optional_time(row, at, WHAT)?)
        .map(|(by, at)| HoldAct { by, at }))
}

fn request(row: &SqliteRow) -> Result<AccessRow, StorageError> {
    Ok(AccessRow {
        id: parsed(row, "request_id", WHAT)?,
        child: parsed(row, "child_id", WHAT)?,
        recipient: text(row, "recipient", WHAT)?,
        max_photos: u32::try_from(number(row, "max_photos", WHAT)?).unwrap_or(u32::MAX),
        asked: HoldAct {
            by: text(row, "asked_by", WHAT)?,
            at: time(row, "asked_at", WHAT)?,
        },
        expires_at: time(row, "expires_at", WHAT)?,
        agreed: act(row, "agreed_by", "agreed_at")?,
        cancelled: act(row, "cancelled_by", "cancelled_at")?,
        handed_over: act(row, "handed_over_by", "handed_over_at")?,
        purged: act(row, "purged_by", "purged_at")?,
    })
}

fn photo(row: &SqliteRow) -> Result<AskedPhoto, StorageError> {
    let reviewed = optional_text(row, "reviewed", WHAT)?;
    let digest = optional_text(row, "told_sha256", WHAT)?;
    let received = match optional_time(row, "received_at", WHAT)? {
        Some(at) => Some(Received {
            bytes: number(row, "bytes", WHAT)?,
            sha256: parsed(row, "sha256", WHAT)?,
            at,
        }),
        None => None,
    };
    let corrupt = |problem: String| StorageError::Corrupt {
        what: WHAT,
        problem,
    };
    Ok(AskedPhoto {
        device: parsed(row, "device_id", WHAT)?,
        photo: parsed(row, "photo_id", WHAT)?,
        reviewed: reviewed
            .map(|word| serde_json::from_value::<Reviewed>(word.into()))
            .transpose()
            .map_err(|e| corrupt(e.to_string()))?,
        told_sha256: digest.map(|text| text.parse()).transpose().map_err(
            |e: nestwarden_policy_schema::bytes::DigestParseError| corrupt(e.to_string()),
        )?,
        received,
    })
}

async fn find(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    id: AccessRequestId,
) -> Result<Option<AccessRow>, StorageError> {
    sqlx::query("SELECT * FROM access_requests WHERE setting_id = $1 AND request_id = $2")
        .bind(setting)
        .bind(id.to_string())
        .fetch_optional(on)
        .await
        .map_err(failed("find a subject access request"))?
        .as_ref()
        .map(request)
        .transpose()
}

async fn is_asked(
    tx: &mut SqliteConnection,
    setting: &str,
    id: AccessRequestId,
    device: DeviceId,
) -> Result<bool, StorageError> {
    let found = sqlx::query(
        "SELECT 1 FROM access_tablets WHERE setting_id = $1 AND request_id = $2 AND device_id = $3",
    )
    .bind(setting)
    .bind(id.to_string())
    .bind(device.to_string())
    .fetch_optional(tx)
    .await
    .map_err(failed("find a tablet that was asked"))?;
    Ok(found.is_some())
}

/// Reads one event that was kept in the same transaction. What a tablet says of a request it was never asked for stays in
/// the log, and says nothing here.
pub(super) async fn read(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    at: Timestamp,
    body: &str,
) -> Result<(), StorageError> {
    // Most events are of other kinds, and are not parsed twice for this.
    if !body.contains("\"request\"") {
        return Ok(());
    }
    let Ok(body) = serde_json::from_str::<EventBody>(body) else {
        return Ok(());
    };
    if let EventBody::AccessReview {
        request,
        step: ReviewStep::Finished { .. },
    } = body
        && is_asked(tx, setting, request, device).await?
    {
        sqlx::query(
            "UPDATE access_tablets SET finished_at = $4 \
             WHERE setting_id = $1 AND request_id = $2 AND device_id = $3",
        )
        .bind(setting)
        .bind(request.to_string())
        .bind(device.to_string())
        .bind(at.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(failed("note the end of a review"))?;
    }
    if let EventBody::PhotoReviewed {
        request,
        photo,
        reviewed,
    } = body
        && is_asked(tx, setting, request, device).await?
    {
        let word = serde_json::to_value(reviewed).unwrap_or_default();
        let said = word.as_str().unwrap_or_default();
        tell(tx, setting, (request, device, photo), "reviewed", said).await?;
    }
    if let EventBody::PhotoExported {
        request,
        photo,
        sha256,
        ..
    } = body
        && is_asked(tx, setting, request, device).await?
    {
        let (key, said) = ((request, device, photo), sha256.to_string());
        tell(tx, setting, key, "told_sha256", &said).await?;
    }
    Ok(())
}

async fn tell(
    tx: &mut SqliteConnection,
    setting: &str,
    (request, device, photo): (AccessRequestId, DeviceId, PhotoId),
    column: &'static str,
    said: &str,
) -> Result<(), StorageError> {
    let put = format!(
        "INSERT INTO access_photos (setting_id, request_id, device_id, photo_id, {column}) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (setting_id, request_id, device_id, photo_id) \
         DO UPDATE SET {column} = excluded.{column}"
    );
    sqlx::query(sqlx::AssertSqlSafe(put))
        .bind(setting)
        .bind(request.to_string())
        .bind(device.to_string())
        .bind(photo.to_string())
        .bind(said)
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("note what was said of a photo for a request"))
}

impl SqlStorage {
    /// Sets who did one of the acts of a request, and when.
    async fn access_note(
        &self,
        tx: &mut SqliteConnection,
        request: AccessRequestId,
        columns: &'static str,
        act: &HoldAct,
    ) -> Result<(), StorageError> {
        let update = format!(
            "UPDATE access_requests SET {columns}_by = $3, {columns}_at = $4 \
             WHERE setting_id = $1 AND request_id = $2"
        );
        sqlx::query(sqlx::AssertSqlSafe(update))
            .bind(&self.setting_text)
            .bind(request.to_string())
            .bind(&act.by)
            .bind(act.at.as_microsecond())
            .execute(tx)
            .await
            .map(drop)
            .map_err(failed("note what became of a subject access request"))
    }
}

impl AccessStore for SqlStorage {
    fn access_list(&self) -> Answer<'_, Vec<AccessRow>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM access_requests WHERE setting_id = $1 ORDER BY request_id")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list subject access requests"))?
                .iter()
                .map(request)
                .collect()
        })
    }

    fn access_find(&self, request: AccessRequestId) -> Answer<'_, Option<AccessRow>> {
        Box::pin(find(&self.readers, &self.setting_text, request))
    }

    fn access_ask<'a>(&'a self, row: &'a AccessRow, audit: &'a AuditEntry) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "INSERT INTO access_requests (setting_id, request_id, child_id, recipient, \
                 max_photos, asked_by, asked_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(&self.setting_text)
            .bind(row.id.to_string())
            .bind(row.child.to_string())
            .bind(&row.recipient)
            .bind(i64::from(row.max_photos))
            .bind(&row.asked.by)
            .bind(row.asked.at.as_microsecond())
            .bind(row.expires_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a subject access request"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }

    fn access_agree<'a>(
        &'a self,
        request: AccessRequestId,
        act: &'a HoldAct,
        tablets: &'a BTreeMap<DeviceId, u64>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let Some(row) = find(&mut *tx, &self.setting_text, request).await? else {
                return Ok(Changed::Missing);
            };
            let waits = row.state(act.at) == AccessState::WaitsForSecondPerson;
            if !waits || row.asked.by == act.by {
                return Ok(Changed::Already);
            }
            self.access_note(&mut tx, request, "agreed", act).await?;
            for (device, photos) in tablets {
                sqlx::query(
                    "INSERT INTO access_tablets (setting_id, request_id, device_id, photos) \
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(&self.setting_text)
                .bind(request.to_string())
                .bind(device.to_string())
                .bind(stored(*photos))
                .execute(&mut *tx)
                .await
                .map_err(failed("note a tablet that is asked"))?;
            }
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn access_cancel<'a>(
        &'a self,
        request: AccessRequestId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match find(&mut *tx, &self.setting_text, request).await? {
                None => return Ok(Changed::Missing),
                Some(row) if row.cancelled.is_some() || row.purged.is_some() => {
                    return Ok(Changed::Already);
                }
                Some(_) => {}
            }
            self.access_note(&mut tx, request, "cancelled", act).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn access_hand_over<'a>(
        &'a self,
        request: AccessRequestId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let Some(row) = find(&mut *tx, &self.setting_text, request).await? else {
                return Ok(Changed::Missing);
            };
            let done = if row.handed_over.is_none() {
                self.access_note(&mut tx, request, "handed_over", act)
                    .await?;
                Changed::Yes
            } else {
                Changed::Already
            };
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(done)
        })
    }

    fn access_purged<'a>(
        &'a self,
        request: AccessRequestId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match find(&mut *tx, &self.setting_text, request).await? {
                None => return Ok(Changed::Missing),
                Some(row) if row.purged.is_some() => return Ok(Changed::Already),
                Some(_) => {}
            }
            self.access_note(&mut tx, request, "purged", act).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn access_asked(&self) -> Answer<'_, BTreeMap<AccessRequestId, BTreeSet<DeviceId>>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT request_id, device_id FROM access_tablets WHERE setting_id = $1",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the tablets that are asked"))?;
            let mut asked: BTreeMap<AccessRequestId, BTreeSet<DeviceId>> = BTreeMap::new();
            for row in &rows {
                let device = parsed(row, "device_id", WHAT)?;
                let request = parsed(row, "request_id", WHAT)?;
                asked.entry(request).or_default().insert(device);
            }
            Ok(asked)
        })
    }

    fn access_tablets(&self, request: AccessRequestId) -> Answer<'_, Vec<AskedTablet>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM access_tablets WHERE setting_id = $1 AND request_id = $2 \
                 ORDER BY device_id",
            )
            .bind(&self.setting_text)
            .bind(request.to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the tablets of a request"))?
            .iter()
            .map(|row| {
                Ok(AskedTablet {
                    device: parsed(row, "device_id", WHAT)?,
                    photos: number(row, "photos", WHAT)?,
                    finished_at: optional_time(row, "finished_at", WHAT)?,
                })
            })
            .collect()
        })
    }

    fn access_photos(&self, request: AccessRequestId) -> Answer<'_, Vec<AskedPhoto>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM access_photos WHERE setting_id = $1 AND request_id = $2 \
                 ORDER BY device_id, photo_id",
            )
            .bind(&self.setting_text)
            .bind(request.to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the photos of a request"))?
            .iter()
            .map(photo)
            .collect()
        })
    }

    fn access_received<'a>(
        &'a self,
        request: AccessRequestId,
        device: DeviceId,
        photo: PhotoId,
        received: Received,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let row = find(&mut *tx, &self.setting_text, request).await?;
            let is_open = row.is_some_and(|row| row.state(received.at) == AccessState::Open);
            if !is_open || !is_asked(&mut tx, &self.setting_text, request, device).await? {
                return Ok(Changed::Missing);
            }
            sqlx::query(
                "INSERT INTO access_photos (setting_id, request_id, device_id, photo_id, bytes, \
                 sha256, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                 ON CONFLICT (setting_id, request_id, device_id, photo_id) DO UPDATE SET \
                 bytes = excluded.bytes, sha256 = excluded.sha256, \
                 received_at = excluded.received_at",
            )
            .bind(&self.setting_text)
            .bind(request.to_string())
            .bind(device.to_string())
            .bind(photo.to_string())
            .bind(stored(received.bytes))
            .bind(received.sha256.to_string())
            .bind(received.at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("note a photo that was received"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }
}
