//! Withholding, bringing back, and removing the plaintext of what is sealed: the quick acts of the engine.

use super::burst::{self, Burst, Outcome};
use super::catalogue::{self, FileRow, FileState, Part, PhotoRow, name_bytes};
use super::engine::{Engine, Moment, Passed, is_absent};
use super::error::PhotosError;
use super::fault::Write;
use super::jobs::Job;
use super::judgement::Judged;
use super::mark;
use super::mover::Mover;
use super::reread::{Written, was_written_to};
use super::shut;
use super::tree::{self, Identity, RelPath, Stat};
use super::vault::{self, MoveError};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::receipt::{ArtefactKind, ArtefactResult};
use rusqlite::{Connection, params};
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;

/// A rename into a vault as the journal has it.
struct Intended<'a> {
    file: &'a FileRow,
    vault: RelPath,
    name: OsString,
}

impl Engine {
    /// Renames every present name of these photos into a vault, announced in one commit and with one sync of each folder.
    /// What became of them is in the burst, and to be settled. Those of which not every name went.
    pub(super) fn withhold(
        &mut self,
        moment: &Moment<'_>,
        due: &[(&PhotoRow, Judged)],
        burst: &mut Burst,
        passed: &mut Passed,
    ) -> Result<BTreeSet<PhotoId>, PhotosError> {
        let sidecars = self.find_sidecars(due.iter().map(|(row, _)| *row))?;
        let mut waiting: Vec<&FileRow> = due
            .iter()
            .flat_map(|(row, _)| row.in_state(FileState::Present))
            .chain(&sidecars)
            .collect();
        // Vaults by what can be told beforehand; a rename may still say otherwise, and then the next is tried.
        let mut choices: HashMap<(RelPath, u64), Vec<RelPath>> = HashMap::new();
        let mut problems: HashMap<PhotoId, String> = HashMap::new();
        let mut unclear = BTreeSet::new();
        let mut names: Vec<RelPath> = Vec::new();
        let mut written: HashMap<PhotoId, Vec<Written>> = HashMap::new();
        let causes = due.iter().map(|(row, judged)| {
            let cause = judged.why.map(|due| due.cause);
            (row.id, cause)
        });
        let mut page = burst::Page::of(causes);
        waiting.retain(|file| {
            let is_free = !self.out_of_sight.contains(&file.id);
            if !is_free {
                let problem = format!("`{}`: its vault is not there", file.path);
                problems.insert(file.photo, problem);
            }
            is_free
        });
        for attempt in 0.. {
            let mut intended = Vec::new();
            for file in std::mem::take(&mut waiting) {
                let place = (file.root.clone(), file.identity.dev);
                let candidates = choices
                    .entry(place)
                    .or_insert_with(|| self.vaults.candidates(&file.root, file.identity.dev));
                if let Some(vault) = candidates.get(attempt) {
                    intended.push(Intended {
                        file,
                        vault: vault.clone(),
                        name: vault_name(file.photo, file.id),
                    });
                } else {
                    let problem = format!(
                        "`{}`: no folder on its file system can hold a vault",
                        file.path
                    );
                    problems.insert(file.photo, problem);
                }
            }
            if intended.is_empty() {
                break;
            }
            // Made first, so that what is announced says which one it is. What keeps it from being made the move will say.
            for vault in intended.iter().map(|i| &i.vault).collect::<BTreeSet<_>>() {
                let _ = self.vaults.open_or_make(vault);
            }
            self.intend(moment, &intended)?;
            let mut mover = Mover::new(&self.vaults);
            let mut done = Vec::new();
            for intended in intended {
                let file = intended.file;
                let outcome = match mover.move_in(file, &intended.vault, &intended.name) {
                    Ok(stat) => {
                        names.push(file.path.clone());
                        let vault = burst.vault(&intended.vault);
                        if file.part == Part::Photo && was_written_to(file, &stat) {
                            written.entry(file.photo).or_default().push(Written {
                                file: file.id,
                                vault: intended.vault,
                                name: intended.name,
                            });
                        }
                        Outcome::Moved(vault, Box::new(stat))
                    }
                    Err(MoveError::Changed) => {
                        passed.relook.insert(file.path.clone());
                        unclear.insert(file.photo);
                        Outcome::Changed
                    }
                    Err(MoveError::OtherFileSystem) => {
                        waiting.push(file);
                        Outcome::Failed
                    }
                    Err(MoveError::Io(error)) => {
                        let problem = format!("`{}`: {error}", file.path);
                        problems.insert(file.photo, problem);
                        Outcome::Failed
                    }
                };
                done.push((file, outcome));
            }
            mover.sync()?;
            for (file, outcome) in done {
                page.file(file.id, file.photo, outcome);
            }
        }
        burst.push(page);
        unclear.extend(problems.keys());
        for (photo, problem) in problems {
            self.incomplete(moment, photo, Stage::Withheld, problem)?;
        }
        if !names.is_empty() {
            passed.jobs.push(Job::Thumbnails(names));
        }
        // Sealing reads what is to be sealed.
        for (row, _) in due.iter().filter(|(_, j)| j.due == Stage::Withheld) {
            if let Some(files) = written.remove(&row.id) {
                self.hand_out_reread(moment, row, files, passed);
            }
        }
        Ok(unclear)
    }

