//! What tablets enforce by their own word, and conflicts of records.

use super::value::{number, optional_text, optional_time, parsed, stored, text, time};
use super::{SqlStorage, commit, failed};
use crate::storage::report::{BundleReport, PutBackRow, RecordConflict, ReportStore, Reported};
use crate::storage::{Answer, AuditEntry, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::put_back::PutBack;
use sqlx::sqlite::SqliteRow;

const WHAT: &str = "a report of a tablet";

fn optional_digest(row: &SqliteRow, column: &'static str) -> Result<Option<Digest>, StorageError> {
    match optional_text(row, column, WHAT)? {
        Some(_) => parsed(row, column, WHAT).map(Some),
        None => Ok(None),
    }
}

pub(super) fn put_back(row: &SqliteRow) -> Result<PutBackRow, StorageError> {
    Ok(PutBackRow {
        device: parsed(row, "device_id", WHAT)?,
        bundle: PutBack {
            generation: Generation::new(number(row, "generation", WHAT)?),
            digest: optional_digest(row, "digest")?,
        },
        noticed_at: time(row, "noticed_at", WHAT)?,
        settled_at: optional_time(row, "settled_at", WHAT)?,
    })
}

pub(super) fn conflict(row: &SqliteRow) -> Result<RecordConflict, StorageError> {
    Ok(RecordConflict {
        since: time(row, "since", WHAT)?,
        last_at: time(row, "last_at", WHAT)?,
        times: number(row, "times", WHAT)?,
        problem: text(row, "problem", WHAT)?,
        over_at: optional_time(row, "over_at", WHAT)?,
    })
}

impl SqlStorage {
    async fn was_issued(
        &self,
        device: DeviceId,
        report: &BundleReport,
    ) -> Result<bool, StorageError> {
        if report.generation == Generation::NONE {
            return Ok(true);
        }
        let found = sqlx::query(
            "SELECT payload_digest FROM bundles \
             WHERE setting_id = $1 AND device_id = $2 AND generation = $3",
        )
        .bind(&self.setting_text)
        .bind(device.to_string())
        .bind(stored(report.generation.get()))
        .fetch_optional(&self.readers)
        .await
        .map_err(failed("find a bundle"))?;
        let Some(row) = found else {
            return Ok(false);
        };
        let issued: Digest = parsed(&row, "payload_digest", WHAT)?;
        Ok(report.digest.is_none_or(|digest| digest == issued))
    }

    async fn put_back_of(&self, device: DeviceId) -> Result<Option<PutBackRow>, StorageError> {
        sqlx::query("SELECT * FROM put_backs WHERE setting_id = $1 AND device_id = $2")
            .bind(&self.setting_text)
            .bind(device.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find what a tablet had"))?
            .as_ref()
            .map(put_back)
            .transpose()
    }

    async fn keep_report(
        &self,
        device: DeviceId,
        report: &BundleReport,
    ) -> Result<(), StorageError> {
        let known = self.bundle_reported(device).await?;
        let is_same = |known: BundleReport| {
            (known.generation, known.digest) == (report.generation, report.digest)
        };
        // Most fetches only hang again: they need no write.
        if known.is_some_and(is_same) {
            return Ok(());
        }
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO bundle_reports (setting_id, device_id, generation, digest, reported_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (setting_id, device_id) DO UPDATE SET \
             generation = excluded.generation, digest = excluded.digest, \
             reported_at = excluded.reported_at",
        )
        .bind(&self.setting_text)
        .bind(device.to_string())
        .bind(stored(report.generation.get()))
        .bind(report.digest.map(|digest| digest.to_string()))
        .bind(report.reported_at.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(failed("keep what a tablet enforces"))?;
        commit(tx).await
    }

    async fn note_put_back(
        &self,
        device: DeviceId,
        bundle: PutBack,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO put_backs (setting_id, device_id, generation, digest, noticed_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (setting_id, device_id) DO UPDATE SET \
             generation = excluded.generation, digest = excluded.digest, \
             noticed_at = excluded.noticed_at, settled_at = NULL, settled_by = NULL",
        )
        .bind(&self.setting_text)
        .bind(device.to_string())
        .bind(stored(bundle.generation.get()))
        .bind(bundle.digest.map(|digest| digest.to_string()))
        .bind(at.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(failed("note what a tablet had"))?;
        self.touch_inputs(&mut tx).await?;
        commit(tx).await
    }
}

impl ReportStore for SqlStorage {
    fn bundle_report<'a>(
        &'a self,
        device: DeviceId,
        report: &'a BundleReport,
    ) -> Answer<'a, Reported> {
        Box::pin(async move {
            self.keep_report(device, report).await?;
            if self.was_issued(device, report).await? {
                return Ok(Reported::Known);
            }
            let bundle = PutBack {
                generation: report.generation,
                digest: report.digest,
            };
            match self.put_back_of(device).await? {
                Some(known) if known.bundle == bundle && known.settled_at.is_some() => {
                    Ok(Reported::Known)
                }
                Some(known) if known.bundle == bundle => Ok(Reported::NeverIssued(bundle)),
                Some(_) | None => {
                    self.note_put_back(device, bundle, report.reported_at)
                        .await?;
                    Ok(Reported::NeverIssued(bundle))
                }
            }
        })
    }

    fn bundle_reported(&self, device: DeviceId) -> Answer<'_, Option<BundleReport>> {
        Box::pin(async move {
            let found = sqlx::query(
                "SELECT generation, digest, reported_at FROM bundle_reports \
                 WHERE setting_id = $1 AND device_id = $2",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find what a tablet enforces"))?;
            let Some(row) = found.as_ref() else {
                return Ok(None);
            };
            Ok(Some(BundleReport {
                generation: Generation::new(number(row, "generation", WHAT)?),
                digest: optional_digest(row, "digest")?,
                reported_at: time(row, "reported_at", WHAT)?,
            }))
        })
    }

    fn put_back_list(&self) -> Answer<'_, Vec<PutBackRow>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM put_backs WHERE setting_id = $1 ORDER BY device_id")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list what tablets had"))?
                .iter()
                .map(put_back)
                .collect()
        })
    }

    fn put_back_settle<'a>(&'a self, audit: &'a AuditEntry) -> Answer<'a, u64> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let done = sqlx::query(
                "UPDATE put_backs SET settled_at = $2, settled_by = $3 \
                 WHERE setting_id = $1 AND settled_at IS NULL",
            )
            .bind(&self.setting_text)
            .bind(audit.at.as_microsecond())
            .bind(&audit.who)
            .execute(&mut *tx)
            .await
            .map_err(failed("settle what tablets had"))?;
            if done.rows_affected() > 0 {
                self.touch_inputs(&mut tx).await?;
                self.add_audit(&mut tx, audit).await?;
            }
            commit(tx).await?;
            Ok(done.rows_affected())
        })
    }

    fn conflict_note<'a>(
        &'a self,
        device: DeviceId,
        problem: &'a str,
        at: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "INSERT INTO record_conflicts (setting_id, device_id, since, last_at, times, problem) \
                 VALUES ($1, $2, $3, $3, 1, $4) ON CONFLICT (setting_id, device_id) DO UPDATE SET \
                 since = CASE WHEN over_at IS NULL THEN since ELSE excluded.since END, \
                 times = CASE WHEN over_at IS NULL THEN times + 1 ELSE 1 END, \
                 last_at = excluded.last_at, problem = excluded.problem, over_at = NULL",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(at.as_microsecond())
            .bind(problem)
            .execute(&mut *tx)
            .await
            .map_err(failed("note a conflict of records"))?;
            commit(tx).await
        })
    }

    fn conflict_over(&self, device: DeviceId, at: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let open = self.conflict_find(device).await?;
            if open.is_none_or(|conflict| conflict.over_at.is_some()) {
                return Ok(());
            }
            let mut tx = self.write().await?;
            sqlx::query(
                "UPDATE record_conflicts SET over_at = $3 \
                 WHERE setting_id = $1 AND device_id = $2 AND over_at IS NULL",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("end a conflict of records"))?;
            commit(tx).await
        })
    }

    fn conflict_find(&self, device: DeviceId) -> Answer<'_, Option<RecordConflict>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM record_conflicts WHERE setting_id = $1 AND device_id = $2")
                .bind(&self.setting_text)
                .bind(device.to_string())
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("find a conflict of records"))?
                .as_ref()
                .map(conflict)
                .transpose()
        })
    }
}
