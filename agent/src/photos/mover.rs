//! Renames many files into vaults: each folder is opened once and synced once.

use super::catalogue::FileRow;
use super::room;
use super::tree::{self, RelPath, Stat, Tree};
use super::vault::{self, MoveError, Vaults};
use rustix::fd::OwnedFd;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;

/// Folders held open at once.
const MOST_OPEN: usize = 128;

pub(super) struct Mover<'a> {
    vaults: &'a Vaults,
    from: HashMap<RelPath, OwnedFd>,
    to: HashMap<RelPath, OwnedFd>,
}

impl<'a> Mover<'a> {
    pub(super) fn new(vaults: &'a Vaults) -> Self {
        Self {
            vaults,
            from: HashMap::new(),
            to: HashMap::new(),
        }
    }

    /// Not durable before [`Self::sync`].
    pub(super) fn move_in(
        &mut self,
        file: &FileRow,
        vault: &RelPath,
        name: &OsStr,
    ) -> Result<Stat, MoveError> {
        if self.from.len() >= MOST_OPEN {
            self.sync()?;
        }
        let parent = file.path.parent().ok_or(MoveError::Changed)?;
        let tree: &Tree = self.vaults.tree();
        let dir = match self.from.entry(parent) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                let dir = tree.dir(free.key()).map_err(MoveError::of_path)?;
                free.insert(dir)
            }
        };
        let to = match self.to.entry(vault.clone()) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                let dir = self.vaults.open_or_make(free.key())?;
                free.insert(dir)
            }
        };
        let from = (&*dir, file.path.name());
        let is_full = |error: &MoveError| matches!(error, MoveError::Io(e) if room::is_full(e));
        // A folder may have to grow for one name more.
        self.vaults.with_room(to, room::PIECE_BYTES, is_full, || {
            vault::move_in(from, &file.identity, (to, name))
        })
    }

    /// Makes every rename so far durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        for (_, dir) in self.from.drain().chain(self.to.drain()) {
            tree::sync_dir(&dir)?;
        }
        Ok(())
    }
}