    fn intend(&self, moment: &Moment<'_>, intended: &[Intended<'_>]) -> Result<(), PhotosError> {
        self.commit(Write::WithholdBegun, |tx| {
            let vaults: BTreeSet<&RelPath> = intended.iter().map(|i| &i.vault).collect();
            for vault in vaults {
                catalogue::vault_note(tx.sql(), vault)?;
                if let Some(mark) = self.vaults.marks().of(vault) {
                    mark::record(tx.sql(), vault, mark)?;
                }
            }
            let at = moment.now.at.to_string();
            let mut begin = tx.sql().prepare_cached(
                "INSERT OR REPLACE INTO photo_withholding (file, vault, begun_at) VALUES (?1, ?2, ?3)",
            )?;
            for i in intended {
                begin.execute(params![i.file.id, i.vault.as_bytes(), at])?;
            }
            Ok(())
        })
    }

    /// Brings every withheld name of a photo back, never over another file.
    pub(super) fn restore(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
    ) -> Result<(), PhotosError> {
        let Some(row) = self.ledger.read(|sql| catalogue::photo(sql, photo))? else {
            return Ok(());
        };
        for file in row.in_state(FileState::Vaulted) {
            match self.bring_back(moment, file) {
                Ok(()) => {}
                Err(PhotosError::Io(error)) if !super::fault::is_over(&error) => {
                    let problem = format!("`{}`: {error}", file.path);
                    return self.incomplete(moment, photo, Stage::Live, problem);
                }
                Err(error) => return Err(error),
            }
        }
        self.commit(Write::Restored, |tx| stage_live(tx, photo, moment.now.at))
    }

    fn bring_back(&self, moment: &Moment<'_>, file: &FileRow) -> Result<(), PhotosError> {
        let Some((vault, name)) = &file.vault else {
            return Err(PhotosError::Damaged(format!(
                "file {} has no vault",
                file.id
            )));
        };
        let from = self.vaults.open(vault)?;
        let to_path = vault::way_back(self.tree(), &file.path, &file.root)?;
        let to = self.tree().dir(&to_path)?;
        let owner = self
            .ledger
            .read(|sql| shut::owner_on_record(sql, file.id))?;
        for candidate in vault::numbered(file.path.name()) {
            let Some(target) = to_path.join(&candidate) else {
                continue;
            };
            match tree::stat(&to, &candidate) {
                Ok(_) => continue,
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error.into()),
            }
            self.commit(Write::RestoreBegun, |tx| {
                let sql = tx.sql();
                sql.execute("DELETE FROM photo_journal WHERE file = ?1", [file.id])?;
                let entry = ("restore", file.photo, Some(file.id));
                journal(sql, entry, (None, target.as_bytes()), None, moment.now.at)
            })?;
            shut::hand_back(&from, name, owner)?;
            match tree::rename_new(&from, name, &to, &candidate) {
                Ok(()) => {}
                Err(error) => {
                    // It stays where it is, and nobody's.
                    shut::shut(&from, name)?;
                    if error.kind() == io::ErrorKind::AlreadyExists {
                        continue;
                    }
                    return Err(error.into());
                }
            }
            tree::sync_dir(&to)?;
            tree::sync_dir(&from)?;
            let identity = tree::stat(&to, &candidate)?.identity;
            return self.commit(Write::Restored, |tx| {
                file_restored(tx.sql(), file.id, &target, &identity)?;
                stage_live(tx, file.photo, moment.now.at)
            });
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "every numbered name is taken").into())
    }

    /// Empties and unlinks the plaintext of what is sealed.
    pub(super) fn drop_plain(
        &mut self,
        moment: &Moment<'_>,
        row: &PhotoRow,
    ) -> Result<(), PhotosError> {
        let photo = row.id;
        let mut inodes: Vec<(u64, u64)> = row
            .in_state(FileState::Dropped)
            .map(|f| (f.identity.dev, f.identity.ino))
            .collect();
        for file in row.in_state(FileState::Dropping) {
            let Some((vault, name)) = &file.vault else {
                return Err(PhotosError::Damaged(format!(
                    "file {} has no vault",
                    file.id
                )));
            };
            let discarded = self
                .vaults
                .open(vault)
                .and_then(|dir| vault::discard(&dir, name));
            match discarded {
                Ok(_) => {}
                Err(error) if super::fault::is_over(&error) => return Err(error.into()),
                Err(error) => {
                    let problem = format!("the plaintext could not be removed: {error}");
                    return self.incomplete(moment, photo, Stage::Sealed, problem);
                }
            }
            let inode = (file.identity.dev, file.identity.ino);
            let kind = if file.in_trash {
                ArtefactKind::Trash
            } else if inodes.is_empty() {
                ArtefactKind::Original
            } else if inodes.contains(&inode) {
                ArtefactKind::HardLink
            } else {
                ArtefactKind::Copy
            };
            inodes.push(inode);
            self.commit(Write::PlainDropped, |tx| {
                let sql = tx.sql();
                sql.execute(
                    "UPDATE photo_file SET state = 'dropped' WHERE id = ?1",
                    [file.id],
                )?;
                catalogue::artefact_add(sql, photo, kind, ArtefactResult::DiscardRequested)
            })?;
        }
        if self.vaults.gave_room() {
            self.vaults.keep_room(&self.ledger.read(catalogue::vaults)?);
        }
        Ok(())
    }
}

