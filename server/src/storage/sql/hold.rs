//! Holds.

use super::value::{json, optional_text, optional_time, text, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::hold::HoldAct;
use crate::storage::{Answer, AuditEntry, Changed, HoldRow, HoldStore, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::id::HoldId;
use sqlx::sqlite::SqliteRow;

const WHAT: &str = "a hold";

fn act(
    row: &SqliteRow,
    by: &'static str,
    at: &'static str,
) -> Result<Option<HoldAct>, StorageError> {
    Ok(optional_text(row, by, WHAT)?
        .zip(optional_time(row, at, WHAT)?)
        .map(|(by, at)| HoldAct { by, at }))
}

fn hold(row: &SqliteRow) -> Result<HoldRow, StorageError> {
    Ok(HoldRow {
        hold: json(row, "hold", WHAT)?,
        opened_by: text(row, "opened_by", WHAT)?,
        release_requested: act(row, "release_requested_by", "release_requested_at")?,
        released: act(row, "released_by", "released_at")?,
    })
}

async fn find(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    id: HoldId,
) -> Result<Option<HoldRow>, StorageError> {
    sqlx::query("SELECT * FROM holds WHERE setting_id = $1 AND hold_id = $2")
        .bind(setting)
        .bind(id.to_string())
        .fetch_optional(on)
        .await
        .map_err(failed("find a hold"))?
        .as_ref()
        .map(hold)
        .transpose()
}

impl HoldStore for SqlStorage {
    fn hold_list(&self) -> Answer<'_, Vec<HoldRow>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM holds WHERE setting_id = $1 ORDER BY hold_id")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list holds"))?
                .iter()
                .map(hold)
                .collect()
        })
    }

    fn hold_find(&self, hold: HoldId) -> Answer<'_, Option<HoldRow>> {
        Box::pin(find(&self.readers, &self.setting_text, hold))
    }

    fn hold_open<'a>(&'a self, hold: &'a HoldRow, audit: &'a AuditEntry) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "INSERT INTO holds (setting_id, hold_id, hold, opened_by) VALUES ($1, $2, $3, $4)",
            )
            .bind(&self.setting_text)
            .bind(hold.hold.id.to_string())
            .bind(to_json(&hold.hold, WHAT)?)
            .bind(&hold.opened_by)
            .execute(&mut *tx)
            .await
            .map_err(failed("open a hold"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }

    fn hold_review<'a>(
        &'a self,
        hold: HoldId,
        review_by: Timestamp,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let mut row = match find(&mut *tx, &self.setting_text, hold).await? {
                None => return Ok(Changed::Missing),
                Some(row) if row.released.is_some() => return Ok(Changed::Already),
                Some(row) => row,
            };
            row.hold.review_by = review_by;
            sqlx::query("UPDATE holds SET hold = $3 WHERE setting_id = $1 AND hold_id = $2")
                .bind(&self.setting_text)
                .bind(hold.to_string())
                .bind(to_json(&row.hold, WHAT)?)
                .execute(&mut *tx)
                .await
                .map_err(failed("note a review of a hold"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn hold_request_release<'a>(
        &'a self,
        hold: HoldId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match find(&mut *tx, &self.setting_text, hold).await? {
                None => return Ok(Changed::Missing),
                Some(row) if row.released.is_some() || row.release_requested.is_some() => {
                    return Ok(Changed::Already);
                }
                Some(_) => {}
            }
            sqlx::query(
                "UPDATE holds SET release_requested_by = $3, release_requested_at = $4 \
                 WHERE setting_id = $1 AND hold_id = $2",
            )
            .bind(&self.setting_text)
            .bind(hold.to_string())
            .bind(&act.by)
            .bind(act.at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("note a wish to release a hold"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn hold_release<'a>(
        &'a self,
        hold: HoldId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let Some(row) = find(&mut *tx, &self.setting_text, hold).await? else {
                return Ok(Changed::Missing);
            };
            let asked_by_another = row
                .release_requested
                .is_some_and(|asked| asked.by != act.by);
            if row.released.is_some() || !asked_by_another {
                return Ok(Changed::Already);
            }
            sqlx::query(
                "UPDATE holds SET released_by = $3, released_at = $4 \
                 WHERE setting_id = $1 AND hold_id = $2",
            )
            .bind(&self.setting_text)
            .bind(hold.to_string())
            .bind(&act.by)
            .bind(act.at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("release a hold"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }
}
