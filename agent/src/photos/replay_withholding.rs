//! Settles what was on its way into a vault when the last run ended: all of it in one commit, with one sync of each folder.

use super::catalogue::{self, FileRow};
use super::engine::{Engine, is_absent};
use super::error::PhotosError;
use super::fault::Write;
use super::tree::{self, RelPath, Stat};
use super::withhold::{file_vaulted, stage_withheld, vault_name};
use jiff::Timestamp;
use std::collections::BTreeSet;

struct Entry {
    file: FileRow,
    vault: RelPath,
    begun_at: Timestamp,
}

/// Where a file is that was on its way.
enum Lies {
    InVault(Stat),
    Elsewhere,
    /// Its vault is not there, as on a card that was taken out: it may lie in it.
    OutOfSight,
}

impl Engine {
    /// What cannot be looked at stays open, and is the error once the rest is settled.
    pub(super) fn replay_withholding(&mut self) -> Result<(), PhotosError> {
        let mut settled = Vec::new();
        let mut folders = BTreeSet::new();
        let mut failed = None;
        let mut open = BTreeSet::new();
        for entry in self.ledger.read(entries)? {
            if self.busy.contains_key(&entry.file.photo) {
                open.insert(entry.file.id);
                continue;
            }
            match self.found(&entry) {
                Ok(Lies::OutOfSight) => {
                    open.insert(entry.file.id);
                }
                Ok(Lies::InVault(stat)) => {
                    folders.extend(entry.file.path.parent());
                    folders.insert(entry.vault.clone());
                    settled.push((entry, Some(stat)));
                }
                Ok(Lies::Elsewhere) => settled.push((entry, None)),
                Err(error) => {
                    open.insert(entry.file.id);
                    failed = failed.or(Some(error));
                }
            }
        }
        self.out_of_sight = open;
        for folder in folders {
            // The folder a photo came from may have gone since.
            if let Ok(dir) = self.tree().dir(&folder) {
                tree::sync_dir(&dir)?;
            }
        }
        if !settled.is_empty() {
            self.commit(Write::ReplayedWithhold, |tx| {
                for (entry, found) in &settled {
                    let Entry {
                        file,
                        vault,
                        begun_at,
                    } = entry;
                    tx.sql()
                        .prepare_cached("DELETE FROM photo_withholding WHERE file = ?1")?
                        .execute([file.id])?;
                    if let Some(stat) = found {
                        file_vaulted(
                            tx.sql(),
                            file.id,
                            (vault, &vault_name(file.photo, file.id)),
                            stat,
                        )?;
                        stage_withheld(tx, file.photo, None, *begun_at)?;
                    }
                }
                Ok(())
            })?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// The file in the vault. Something that was caught in its place goes back where it came from.
    fn found(&self, entry: &Entry) -> Result<Lies, PhotosError> {
        let Some(vault) = self.vault_if_there(&entry.vault)? else {
            let still = self.tree().stat(&entry.file.path);
            let is_still_there =
                still.is_ok_and(|stat| stat.identity.is_same_file(&entry.file.identity));
            let was_made = self.vaults.marks().of(&entry.vault).is_some();
            return Ok(if is_still_there || !was_made {
                Lies::Elsewhere
            } else {
                Lies::OutOfSight
            });
        };
        let name = vault_name(entry.file.photo, entry.file.id);
        let found = match tree::stat(&vault, &name) {
            Ok(stat) => stat,
            Err(error) if is_absent(&error) => return Ok(Lies::Elsewhere),
            Err(error) => return Err(error.into()),
        };
        if found.identity.is_same_file(&entry.file.identity) {
            return Ok(Lies::InVault(found));
        }
        self.put_back(&entry.file, &vault, &name)?;
        Ok(Lies::Elsewhere)
    }
}

fn entries(sql: &rusqlite::Connection) -> Result<Vec<Entry>, PhotosError> {
    let mut statement =
        sql.prepare("SELECT file, vault, begun_at FROM photo_withholding ORDER BY file")?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        // Every entry has its file: the table refers to it.
        if let Some(file) = catalogue::file(sql, row.get(0)?)? {
            entries.push(Entry {
                file,
                vault: catalogue::rel(row.get(1)?)?,
                begun_at: catalogue::read(&row.get::<_, String>(2)?)?,
            });
        }
    }
    Ok(entries)
}
