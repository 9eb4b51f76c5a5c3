//! The audit log.

use super::value::{json, stored, text, time, to_json};
use super::{SqlStorage, begin, commit, failed};
use crate::storage::{Answer, AuditEntry, AuditStore, StorageError};
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const WHAT: &str = "an audit entry";

pub(super) async fn add(
    tx: &mut SqliteConnection,
    setting: &str,
    entry: &AuditEntry,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO audit (setting_id, seq, at, who, act, subject, detail) \
         SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5, $6 FROM audit WHERE setting_id = $1",
    )
    .bind(setting)
    .bind(entry.at.as_microsecond())
    .bind(&entry.who)
    .bind(&entry.act)
    .bind(&entry.subject)
    .bind(to_json(&entry.detail, WHAT)?)
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("add an audit entry"))
}

fn entry(row: &SqliteRow) -> Result<AuditEntry, StorageError> {
    Ok(AuditEntry {
        at: time(row, "at", WHAT)?,
        who: text(row, "who", WHAT)?,
        act: text(row, "act", WHAT)?,
        subject: text(row, "subject", WHAT)?,
        detail: json(row, "detail", WHAT)?,
    })
}

impl AuditStore for SqlStorage {
    fn audit_list(&self, limit: u32) -> Answer<'_, Vec<AuditEntry>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT at, who, act, subject, detail FROM audit WHERE setting_id = $1 \
                 ORDER BY seq DESC LIMIT $2",
            )
            .bind(&self.setting_text)
            .bind(stored(limit.into()))
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list audit entries"))?
            .iter()
            .map(entry)
            .collect()
        })
    }

    fn audit_of<'a>(
        &'a self,
        act: &'a str,
        until: Timestamp,
        limit: u32,
    ) -> Answer<'a, Vec<AuditEntry>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT at, who, act, subject, detail FROM audit \
                 WHERE setting_id = $1 AND act = $2 AND at < $3 ORDER BY at DESC, seq DESC LIMIT $4",
            )
            .bind(&self.setting_text)
            .bind(act)
            .bind(until.as_microsecond())
            .bind(stored(limit.into()))
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the audit entries of one act"))?
            .iter()
            .map(entry)
            .collect()
        })
    }

    fn audit_add<'a>(&'a self, entry: &'a AuditEntry) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = begin(&self.writer).await?;
            add(&mut tx, &self.setting_text, entry).await?;
            commit(tx).await
        })
    }
}
