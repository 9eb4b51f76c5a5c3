//! Tells the server what a photo's verdict rests on: random ids, by which it can say what a withdrawal would remove and
//! where a use has to be taken down.
//!
//! Told in the transaction that changed it. What the spool has no room for is told once it has.

use super::catalogue;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::fault::Write;
use crate::ledger::LedgerTx;
use jiff::Timestamp;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{DeviceId, PhotoId};

/// Photos told of late in one pass.
const LATE: i64 = 256;

/// Photos found at enrolment are only counted, until a manager decides.
pub(super) fn tell(
    tx: &LedgerTx<'_>,
    device: DeviceId,
    photo: PhotoId,
    at: Timestamp,
) -> Result<(), PhotosError> {
    let Some(row) = catalogue::photo(tx.sql(), photo)?.filter(|row| row.found_month.is_none())
    else {
        return Ok(());
    };
    let told = tx.has_room()?;
    if told {
        let event = EventBody::PhotoKnown {
            media: row.media.clone(),
            facts: Box::new(row.facts(device)),
        };
        tx.record(at, &event)?;
    }
    let sql = "UPDATE photo SET told = ?2 WHERE id = ?1";
    tx.sql()
        .prepare_cached(sql)?
        .execute(rusqlite::params![photo.to_string(), told])?;
    Ok(())
}

impl Engine {
    /// Tells of photos that could not be told of when they changed, or were there before anybody asked.
    pub(super) fn tell_late(&self, moment: &Moment<'_>) -> Result<(), PhotosError> {
        let untold = self.ledger.read(|sql| {
            let mut statement = sql.prepare(
                "SELECT id FROM photo WHERE told = 0 AND found_month IS NULL AND stage <> 'destroyed' LIMIT ?1",
            )?;
            let rows = statement.query_map([LATE], |row| row.get::<_, String>(0))?;
            rows.map(|id| catalogue::read::<PhotoId>(&id?))
                .collect::<Result<Vec<_>, _>>()
        })?;
        if untold.is_empty() {
            return Ok(());
        }
        self.commit(Write::ToldLate, |tx| {
            for photo in untold.iter().take_while(|_| tx.has_room().unwrap_or(false)) {
                tell(tx, self.device, *photo, moment.now.at)?;
            }
            Ok(())
        })
    }
}
