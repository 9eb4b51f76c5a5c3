//! Room inside the ledger's own files for what has to be written down when the disk is full: pages that nobody uses, and a
//! write-ahead log that has its length already. Nobody else can take it, unlike a file that would be deleted first.
//!
//! On a file system that copies on write (btrfs) even that needs space, and the reserve promises nothing.

use super::{Ledger, LedgerError, lock};
use rusqlite::{Connection, TransactionBehavior};

/// Enough for the records of two thousand photos that lapse together.
const RESERVE_BYTES: i64 = 8 * 1024 * 1024;

impl Ledger {
    /// Makes the reserve where less than half of it is left; whether it did. Blocks, and then writes twice its size.
    pub fn keep_reserve(&self) -> Result<bool, LedgerError> {
        let mut writer = lock(&self.shared.writer);
        // Left by a run that was cut short.
        writer.execute_batch("DROP TABLE IF EXISTS reserve")?;
        if free_bytes(&writer)? >= RESERVE_BYTES / 2 {
            return Ok(false);
        }
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch("CREATE TABLE reserve (filler BLOB NOT NULL)")?;
        tx.execute("INSERT INTO reserve VALUES (zeroblob(?1))", [RESERVE_BYTES])?;
        tx.commit()?;
        writer.execute_batch("DROP TABLE reserve")?;
        Ok(true)
    }
}

fn free_bytes(sql: &Connection) -> Result<i64, LedgerError> {
    let pragma = |name| sql.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(pragma("freelist_count")? * pragma("page_size")?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use crate::testing::{Signer, enrolled};
    use nestwarden_policy_schema::event::EventBody;
    use std::path::{Path, PathBuf};

    fn length(path: &Path) -> u64 {
        std::fs::metadata(path).unwrap().len()
    }

    #[test]
    fn with_its_reserve_a_ledger_that_records_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        let ledger = enrolled(&paths, &Signer::new());
        assert!(ledger.keep_reserve().unwrap());
        assert!(!ledger.keep_reserve().unwrap());
        let log = PathBuf::from(format!("{}-wal", paths.ledger_path().display()));
        // A few more pages to be written than the checkpoint waits for, so that both files are as long as they get.
        let record = |number: u32| {
            let what = format!("{number} {}", "x".repeat(60_000));
            let at = "2026-03-02T12:00:00Z".parse().unwrap();
            ledger.record(at, &EventBody::Alarm { what }).unwrap();
        };
        let before = (length(&paths.ledger_path()), length(&log));
        assert!(before.0 > RESERVE_BYTES.cast_unsigned());
        (0..60).for_each(record);
        assert_eq!((length(&paths.ledger_path()), length(&log)), before);
    }

    #[test]
    fn a_ledger_that_is_closed_keeps_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        let ledger = enrolled(&paths, &Signer::new());
        ledger.keep_reserve().unwrap();
        drop(ledger);
        let log = PathBuf::from(format!("{}-wal", paths.ledger_path().display()));
        assert!(length(&log) >= RESERVE_BYTES.cast_unsigned());
        assert!(!Ledger::open(&paths).unwrap().keep_reserve().unwrap());
    }

    #[test]
    fn a_reserve_that_was_cut_short_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        let ledger = enrolled(&paths, &Signer::new());
        let begun = ledger.transaction(|tx| {
            let sql = "CREATE TABLE reserve (filler BLOB NOT NULL); INSERT INTO reserve VALUES (zeroblob(100000))";
            tx.sql().execute_batch(sql).map_err(LedgerError::from)
        });
        begun.unwrap();
        assert!(ledger.keep_reserve().unwrap());
    }
}
