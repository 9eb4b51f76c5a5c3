//! The ledger's schema, step by step. Steps are added, never edited; each runs in one transaction.

use super::LedgerError;
use rusqlite::{Connection, TransactionBehavior};

const STEPS: &[&str] = &[
    include_str!("migrations/v1.sql"),
    crate::photos::catalogue::SCHEMA,
    include_str!("migrations/v3.sql"),
    crate::photos::session::SCHEMA_PRESENT,
    include_str!("migrations/v5.sql"),
    include_str!("migrations/v6.sql"),
    crate::photos::review::SCHEMA_REVIEW,
    include_str!("migrations/v8.sql"),
    include_str!("migrations/v9.sql"),
    include_str!("migrations/v10.sql"),
];

pub(super) fn run(connection: &mut Connection) -> Result<(), LedgerError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(found)
        .ok()
        .filter(|done| *done <= STEPS.len())
        .ok_or(LedgerError::NewerSchema {
            found,
            known: STEPS.len(),
        })?;
    if done == STEPS.len() {
        // Nothing is written, so that a ledger on a full disk opens.
        return Ok(());
    }
    for step in &STEPS[done..] {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(
        None,
        "user_version",
        i64::try_from(STEPS.len()).unwrap_or(i64::MAX),
    )?;
    tx.commit()?;
    Ok(())
}
