//! Mappings, keys of imports, and files that wait.

use super::value::{json, optional_text, optional_time, parsed, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::{
    Acceptance, Answer, AuditEntry, Changed, ImportKey, ImportStore, SavedMapping, StorageError,
    WaitingFile,
};
use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const MAPPING: &str = "a mapping";
const KEY: &str = "an import key";
const FILE: &str = "a waiting file";

/// A sender that asks again does so within days.
const KEYS_FOR: SignedDuration = SignedDuration::from_hours(24 * 35);

fn mapping(row: &SqliteRow) -> Result<SavedMapping, StorageError> {
    let accepted = match (
        optional_text(row, "accepted_digest", MAPPING)?,
        optional_time(row, "accepted_at", MAPPING)?,
        optional_text(row, "accepted_by", MAPPING)?,
    ) {
        (Some(_), Some(at), Some(by)) => Some(Acceptance {
            digest: parsed(row, "accepted_digest", MAPPING)?,
            at,
            by,
        }),
        _ => None,
    };
    Ok(SavedMapping {
        name: text(row, "name", MAPPING)?,
        source: text(row, "source", MAPPING)?,
        saved_at: time(row, "saved_at", MAPPING)?,
        saved_by: text(row, "saved_by", MAPPING)?,
        accepted,
    })
}

/// Forgets keys of long ago at the same time.
pub(super) async fn remember(
    tx: &mut SqliteConnection,
    setting: &str,
    key: &ImportKey,
) -> Result<(), StorageError> {
    let forget = key.at.checked_sub(KEYS_FOR).unwrap_or(Timestamp::MIN);
    sqlx::query("DELETE FROM import_keys WHERE setting_id = $1 AND at < $2")
        .bind(setting)
        .bind(forget.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(failed("forget old import keys"))?;
    sqlx::query(
        "INSERT INTO import_keys (setting_id, import_key, body_digest, at, answer) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(setting)
    .bind(&key.key)
    .bind(key.body.to_string())
    .bind(key.at.as_microsecond())
    .bind(to_json(&key.answer, KEY)?)
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("remember an import key"))
}

impl ImportStore for SqlStorage {
    fn mapping_list(&self) -> Answer<'_, Vec<SavedMapping>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM mappings WHERE setting_id = $1 ORDER BY name")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list mappings"))?
                .iter()
                .map(mapping)
                .collect()
        })
    }

    fn mapping_find<'a>(&'a self, name: &'a str) -> Answer<'a, Option<SavedMapping>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM mappings WHERE setting_id = $1 AND name = $2")
                .bind(&self.setting_text)
                .bind(name)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("find a mapping"))?
                .as_ref()
                .map(mapping)
                .transpose()
        })
    }

    fn mapping_put<'a>(
        &'a self,
        mapping: &'a SavedMapping,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "INSERT INTO mappings (setting_id, name, source, saved_at, saved_by) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (setting_id, name) DO UPDATE SET \
                 source = excluded.source, saved_at = excluded.saved_at, \
                 saved_by = excluded.saved_by, accepted_digest = NULL, accepted_at = NULL, \
                 accepted_by = NULL",
            )
            .bind(&self.setting_text)
            .bind(&mapping.name)
            .bind(&mapping.source)
            .bind(mapping.saved_at.as_microsecond())
            .bind(&mapping.saved_by)
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a mapping"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }

    fn mapping_accept<'a>(
        &'a self,
        name: &'a str,
        source: &'a str,
        acceptance: &'a Acceptance,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let done = sqlx::query(
                "UPDATE mappings SET accepted_digest = $4, accepted_at = $5, accepted_by = $6 \
                 WHERE setting_id = $1 AND name = $2 AND source = $3",
            )
            .bind(&self.setting_text)
            .bind(name)
            .bind(source)
            .bind(acceptance.digest.to_string())
            .bind(acceptance.at.as_microsecond())
            .bind(&acceptance.by)
            .execute(&mut *tx)
            .await
            .map_err(failed("accept a mapping"))?;
            if done.rows_affected() == 0 {
                return Ok(Changed::Already);
            }
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn import_key_find<'a>(&'a self, key: &'a str) -> Answer<'a, Option<ImportKey>> {
        Box::pin(async move {
            let row =
                sqlx::query("SELECT * FROM import_keys WHERE setting_id = $1 AND import_key = $2")
                    .bind(&self.setting_text)
                    .bind(key)
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(failed("find an import key"))?;
            row.as_ref()
                .map(|row| {
                    Ok(ImportKey {
                        key: text(row, "import_key", KEY)?,
                        body: parsed(row, "body_digest", KEY)?,
                        at: time(row, "at", KEY)?,
                        answer: json(row, "answer", KEY)?,
                    })
                })
                .transpose()
        })
    }

    fn waiting_list(&self) -> Answer<'_, Vec<WaitingFile>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM waiting_files WHERE setting_id = $1 ORDER BY name")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list waiting files"))?
                .iter()
                .map(|row| {
                    Ok(WaitingFile {
                        name: text(row, "name", FILE)?,
                        digest: parsed(row, "digest", FILE)?,
                        since: time(row, "since", FILE)?,
                        why: text(row, "why", FILE)?,
                    })
                })
                .collect()
        })
    }

    fn waiting_put<'a>(&'a self, file: &'a WaitingFile) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let done = sqlx::query(
                "INSERT INTO waiting_files (setting_id, name, digest, since, why) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (setting_id, name) DO UPDATE SET \
                 digest = excluded.digest, since = excluded.since, why = excluded.why \
                 WHERE (waiting_files.digest, waiting_files.since, waiting_files.why) \
                 <> (excluded.digest, excluded.since, excluded.why)",
            )
            .bind(&self.setting_text)
            .bind(&file.name)
            .bind(file.digest.to_string())
            .bind(file.since.as_microsecond())
            .bind(&file.why)
            .execute(&mut *tx)
            .await
            .map_err(failed("note a waiting file"))?;
            if done.rows_affected() > 0 {
                self.touch_inputs(&mut tx).await?;
            }
            commit(tx).await
        })
    }

    fn waiting_remove<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let done = sqlx::query("DELETE FROM waiting_files WHERE setting_id = $1 AND name = $2")
                .bind(&self.setting_text)
                .bind(name)
                .execute(&mut *tx)
                .await
                .map_err(failed("forget a waiting file"))?;
            if done.rows_affected() > 0 {
                self.touch_inputs(&mut tx).await?;
            }
            commit(tx).await?;
            Ok(done.rows_affected() > 0)
        })
    }
}
