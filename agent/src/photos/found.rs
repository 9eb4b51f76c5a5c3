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
    let mut statement = sql.prepare(
        "SELECT captured_at FROM photo INDEXED BY photo_counted
         WHERE (names > 0 OR stage = 'sealed' OR stage = 'destroyed') AND names > 0 AND found_month IS NOT NULL
            AND stage <> 'destroyed'",
    )?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut waiting = 0;
    for counted_at in rows {
        let counted_at: Timestamp = catalogue::read(&counted_at?)?;
        waiting += u64::from(decision.is_none_or(|found| counted_at > found.decided_at));
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
