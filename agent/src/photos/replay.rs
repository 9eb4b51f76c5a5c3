//! What the journal says was begun and is not known to be done: found out, and gone on with or taken back.
//!
//! | begun | found | then |
//! |---|---|---|
//! | withhold | the file is in the vault | it is withheld |
//! | | it is not | it was not withheld; the next pass decides again |
//! | | something else is in its place | that goes back where it came from |
//! | restore | the file is still in the vault | it is not restored; the next pass decides again |
//! | | it is where it was to go | it is restored |
//! | | neither | somebody moved it since; the next scan finds it |
//! | seal | the catalogue does not know it as sealed | the sealed file goes; the plaintext is untouched |
//! | unseal | the catalogue knows it as sealed | what was opened goes; it stays sealed |
//! | | it knows it as withheld again | the sealed file goes |
//! | destroy | the sealed file is whole | nothing has gone; the next pass decides again |
//! | | it is not | there is no way back; it is destroyed to the end |
//!
//! A file whose plaintext was being removed has a state of its own (`dropping`) and needs no entry: only forward.

use super::catalogue::{self, FileRow};
use super::engine::{Engine, is_absent};
use super::error::PhotosError;
use super::fault::Write;
use super::tree::{self, RelPath};
use super::vault;
use super::withhold::{file_restored, stage_live};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::{Due, Stage};
use nestwarden_policy_schema::id::PhotoId;
use rustix::fd::OwnedFd;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt as _;

struct Entry {
    id: i64,
    act: String,
    photo: PhotoId,
    file: Option<FileRow>,
    vault: Option<RelPath>,
    name: Vec<u8>,
    detail: Option<String>,
    begun_at: Timestamp,
}

impl Engine {
    /// Settles every open entry that no running job accounts for. Idempotent from every point.
    pub(super) fn replay(&mut self) -> Result<(), PhotosError> {
        self.replay_withholding()?;
        for entry in self.ledger.read(entries)? {
            let under_way = self.busy.contains_key(&entry.photo)
                || (entry.act == "destroy" && self.unfinished.contains_key(&entry.photo));
            if under_way {
                continue;
            }
            match entry.act.as_str() {
                "restore" => self.replay_restore(&entry)?,
                "seal" => self.replay_seal(&entry)?,
                // Both of its entries name what has to go: the plaintext, and once that counts, the sealed file.
                "unseal" => self.clear_away(&entry)?,
                "destroy" => self.replay_destroy(&entry)?,
                other => {
                    return Err(PhotosError::Damaged(format!(
                        "the journal speaks of `{other}`"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Something that was caught instead of a photo is its user's.
    pub(super) fn put_back(
        &self,
        file: &FileRow,
        vault: &OwnedFd,
        name: &OsStr,
    ) -> Result<(), PhotosError> {
        let to_path = vault::way_back(self.tree(), &file.path, &file.root)?;
        let to = self.tree().dir(&to_path)?;
        Ok(vault::put_back(vault, name, &to, file.path.name())?)
    }

    fn replay_restore(&self, entry: &Entry) -> Result<(), PhotosError> {
        let Some(file) = &entry.file else {
            return self.close(entry);
        };
        let mut vault_is_there = true;
        if let Some((vault, name)) = &file.vault {
            match self.vault_if_there(vault)? {
                Some(dir) => match tree::stat(&dir, name) {
                    Ok(_) => return self.close(entry),
                    Err(error) if is_absent(&error) => tree::sync_dir(&dir)?,
                    Err(error) => return Err(error.into()),
                },
                None => vault_is_there = false,
            }
        }
        let target = catalogue::rel(entry.name.clone())?;
        let found = self.tree().stat(&target);
        let found = found
            .ok()
            .filter(|s| s.identity.is_same_file(&file.identity));
        if found.is_none() && !vault_is_there {
            // It lies in the vault, or where it came back to: whichever is seen first says.
            return Ok(());
        }
        let dir = self.tree().parent_dir(&target).ok();
        if let Some(dir) = dir.filter(|_| found.is_some()) {
            tree::sync_dir(&dir)?;
        }
        self.commit(Write::ReplayedRestore, |tx| {
            if let Some(stat) = &found {
                file_restored(tx.sql(), file.id, &target, &stat.identity)?;
                stage_live(tx, entry.photo, entry.begun_at)
            } else {
                tx.sql()
                    .execute("DELETE FROM photo_journal WHERE id = ?1", [entry.id])?;
                catalogue::file_forget(tx.sql(), file.id)
            }
        })
    }

    fn replay_seal(&self, entry: &Entry) -> Result<(), PhotosError> {
        let row = self.ledger.read(|sql| catalogue::photo(sql, entry.photo))?;
        if row.is_some_and(|row| row.sealed.is_some()) {
            return self.close(entry);
        }
        self.clear_away(entry)
    }

    /// Removes the file an entry names.
    fn clear_away(&self, entry: &Entry) -> Result<(), PhotosError> {
        if let Some(vault) = &entry.vault
            && let Some(dir) = self.vault_if_there(vault)?
        {
            tree::unlink(&dir, &OsString::from_vec(entry.name.clone()))?;
            tree::sync_dir(&dir)?;
        }
        self.close(entry)
    }

    fn replay_destroy(&mut self, entry: &Entry) -> Result<(), PhotosError> {
        let row = self.ledger.read(|sql| catalogue::photo(sql, entry.photo))?;
        let Some(row) = row.filter(|row| row.stage == Stage::Sealed) else {
            return self.close(entry);
        };
        let Some(sealed) = row.sealed else {
            return self.close(entry);
        };
        let size = match self.vault_if_there(&sealed.vault)? {
            Some(dir) => match tree::stat(&dir, &sealed.name) {
                Ok(stat) => Some(stat.identity.size),
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error.into()),
            },
            // Whether it was removed from a vault that is not there nobody can say; a new attempt does, or waits for it.
            None => return self.close(entry),
        };
        if size == Some(sealed.bytes) {
            return self.close(entry);
        }
        let detail = entry.detail.as_deref().unwrap_or_default();
        let (why, _): (Due, Timestamp) = catalogue::unjson(detail)?;
        self.unfinished.insert(entry.photo, why);
        Ok(())
    }

    fn close(&self, entry: &Entry) -> Result<(), PhotosError> {
        self.commit(Write::ReplayClosed, |tx| {
            tx.sql()
                .execute("DELETE FROM photo_journal WHERE id = ?1", [entry.id])?;
            Ok(())
        })
    }

    pub(super) fn vault_if_there(&self, vault: &RelPath) -> Result<Option<OwnedFd>, PhotosError> {
        match self.vaults.open(vault) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if is_absent(&error) => Ok(None),
            // Somebody else's folder has its name: it is not there.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn entries(sql: &rusqlite::Connection) -> Result<Vec<Entry>, PhotosError> {
    let mut statement = sql.prepare(
        "SELECT id, act, photo, file, vault, name, detail, begun_at FROM photo_journal ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let file: Option<i64> = row.get(3)?;
        let vault: Option<Vec<u8>> = row.get(4)?;
        entries.push(Entry {
            id: row.get(0)?,
            act: row.get(1)?,
            photo: catalogue::read(&row.get::<_, String>(2)?)?,
            file: match file {
                Some(file) => catalogue::file(sql, file)?,
                None => None,
            },
            vault: vault.map(catalogue::rel).transpose()?,
            name: row.get(5)?,
            detail: row.get(6)?,
            begun_at: catalogue::read(&row.get::<_, String>(7)?)?,
        });
    }
    Ok(entries)
}
