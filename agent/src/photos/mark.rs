//! Which folder a vault is. In each lies a mark that no other has, and that is on record: what should lie in a vault was
//! taken away with it, and a folder that has its name by now says nothing of it.

use super::catalogue;
use super::engine::Engine;
use super::error::PhotosError;
use super::fault::Write;
use super::tree::{self, RelPath};
use rusqlite::{Connection, params};
use rustix::fd::OwnedFd;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

pub(super) const NAME: &str = "mark";

/// The marks of the vaults that were put into or seen, by the path they have on record.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Arc<Mutex<HashMap<RelPath, Uuid>>>);

impl Marks {
    fn lock(&self) -> MutexGuard<'_, HashMap<RelPath, Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, vault: &RelPath) -> Option<Uuid> {
        self.lock().get(vault).copied()
    }

    pub(super) fn set(&self, vault: &RelPath, mark: Uuid) {
        self.lock().insert(vault.clone(), mark);
    }

    fn forget(&self, vault: &RelPath) {
        self.lock().remove(vault);
    }

    pub(super) fn is_anothers(&self, vault: &RelPath, mark: Uuid) -> bool {
        let marks = self.lock();
        marks.iter().any(|(of, m)| of != vault && *m == mark)
    }
}

/// `None`: it has none, or was about to get one when the power went.
pub(super) fn read(vault: &OwnedFd) -> io::Result<Option<Uuid>> {
    let file = match tree::open_file(vault, OsStr::new(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut mark = Vec::new();
    file.take(64).read_to_end(&mut mark)?;
    Ok(Uuid::try_parse_ascii(&mark).ok())
}

/// Marks a vault, durably.
pub(super) fn write(vault: &OwnedFd) -> io::Result<Uuid> {
    let mark = Uuid::new_v4();
    let name = OsStr::new(NAME);
    tree::unlink(vault, name)?;
    let mut file = tree::create_new(vault, name)?;
    file.write_all(mark.to_string().as_bytes())?;
    file.sync_all()?;
    tree::sync_dir(vault)?;
    Ok(mark)
}

/// Puts a mark on record that is on the disk.
pub(super) fn record(sql: &Connection, vault: &RelPath, mark: Uuid) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "INSERT INTO photo_vault (path, mark) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET mark = ?2",
    )?
    .execute(params![vault.as_bytes(), mark.into_bytes()])?;
    Ok(())
}

pub(crate) fn on_record(sql: &Connection) -> Result<BTreeMap<RelPath, Option<Uuid>>, PhotosError> {
    let mut statement = sql.prepare_cached("SELECT path, mark FROM photo_vault")?;
    let mut rows = statement.query([])?;
    let mut marks = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let mark: Option<[u8; 16]> = row.get(1)?;
        marks.insert(catalogue::rel(row.get(0)?)?, mark.map(Uuid::from_bytes));
    }
    Ok(marks)
}

pub(crate) fn holds_nothing(sql: &Connection, vault: &RelPath) -> Result<bool, PhotosError> {
    Ok(sql.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM photo_file WHERE vault = ?1 AND state IN ('vaulted', 'dropping'))
            AND NOT EXISTS (SELECT 1 FROM photo WHERE sealed_vault = ?1)
            AND NOT EXISTS (SELECT 1 FROM photo_journal WHERE vault = ?1)
            AND NOT EXISTS (SELECT 1 FROM photo_withholding WHERE vault = ?1)",
        [vault.as_bytes()],
        |row| row.get(0),
    )?)
}

impl Engine {
    /// Takes over which vaults are on record. One that is gone with nothing in it may be made again under its name.
    pub(super) fn know_vaults(&self) -> Result<(), PhotosError> {
        for (vault, mark) in self.ledger.read(on_record)? {
            let Some(mark) = mark else { continue };
            self.vaults.marks().set(&vault, mark);
            let gone = self
                .vaults
                .open(&vault)
                .is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
            if gone && self.ledger.read(|sql| holds_nothing(sql, &vault))? {
                self.vaults.marks().forget(&vault);
            }
        }
        Ok(())
    }

    /// Marks vaults from before there were marks.
    pub(super) fn mark_vaults(&self) -> Result<(), PhotosError> {
        for vault in self.ledger.read(on_record)?.into_keys() {
            if let Ok(dir) = self.vaults.open(&vault) {
                self.vaults.adopt(&vault, &dir);
            }
        }
        self.record_marks()
    }

    /// Puts on record which vaults there are by now.
    pub(super) fn record_marks(&self) -> Result<(), PhotosError> {
        let mut new = Vec::new();
        for (vault, recorded) in self.ledger.read(on_record)? {
            match self.vaults.marks().of(&vault) {
                Some(mark) if recorded != Some(mark) => new.push((vault, mark)),
                Some(_) | None => {}
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.commit(Write::VaultsNoted, |tx| {
            let mut new = new.iter();
            new.try_for_each(|(vault, mark)| record(tx.sql(), vault, *mark))?;
            Ok(())
        })
    }
}
