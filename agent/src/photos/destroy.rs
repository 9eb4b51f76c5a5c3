//! The last act: hands out destructions no faster than the policy permits, and writes the receipt when nothing is left.

use super::catalogue::{self, FileState, PhotoRow, name_bytes};
use super::engine::{Engine, Moment, Passed};
use super::error::PhotosError;
use super::fault::Write;
use super::hash::{ContentKey, Stop};
use super::jobs::{DestroyJob, Job};
use super::tree;
use super::vault;
use super::withhold::journal;
use jiff::SignedDuration;
use nestwarden_policy_schema::consent::{Due, Stage};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{PhotoId, ReceiptId};
use nestwarden_policy_schema::policy::PhotosPolicy;
use nestwarden_policy_schema::receipt::{Artefact, Receipt, Rescan};
use std::sync::Arc;
use uuid::Uuid;

impl Engine {
    pub(super) fn hand_out_destroy(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        (id, why): (PhotoId, Due),
        past_return: bool,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        let row = self.ledger.read(|sql| catalogue::photo(sql, id))?;
        let sealed = row.and_then(|row| Some((row.sealed.clone()?, row.hash?, row)));
        let Some((sealed, hash, row)) = sealed else {
            return Ok(());
        };
        if !past_return {
            let detail = super::jobs::begun(&why, moment.now.at)?;
            self.commit(Write::DestroyBegun, |tx| {
                let entry = ("destroy", id, None);
                let place = (Some(&sealed.vault), name_bytes(&sealed.name));
                journal(tx.sql(), entry, place, Some(&detail), moment.now.at)
            })?;
        }
        let stop = Arc::new(Stop::default());
        self.busy.insert(id, (Stage::Destroyed, Arc::clone(&stop)));
        passed.jobs.push(Job::Destroy(Box::new(DestroyJob {
            photo: id,
            hash,
            bytes: row.bytes,
            sealed,
            sidecars: row
                .sidecars()
                .filter_map(|file| file.vault.clone())
                .collect(),
            names: row
                .photo_files()
                .map(|f| (f.path.clone(), f.in_trash))
                .collect(),
            patterns: policy.capture_roots.clone(),
            vaults: self.ledger.read(catalogue::vaults)?,
            why,
            key: ContentKey::new(&moment.bundle.photo_hash_key),
            stop,
            past_return,
        })));
        Ok(())
    }

    pub(super) fn rate_reached(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        waiting: usize,
    ) -> Result<(), PhotosError> {
        let hour = SignedDuration::from_hours(1);
        let told = self.rate_alarm_at;
        if told.is_some_and(|at| moment.now.at.duration_since(at) < hour) {
            return Ok(());
        }
        self.rate_alarm_at = Some(moment.now.at);
        let most = policy.max_destroyed_per_hour;
        let what = format!(
            "{waiting} more photos are due to be destroyed than the {most} an hour the policy permits; they wait"
        );
        self.commit(Write::Alarm, |tx| {
            Ok(tx
                .record(moment.now.at, &EventBody::Alarm { what })
                .map(|_| ())?)
        })
    }

    pub(super) fn destroyed(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
        why: &Due,
        artefacts: &[Artefact],
        files_read: u64,
    ) -> Result<(), PhotosError> {
        let Some(row) = self.ledger.read(|sql| catalogue::photo(sql, photo))? else {
            return Ok(());
        };
        let Some(hash) = row.hash else {
            return Err(PhotosError::Damaged(format!(
                "photo {photo} was sealed and nobody knows what it holds"
            )));
        };
        let turned_up = row.photo_files().any(|file| match file.state {
            FileState::Present => self.tree().stat(&file.path).is_ok(),
            FileState::Vaulted | FileState::Dropping => true,
            FileState::Dropped => false,
        });
        if turned_up {
            self.unfinished.insert(photo, *why);
            let problem = "another copy turned up while it was being destroyed".to_owned();
            return self.put_away_late_copies(moment, &row, problem);
        }
        self.unfinished.remove(&photo);
        self.trouble.remove(&photo);
        let now = moment.now.at;
        self.commit(Write::Destroyed, |tx| {
            let sql = tx.sql();
            let id = photo.to_string();
            for artefact in artefacts {
                catalogue::artefact_add(sql, photo, artefact.kind, artefact.result)?;
            }
            let receipt = Receipt {
                id: ReceiptId::from_uuid(Uuid::now_v7()),
                photo,
                keyed_hash: hash,
                cause: why.cause,
                child: why.child,
                consent: why.consent,
                withheld_at: row.withheld_at,
                sealed_at: row.sealed_at,
                destroyed_at: now,
                artefacts: catalogue::artefacts(sql, photo)?,
                rescan: Rescan {
                    at: now,
                    files_read,
                    found: 0,
                },
                policy_generation: moment.bundle.generation,
                agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            sql.execute("DELETE FROM photo_journal WHERE photo = ?1", [&id])?;
            // Paths may hold children's names; the receipt does not.
            sql.execute("DELETE FROM photo_file WHERE photo = ?1", [&id])?;
            sql.execute("DELETE FROM photo_artefact WHERE photo = ?1", [&id])?;
            sql.execute(
                "UPDATE photo SET stage = 'destroyed', destroyed_at = ?2, sealed_vault = NULL, sealed_name = NULL
                 WHERE id = ?1",
                [&id, &now.to_string()],
            )?;
            let stage = EventBody::PhotoStage {
                photo,
                from: Stage::Sealed,
                to: Stage::Destroyed,
                cause: Some(why.cause),
                observed_only: false,
            };
            tx.record(now, &stage)?;
            tx.record(now, &EventBody::Destroyed { receipt })?;
            Ok(())
        })
    }

    /// Copies that were catalogued while their photo was being destroyed. The next search of the roots removes what is
    /// present; what was withheld meanwhile is removed here.
    fn put_away_late_copies(
        &mut self,
        moment: &Moment<'_>,
        row: &PhotoRow,
        problem: String,
    ) -> Result<(), PhotosError> {
        let key = ContentKey::new(&moment.bundle.photo_hash_key);
        for file in row.photo_files().filter(|f| f.state != FileState::Dropped) {
            if let Some((dir, name)) = &file.vault {
                let vault = self.vaults.open(dir)?;
                let content = tree::open_file(&vault, name)
                    .and_then(|mut file| key.hash(&mut file, &Stop::default()))?;
                let emptied = file.state == FileState::Dropping && content.1 == 0;
                if !emptied && Some(content.0) != row.hash {
                    // It was written to since it was seen, so it is another photo now.
                    self.content_changed(moment, file.id, content.0, content.1)?;
                    continue;
                }
                vault::discard(&vault, name)?;
            }
            self.commit(Write::LateCopy, |tx| {
                catalogue::file_forget(tx.sql(), file.id)
            })?;
        }
        self.incomplete(moment, row.id, Stage::Destroyed, problem)
    }
}
