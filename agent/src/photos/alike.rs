//! Photos that may be the same as one of which only the beginning was read.

use super::catalogue::{FileState, PhotoRow, photo};
use super::error::PhotosError;
use super::hash::Head;
use super::record::{read, unjson};
use super::scan::Twin;
use super::tree::Identity;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::Subjects;
use nestwarden_policy_schema::id::{ChildId, PhotoId};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeSet;

/// Photos of which only the beginning was read, and that begin like this: where each lies.
pub(super) fn twins(sql: &Connection, bytes: u64, head: &Head) -> Result<Vec<Twin>, PhotosError> {
    let mut statement = sql.prepare_cached(
        "SELECT id FROM photo WHERE bytes = ?1 AND head = ?2 AND keyed_hash = x'' AND stage <> 'destroyed'",
    )?;
    let mut rows = statement.query(params![bytes.cast_signed(), head.0])?;
    let mut twins = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let Some(row) = photo(sql, read(&id)?)? else {
            continue;
        };
        let active = row.photo_files().find(|f| f.state != FileState::Dropped);
        let place = active.and_then(|file| match &file.vault {
            Some((vault, name)) => Some((vault.clone(), name.clone())),
            None => Some((file.path.parent()?, file.path.name().to_owned())),
        });
        twins.extend(place.map(|(dir, name)| Twin {
            photo: row.id,
            dir,
            name,
        }));
    }
    Ok(twins)
}

/// Whether any photo, the destroyed included, may be the same as one that begins like this.
pub(super) fn has_alike(sql: &Connection, bytes: u64, head: &Head) -> Result<bool, PhotosError> {
    let asked = "SELECT EXISTS (SELECT 1 FROM photo WHERE bytes = ?1 AND head = ?2)
        OR EXISTS (SELECT 1 FROM photo WHERE bytes = ?1 AND head IS NULL)";
    let mut statement = sql.prepare_cached(asked)?;
    Ok(statement.query_row(params![bytes.cast_signed(), head.0], |row| row.get(0))?)
}

/// What is known of photos, the destroyed included, that may be the same as one that begins like this.
pub(super) struct Alike {
    pub(super) subjects: Subjects,
    pub(super) captured_at: Timestamp,
    /// All of them are only counted.
    pub(super) found: bool,
}

/// Everybody whom any of them shows or may show, and when the first was taken. `except` is not among them. `None`: there is
/// none.
pub(super) fn alike(
    sql: &Connection,
    bytes: u64,
    head: &Head,
    except: Option<PhotoId>,
) -> Result<Option<Alike>, PhotosError> {
    const OF_THEM: &str =
        "FROM photo WHERE bytes = ?1 AND (head = ?2 OR head IS NULL) AND id IS NOT ?3";
    let except = except.map(|id| id.to_string());
    let these = params![bytes.cast_signed(), head.0, except];
    let summary = format!(
        "SELECT min(captured_at), max(found_month IS NULL), max(unregistered_person) {OF_THEM}"
    );
    let mut summary = sql.prepare_cached(&summary)?;
    let (captured_at, any_taken, unregistered_person) = summary.query_row(these, |row| {
        let flag = |at| {
            row.get::<_, Option<bool>>(at)
                .map(|flag| flag == Some(true))
        };
        Ok((row.get::<_, Option<String>>(0)?, flag(1)?, flag(2)?))
    })?;
    let Some(captured_at) = captured_at else {
        return Ok(None);
    };
    let texts = |select: &str| -> Result<Vec<String>, PhotosError> {
        let mut statement = sql.prepare_cached(select)?;
        let rows = statement.query_map(these, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let mut subjects = Subjects {
        unregistered_person,
        ..Subjects::default()
    };
    let tags = format!("SELECT DISTINCT child FROM photo_tag WHERE photo IN (SELECT id {OF_THEM})");
    for child in texts(&tags)? {
        subjects.confirmed.insert(read(&child)?);
    }
    let cohorts =
        format!("SELECT children FROM photo_cohort WHERE id IN (SELECT cohort {OF_THEM})");
    for children in texts(&cohorts)? {
        let children: BTreeSet<ChildId> = unjson(&children)?;
        subjects.possible_when_taken.extend(children);
    }
    for rooms in texts(&format!("SELECT DISTINCT rooms {OF_THEM}"))? {
        subjects.rooms.extend(unjson::<BTreeSet<_>>(&rooms)?);
    }
    Ok(Some(Alike {
        subjects,
        captured_at: read(&captured_at)?,
        found: !any_taken,
    }))
}

/// The photo one of whose names is this very file, unchanged: it was moved, or has another name.
pub(super) fn photo_by_file(
    sql: &Connection,
    bytes: u64,
    head: &Head,
    identity: &Identity,
) -> Result<Option<PhotoRow>, PhotosError> {
    // Without a birth time it may be another file that got the old one's number.
    if identity.born_ns == 0 {
        return Ok(None);
    }
    let id: Option<String> = sql
        .prepare_cached(
            "SELECT p.id FROM photo p JOIN photo_file f ON f.photo = p.id
             WHERE p.bytes = ?1 AND (p.head = ?2 OR p.head IS NULL) AND p.stage <> 'destroyed'
                AND f.dev = ?3 AND f.ino = ?4 AND f.born_ns = ?5 AND f.bytes = ?1 AND f.mtime_ns = ?6
                AND f.state <> 'dropped' LIMIT 1",
        )?
        .query_row(
            params![
                bytes.cast_signed(),
                head.0,
                identity.dev.cast_signed(),
                identity.ino.cast_signed(),
                identity.born_ns,
                identity.mtime_ns
            ],
            |row| row.get(0),
        )
        .optional()?;
    match id {
        Some(id) => photo(sql, read(&id)?),
        None => Ok(None),
    }
}

/// Whether any photo, the destroyed included, has this length.
pub(super) fn has_length(sql: &Connection, bytes: u64) -> Result<bool, PhotosError> {
    let mut statement =
        sql.prepare_cached("SELECT EXISTS (SELECT 1 FROM photo WHERE bytes = ?1)")?;
    Ok(statement.query_row([bytes.cast_signed()], |row| row.get(0))?)
}
