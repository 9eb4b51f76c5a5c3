//! Hands out the slow acts, each with its intent in the journal.

use super::catalogue::{self, FileState, PhotoRow, name_bytes};
use super::engine::{Engine, Moment, Passed};
use super::error::PhotosError;
use super::fault::Write;
use super::hash::{ContentKey, Stop};
use super::jobs::{Job, SealJob, Vaulted};
use super::judgement::Judged;
use super::seal::Recipients;
use super::withhold::journal;
use nestwarden_policy_schema::consent::{Due, Stage};
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::policy::PhotosPolicy;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

/// When what an hour does not permit is tried again.
const RATE_RETRY: Duration = Duration::from_mins(5);

/// What is due and takes long, of one page.
#[derive(Default)]
pub(super) struct Slow {
    seals: Vec<PhotoRow>,
    destroys: Vec<(PhotoId, Due)>,
}

impl Slow {
    pub(super) fn len(&self) -> usize {
        self.seals.len() + self.destroys.len()
    }
}

impl Engine {
    pub(super) fn gather(
        &self,
        moment: &Moment<'_>,
        row: &PhotoRow,
        judged: &Judged,
        slow: &mut Slow,
    ) {
        if judged.frozen || !self.may_act(moment, row.id) || self.unfinished.contains_key(&row.id) {
            return;
        }
        let seal_due = judged.due >= Stage::Sealed
            && (judged.stage == Stage::Withheld
                || (judged.stage == Stage::Sealed && judged.misplaced));
        let destroy_due =
            judged.due == Stage::Destroyed && judged.stage == Stage::Sealed && !judged.misplaced;
        if seal_due {
            slow.seals.push(row.clone());
        } else if let Some(why) = judged.why.filter(|_| destroy_due) {
            slow.destroys.push((row.id, why));
        }
    }

    /// The beginning of a round: what was interrupted past return comes first, and counts.
    pub(super) fn slow_begin(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        self.waiting = 0;
        let unfinished: Vec<(PhotoId, Due)> = self
            .unfinished
            .iter()
            .map(|(id, due)| (*id, *due))
            .collect();
        for (id, why) in unfinished {
            if self.may_act(moment, id) && !self.frozen.contains(&id) {
                self.hand_out_destroy(moment, policy, (id, why), true, passed)?;
            }
        }
        Ok(())
    }

    pub(super) fn hand_out(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        slow: Slow,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        self.hand_out_seals(moment, slow.seals, passed)?;
        if slow.destroys.is_empty() {
            return Ok(());
        }
        let mut budget = self.destroy_budget(moment, policy)?;
        for due in slow.destroys {
            if budget == 0 {
                self.waiting += 1;
                continue;
            }
            budget -= 1;
            self.hand_out_destroy(moment, policy, due, false, passed)?;
        }
        if self.waiting > 0 {
            passed.retry_at = Some(moment.since_boot + RATE_RETRY);
        }
        Ok(())
    }

    /// The end of a round: whether the hour's limit was reached.
    pub(super) fn slow_end(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
    ) -> Result<(), PhotosError> {
        match std::mem::take(&mut self.waiting) {
            0 => Ok(()),
            waiting => self.rate_reached(moment, policy, waiting),
        }
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
                let entry = ("seal", job.photo, None);
                journal(tx.sql(), entry, place, None, moment.now.at)?;
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
