//! The photos, their files and their history, in the ledger's database.

use super::error::PhotosError;
use super::hash::Head;
use super::known::Inode;
use super::pages;
use super::record::{Reader, file_of};
pub(super) use super::record::{json, name_bytes, read, rel, unjson, unword, word};
use super::seal::SealedFile;
use super::tree::{Identity, RelPath, Stat};
use crate::ledger::LedgerError;
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{PhotoFacts, Stage, Subjects};
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId, SessionId, StaffId};
use nestwarden_policy_schema::receipt::{Artefact, ArtefactKind, ArtefactResult};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;

/// The tables, for the ledger's migrations.
pub const SCHEMA: &str = include_str!("schema.sql");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    Present,
    Vaulted,
    Dropping,
    Dropped,
}

impl FileState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Vaulted => "vaulted",
            Self::Dropping => "dropping",
            Self::Dropped => "dropped",
        }
    }
}

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Photo,
    /// Describes the photo: goes with it, and lies in the vault until it is destroyed.
    Sidecar,
}

impl Part {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Sidecar => "sidecar",
        }
    }
}

/// One name of a photo.
#[derive(Clone, Debug)]
pub struct FileRow {
    pub id: i64,
    pub photo: PhotoId,
    pub path: RelPath,
    pub root: RelPath,
    pub in_trash: bool,
    pub part: Part,
    pub state: FileState,
    /// Where it lies while it is not present.
    pub vault: Option<(RelPath, OsString)>,
    pub identity: Identity,
}

#[derive(Clone, Debug)]
pub struct PhotoRow {
    pub id: PhotoId,
    /// `None`: only its beginning was read. No other photo begins like it.
    pub hash: Option<Digest>,
    pub bytes: u64,
    pub media: String,
    pub captured_at: Timestamp,
    pub session: Option<SessionId>,
    pub subjects: Subjects,
    pub staff: Option<StaffId>,
    pub care_record: bool,
    pub found_month: Option<String>,
    pub uploaded_at: Option<Timestamp>,
    pub stage: Stage,
    pub withheld_at: Option<Timestamp>,
    pub sealed_at: Option<Timestamp>,
    pub sealed: Option<SealedFile>,
    pub observed: Option<Stage>,
    /// When somebody at the tablet last said who is in it.
    pub tagged_at: Option<Timestamp>,
    /// When the manager's word that holds was given.
    pub corrected_at: Option<Timestamp>,
    /// The photo it is of one moment with.
    pub companion_of: Option<PhotoId>,
    /// Names, those that are dropped included.
    pub files: Vec<FileRow>,
}

impl PhotoRow {
    pub fn facts(&self, device: DeviceId) -> PhotoFacts {
        PhotoFacts {
            photo: self.id,
            device,
            captured_at: self.captured_at,
            subjects: self.subjects.clone(),
            staff: self.staff,
            care_record: self.care_record,
            found_at_enrolment: self.found_month.is_some(),
            uploaded_at: self.uploaded_at,
            sealed_at: self.sealed_at,
            tagged_at: self.tagged_at.max(self.corrected_at),
        }
    }

    pub fn in_state(&self, state: FileState) -> impl Iterator<Item = &FileRow> {
        self.files.iter().filter(move |file| file.state == state)
    }

    /// The names of the photo itself.
    pub fn photo_files(&self) -> impl Iterator<Item = &FileRow> {
        self.files.iter().filter(|file| file.part == Part::Photo)
    }

    pub fn sidecars(&self) -> impl Iterator<Item = &FileRow> {
        self.files.iter().filter(|file| file.part == Part::Sidecar)
    }

    /// Whether the photo itself has a name in this state.
    pub fn has_photo(&self, state: FileState) -> bool {
        self.photo_files().any(|file| file.state == state)
    }

    /// Sidecars included.
    pub fn has(&self, state: FileState) -> bool {
        self.in_state(state).next().is_some()
    }

    /// Whether nothing of it is left and nobody but its user removed it.
    pub fn is_gone(&self) -> bool {
        self.stage <= Stage::Withheld && self.photo_files().all(|f| f.state == FileState::Dropped)
    }
}

/// A photo that is new to the catalogue.
pub struct NewPhoto<'a> {
    pub id: PhotoId,
    pub hash: Option<Digest>,
    pub head: Option<Head>,
    pub bytes: u64,
    pub media: &'a str,
    pub captured_at: Timestamp,
    pub session: Option<SessionId>,
    pub subjects: &'a Subjects,
    pub care_record: bool,
    pub found_month: Option<&'a str>,
    pub uploaded_at: Option<Timestamp>,
    pub companion_of: Option<PhotoId>,
    /// The number of its set of children where that is known.
    pub cohort: Option<i64>,
}

