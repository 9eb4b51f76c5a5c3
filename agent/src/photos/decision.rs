//! What a manager decided on photos of this tablet, as the bundle says it: who is in one, and what becomes of those that
//! were there before the tablet was enrolled.
//!
//! Taken over once each, also across restarts: what was taken over is in the catalogue with the photo.

use super::catalogue;
use super::companion;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::facts;
use super::fault::Write;
use crate::ledger::LedgerTx;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::{FoundDecision, FoundPhotos, Stage, TagCorrection};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::PhotoId;
use rusqlite::params;

/// Photos changed in one transaction.
const BATCH: usize = 256;

impl Engine {
    /// Does nothing when the bundle's decisions were taken over before.
    pub(super) fn take_over_decisions(&mut self, moment: &Moment<'_>) -> Result<(), PhotosError> {
        self.tell_late(moment)?;
        let bundle = moment.bundle;
        if self.decisions_of == Some(bundle.generation) {
            return Ok(());
        }
        for corrections in bundle.corrections.chunks(BATCH) {
            let applies = |c: &TagCorrection| self.ledger.read(|sql| applies(sql, c));
            let mut due = Vec::new();
            for correction in corrections {
                if applies(correction)? {
                    due.push(correction);
                }
            }
            if due.is_empty() {
                continue;
            }
            self.commit(Write::Corrections, |tx| {
                due.iter()
                    .try_for_each(|correction| self.correct(tx, correction, moment.now.at))
            })?;
        }
        if let Some(found) = &bundle.found_photos {
            match found.decision {
                FoundDecision::Leave => {}
                FoundDecision::Sort => self.sort_found(moment, found)?,
            }
        }
        self.decisions_of = Some(bundle.generation);
        Ok(())
    }

    fn correct(
        &self,
        tx: &LedgerTx<'_>,
        correction: &TagCorrection,
        at: Timestamp,
    ) -> Result<(), PhotosError> {
        let row = catalogue::photo(tx.sql(), correction.photo)?;
        let others = row
            .map(|row| companion::others(tx.sql(), &row))
            .transpose()?;
        self.correct_one(tx, correction.photo, correction, at)?;
        for other in others.unwrap_or_default() {
            // What staff said of it since stands.
            if other.tagged_at.is_none_or(|at| at <= correction.decided_at) {
                self.correct_one(tx, other.id, correction, at)?;
            }
        }
        Ok(())
    }

    fn correct_one(
        &self,
        tx: &LedgerTx<'_>,
        photo: PhotoId,
        correction: &TagCorrection,
        at: Timestamp,
    ) -> Result<(), PhotosError> {
        catalogue::tags_replace(tx.sql(), photo, &correction.confirmed)?;
        tx.sql().execute(
            "UPDATE photo SET tagging = ?2, unregistered_person = ?3, care_record = ?4, corrected_at = ?5 WHERE id = ?1",
            params![
                photo.to_string(),
                catalogue::word(&correction.tagging)?,
                correction.unregistered_person,
                correction.care_record,
                correction.decided_at.to_string(),
            ],
        )?;
        let event = EventBody::PhotoTagged {
            photo,
            tagging: correction.tagging,
            confirmed: correction.confirmed.len() as u64,
        };
        tx.record(at, &event)?;
        facts::tell(tx, self.device, photo, at)
    }

    /// Those that were counted by the time of the decision. What is found later waits for another.
    fn sort_found(&self, moment: &Moment<'_>, found: &FoundPhotos) -> Result<(), PhotosError> {
        let counted = self.ledger.read(|sql| {
            let mut statement = sql.prepare(
                "SELECT id, captured_at FROM photo WHERE found_month IS NOT NULL AND stage <> 'destroyed'",
            )?;
            let rows = statement.query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            let mut counted = Vec::new();
            for row in rows {
                let (id, captured_at) = row?;
                if catalogue::read::<Timestamp>(&captured_at)? <= found.decided_at {
                    counted.push(catalogue::read::<PhotoId>(&id)?);
                }
            }
            Ok::<_, PhotosError>(counted)
        })?;
        let date = moment.bundle.calendar.local_date(found.decided_at);
        for batch in counted.chunks(BATCH) {
            self.commit(Write::FoundSorted, |tx| {
                for photo in batch {
                    let Some(row) = catalogue::photo(tx.sql(), *photo)? else {
                        continue;
                    };
                    let mut possible = row.subjects.possible(&moment.bundle.register, date);
                    possible.extend(&row.subjects.possible_when_taken);
                    catalogue::taken_at(tx.sql(), *photo, found.decided_at, &possible)?;
                    facts::tell(tx, self.device, *photo, moment.now.at)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Whether a correction is of a photo that is here, was not taken over yet, and nobody tagged the photo after it.
fn applies(sql: &rusqlite::Connection, correction: &TagCorrection) -> Result<bool, PhotosError> {
    let row = catalogue::photo(sql, correction.photo)?;
    Ok(row.is_some_and(|row| {
        row.stage != Stage::Destroyed
            && row.corrected_at.is_none_or(|at| at < correction.decided_at)
            && row.tagged_at.is_none_or(|at| at <= correction.decided_at)
    }))
}
