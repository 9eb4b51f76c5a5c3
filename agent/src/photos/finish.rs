//! Takes over what the slow acts came to.

use super::catalogue::{self, FileState, PhotoRow, name_bytes};
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::facts;
use super::fault::Write;
use super::jobs::Done;
use super::seal::{SealError, SealedFile};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{Stage, Subjects};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::PhotoId;
use rusqlite::params;
use std::collections::BTreeSet;
use uuid::Uuid;

impl Engine {
    /// Takes over what a job came to; the photos that have to be passed over again.
    pub fn finish(
        &mut self,
        moment: &Moment<'_>,
        done: Done,
    ) -> Result<BTreeSet<PhotoId>, PhotosError> {
        let again = |photo| Ok(BTreeSet::from([photo]));
        match done {
            Done::Cleared => Ok(BTreeSet::new()),
            Done::Stopped { photo } => {
                self.busy.remove(&photo);
                self.replay()?;
                again(photo)
            }
            Done::Sealed {
                photo,
                files,
                sealed,
                content,
            } => {
                self.busy.remove(&photo);
                let other = self.sealed(moment, photo, &files, &sealed, content)?;
                Ok([photo].into_iter().chain(other).collect())
            }
            Done::Changed {
                photo,
                file,
                hash,
                bytes,
            } => {
                self.busy.remove(&photo);
                self.replay()?;
                let other = self.content_changed(moment, file, hash, bytes)?;
                self.was_written_to(moment, photo, other)?;
                Ok([photo].into_iter().chain(other).collect())
            }
            Done::NotSealed { photo, error } => {
                self.busy.remove(&photo);
                self.not_sealed(moment, photo, &error)?;
                Ok(BTreeSet::new())
            }
            Done::Destroyed {
                photo,
                why,
                artefacts,
                files_read,
            } => {
                self.busy.remove(&photo);
                self.destroyed(moment, photo, &why, &artefacts, files_read)?;
                again(photo)
            }
            Done::Unsealed { photo, name, stat } => {
                self.busy.remove(&photo);
                self.unsealed(moment, photo, &name, &stat)?;
                again(photo)
            }
            Done::NotUnsealed { photo, problem } => {
                self.busy.remove(&photo);
                self.replay()?;
                self.incomplete(moment, photo, Stage::Live, problem)?;
                Ok(BTreeSet::new())
            }
            Done::NotDestroyed {
                photo,
                why,
                past_return,
                problem,
            } => {
                self.busy.remove(&photo);
                if past_return {
                    self.unfinished.insert(photo, why);
                } else {
                    // Nothing was done. What is not there now was not removed by us, and a replay could not tell.
                    self.commit(Write::ReplayClosed, |tx| {
                        let act = "DELETE FROM photo_journal WHERE photo = ?1 AND act = 'destroy'";
                        Ok(tx.sql().execute(act, [photo.to_string()])?)
                    })?;
                }
                self.incomplete(moment, photo, Stage::Destroyed, problem)?;
                Ok(BTreeSet::new())
            }
        }
    }

    fn sealed(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
        files: &[i64],
        sealed: &SealedFile,
        content: (Digest, u64),
    ) -> Result<Option<PhotoId>, PhotosError> {
        let row = self.ledger.read(|sql| catalogue::photo(sql, photo))?;
        let judged = match (&row, moment.policy()) {
            (Some(row), Some(policy)) => Some(self.verdict_on(moment, policy, row)),
            _ => None,
        };
        let Some(judged) = judged.filter(|j| !j.frozen && j.due >= Stage::Sealed) else {
            // A freeze arrived, or a consent came back, while it was being sealed.
            return self.replay().map(|()| None);
        };
        if row.is_some_and(|row| row.hash.is_none()) {
            let known = self
                .ledger
                .read(|sql| catalogue::photo_by_content(sql, &content.0))?;
            let other = known.filter(|known| known.stage != Stage::Destroyed && known.id != photo);
            if let (Some(_), Some(file)) = (other, files.first()) {
                // It was written to since its beginning was read, and is another photo by now.
                self.replay()?;
                return self.content_changed(moment, *file, content.0, content.1);
            }
        }
        self.commit(Write::Sealed, |tx| {
            let sql = tx.sql();
            for file in files {
                sql.execute(
                    "UPDATE photo_file SET state = 'dropping' WHERE id = ?1 AND state = 'vaulted' AND photo = ?2",
                    params![file, photo.to_string()],
                )?;
            }
            sql.execute(
                "DELETE FROM photo_journal WHERE photo = ?1 AND act = 'seal'",
                [photo.to_string()],
            )?;
            let changed = sql.execute(
                "UPDATE photo SET stage = 'sealed', sealed_at = ?2, sealed_vault = ?3, sealed_name = ?4, sealed_bytes = ?5,
                    sealed_sha256 = ?6 WHERE id = ?1 AND stage = 'withheld'",
                params![
                    photo.to_string(),
                    moment.now.at.to_string(),
                    sealed.vault.as_bytes(),
                    name_bytes(&sealed.name),
                    sealed.bytes.cast_signed(),
                    sealed.sha256.0,
                ],
            )?;
            sql.execute(
                "UPDATE photo SET keyed_hash = ?2, bytes = ?3, head = NULL WHERE id = ?1 AND keyed_hash = x''",
                params![photo.to_string(), content.0.0, content.1.cast_signed()],
            )?;
            if changed > 0 {
                let event = EventBody::PhotoStage {
                    photo,
                    from: Stage::Withheld,
                    to: Stage::Sealed,
                    cause: judged.why.map(|due| due.cause),
                    observed_only: false,
                };
                tx.record(moment.now.at, &event)?;
                facts::tell(tx, self.device, photo, moment.now.at)?;
            }
            Ok(None)
        })
    }

