//! Whether an error says that the database cannot be used at this moment, whoever passed it on.

use super::StorageError;
use std::error::Error;
use std::io;

/// What is in the way, as far as it decides what a person does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody else writes; nothing was changed.
    Busy,
    /// No room; nothing was changed.
    Full,
    /// Its disk fails or cannot be written. What was being committed may be there or not.
    Unusable,
}

/// `None`: it is about something else.
pub fn trouble(error: &(dyn Error + 'static)) -> Option<Trouble> {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(StorageError::Busy)) {
            return Some(Trouble::Busy);
        }
        // An error that is passed on as it is does not show itself, only what caused it.
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return of_database(error);
        }
        next = error.source();
    }
    None
}

fn of_database(error: &sqlx::Error) -> Option<Trouble> {
    if let sqlx::Error::Io(error) = error {
        let is_full = error.kind() == io::ErrorKind::StorageFull;
        return Some(if is_full {
            Trouble::Full
        } else {
            Trouble::Unusable
        });
    }
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return Some(Trouble::Busy);
    }
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    // The last byte is what all kinds of a failure share: https://sqlite.org/rescode.html
    match code & 0xff {
        5 | 6 => Some(Trouble::Busy),
        13 => Some(Trouble::Full),
        8 | 10 | 14 => Some(Trouble::Unusable),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use sqlx::Connection as _;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
    use std::path::Path;
    use std::time::Duration;

    async fn opened(path: &Path) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(Duration::ZERO);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn run(on: &mut SqliteConnection, sql: &'static str) -> Result<(), StorageError> {
        let done = sqlx::raw_sql(sql).execute(on).await;
        done.map(drop).map_err(|source| StorageError::Database {
            act: "test",
            source,
        })
    }

    #[tokio::test]
    async fn a_locked_a_full_and_a_read_only_database_are_told_from_a_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("any.db");
        let mut one = opened(&path).await;
        run(&mut one, "CREATE TABLE t (x BLOB)").await.unwrap();
        let mut other = opened(&path).await;
        let of = async |on: &mut SqliteConnection, sql| {
            let error = run(on, sql).await.unwrap_err();
            trouble(&error)
        };

        run(&mut other, "BEGIN IMMEDIATE").await.unwrap();
        assert_eq!(of(&mut one, "BEGIN IMMEDIATE").await, Some(Trouble::Busy));
        run(&mut other, "ROLLBACK").await.unwrap();
        run(&mut one, "PRAGMA max_page_count = 2").await.unwrap();
        let much = "INSERT INTO t VALUES (zeroblob(100000))";
        assert_eq!(of(&mut one, much).await, Some(Trouble::Full));
        run(&mut other, "PRAGMA query_only = 1").await.unwrap();
        assert_eq!(of(&mut other, much).await, Some(Trouble::Unusable));
        assert_eq!(of(&mut one, "INSERT INTO nowhere VALUES (1)").await, None);
        assert_eq!(trouble(&StorageError::Busy), Some(Trouble::Busy));
        assert_eq!(trouble(&StorageError::NoSetting), None);
    }
}
