//! Photos that belong together by their names: the picture and the film of one moment (`IMG_1.HEIC`, `IMG_1.MOV`), raw and
//! developed, the frames of a burst, and the backups editors keep (`a.jpg~`, `a.jpg.orig`, `a.jpg.bak`).
//!
//! Each is a photo of its own, sealed and destroyed with a receipt of its own. What is said of one is said of all, and a
//! hold on one holds all. Names prove little, so files of one name count as of one moment only when they were written
//! within seconds of each other.

use super::catalogue::{self, PhotoRow};
use super::error::PhotosError;
use super::tree::{Identity, RelPath};
use nestwarden_policy_schema::hold::{HoldList, HoldScope};
use nestwarden_policy_schema::id::PhotoId;
use rusqlite::{Connection, params};
use std::os::unix::ffi::OsStrExt as _;

/// Between the picture and the film of one moment.
const ONE_MOMENT_NS: u64 = 5_000_000_000;
/// Between the first and the last frame of a burst.
const ONE_BURST_NS: u64 = 30_000_000_000;
const BACKUPS: [&[u8]; 3] = [b"~", b".orig", b".bak"];
/// Companions of one photo beyond which no more are joined.
const MOST: i64 = 100;

/// The photo a new file belongs to by its name.
pub(super) fn of(
    sql: &Connection,
    path: &RelPath,
    identity: &Identity,
) -> Result<Option<PhotoRow>, PhotosError> {
    let whole = path.as_bytes();
    let name_at = whole.len() - path.name().as_bytes().len();
    let (dir, name) = whole.split_at(name_at);
    for suffix in BACKUPS {
        if let Some(original) = name.strip_suffix(suffix) {
            let from = [dir, original].concat();
            let mut to = from.clone();
            to.push(0);
            if let Some(found) = nearest(sql, (&from, &to), path, identity, u64::MAX)? {
                return Ok(Some(found));
            }
        } else {
            let from = [whole, suffix].concat();
            let mut to = from.clone();
            to.push(0);
            if let Some(found) = nearest(sql, (&from, &to), path, identity, u64::MAX)? {
                return Ok(Some(found));
            }
        }
    }
    if let Some(at) = name.windows(5).position(|part| part == b"BURST") {
        let from = [dir, &name[..at + 5]].concat();
        if let Some(found) = nearest(sql, (&from, &after(&from)), path, identity, ONE_BURST_NS)? {
            return Ok(Some(found));
        }
    }
    let Some(dot) = name
        .iter()
        .rposition(|byte| *byte == b'.')
        .filter(|at| *at > 0)
    else {
        return Ok(None);
    };
    let from = [dir, &name[..=dot]].concat();
    nearest(sql, (&from, &after(&from)), path, identity, ONE_MOMENT_NS)
}

/// The first path after all that begin like this one; it ends in a dot or a letter, never in the last byte.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut after = prefix.to_vec();
    if let Some(last) = after.last_mut() {
        *last = last.saturating_add(1);
    }
    after
}

fn nearest(
    sql: &Connection,
    (from, to): (&[u8], &[u8]),
    path: &RelPath,
    identity: &Identity,
    within_ns: u64,
) -> Result<Option<PhotoRow>, PhotosError> {
    let mut statement = sql.prepare_cached(
        "SELECT photo, mtime_ns, path FROM photo_file WHERE path >= ?1 AND path < ?2 AND part = 'photo' LIMIT ?3",
    )?;
    let rows = statement.query_map(params![from, to, MOST], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, Vec<u8>>(2)?,
        ))
    })?;
    for row in rows {
        let (photo, mtime_ns, other) = row?;
        let other = catalogue::rel(other)?;
        if other == *path
            || other.parent() != path.parent()
            || mtime_ns.abs_diff(identity.mtime_ns) > within_ns
        {
            continue;
        }
        return catalogue::photo(sql, catalogue::read(&photo)?);
    }
    Ok(None)
}

/// Every other photo that belongs with this one.
pub(super) fn others(sql: &Connection, row: &PhotoRow) -> Result<Vec<PhotoRow>, PhotosError> {
    let first = row.companion_of.unwrap_or(row.id).to_string();
    let mut statement = sql.prepare_cached(
        "SELECT id FROM photo WHERE (id = ?1 OR companion_of = ?1) AND id <> ?2 AND stage <> 'destroyed' LIMIT ?3",
    )?;
    let ids = statement.query_map(params![first, row.id.to_string(), MOST], |row| {
        row.get::<_, String>(0)
    })?;
    let mut others = Vec::new();
    for id in ids {
        others.extend(catalogue::photo(sql, catalogue::read(&id?)?)?);
    }
    Ok(others)
}

/// A hold on a photo holds what belongs with it.
pub(super) fn is_held_with_another(
    holds: &HoldList,
    sql: &Connection,
    row: &PhotoRow,
) -> Result<Option<PhotoId>, PhotosError> {
    let of_photos: Vec<PhotoId> = holds
        .holds
        .iter()
        .filter_map(|hold| match hold.scope {
            HoldScope::Photo { photo } if photo != row.id => Some(photo),
            HoldScope::Photo { .. }
            | HoldScope::Child { .. }
            | HoldScope::Device { .. }
            | HoldScope::Staff { .. }
            | HoldScope::Window { .. } => None,
        })
        .collect();
    if of_photos.is_empty() {
        return Ok(None);
    }
    let others = others(sql, row)?;
    Ok(others
        .into_iter()
        .map(|other| other.id)
        .find(|id| of_photos.contains(id)))
}
