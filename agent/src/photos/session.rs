//! Capture sessions: which rooms' children may be in the photos taken meanwhile.

use super::catalogue::{json, read, unjson};
use super::error::PhotosError;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::{ChildId, PhotoId, SessionId};
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use std::collections::BTreeSet;

/// The table of who is there, for the ledger's migrations.
pub const SCHEMA_PRESENT: &str = include_str!("schema_present.sql");

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    pub id: SessionId,
    pub rooms: BTreeSet<RoomName>,
    pub started_at: Timestamp,
}

/// The session that is open; at most one is.
pub fn session_open(sql: &Connection) -> Result<Option<Session>, PhotosError> {
    let row: Option<(String, String, String)> = sql
        .query_row(
            "SELECT id, rooms, started_at FROM photo_session WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    row.map(|(id, rooms, started_at)| {
        Ok(Session {
            id: read(&id)?,
            rooms: unjson(&rooms)?,
            started_at: read(&started_at)?,
        })
    })
    .transpose()
}

pub fn session_insert(sql: &Connection, session: &Session) -> Result<(), PhotosError> {
    sql.execute(
        "INSERT INTO photo_session (id, rooms, started_at) VALUES (?1, ?2, ?3)",
        [
            session.id.to_string(),
            json(&session.rooms)?,
            session.started_at.to_string(),
        ],
    )?;
    Ok(())
}

/// Ends it; how many photos were taken in it.
pub fn session_end(sql: &Connection, id: SessionId, at: Timestamp) -> Result<u64, PhotosError> {
    sql.execute(
        "UPDATE photo_session SET ended_at = ?2 WHERE id = ?1",
        [id.to_string(), at.to_string()],
    )?;
    let photos: i64 = sql.query_row(
        "SELECT count(*) FROM photo WHERE session = ?1",
        [id.to_string()],
        |row| row.get(0),
    )?;
    Ok(photos.cast_unsigned())
}

/// Who somebody said is there.
pub fn present(sql: &Connection, session: SessionId) -> Result<BTreeSet<ChildId>, PhotosError> {
    let mut statement = sql.prepare("SELECT child FROM photo_present WHERE session = ?1")?;
    let children = statement.query_map([session.to_string()], |row| row.get::<_, String>(0))?;
    children.map(|child| read(&child?)).collect()
}

pub fn present_replace(
    sql: &Connection,
    session: SessionId,
    children: &BTreeSet<ChildId>,
) -> Result<(), PhotosError> {
    let session = session.to_string();
    sql.execute("DELETE FROM photo_present WHERE session = ?1", [&session])?;
    for child in children {
        sql.execute(
            "INSERT INTO photo_present (session, child) VALUES (?1, ?2)",
            [&session, &child.to_string()],
        )?;
    }
    Ok(())
}

/// Children who were there all along may be in what was taken in the session already. Nobody drops out. The photos this
/// is about.
pub fn cohorts_extend(
    sql: &Connection,
    session: SessionId,
    children: &BTreeSet<ChildId>,
) -> Result<BTreeSet<PhotoId>, PhotosError> {
    let session = session.to_string();
    let mut statement = sql.prepare(
        "SELECT DISTINCT c.id, c.children FROM photo p JOIN photo_cohort c ON c.id = p.cohort WHERE p.session = ?1",
    )?;
    let rows = statement.query_map([&session], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    let cohorts = rows.collect::<Result<Vec<_>, _>>()?;
    let mut touched = BTreeSet::new();
    for (id, text) in cohorts {
        let before: BTreeSet<ChildId> = unjson(&text)?;
        if children.is_subset(&before) {
            continue;
        }
        let after = json(&before.union(children).collect::<BTreeSet<_>>())?;
        sql.execute(
            "INSERT OR IGNORE INTO photo_cohort (children) VALUES (?1)",
            [&after],
        )?;
        let mut update = sql.prepare(
            "UPDATE photo SET cohort = (SELECT id FROM photo_cohort WHERE children = ?3)
             WHERE session = ?1 AND cohort = ?2 RETURNING id",
        )?;
        let photos = update.query_map(rusqlite::params![session, id, after], |row| {
            row.get::<_, String>(0)
        })?;
        for photo in photos {
            touched.insert(read(&photo?)?);
        }
    }
    Ok(touched)
}
