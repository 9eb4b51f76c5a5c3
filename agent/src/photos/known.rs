//! What the catalogue knows of a path, asked one path at a time: however many photos there are, none of it is in memory.

use super::alike;
use super::catalogue;
use super::error::PhotosError;
use super::hash::Head;
use super::roots::{Root, RootKind};
use super::tree::{Identity, RelPath, Stat};
use crate::ledger::Ledger;
use nestwarden_policy_schema::id::PhotoId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;

/// The vaults, by device and inode: not part of any root.
pub type Vaulted = HashSet<(u64, u64)>;

/// Paths read at once.
const PAGE: i64 = if cfg!(test) { 2 } else { 512 };

/// What is known before looking.
pub struct Known {
    pub(super) ledger: Ledger,
    /// Photos under a freezing hold: their files are not opened, not even asked about.
    pub(super) frozen: BTreeSet<PhotoId>,
    /// Nothing may be touched at all, known or not.
    pub everything_frozen: bool,
    pub(super) vaults: Vaulted,
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

    /// Whether no file is known in a folder or beneath it.
    pub(super) fn knows_nothing_in(&self, dir: &RelPath) -> io::Result<bool> {
        let from = dir.as_bytes();
        let found = self
            .ledger
            .read(|sql| catalogue::files_present_from(sql, dir, from, 1));
        Ok(found.map_err(unread)?.is_empty())
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
