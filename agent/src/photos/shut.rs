//! While it lies in a vault a photo belongs to the agent alone: whoever held it open from before can neither open it again
//! nor give it a name elsewhere, and other names that it has are closed with it. Whose it was is on record before, and it
//! has that back when it returns.

use super::catalogue;
use super::engine::{Engine, is_absent};
use super::error::PhotosError;
use super::tree::{self, RelPath, Stat};
use rusqlite::{Connection, OptionalExtension as _, params};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt as _;

/// Whose a photo is where it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    pub(super) const fn of(stat: &Stat) -> Self {
        Self {
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
        }
    }

    fn agent() -> Self {
        Self {
            mode: 0o600,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn is_agent(self) -> bool {
        let agent = Self::agent();
        (self.mode & 0o777, self.uid) == (agent.mode, agent.uid)
    }
}

/// Closes a file in a vault to everybody else, under whatever name.
pub(super) fn shut(vault: &OwnedFd, name: &OsStr) -> io::Result<()> {
    give(vault, name, Owner::agent())
}

/// Gives a file in a vault back to whose it was.
pub(super) fn hand_back(vault: &OwnedFd, name: &OsStr, owner: Owner) -> io::Result<()> {
    give(vault, name, owner)
}

fn give(vault: &OwnedFd, name: &OsStr, owner: Owner) -> io::Result<()> {
    // Nobody else can put a link here.
    let link = AtFlags::SYMLINK_NOFOLLOW;
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    permitted(rustix::fs::chownat(vault, name, Some(uid), Some(gid), link))?;
    let mode = Mode::from_raw_mode(owner.mode & 0o7777);
    permitted(rustix::fs::chmodat(vault, name, mode, AtFlags::empty()))
}

/// A card without owners has none to give, and an agent that is not root gives nothing away.
fn permitted(done: rustix::io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error != Errno::PERM => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whose a file was when it went into a vault.
pub(super) fn owner_on_record(sql: &Connection, file: i64) -> Result<Owner, PhotosError> {
    let mut statement =
        sql.prepare_cached("SELECT mode, uid, gid FROM photo_file WHERE id = ?1")?;
    Ok(statement.query_row([file], owner_of)?)
}

/// What goes on record of a file that was moved into a vault: another name of a photo that lies there is the agent's by now,
/// and was somebody else's.
pub(super) fn owner_before(sql: &Connection, file: i64, stat: &Stat) -> Result<Owner, PhotosError> {
    let seen = Owner::of(stat);
    if stat.links <= 1 || !seen.is_agent() {
        return Ok(seen);
    }
    let other = sql
        .query_row(
            "SELECT mode, uid, gid FROM photo_file WHERE dev = ?1 AND ino = ?2 AND state = 'vaulted' AND id <> ?3 LIMIT 1",
            params![
                stat.identity.dev.cast_signed(),
                stat.identity.ino.cast_signed(),
                file
            ],
            owner_of,
        )
        .optional()?;
    Ok(other.unwrap_or(seen))
}

fn owner_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Owner> {
    Ok(Owner {
        mode: row.get(0)?,
        uid: row.get(1)?,
        gid: row.get(2)?,
    })
}

impl Engine {
    /// Closes what was left open in the vaults when the last run ended.
    pub(super) fn shut_all(&self) -> Result<(), PhotosError> {
        let vaulted = self.ledger.read(vaulted)?;
        let mut open: Option<(RelPath, OwnedFd)> = None;
        for (vault, name) in vaulted {
            if open.as_ref().is_none_or(|(path, _)| *path != vault) {
                let dir = self.vault_if_there(&vault).unwrap_or_else(|error| {
                    tracing::warn!(%error, %vault, "a vault cannot be opened");
                    None
                });
                open = dir.map(|dir| (vault, dir));
            }
            let Some((_, dir)) = &open else { continue };
            let shut = match tree::stat(dir, &name) {
                Ok(stat) if Owner::of(&stat).is_agent() => Ok(()),
                Ok(_) => shut(dir, &name),
                Err(error) if is_absent(&error) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = shut {
                tracing::warn!(%error, "a withheld photo could not be closed to whoever holds it open");
            }
        }
        Ok(())
    }
}

fn vaulted(sql: &Connection) -> Result<Vec<(RelPath, OsString)>, PhotosError> {
    let mut statement = sql.prepare(
        "SELECT vault, vault_name FROM photo_file WHERE state = 'vaulted' AND vault IS NOT NULL ORDER BY vault",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((
            catalogue::rel(row.get(0)?)?,
            OsString::from_vec(row.get(1)?),
        ));
    }
    Ok(found)
}
