//! How the catalogue's rows read and write what they hold.

use super::catalogue::{FileRow, FileState, Part, PhotoRow};
use super::error::PhotosError;
use super::seal::SealedFile;
use super::tree::{Identity, RelPath};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{RoomName, Subjects, Tagging};
use nestwarden_policy_schema::id::ChildId;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Reads one photo after the other. What many share is parsed once.
#[derive(Default)]
pub(super) struct Reader {
    rooms: Last<RoomName>,
    children: Last<ChildId>,
}

/// The set that was read last, and how it was written.
struct Last<T>(String, BTreeSet<T>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(String::new(), BTreeSet::new())
    }
}

impl<T: Clone + Ord + DeserializeOwned> Last<T> {
    fn read(&mut self, row: &Row<'_>, at: usize) -> Result<BTreeSet<T>, PhotosError> {
        let text = row.get_ref(at)?.as_str().map_err(rusqlite::Error::from)?;
        if self.0 != text {
            self.1 = unjson(text)?;
            text.clone_into(&mut self.0);
        }
        Ok(self.1.clone())
    }
}

impl Reader {
    /// Of a row of [`PHOTO`](super::catalogue::PHOTO); without what other tables know of it.
    pub(super) fn photo(&mut self, row: &Row<'_>) -> Result<PhotoRow, PhotosError> {
        photo_of(row, self.rooms.read(row, 6)?, self.children.read(row, 21)?)
    }
}

fn photo_of(
    row: &Row<'_>,
    rooms: BTreeSet<RoomName>,
    possible_when_taken: BTreeSet<ChildId>,
) -> Result<PhotoRow, PhotosError> {
    let sealed_vault: Option<Vec<u8>> = row.get(16)?;
    let sealed = match sealed_vault {
        Some(vault) => Some(SealedFile {
            vault: rel(vault)?,
            name: OsString::from_vec(row.get(17)?),
            bytes: row.get::<_, i64>(18)?.cast_unsigned(),
            sha256: Digest(row.get(19)?),
        }),
        None => None,
    };
    let text = |at: usize| row.get::<_, String>(at);
    let maybe = |at: usize| row.get::<_, Option<String>>(at);
    Ok(PhotoRow {
        id: read(&text(0)?)?,
        hash: match row.get_ref(1)?.as_blob() {
            Ok([]) => None,
            Ok(_) | Err(_) => Some(Digest(row.get(1)?)),
        },
        bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        media: text(3)?,
        captured_at: read(&text(4)?)?,
        session: read_maybe(maybe(5)?)?,
        subjects: Subjects {
            tagging: unword::<Tagging>(&text(8)?)?,
            confirmed: BTreeSet::new(),
            unregistered_person: row.get(9)?,
            rooms,
            possible_when_taken,
        },
        staff: read_maybe(maybe(7)?)?,
        care_record: row.get(10)?,
        found_month: maybe(11)?,
        uploaded_at: read_maybe(maybe(12)?)?,
        stage: unword(&text(13)?)?,
        withheld_at: read_maybe(maybe(14)?)?,
        sealed_at: read_maybe(maybe(15)?)?,
        sealed,
        observed: maybe(20)?.map(|stage| unword(&stage)).transpose()?,
        tagged_at: read_maybe(maybe(22)?)?,
        corrected_at: read_maybe(maybe(23)?)?,
        companion_of: read_maybe(maybe(24)?)?,
        files: Vec::new(),
    })
}

pub(super) fn file_of(row: &Row<'_>) -> Result<FileRow, PhotosError> {
    let state: String = row.get(5)?;
    let states = [
        FileState::Present,
        FileState::Vaulted,
        FileState::Dropping,
        FileState::Dropped,
    ];
    let vault: Option<Vec<u8>> = row.get(6)?;
    let number = |at: usize| row.get::<_, i64>(at);
    Ok(FileRow {
        id: row.get(0)?,
        photo: read(&row.get::<_, String>(1)?)?,
        path: rel(row.get(2)?)?,
        root: rel(row.get(3)?)?,
        in_trash: row.get(4)?,
        part: if row.get::<_, String>(14)? == Part::Sidecar.as_str() {
            Part::Sidecar
        } else {
            Part::Photo
        },
        state: states
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| PhotosError::Damaged(format!("a file is in state `{state}`")))?,
        vault: match vault {
            Some(vault) => Some((rel(vault)?, OsString::from_vec(row.get(7)?))),
            None => None,
        },
        identity: Identity {
            dev: number(8)?.cast_unsigned(),
            ino: number(9)?.cast_unsigned(),
            born_ns: number(10)?,
            size: number(11)?.cast_unsigned(),
            mtime_ns: number(12)?,
            ctime_ns: number(13)?,
        },
    })
}

pub(super) fn rel(bytes: Vec<u8>) -> Result<RelPath, PhotosError> {
    RelPath::from_bytes(bytes)
        .ok_or_else(|| PhotosError::Damaged("a path climbs out of its root".to_owned()))
}

pub(super) fn name_bytes(name: &std::ffi::OsStr) -> &[u8] {
    name.as_bytes()
}

pub(super) fn read<T: std::str::FromStr>(text: &str) -> Result<T, PhotosError>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|e: T::Err| PhotosError::Damaged(e.to_string()))
}

fn read_maybe<T: std::str::FromStr>(text: Option<String>) -> Result<Option<T>, PhotosError>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| read(&text)).transpose()
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, PhotosError> {
    serde_json::to_string(value).map_err(|e| PhotosError::Damaged(e.to_string()))
}

pub(super) fn unjson<T: DeserializeOwned>(text: &str) -> Result<T, PhotosError> {
    serde_json::from_str(text).map_err(|e| PhotosError::Damaged(e.to_string()))
}

/// A value whose wire form is one word.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String, PhotosError> {
    Ok(json(value)?.trim_matches('"').to_owned())
}

pub(super) fn unword<T: DeserializeOwned>(text: &str) -> Result<T, PhotosError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|e| PhotosError::Damaged(e.to_string()))
}
