//! Reading a photo again that was written to just before it went out of sight. Sealing and coming back read everything
//! again, but a photo may stay withheld for long, and what it holds by now may be another photo whose time has come.

use super::catalogue::{FileRow, PhotoRow};
use super::engine::{Engine, Moment, Passed};
use super::hash::{ContentKey, LONG_BYTES, Stop};
use super::jobs::{Done, Job};
use super::tree::{self, RelPath, Stat};
use super::vault::Vaults;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::id::PhotoId;
use std::ffi::OsString;
use std::io;
use std::sync::Arc;

pub struct RereadJob {
    pub(super) photo: PhotoId,
    /// When it was seen.
    hash: Digest,
    files: Vec<Written>,
    key: ContentKey,
    stop: Arc<Stop>,
}

/// A file whose size or time was another when its content was read.
pub(super) struct Written {
    pub(super) file: i64,
    pub(super) vault: RelPath,
    pub(super) name: OsString,
}

/// Whether what was moved into a vault may hold something else than what was read of `file`. Of a long one only sealing
/// knows.
pub(super) fn was_written_to(file: &FileRow, stat: &Stat) -> bool {
    let (then, now) = (&file.identity, &stat.identity);
    (then.size, then.mtime_ns) != (now.size, now.mtime_ns) && now.size < LONG_BYTES
}

impl Engine {
    /// For a photo that stays withheld; nothing else happens to it meanwhile.
    pub(super) fn hand_out_reread(
        &mut self,
        moment: &Moment<'_>,
        row: &PhotoRow,
        files: Vec<Written>,
        passed: &mut Passed,
    ) {
        let Some(hash) = row.hash.filter(|_| !files.is_empty()) else {
            return;
        };
        let stop = Arc::new(Stop::default());
        self.busy
            .insert(row.id, (Stage::Withheld, Arc::clone(&stop)));
        passed.jobs.push(Job::Reread(Box::new(RereadJob {
            photo: row.id,
            hash,
            files,
            key: ContentKey::new(&moment.bundle.photo_hash_key),
            stop,
        })));
    }
}

impl RereadJob {
    pub(super) fn run(self, vaults: &Vaults) -> Done {
        let photo = self.photo;
        for written in &self.files {
            match self.read(vaults, written) {
                Ok((hash, _)) if hash == self.hash => {}
                _ if self.stop.is_asked() => break,
                Ok((hash, bytes)) => {
                    return Done::Changed {
                        photo,
                        file: written.file,
                        hash,
                        bytes,
                    };
                }
                Err(error) => {
                    tracing::warn!(%error, "a withheld photo could not be read again; sealing reads it");
                }
            }
        }
        Done::Stopped { photo }
    }

    fn read(&self, vaults: &Vaults, written: &Written) -> io::Result<(Digest, u64)> {
        let dir = vaults.open(&written.vault)?;
        let mut content = tree::open_file(&dir, &written.name)?;
        self.key.hash(&mut content, &self.stop)
    }
}