pub fn photo_insert(sql: &Connection, photo: &NewPhoto<'_>) -> Result<(), PhotosError> {
    let cohort = match photo.cohort {
        Some(known) => known,
        None => cohort(sql, &photo.subjects.possible_when_taken)?,
    };
    sql.prepare_cached(
        "INSERT INTO photo (id, keyed_hash, head, bytes, media, captured_at, session, rooms, tagging, unregistered_person,
            care_record, found_month, uploaded_at, companion_of, cohort, stage)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 'live')",
    )?
    .execute(params![
        photo.id.to_string(),
        photo.hash.as_ref().map_or(&[][..], |hash| &hash.0),
        photo.head.map(|head| head.0),
        photo.bytes.cast_signed(),
        photo.media,
        photo.captured_at.to_string(),
        photo.session.map(|id| id.to_string()),
        json(&photo.subjects.rooms)?,
        word(&photo.subjects.tagging)?,
        photo.subjects.unregistered_person,
        photo.care_record,
        photo.found_month,
        photo.uploaded_at.map(|at| at.to_string()),
        photo.companion_of.map(|id| id.to_string()),
        cohort,
    ])?;
    for child in &photo.subjects.confirmed {
        tag(sql, photo.id, *child)?;
    }
    Ok(())
}

/// The number of a set of children, which many photos share.
pub(super) fn cohort(sql: &Connection, children: &BTreeSet<ChildId>) -> Result<i64, PhotosError> {
    let children = json(children)?;
    let found = sql
        .prepare_cached("SELECT id FROM photo_cohort WHERE children = ?1")?
        .query_row([&children], |row| row.get(0))
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    let insert = "INSERT INTO photo_cohort (children) VALUES (?1)";
    sql.execute(insert, [&children])?;
    Ok(sql.last_insert_rowid())
}

/// A photo that was only counted becomes one that was taken at `at`, by whoever may have been there.
pub fn taken_at(
    sql: &Connection,
    photo: PhotoId,
    at: Timestamp,
    possible: &BTreeSet<ChildId>,
) -> Result<(), PhotosError> {
    let cohort = cohort(sql, possible)?;
    sql.prepare_cached(
        "UPDATE photo SET found_month = NULL, captured_at = ?2, cohort = ?3 WHERE id = ?1",
    )?
    .execute(params![photo.to_string(), at.to_string(), cohort])?;
    Ok(())
}

pub fn tags_replace(
    sql: &Connection,
    photo: PhotoId,
    confirmed: &BTreeSet<ChildId>,
) -> Result<(), PhotosError> {
    sql.execute(
        "DELETE FROM photo_tag WHERE photo = ?1",
        [photo.to_string()],
    )?;
    confirmed
        .iter()
        .try_for_each(|child| tag(sql, photo, *child))
}

fn tag(sql: &Connection, photo: PhotoId, child: ChildId) -> Result<(), PhotosError> {
    sql.prepare_cached("INSERT OR IGNORE INTO photo_tag (photo, child) VALUES (?1, ?2)")?
        .execute([photo.to_string(), child.to_string()])?;
    Ok(())
}

pub(super) const PHOTO: &str = "SELECT photo.id, keyed_hash, bytes, media, captured_at, session, rooms, staff, tagging,
    unregistered_person, care_record, found_month, uploaded_at, stage, withheld_at, sealed_at, sealed_vault,
    sealed_name, sealed_bytes, sealed_sha256, observed, children, tagged_at, corrected_at, companion_of, photo.rowid FROM photo JOIN photo_cohort ON photo_cohort.id = cohort";
const FILE: &str =
    "SELECT id, photo, path, root, in_trash, state, vault, vault_name, dev, ino, born_ns, bytes,
    mtime_ns, ctime_ns, part FROM photo_file";
/// The same of a `photo_file f` beside others.
pub(super) const FILE_COLUMNS: &str =
    "f.id, f.photo, f.path, f.root, f.in_trash, f.state, f.vault, f.vault_name, f.dev, f.ino, f.born_ns, f.bytes,
    f.mtime_ns, f.ctime_ns, f.part";

/// Every photo that is not destroyed, by capture.
pub fn photos(sql: &Connection) -> Result<Vec<PhotoRow>, PhotosError> {
    let mut photos = Vec::new();
    let mut after = Some(0);
    while let Some(place) = after {
        let page = pages::page(sql, place, pages::Which::All, pages::PAGE)?;
        photos.extend(page.rows.into_iter().map(|(_, row)| row));
        after = page.next;
    }
    photos.sort_by_key(|row| (row.captured_at, row.id));
    Ok(photos)
}

