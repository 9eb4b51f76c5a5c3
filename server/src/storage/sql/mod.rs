//! The stores on SQLite. SQL keeps to what PostgreSQL shares; what is SQLite's own is in this file.
//!
//! One connection writes, so that writers of this process never wait for each other's locks by sleeping; others read.

mod access;
mod account;
mod alert;
mod api_token;
mod audit;
mod bundle;
mod command;
mod consent;
mod decision;
mod device;
mod entry;
mod event;
mod fleet;
mod hold;
mod import;
mod ingest;
mod inventory;
mod nonce;
mod operator;
mod passcode;
mod passkey;
mod photo;
mod photo_subjects;
mod profile;
mod report;
mod rollout;
mod session;
mod tally;
mod task;
mod token;
mod told;
mod value;

use super::{Answer, AuditEntry, Erased, Storage, StorageError, Store};
use jiff::Timestamp;
use nestwarden_policy_schema::id::SettingId;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection as _, Row as _, Sqlite, Transaction};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

pub(crate) struct SqlStorage {
    setting: SettingId,
    /// As bound to every statement.
    setting_text: String,
    readers: SqlitePool,
    writer: SqlitePool,
    ingest: ingest::Ingest,
}

/// Creates the database of a new setting; the file must not exist.
pub async fn create(
    path: &Path,
    setting: SettingId,
    name: &str,
    now: Timestamp,
) -> Result<Storage, StorageError> {
    // Made here and not by SQLite, so that nobody else may read it; the log and index beside it take after it.
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| failed("make its file")(sqlx::Error::Io(e)))?;
    let writer = writer(path).await?;
    let done = async {
        migrate(&writer).await?;
        sqlx::query("INSERT INTO settings (setting_id, name, created_at) VALUES ($1, $2, $3)")
            .bind(setting.to_string())
            .bind(name)
            .bind(now.as_microsecond())
            .execute(&writer)
            .await
            .map_err(failed("add the setting"))
    };
    done.await?;
    finish(path, writer, setting).await
}

/// Opens the database and brings it to this version's shape.
pub async fn open(path: &Path) -> Result<Storage, StorageError> {
    let writer = writer(path).await?;
    migrate(&writer).await?;
    let row = sqlx::query("SELECT setting_id FROM settings ORDER BY setting_id LIMIT 1")
        .fetch_optional(&writer)
        .await
        .map_err(failed("find its setting"))?
        .ok_or(StorageError::NoSetting)?;
    let setting = value::parsed(&row, "setting_id", "a setting id")?;
    finish(path, writer, setting).await
}

async fn finish(
    path: &Path,
    writer: SqlitePool,
    setting: SettingId,
) -> Result<Storage, StorageError> {
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_with(options(path).read_only(true))
        .await
        .map_err(failed("open for reading"))?;
    let setting_text = setting.to_string();
    photo::bring_up_to_date(&writer, &setting_text).await?;
    Ok(Arc::new(SqlStorage {
        setting,
        ingest: ingest::Ingest::start(writer.clone(), setting_text.clone()),
        setting_text,
        readers,
        writer,
    }))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .optimize_on_close(false, None)
}

/// The writing connection overwrites whatever it deletes.
async fn writer(path: &Path) -> Result<SqlitePool, StorageError> {
    SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        // On a full or failing disk SQLite rolls a transaction back by itself, and what counts transactions here never hears
        // of it: such a connection would begin no other. Another takes its place.
        .before_acquire(|connection, _| {
            let is_stuck = connection.is_in_transaction();
            Box::pin(async move { Ok(!is_stuck) })
        })
        .connect_with(options(path).pragma("secure_delete", "ON"))
        .await
        .map_err(failed("open for writing"))
}

async fn migrate(writer: &SqlitePool) -> Result<(), StorageError> {
    MIGRATIONS
        .run(writer)
        .await
        .map_err(StorageError::Migration)
}

/// Wraps what the database said with what was being done.
fn failed(act: &'static str) -> impl FnOnce(sqlx::Error) -> StorageError {
    move |source| StorageError::Database { act, source }
}

impl SqlStorage {
    /// A transaction that holds the write lock from its beginning, so that what it reads stays true until it commits.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StorageError> {
        begin(&self.writer).await
    }

    /// Notes that something changed which may show in a bundle.
    async fn touch_inputs(&self, tx: &mut SqliteConnection) -> Result<(), StorageError> {
        touch_inputs(tx, &self.setting_text).await
    }

    /// Overwrites what the log still holds of pages as they were. Where somebody reads at this moment it is left to the next
    /// who asks.
    async fn empty_log(&self) -> Result<Erased, StorageError> {
        let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&self.writer)
            .await
            .map_err(failed("empty its log"))?;
        let busy: i64 = emptied.try_get(0).map_err(failed("empty its log"))?;
        Ok(if busy == 0 {
            Erased::All
        } else {
            Erased::NotFromLog
        })
    }

    async fn add_audit(
        &self,
        tx: &mut SqliteConnection,
        entry: &AuditEntry,
    ) -> Result<(), StorageError> {
        audit::add(tx, &self.setting_text, entry).await
    }
}

async fn touch_inputs(tx: &mut SqliteConnection, setting: &str) -> Result<(), StorageError> {
    sqlx::query("UPDATE settings SET inputs = inputs + 1 WHERE setting_id = $1")
        .bind(setting)
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("note a change"))
}

async fn begin(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, StorageError> {
    writer
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(failed("begin a change"))
}

async fn commit(tx: Transaction<'_, Sqlite>) -> Result<(), StorageError> {
    tx.commit().await.map_err(failed("commit a change"))
}

impl Store for SqlStorage {
    fn setting(&self) -> SettingId {
        self.setting
    }

    fn inputs_version(&self) -> Answer<'_, i64> {
        Box::pin(async move {
            sqlx::query("SELECT inputs FROM settings WHERE setting_id = $1")
                .bind(&self.setting_text)
                .fetch_one(&self.readers)
                .await
                .and_then(|row| row.try_get("inputs"))
                .map_err(failed("read the version of its inputs"))
        })
    }

    fn check_writable(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query("UPDATE settings SET inputs = inputs WHERE setting_id = $1")
                .bind(&self.setting_text)
                .execute(&mut *tx)
                .await
                .map_err(failed("write"))?;
            commit(tx).await
        })
    }

    fn problems(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let rows = sqlx::query("PRAGMA integrity_check(20)")
                .fetch_all(&self.readers)
                .await
                .map_err(failed("check itself"))?;
            let mut problems = Vec::new();
            for row in rows {
                let said: String = row.try_get(0).map_err(failed("check itself"))?;
                if said != "ok" {
                    problems.push(said);
                }
            }
            let broken = sqlx::query("PRAGMA foreign_key_check")
                .fetch_all(&self.readers)
                .await
                .map_err(failed("check its references"))?;
            if !broken.is_empty() {
                problems.push(format!("{} rows refer to rows that are gone", broken.len()));
            }
            Ok(problems)
        })
    }
}

/// Makes a database what an earlier version left.
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
pub(crate) async fn testing_execute(path: &Path, sql: &'static str) {
    let pool = writer(path).await.unwrap();
    sqlx::query(sql).execute(&pool).await.unwrap();
    pool.close().await;
}

#[cfg(test)]
mod tests;
