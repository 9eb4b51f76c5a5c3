//! Hands out the slow acts, and takes over what they came to.

use super::catalogue::{self, FileState, PhotoRow, name_bytes};
use super::engine::{Engine, Moment, Passed};
use super::error::PhotosError;
use super::facts;
use super::fault::Write;
use super::hash::{ContentKey, Stop};
use super::jobs::{Done, Job, SealJob, Vaulted};
use super::seal::{Recipients, SealError, SealedFile};
use super::withhold::journal;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{Due, Stage, Subjects};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::policy::PhotosPolicy;
use rusqlite::params;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;
use uuid::Uuid;

impl Engine {
    /// Makes jobs of what is due to be sealed or destroyed, each with its intent in the journal.
    pub(super) fn hand_out(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        rows: &[PhotoRow],
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        let mut seals = Vec::new();
        let mut destroys = Vec::new();
        for id in rows.iter().map(|row| row.id) {
            let Some(judged) = self.judged.get(&id).filter(|j| !j.held) else {
                continue;
            };
            let seal_due = judged.due >= Stage::Sealed
                && (judged.stage == Stage::Withheld
                    || (judged.stage == Stage::Sealed && judged.misplaced));
            let destroy_due = judged.due == Stage::Destroyed
                && judged.stage == Stage::Sealed
                && !judged.misplaced;
            let why = judged.why;
            if !self.may_act(moment, id) || self.unfinished.contains_key(&id) {
                continue;
            }
            if seal_due {
                seals.extend(self.ledger.read(|sql| catalogue::photo(sql, id))?);
            } else if let Some(why) = why.filter(|_| destroy_due) {
                destroys.push((id, why));
            }
        }
        self.hand_out_seals(moment, seals, passed)?;
        let unfinished: Vec<(PhotoId, Due)> = self
            .unfinished
            .iter()
            .map(|(id, due)| (*id, *due))
            .collect();
        for (id, why) in unfinished {
            let frozen = self.judged.get(&id).is_some_and(|j| j.frozen);
            if self.may_act(moment, id) && !frozen {
                self.hand_out_destroy(moment, policy, (id, why), true, passed)?;
            }
        }
        if destroys.is_empty() {
            return Ok(());
        }
        let budget = usize::try_from(self.destroy_budget(moment, policy)?).unwrap_or(usize::MAX);
        if destroys.len() > budget {
            self.rate_reached(moment, policy, destroys.len() - budget)?;
            passed.retry_at = Some(moment.since_boot + std::time::Duration::from_mins(5));
        }
        for due in destroys.into_iter().take(budget) {
            self.hand_out_destroy(moment, policy, due, false, passed)?;
        }
        Ok(())
    }

    fn hand_out_seals(
        &mut self,
        moment: &Moment<'_>,
        rows: Vec<PhotoRow>,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        if rows.is_empty() {
            return Ok(());
        }
        let bundle = moment.bundle;
        let recipients = Recipients::parse(&bundle.release_recipient, &bundle.recovery_recipient);
        let recipients = match recipients {
            Ok(recipients) => recipients,
            Err(error) => {
                for row in rows {
                    self.incomplete(moment, row.id, Stage::Sealed, error.to_string())?;
                }
                return Ok(());
            }
        };
        let mut jobs = Vec::new();
        for row in rows {
            let files: Vec<Vaulted> = row
                .photo_files()
                .filter(|file| file.state == FileState::Vaulted)
                .filter_map(vaulted)
                .collect();
            // Until every name is withheld, what stays in a root could still be written to.
            let Some(first) = files.first().filter(|_| !row.has_photo(FileState::Present)) else {
                continue;
            };
            let to = match &row.sealed {
                Some(sealed) => (sealed.vault.clone(), sealed.name.clone()),
                None => (
                    first.vault.clone(),
                    OsString::from(format!("{}.age", row.id)),
                ),
            };
            jobs.push(SealJob {
                photo: row.id,
                hash: row.hash,
                bytes: row.bytes,
                files,
                to,
                sealed: row.sealed,
                recipients: recipients.clone(),
                key: ContentKey::new(&bundle.photo_hash_key),
                stop: Arc::new(Stop::default()),
            });
        }
        self.commit(Write::SealBegun, |tx| {
            for job in jobs.iter().filter(|job| job.sealed.is_none()) {
                let place = (Some(&job.to.0), name_bytes(&job.to.1));
                journal(
                    tx.sql(),
                    ("seal", job.photo, None),
                    place,
                    None,
                    moment.now.at,
                )?;
            }
            Ok(())
        })?;
        for job in jobs {
            self.busy
                .insert(job.photo, (Stage::Sealed, Arc::clone(&job.stop)));
            passed.jobs.push(Job::Seal(Box::new(job)));
        }
        Ok(())
    }

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
            } => {
                self.busy.remove(&photo);
                self.sealed(moment, photo, &files, &sealed)?;
                again(photo)
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
                    self.replay()?;
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
    ) -> Result<(), PhotosError> {
        let row = self.ledger.read(|sql| catalogue::photo(sql, photo))?;
        let judged = match (&row, moment.policy()) {
            (Some(row), Some(policy)) => Some(self.verdict_on(moment, policy, row)),
            _ => None,
        };
        let Some(judged) = judged.filter(|j| !j.held && j.due >= Stage::Sealed) else {
            // A hold arrived, or a consent came back, while it was being sealed.
            return self.replay();
        };
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
            Ok(())
        })
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
                    "UPDATE photo SET keyed_hash = ?2, bytes = ?3 WHERE id = ?1",
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
        let other = known.map_or_else(|| PhotoId::from_uuid(Uuid::now_v7()), |known| known.id);
        self.commit(Write::ContentChanged, |tx| {
            let sql = tx.sql();
            if catalogue::photo(sql, other)?.is_none() {
                catalogue::photo_insert(sql, &inherited(&row, other, hash, bytes, &row.subjects))?;
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
            let cause = self
                .judged
                .get(&row.id)
                .and_then(|j| j.why)
                .map(|due| due.cause);
            super::withhold::stage_withheld(tx, other, cause, moment.now.at)
        })?;
        Ok(Some(other))
    }
}

fn vaulted(file: &catalogue::FileRow) -> Option<Vaulted> {
    let (vault, name) = file.vault.clone()?;
    Some(Vaulted {
        file: file.id,
        path: file.path.clone(),
        in_trash: file.in_trash,
        vault,
        name,
        identity: file.identity,
    })
}

/// A photo that came of another: taken when that was, of whom that was.
pub(super) fn inherited<'a>(
    from: &'a PhotoRow,
    id: PhotoId,
    hash: Digest,
    bytes: u64,
    subjects: &'a Subjects,
) -> catalogue::NewPhoto<'a> {
    catalogue::NewPhoto {
        id,
        hash,
        bytes,
        media: &from.media,
        captured_at: from.captured_at,
        session: from.session,
        subjects,
        care_record: from.care_record,
        found_month: from.found_month.as_deref(),
        uploaded_at: from.uploaded_at,
        companion_of: from.companion_of,
    }
}
