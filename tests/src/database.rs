//! What is in a program's database, read from outside while it runs.

use anyhow::{Context as _, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A SQLite file that somebody else writes.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
}

impl Database {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first column of the first row.
    pub fn number(&self, sql: &str) -> Result<i64> {
        let rows = self.rows(sql, |row| row.try_get::<i64, _>(0))?;
        rows.into_iter()
            .next()
            .with_context(|| format!("no row: {sql}"))
    }

    /// The first column of every row.
    pub fn numbers(&self, sql: &str) -> Result<Vec<i64>> {
        self.rows(sql, |row| row.try_get(0))
    }

    /// The first column of every row.
    pub fn texts(&self, sql: &str) -> Result<Vec<String>> {
        self.rows(sql, |row| row.try_get(0))
    }

    /// Runs statements on it, which nobody else may have open.
    pub fn change(&self, sql: &str) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let changed = runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(&self.path);
            let mut connection: SqliteConnection = options.connect().await?;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                .execute(&mut connection)
                .await?;
            connection.close().await
        });
        changed.with_context(|| format!("could not change {}: {sql}", self.path.display()))
    }

    /// What `read` makes of every row.
    pub fn rows<T>(
        &self,
        sql: &str,
        read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let rows = runtime.block_on(async {
            let mut connection: SqliteConnection = SqliteConnectOptions::new()
                .filename(&self.path)
                .read_only(true)
                .busy_timeout(Duration::from_secs(10))
                .connect()
                .await?;
            sqlx::query(AssertSqlSafe(sql.to_owned()))
                .fetch_all(&mut connection)
                .await
        });
        rows.and_then(|rows| rows.iter().map(read).collect())
            .with_context(|| format!("could not read {}: {sql}", self.path.display()))
    }
}