pub fn photo(sql: &Connection, id: PhotoId) -> Result<Option<PhotoRow>, PhotosError> {
    let mut statement = sql.prepare_cached(&format!("{PHOTO} WHERE photo.id = ?1"))?;
    let mut rows = statement.query([id.to_string()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut photo = Reader::default().photo(row)?;
    complete(sql, &mut photo)?;
    Ok(Some(photo))
}

/// Adds what other tables know of a photo.
pub(super) fn complete(sql: &Connection, photo: &mut PhotoRow) -> Result<(), PhotosError> {
    let id = photo.id.to_string();
    let mut statement = sql.prepare_cached("SELECT child FROM photo_tag WHERE photo = ?1")?;
    let mut rows = statement.query([&id])?;
    while let Some(row) = rows.next()? {
        let child: String = row.get(0)?;
        photo.subjects.confirmed.insert(read(&child)?);
    }
    let mut statement = sql.prepare_cached(&format!("{FILE} WHERE photo = ?1 ORDER BY id"))?;
    let mut rows = statement.query([&id])?;
    while let Some(row) = rows.next()? {
        photo.files.push(file_of(row)?);
    }
    Ok(())
}

/// The photo with this content: the one that is not destroyed, else the one destroyed last.
pub fn photo_by_content(sql: &Connection, hash: &Digest) -> Result<Option<PhotoRow>, PhotosError> {
    let id: Option<String> = sql
        .prepare_cached(
            "SELECT id FROM photo WHERE keyed_hash = ?1 AND keyed_hash <> x''
             ORDER BY stage = 'destroyed', destroyed_at DESC, id DESC LIMIT 1",
        )?
        .query_row([hash.0], |row| row.get(0))
        .optional()?;
    match id {
        Some(id) => photo(sql, read(&id)?),
        None => Ok(None),
    }
}

/// Files present at or beneath `top`, in order of their paths, from one path on.
pub(super) fn files_present_from(
    sql: &Connection,
    top: &RelPath,
    from: &[u8],
    most: i64,
) -> Result<Vec<FileRow>, PhotosError> {
    let select = format!(
        "{FILE} WHERE state = 'present' AND path >= ?1 AND path < ?2 ORDER BY path LIMIT ?3"
    );
    // After every path beneath it: no name holds a slash, and the byte after a slash is a nought.
    let end = match top.as_bytes() {
        [] => vec![0xff],
        top => [top, b"0"].concat(),
    };
    let mut statement = sql.prepare_cached(&select)?;
    let mut rows = statement.query(params![from, end, most])?;
    let mut files = Vec::new();
    while let Some(row) = rows.next()? {
        files.push(file_of(row)?);
    }
    Ok(files)
}

/// The files of some photos that are there, wherever they lie.
pub(super) fn inodes_of(
    sql: &Connection,
    photos: &BTreeSet<PhotoId>,
) -> Result<HashSet<Inode>, PhotosError> {
    let mut statement = sql.prepare_cached(
        "SELECT dev, ino, born_ns FROM photo_file WHERE photo = ?1 AND state <> 'dropped'",
    )?;
    let mut found = HashSet::new();
    for photo in photos {
        let rows = statement.query_map([photo.to_string()], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok((number(0)?, number(1)?, row.get(2)?))
        })?;
        for inode in rows {
            found.insert(inode?);
        }
    }
    Ok(found)
}

pub fn file_present_at(sql: &Connection, path: &RelPath) -> Result<Option<FileRow>, PhotosError> {
    let select = format!("{FILE} WHERE state = 'present' AND path = ?1");
    let mut statement = sql.prepare_cached(&select)?;
    let mut rows = statement.query([path.as_bytes()])?;
    rows.next()?.map(file_of).transpose()
}

pub fn file(sql: &Connection, id: i64) -> Result<Option<FileRow>, PhotosError> {
    let mut statement = sql.prepare_cached(&format!("{FILE} WHERE id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(file_of).transpose()
}

pub fn file_insert(
    sql: &Connection,
    photo: PhotoId,
    (path, root): (&RelPath, &RelPath),
    (part, in_trash): (Part, bool),
    stat: &Stat,
) -> Result<(), PhotosError> {
    let identity = &stat.identity;
    sql.prepare_cached(
        "INSERT INTO photo_file (photo, path, root, in_trash, state, dev, ino, born_ns, bytes, mtime_ns, ctime_ns, mode,
            uid, gid, part) VALUES (?1, ?2, ?3, ?4, 'present', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        photo.to_string(),
        path.as_bytes(),
        root.as_bytes(),
        in_trash,
        identity.dev.cast_signed(),
        identity.ino.cast_signed(),
        identity.born_ns,
        identity.size.cast_signed(),
        identity.mtime_ns,
        identity.ctime_ns,
        stat.mode,
        stat.uid,
        stat.gid,
        part.as_str(),
    ])?;
    Ok(())
}

pub fn file_identify(sql: &Connection, id: i64, identity: &Identity) -> Result<(), PhotosError> {
    sql.prepare_cached(
        "UPDATE photo_file SET dev = ?2, ino = ?3, born_ns = ?4, bytes = ?5, mtime_ns = ?6, ctime_ns = ?7 WHERE id = ?1",
    )?
    .execute(params![
        id,
        identity.dev.cast_signed(),
        identity.ino.cast_signed(),
        identity.born_ns,
        identity.size.cast_signed(),
        identity.mtime_ns,
        identity.ctime_ns,
    ])?;
    Ok(())
}

pub fn file_forget(sql: &Connection, id: i64) -> Result<(), PhotosError> {
    sql.prepare_cached("UPDATE photo_journal SET file = NULL WHERE file = ?1")?
        .execute([id])?;
    sql.prepare_cached("DELETE FROM photo_withholding WHERE file = ?1")?
        .execute([id])?;
    sql.prepare_cached("DELETE FROM photo_file WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

pub fn artefact_add(
    sql: &Connection,
    photo: PhotoId,
    kind: ArtefactKind,
    result: ArtefactResult,
) -> Result<(), PhotosError> {
    sql.prepare_cached("INSERT INTO photo_artefact (photo, kind, result) VALUES (?1, ?2, ?3)")?
        .execute([photo.to_string(), word(&kind)?, word(&result)?])?;
    Ok(())
}

pub fn artefacts(sql: &Connection, photo: PhotoId) -> Result<Vec<Artefact>, PhotosError> {
    let select = "SELECT kind, result FROM photo_artefact WHERE photo = ?1 ORDER BY rowid";
    let mut statement = sql.prepare_cached(select)?;
    let rows = statement.query_map([photo.to_string()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    rows.map(|row| {
        let (kind, result) = row?;
        Ok(Artefact {
            kind: unword(&kind)?,
            result: unword(&result)?,
        })
    })
    .collect()
}

pub fn vaults(sql: &Connection) -> Result<BTreeSet<RelPath>, PhotosError> {
    let mut statement = sql.prepare_cached("SELECT path FROM photo_vault")?;
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    rows.map(|path| rel(path?)).collect()
}

/// Whether a file is on its way into a vault.
pub fn is_under_way(sql: &Connection, file: i64) -> Result<bool, PhotosError> {
    let asked = "SELECT EXISTS (SELECT 1 FROM photo_withholding WHERE file = ?1)";
    let mut statement = sql.prepare_cached(asked)?;
    Ok(statement.query_row([file], |row| row.get(0))?)
}

pub fn vault_note(sql: &Connection, vault: &RelPath) -> Result<(), PhotosError> {
    sql.execute(
        "INSERT OR IGNORE INTO photo_vault (path) VALUES (?1)",
        [vault.as_bytes()],
    )?;
    Ok(())
}

/// Photos by stage; those whose files somebody removed are not counted.
pub fn counts(sql: &Connection) -> Result<BTreeMap<Stage, u64>, PhotosError> {
    let mut statement = sql.prepare_cached(
        "SELECT stage, count(*) FROM photo
         WHERE names > 0 OR stage = 'sealed' OR stage = 'destroyed' GROUP BY stage",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    rows.map(|row| {
        let (stage, count) = row?;
        Ok((unword(&stage)?, count.cast_unsigned()))
    })
    .collect()
}

/// Photos that are out of sight and not sealed.
pub fn withheld(sql: &Connection) -> Result<BTreeSet<PhotoId>, LedgerError> {
    let mut statement = sql.prepare_cached("SELECT id FROM photo WHERE stage = 'withheld'")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|id| {
        id?.parse().map_err(|_| LedgerError::Damaged {
            what: "catalogue of photos".to_owned(),
            problem: "it holds a photo without an id".to_owned(),
        })
    })
    .collect()
}

/// Photos that were there before their root was looked after, by month.
pub fn found_at_enrolment(sql: &Connection) -> Result<BTreeMap<String, u64>, PhotosError> {
    let mut statement = sql.prepare_cached(
        "SELECT found_month, count(*) FROM photo INDEXED BY photo_counted
         WHERE (names > 0 OR stage = 'sealed' OR stage = 'destroyed') AND names > 0 AND found_month IS NOT NULL
         GROUP BY found_month",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
