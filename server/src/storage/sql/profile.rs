//! Profiles.

use super::value::{number, stored, text, time};
use super::{SqlStorage, commit, failed, rollout};
use crate::storage::{Answer, AuditEntry, Ended, ProfileStore, ProfileVersion, StorageError};
use sqlx::sqlite::SqliteRow;

const WHAT: &str = "a profile";

fn version(row: &SqliteRow) -> Result<ProfileVersion, StorageError> {
    Ok(ProfileVersion {
        name: text(row, "name", WHAT)?,
        version: number(row, "version", WHAT)?,
        source: text(row, "source", WHAT)?,
        applied_at: time(row, "applied_at", WHAT)?,
        applied_by: text(row, "applied_by", WHAT)?,
    })
}

impl ProfileStore for SqlStorage {
    fn profile_list(&self) -> Answer<'_, Vec<ProfileVersion>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT p.* FROM profiles p WHERE p.setting_id = $1 AND p.version = \
                 (SELECT MAX(q.version) FROM profiles q \
                  WHERE q.setting_id = p.setting_id AND q.name = p.name) ORDER BY p.name",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list profiles"))?
            .iter()
            .map(version)
            .collect()
        })
    }

    fn profile_find<'a>(&'a self, name: &'a str) -> Answer<'a, Option<ProfileVersion>> {
        Box::pin(async move { Ok(self.profile_history(name).await?.into_iter().next()) })
    }

    fn profile_history<'a>(&'a self, name: &'a str) -> Answer<'a, Vec<ProfileVersion>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM profiles WHERE setting_id = $1 AND name = $2 ORDER BY version DESC",
            )
            .bind(&self.setting_text)
            .bind(name)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the versions of a profile"))?
            .iter()
            .map(version)
            .collect()
        })
    }

    fn profile_put<'a>(
        &'a self,
        name: &'a str,
        on: u64,
        source: &'a str,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Option<u64>> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let row = sqlx::query(
                "SELECT COALESCE(MAX(version), 0) AS version FROM profiles \
                 WHERE setting_id = $1 AND name = $2",
            )
            .bind(&self.setting_text)
            .bind(name)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed("find the live version of a profile"))?;
            let live = number(&row, "version", WHAT)?;
            if live != on {
                return Ok(None);
            }
            let version = live + 1;
            sqlx::query(
                "INSERT INTO profiles (setting_id, name, version, source, applied_at, applied_by) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&self.setting_text)
            .bind(name)
            .bind(stored(version))
            .bind(source)
            .bind(audit.at.as_microsecond())
            .bind(&audit.who)
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a profile"))?;
            let of = (self.setting_text.as_str(), name);
            let how = if rollout::tried(&mut tx, of).await?.as_deref() == Some(source) {
                Ended::Live
            } else {
                Ended::Overtaken
            };
            rollout::end(&mut tx, of, (audit.at, how)).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Some(version))
        })
    }
}
