//! What the catalogue knows of a path, asked one path at a time: however many photos there are, none of it is in memory.

use super::alike;
use super::catalogue;
use super::error::PhotosError;
use super::hash::{Head, Stop};
use super::roots::{Root, RootKind};
use super::tree::{self, Identity, RelPath, Stat};
use super::vault::Vaults;
use crate::ledger::Ledger;
use nestwarden_policy_schema::id::PhotoId;
use rusqlite::Connection;
use rustix::fd::OwnedFd;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::OnceLock;

/// The vaults, by device and inode: not part of any root.
pub type Vaulted = HashSet<(u64, u64)>;

/// Device, number and birth.
pub(super) type Inode = (u64, u64, i64);

/// Paths read at once.
const PAGE: i64 = if cfg!(test) { 2 } else { 512 };

/// What is known before looking.
pub struct Known {
    pub(super) ledger: Ledger,
    /// Photos under a freezing hold: their files are not opened, not even asked about.
    pub(super) frozen: BTreeSet<PhotoId>,
    /// Their files, under whatever name; looked up when the first file is about to be opened.
    pub(super) frozen_files: OnceLock<HashSet<Inode>>,
    /// Nothing may be touched at all, known or not.
    pub everything_frozen: bool,
    pub(super) vaults: Vaulted,
    pub(super) places: Vaults,
    /// By the file system's clock; `None`: it cannot be asked, as on a full disk.
    pub(super) now_ns: Option<i64>,
    /// When the first look into the roots of a pattern began, while it is not over: by the file system's clock.
    pub(super) begun: HashMap<String, i64>,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Unknown,
    Frozen,
    Seen(Identity),
}

/// Some of the known paths.
pub(super) struct Present {
    pub(super) files: Vec<(RelPath, Identity)>,
    /// After which there are more.
    pub(super) next: Option<RelPath>,
}

/// Files that are told of.
const MOST_UNSEEN: usize = 10;
/// Asked for at once of what lies in vaults.
const KEPT_AT_ONCE: i64 = if cfg!(test) { 2 } else { 1_000 };

struct Kept {
    row: i64,
    vault: RelPath,
    name: OsString,
    /// Of a sealed one; a plain one may have been written to.
    bytes: Option<u64>,
}

/// What lies in vaults after one of them, in order: sealed photos with which nothing is under way, then plain ones.
fn kept_after(sql: &Connection, (is_sealed, row): (bool, i64)) -> Result<Vec<Kept>, PhotosError> {
    let sealed = "SELECT rowid, sealed_vault, sealed_name, sealed_bytes FROM photo WHERE rowid > ?1 AND stage = 'sealed'
            AND sealed_name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM photo_journal WHERE photo = photo.id)
         ORDER BY rowid LIMIT ?2";
    let plain = "SELECT id, vault, vault_name, NULL FROM photo_file WHERE id > ?1 AND state = 'vaulted'
            AND vault IS NOT NULL AND NOT EXISTS (SELECT 1 FROM photo_journal WHERE photo = photo_file.photo)
         ORDER BY id LIMIT ?2";
    let mut statement = sql.prepare_cached(if is_sealed { sealed } else { plain })?;
    let mut rows = statement.query([row, KEPT_AT_ONCE])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        kept.push(Kept {
            row: row.get(0)?,
            vault: catalogue::rel(row.get(1)?)?,
            name: OsString::from_vec(row.get(2)?),
            bytes: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
        });
    }
    Ok(kept)
}

impl Known {
    pub(super) fn last(&self, path: &RelPath) -> io::Result<Last> {
        let file = self
            .ledger
            .read(|sql| catalogue::file_present_at(sql, path))
            .map_err(unread)?;
        Ok(file.map_or(Last::Unknown, |file| {
            if self.frozen.contains(&file.photo) {
                Last::Frozen
            } else {
                Last::Seen(file.identity)
            }
        }))
    }

    /// Whether it is a file of a frozen photo, also under a name that nobody knew.
    pub(super) fn is_of_frozen(&self, identity: &Identity) -> io::Result<bool> {
        if self.frozen.is_empty() {
            return Ok(false);
        }
        let files = if let Some(files) = self.frozen_files.get() {
            files
        } else {
            let read = |sql: &Connection| catalogue::inodes_of(sql, &self.frozen);
            let files = self.ledger.read(read).map_err(unread)?;
            self.frozen_files.get_or_init(|| files)
        };
        Ok(files.contains(&(identity.dev, identity.ino, identity.born_ns)))
    }

