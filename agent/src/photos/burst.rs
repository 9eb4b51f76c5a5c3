//! Photos go out of sight before it is written down that they did: page after page is announced, renamed and synced, and
//! only then are they recorded, page by page. What was announced and not recorded is found out at the next start
//! (`replay_withholding.rs`).

use super::catalogue;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::fault::Write;
use super::shut;
use super::tree::{RelPath, Stat};
use super::withhold::{file_vaulted, stage_withheld, tell_other_links, vault_name};
use nestwarden_policy_schema::consent::Cause;
use nestwarden_policy_schema::id::PhotoId;
use std::collections::BTreeSet;

/// Photos that go before the first of them is recorded. Nobody is answered meanwhile.
pub(super) const MOST: usize = if cfg!(test) { 6 } else { 16_384 };

/// What is out of sight and not yet recorded.
#[derive(Default)]
pub(super) struct Burst {
    vaults: Vec<RelPath>,
    pages: Vec<Page>,
    photos: usize,
    /// Photos of which not every name went.
    pub(super) unclear: BTreeSet<PhotoId>,
}

/// The photos of one page with all their files.
#[derive(Default)]
pub(super) struct Page {
    files: Vec<Done>,
    photos: Vec<(PhotoId, Option<Cause>)>,
}

struct Done {
    file: i64,
    photo: PhotoId,
    outcome: Outcome,
}

/// What became of a file that was to go.
pub(super) enum Outcome {
    /// The number of its vault, and what it is there.
    Moved(usize, Box<Stat>),
    /// Another file has its name by now, or none.
    Changed,
    Failed,
}

impl Burst {
    pub(super) fn len(&self) -> usize {
        self.photos
    }

    pub(super) fn vault(&mut self, vault: &RelPath) -> usize {
        let known = self.vaults.iter().position(|known| known == vault);
        known.unwrap_or_else(|| {
            self.vaults.push(vault.clone());
            self.vaults.len() - 1
        })
    }

    pub(super) fn push(&mut self, page: Page) {
        self.photos += page.photos.len();
        self.pages.push(page);
    }
}

impl Page {
    pub(super) fn of(photos: impl Iterator<Item = (PhotoId, Option<Cause>)>) -> Self {
        Self {
            files: Vec::new(),
            photos: photos.collect(),
        }
    }

    pub(super) fn file(&mut self, file: i64, photo: PhotoId, outcome: Outcome) {
        self.files.push(Done {
            file,
            photo,
            outcome,
        });
    }
}

impl Engine {
    /// Closes what went out of sight to whoever holds it open, once it is on record whose it was.
    fn shut(&self, burst: &Burst) {
        let dirs: Vec<_> = burst.vaults.iter().map(|v| self.vaults.open(v)).collect();
        let moved = burst.pages.iter().flat_map(|page| &page.files);
        for done in moved {
            let Outcome::Moved(vault, _) = &done.outcome else {
                continue;
            };
            let Some(Ok(dir)) = dirs.get(*vault) else {
                continue;
            };
            let name = vault_name(done.photo, done.file);
            if let Err(error) = shut::shut(dir, &name) {
                // The next start tries again.
                tracing::warn!(%error, photo.id = %done.photo, "a withheld photo could not be closed to whoever holds it open");
            }
        }
    }

    /// Records what went out of sight.
    pub(super) fn settle(&mut self, moment: &Moment<'_>, burst: Burst) -> Result<(), PhotosError> {
        for page in &burst.pages {
            self.commit(Write::Withheld, |tx| {
                let sql = tx.sql();
                let mut close =
                    sql.prepare_cached("DELETE FROM photo_withholding WHERE file = ?1")?;
                for done in &page.files {
                    close.execute([done.file])?;
                    match &done.outcome {
                        Outcome::Moved(vault, stat) => {
                            let vault = burst.vaults.get(*vault).ok_or_else(|| {
                                PhotosError::Damaged("a vault without a path".to_owned())
                            })?;
                            let name = vault_name(done.photo, done.file);
                            file_vaulted(sql, done.file, (vault, &name), stat)?;
                            tell_other_links(tx, (done.photo, done.file), stat, moment.now.at)?;
                        }
                        Outcome::Changed => catalogue::file_forget(sql, done.file)?,
                        Outcome::Failed => {}
                    }
                }
                for (photo, cause) in &page.photos {
                    stage_withheld(tx, *photo, *cause, moment.now.at)?;
                }
                Ok(())
            })?;
        }
        self.shut(&burst);
        self.judge_again(moment, burst.unclear)
    }
}
