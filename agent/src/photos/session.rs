//! Capture sessions: which rooms' children may be in the photos taken meanwhile.

use super::catalogue::{json, read, unjson};
use super::error::PhotosError;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::SessionId;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use std::collections::BTreeSet;

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