pub(super) fn vault_name(photo: PhotoId, file: i64) -> OsString {
    format!("{photo}.{file}").into()
}

/// Begins an act: `entry` is act, photo and file; `place` the vault, and the name in it or the path to go to.
pub(super) fn journal(
    sql: &Connection,
    (act, photo, file): (&str, PhotoId, Option<i64>),
    (vault, name): (Option<&RelPath>, &[u8]),
    detail: Option<&str>,
    at: Timestamp,
) -> Result<(), PhotosError> {
    sql.prepare_cached(
        "INSERT INTO photo_journal (act, photo, file, vault, name, detail, begun_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        act,
        photo.to_string(),
        file,
        vault.map(RelPath::as_bytes),
        name,
        detail,
        at.to_string()
    ])?;
    Ok(())
}

pub(super) fn file_vaulted(
    sql: &Connection,
    id: i64,
    (vault, name): (&RelPath, &OsStr),
    stat: &Stat,
) -> Result<(), PhotosError> {
    let was = shut::owner_before(sql, id, stat)?;
    sql.prepare_cached(
        "UPDATE photo_file SET state = 'vaulted', vault = ?2, vault_name = ?3, mode = ?4, uid = ?5, gid = ?6
         WHERE id = ?1",
    )?
    .execute(params![id, vault.as_bytes(), name_bytes(name), was.mode, was.uid, was.gid])?;
    Ok(())
}

