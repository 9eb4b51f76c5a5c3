//! Room on a full disk: in each vault a file of blocks that are set aside. What seals or withholds and finds the disk
//! full is given a piece of it at a time, and tries again; when a plaintext has gone the file takes as much back.
//!
//! Its length says what is left of it, so that a power cut leaves nothing to be settled. What is larger than it stays
//! withheld until there is room. Where blocks cannot be set aside (file systems without `fallocate`, or that copy on
//! write) it promises nothing.

use super::catalogue;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::fault::Write;
use super::roots::Roots;
use super::tree::{self, RelPath};
use nestwarden_policy_schema::policy::Mode;
use rustix::fd::OwnedFd;
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;

/// Enough for any photo and for short films.
pub(super) const ROOM_BYTES: u64 = if cfg!(test) { 4 * MIB } else { 64 * MIB };
/// A disk that has not this many times as much free is too small, or too full, for it to begin with.
const SPARE: u64 = 4;
/// Given up at least: folders need blocks, too.
pub(super) const PIECE_BYTES: u64 = MIB;
const MIB: u64 = 1024 * 1024;
pub(super) const NAME: &str = "room";

impl Engine {
    /// Sets room aside wherever photos of these roots would be withheld to.
    pub(super) fn keep_room(&self, moment: &Moment<'_>, roots: &Roots) -> Result<(), PhotosError> {
        if moment.policy().is_none_or(|p| p.mode != Mode::Enforce) {
            return Ok(());
        }
        let mut vaults = BTreeSet::new();
        for root in roots.captures() {
            let Ok(stat) = self.tree().dir(&root.path).and_then(tree::stat_open) else {
                continue;
            };
            let candidates = self.vaults.candidates(&root.path, stat.identity.dev);
            vaults.extend(candidates.into_iter().next());
        }
        let known = self.ledger.read(catalogue::vaults)?;
        let new: Vec<&RelPath> = vaults.difference(&known).collect();
        if !new.is_empty() {
            // A scan passes by what is known to be a vault.
            self.commit(Write::VaultsNoted, |tx| {
                let mut note = new.iter();
                note.try_for_each(|vault| catalogue::vault_note(tx.sql(), vault))
            })?;
        }
        for vault in &vaults {
            if let Err(error) = self.vaults.open_or_make(vault) {
                tracing::info!(%error, %vault, "a vault cannot be made yet");
            }
        }
        self.record_marks()?;
        self.vaults.keep_room(&vaults);
        Ok(())
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Gives up what an act that needs `bytes` has to have. `false` when that would not help it.
pub(super) fn give(vault: &OwnedFd, bytes: u64) -> io::Result<bool> {
    let Some(file) = open(vault)? else {
        return Ok(false);
    };
    let left = file.metadata()?.len();
    if left == 0 || bytes > left.saturating_add(free(vault)?.all) {
        return Ok(false);
    }
    let piece = bytes.next_multiple_of(PIECE_BYTES).max(PIECE_BYTES);
    file.set_len(left.saturating_sub(piece))?;
    // Blocks are free once it is known that they are.
    file.sync_all()?;
    Ok(true)
}

/// Sets aside what is missing, as far as there is room; whether all of it is there now.
pub(super) fn keep(vault: &OwnedFd) -> io::Result<bool> {
    let file = match open(vault)? {
        Some(file) => file,
        None if free(vault)?.for_everybody < SPARE * ROOM_BYTES => return Ok(false),
        None => tree::create_new(vault, OsStr::new(NAME))?,
    };
    let left = file.metadata()?.len();
    let missing = ROOM_BYTES.saturating_sub(left);
    let more = missing.min(free(vault)?.all / PIECE_BYTES * PIECE_BYTES);
    if more > 0 {
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), left, more) {
            Ok(()) | Err(Errno::NOSPC | Errno::DQUOT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(file.metadata()?.len() >= ROOM_BYTES)
}

/// Gives all of it back.
pub(super) fn release(vault: &OwnedFd) -> io::Result<()> {
    tree::unlink(vault, OsStr::new(NAME)).map(|_| ())
}

/// Takes the blocks that `bytes` need beforehand, so that what finds no room finds out before it has done anything.
pub(super) fn claim(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open(vault: &OwnedFd) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(vault, NAME, flags, rustix::fs::Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

struct Free {
    /// Beside what the file system keeps for the administrator.
    for_everybody: u64,
    all: u64,
}

fn free(vault: &OwnedFd) -> io::Result<Free> {
    let on = rustix::fs::fstatvfs(vault)?;
    Ok(Free {
        for_everybody: on.f_bavail.saturating_mul(on.f_frsize),
        all: on.f_bfree.saturating_mul(on.f_frsize),
    })
}