    /// Told, because it may be evidence. Whoever goes on writing is waited for longer and longer; but what is left of a photo
    /// whose written file is another one's by now waits for nobody.
    fn was_written_to(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
        other: Option<PhotoId>,
    ) -> Result<(), PhotosError> {
        let problem = "it was written to while it was out of use, or just before: what it holds is not what was seen last";
        self.incomplete(moment, photo, Stage::Sealed, problem.to_owned())?;
        let trouble = self.trouble.get_mut(&photo);
        if let Some(trouble) = trouble.filter(|t| t.attempts == 1 || other.is_some()) {
            trouble.not_before = moment.since_boot;
        }
        Ok(())
    }

    fn not_sealed(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
        error: &SealError,
    ) -> Result<(), PhotosError> {
        self.replay()?;
        let source = std::error::Error::source(error).map(|source| format!(": {source}"));
        let problem = format!("{error}{}", source.unwrap_or_default());
        let is_new = self
            .trouble
            .get(&photo)
            .is_none_or(|t| t.problem != problem);
        if error.is_disk_full() && is_new {
            let what = "the disk is full: photos stay withheld until there is room to seal them; nothing is deleted early".to_owned();
            self.commit(Write::Alarm, |tx| {
                Ok(tx
                    .record(moment.now.at, &EventBody::Alarm { what })
                    .map(|_| ())?)
            })?;
        }
        self.incomplete(moment, photo, Stage::Sealed, problem)
    }

    /// A withheld file was written to through a descriptor from before: what it holds now is what counts.
    pub(super) fn content_changed(
        &mut self,
        moment: &Moment<'_>,
        file: i64,
        hash: Digest,
        bytes: u64,
    ) -> Result<Option<PhotoId>, PhotosError> {
        let found = self.ledger.read(|sql| {
            let Some(file) = catalogue::file(sql, file)? else {
                return Ok::<_, PhotosError>(None);
            };
            let Some(row) = catalogue::photo(sql, file.photo)? else {
                return Ok(None);
            };
            let known = catalogue::photo_by_content(sql, &hash)?;
            Ok(Some((file, row, known)))
        })?;
        let Some((file, row, known)) = found else {
            return Ok(None);
        };
        let inode = (file.identity.dev, file.identity.ino);
        let is_inode = |f: &&catalogue::FileRow| (f.identity.dev, f.identity.ino) == inode;
        let active = row.photo_files().filter(|f| f.state != FileState::Dropped);
        let active: Vec<&catalogue::FileRow> = active.collect();
        let only_this = active.iter().all(is_inode);
        let known = known.filter(|known| known.stage != Stage::Destroyed);
        if only_this && known.is_none() && row.sealed.is_none() {
            self.commit(Write::ContentChanged, |tx| {
                tx.sql().execute(
                    "UPDATE photo SET keyed_hash = ?2, bytes = ?3, head = NULL WHERE id = ?1",
                    params![row.id.to_string(), hash.0, bytes.cast_signed()],
                )?;
                Ok(())
            })?;
            return Ok(None);
        }
        let names: Vec<i64> = active
            .iter()
            .filter(|f| is_inode(f))
            .map(|f| f.id)
            .collect();
        let judged = moment
            .policy()
            .map(|policy| self.verdict_on(moment, policy, &row));
        let cause = judged.and_then(|judged| Some(judged.why?.cause));
        let other = known.map_or_else(|| PhotoId::from_uuid(Uuid::now_v7()), |known| known.id);
        self.commit(Write::ContentChanged, |tx| {
            let sql = tx.sql();
            if catalogue::photo(sql, other)?.is_none() {
                catalogue::photo_insert(
                    sql,
                    &inherited(&row, other, Some(hash), bytes, &row.subjects),
                )?;
                let event = EventBody::PhotoSeen {
                    photo: other,
                    session: row.session,
                    media: row.media.clone(),
                };
                tx.record(moment.now.at, &event)?;
                facts::tell(tx, self.device, other, moment.now.at)?;
            }
            for name in names {
                sql.execute(
                    "UPDATE photo_file SET photo = ?2 WHERE id = ?1",
                    params![name, other.to_string()],
                )?;
            }
            super::withhold::stage_withheld(tx, other, cause, moment.now.at)
        })?;
        Ok(Some(other))
    }
}

/// A photo that came of another: taken when that was, of whom that was.
pub(super) fn inherited<'a>(
    from: &'a PhotoRow,
    id: PhotoId,
    hash: Option<Digest>,
    bytes: u64,
    subjects: &'a Subjects,
) -> catalogue::NewPhoto<'a> {
    catalogue::NewPhoto {
        id,
        hash,
        head: None,
        bytes,
        media: &from.media,
        captured_at: from.captured_at,
        session: from.session,
        subjects,
        care_record: from.care_record,
        found_month: from.found_month.as_deref(),
        uploaded_at: from.uploaded_at,
        companion_of: from.companion_of,
        cohort: None,
    }
}