pub(super) fn file_restored(
    sql: &Connection,
    id: i64,
    path: &RelPath,
    identity: &Identity,
) -> Result<(), PhotosError> {
    sql.execute("DELETE FROM photo_journal WHERE file = ?1", [id])?;
    // Its name was free, so whatever the catalogue still has there is no longer there.
    if let Some(stale) = catalogue::file_present_at(sql, path)?.filter(|stale| stale.id != id) {
        catalogue::file_forget(sql, stale.id)?;
    }
    sql.execute(
        "UPDATE photo_file SET state = 'present', path = ?2, vault = NULL, vault_name = NULL WHERE id = ?1",
        params![id, path.as_bytes()],
    )?;
    let known = catalogue::file(sql, id)?.map(|file| file.identity);
    let is_as_read = known
        .is_some_and(|known| (known.size, known.mtime_ns) == (identity.size, identity.mtime_ns));
    // What was written to since it was read last has to be read again; the time of no file is 0.
    let ctime_ns = if is_as_read { identity.ctime_ns } else { 0 };
    let identity = Identity {
        ctime_ns,
        ..*identity
    };
    catalogue::file_identify(sql, id, &identity)
}

/// Hard links outside of the capture roots cannot be found. They are closed with the photo, and read nothing once it is
/// sealed.
pub(super) fn tell_other_links(
    tx: &crate::ledger::LedgerTx<'_>,
    (photo, file): (PhotoId, i64),
    stat: &Stat,
    at: Timestamp,
) -> Result<(), PhotosError> {
    if stat.links <= 1 {
        return Ok(());
    }
    let (first, known): (i64, i64) = tx.sql().query_row(
        "SELECT min(id), count(*) FROM photo_file
         WHERE photo = ?1 AND dev = ?2 AND ino = ?3 AND state IN ('present', 'vaulted')",
        params![
            photo.to_string(),
            stat.identity.dev.cast_signed(),
            stat.identity.ino.cast_signed()
        ],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let elsewhere = stat.links.saturating_sub(known.cast_unsigned());
    if elsewhere > 0 && first == file {
        let problem = format!(
            "{elsewhere} more names of it lie outside the capture roots; only what has one of them open reads it until it is sealed"
        );
        let event = EventBody::PhotoIncomplete {
            photo,
            stage: Stage::Withheld,
            problem,
        };
        tx.record(at, &event)?;
    }
    Ok(())
}

/// A withheld photo none of whose names is left in a vault is live again.
pub(super) fn stage_live(
    tx: &crate::ledger::LedgerTx<'_>,
    photo: PhotoId,
    at: Timestamp,
) -> Result<(), PhotosError> {
    let changed = tx.sql().execute(
        "UPDATE photo SET stage = 'live', withheld_at = NULL WHERE id = ?1 AND stage = 'withheld'
            AND NOT EXISTS (SELECT 1 FROM photo_file WHERE photo = ?1 AND state IN ('vaulted', 'dropping'))",
        [photo.to_string()],
    )?;
    if changed > 0 {
        let event = EventBody::PhotoStage {
            photo,
            from: Stage::Withheld,
            to: Stage::Live,
            cause: None,
            observed_only: false,
        };
        tx.record(at, &event)?;
    }
    Ok(())
}

/// A photo none of whose names is left in the roots is withheld.
pub(super) fn stage_withheld(
    tx: &crate::ledger::LedgerTx<'_>,
    photo: PhotoId,
    cause: Option<nestwarden_policy_schema::consent::Cause>,
    at: Timestamp,
) -> Result<(), PhotosError> {
    let changed = tx
        .sql()
        .prepare_cached(
            "UPDATE photo SET stage = 'withheld', withheld_at = ?2 WHERE id = ?1 AND stage = 'live'
                AND (SELECT max(CASE state WHEN 'present' THEN 2 WHEN 'vaulted' THEN 1 ELSE 0 END)
                     FROM photo_file WHERE photo = ?1 AND part = 'photo') = 1",
        )?
        .execute([photo.to_string(), at.to_string()])?;
    if changed > 0 {
        let event = EventBody::PhotoStage {
            photo,
            from: Stage::Live,
            to: Stage::Withheld,
            cause,
            observed_only: false,
        };
        tx.record(at, &event)?;
    }
    Ok(())
}