    /// Whether no file is known in a folder or beneath it.
    pub(super) fn knows_nothing_in(&self, dir: &RelPath) -> io::Result<bool> {
        let from = dir.as_bytes();
        let found = self
            .ledger
            .read(|sql| catalogue::files_present_from(sql, dir, from, 1));
        Ok(found.map_err(unread)?.is_empty())
    }

    /// Files in vaults that are not where they were put, or not to be seen there: their file system is not mounted, or
    /// somebody took them away. At most a few are named.
    pub(super) fn kept_out_of_sight(&self, stop: &Stop) -> io::Result<Vec<(RelPath, String)>> {
        let mut vaults: HashMap<RelPath, Option<OwnedFd>> = HashMap::new();
        let mut unseen = Vec::new();
        let mut after = (true, 0);
        loop {
            stop.check()?;
            let page = |sql: &Connection| kept_after(sql, after);
            let page = self.ledger.read(page).map_err(unread)?;
            let Some(last) = page.last() else {
                if after.0 {
                    after = (false, 0);
                    continue;
                }
                return Ok(unseen);
            };
            after.1 = last.row;
            for kept in page {
                let vault = vaults.entry(kept.vault.clone()).or_insert_with(|| {
                    let dir = self.places.open(&kept.vault);
                    if let Err(error) = &dir {
                        let problem =
                            format!("photos are kept in it, and it is not there: {error}");
                        unseen.push((kept.vault.clone(), problem));
                    }
                    dir.ok()
                });
                let Some(dir) = vault else { continue };
                let seen = tree::stat(dir, &kept.name);
                if seen.is_ok_and(|stat| kept.bytes.is_none_or(|b| b == stat.identity.size)) {
                    continue;
                }
                // It may have been sealed, destroyed or brought back since.
                let is_still = |sql: &Connection| kept_after(sql, (after.0, kept.row - 1));
                let now = self.ledger.read(is_still).map_err(unread)?;
                let is_still = now.first().is_some_and(|now| now.name == kept.name);
                if is_still
                    && unseen.len() < MOST_UNSEEN
                    && let Some(path) = kept.vault.join(&kept.name)
                {
                    unseen.push((
                        path,
                        "a photo that is kept there is not there as it was put".to_owned(),
                    ));
                }
            }
        }
    }

    /// Whether any photo there ever was has this length.
    pub(super) fn has_length(&self, bytes: u64) -> io::Result<bool> {
        let found = self.ledger.read(|sql| alike::has_length(sql, bytes));
        found.map_err(unread)
    }

    /// Whether any photo there ever was begins like this, or may.
    pub(super) fn has_alike(&self, bytes: u64, head: &Head) -> io::Result<bool> {
        let found = self.ledger.read(|sql| alike::has_alike(sql, bytes, head));
        found.map_err(unread)
    }

    /// Whether a file was there before its root was looked after: it is only counted.
    pub(super) fn was_there_before(&self, root: &Root, stat: &Stat) -> bool {
        root.kind == RootKind::Capture
            && self
                .begun
                .get(&root.pattern)
                .is_some_and(|begun| stat.identity.ctime_ns < *begun)
    }

    /// Some known paths at or beneath `top` after another one, in order; the frozen are left out.
    pub(super) fn present(&self, top: &RelPath, after: Option<&RelPath>) -> io::Result<Present> {
        // The first path after another one is that one with a nought behind it.
        let from = after.map_or_else(
            || top.as_bytes().to_vec(),
            |after| [after.as_bytes(), b"\0"].concat(),
        );
        let files = self
            .ledger
            .read(|sql| catalogue::files_present_from(sql, top, &from, PAGE))
            .map_err(unread)?;
        let is_last = i64::try_from(files.len()).unwrap_or(i64::MAX) < PAGE;
        let next = files.last().map(|file| file.path.clone());
        let files = files
            .into_iter()
            .filter(|file| file.path.is_within(top) && !self.frozen.contains(&file.photo))
            .map(|file| (file.path, file.identity));
        Ok(Present {
            files: files.collect(),
            next: next.filter(|_| !is_last),
        })
    }
}

fn unread(error: PhotosError) -> io::Error {
    io::Error::other(error)
}
