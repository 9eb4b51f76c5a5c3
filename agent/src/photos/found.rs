//! Photos that were there before the tablet was enrolled: counted until a manager decides, or somebody says who is in one.

use super::catalogue::{self, PhotoRow};
use super::engine::Moment;
use super::error::PhotosError;
use crate::ledger::LedgerTx;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::FoundPhotos;
use rusqlite::Connection;

/// How many no decision covers, of those that are still there.
pub(super) fn undecided(
    sql: &Connection,
    decision: Option<&FoundPhotos>,
) -> Result<u64, PhotosError> {
    const LEFT: &str = "FROM photo INDEXED BY photo_counted
         WHERE (names > 0 OR stage = 'sealed' OR stage = 'destroyed') AND names > 0 AND found_month IS NOT NULL
            AND stage <> 'destroyed'";
    let Some(decision) = decision else {
        // Answered from the index alone: it is asked after every pass.
        let count = format!("SELECT count(*) {LEFT}");
        let waiting: i64 = sql
            .prepare_cached(&count)?
            .query_row([], |row| row.get(0))?;
        return Ok(waiting.cast_unsigned());
    };
    let mut statement = sql.prepare_cached(&format!("SELECT captured_at {LEFT}"))?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut waiting = 0;
    for counted_at in rows {
        let counted_at: Timestamp = catalogue::read(&counted_at?)?;
        waiting += u64::from(counted_at > decision.decided_at);
    }
    Ok(waiting)
}

/// Somebody looked at it and said who is in it: from now on it is a photo like any other.
pub(super) fn take_up(
    tx: &LedgerTx<'_>,
    moment: &Moment<'_>,
    row: &PhotoRow,
) -> Result<(), PhotosError> {
    if row.found_month.is_none() {
        return Ok(());
    }
    let date = moment.bundle.calendar.local_date(moment.now.at);
    let mut possible = row.subjects.possible(&moment.bundle.register, date);
    possible.extend(&row.subjects.possible_when_taken);
    catalogue::taken_at(tx.sql(), row.id, moment.now.at, &possible)
}

pub(super) fn waits(photos: u64) -> String {
    let (photos, wait) = match photos {
        1 => ("1 photo".to_owned(), "waits"),
        more => (format!("{more} photos"), "wait"),
    };
    format!(
        "{photos} found at enrolment {wait} for the manager's decision (`nestwarden-server device found`)"
    )
}
