//! Photos, as read from events. The reading happens in the transaction that keeps the events, and can be done again.

use super::value::{json, number, optional_text, optional_time, parsed, stored, text, to_json};
use super::{SqlStorage, begin, commit, failed, photo_subjects};
use crate::storage::photo::{Floor, Incomplete, PhotoRow, PhotoStore};
use crate::storage::{Answer, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::{Cause, PhotoFacts, Stage};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};
use std::collections::BTreeSet;

const WHAT: &str = "a photo";
const NAME: &str = "photos";
/// Grows with every change of what is read from an event.
const VERSION: u64 = 3;
macro_rules! select_of {
    () => {
        "SELECT p.*, u.usable FROM photos p LEFT JOIN photo_uses u \
         ON u.setting_id = p.setting_id AND u.device_id = p.device_id AND u.photo_id = p.photo_id \
         WHERE p.setting_id = "
    };
}
/// A photo with what it was usable for when it was last judged.
const SELECT: &str = concat!(select_of!(), "$1");
/// The same, for a query that binds its values one after the other.
const SELECT_OF: &str = select_of!();
/// Fewer than SQLite binds to one statement, two for each.
const ASKED_AT_ONCE: usize = 500;
const PAGE: u32 = 1_000;
/// Of what a tablet calls a content, or says of a problem.
const MAX_TEXT_CHARS: usize = 400;
/// The kinds that say something about a photo.
const KINDS: &str =
    "('photo_seen', 'photo_tagged', 'photo_known', 'photo_stage', 'photo_incomplete', 'destroyed')";

fn optional_json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<T>, StorageError> {
    match optional_text(row, column, WHAT)? {
        Some(_) => json(row, column, WHAT).map(Some),
        None => Ok(None),
    }
}

fn word<T: DeserializeOwned>(text: String) -> Result<T, StorageError> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|e| StorageError::Corrupt {
        what: WHAT,
        problem: e.to_string(),
    })
}

/// As the column `facts` has it.
#[derive(Serialize, Deserialize)]
struct Told {
    #[serde(flatten)]
    facts: PhotoFacts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<Floor>,
}

fn photo(row: &SqliteRow) -> Result<PhotoRow, StorageError> {
    let problem = optional_text(row, "incomplete", WHAT)?.unwrap_or_default();
    let cause = optional_text(row, "cause", WHAT)?;
    let told: Option<Told> = optional_json(row, "facts")?;
    let (facts, floor) = told.map_or((None, None), |told| (Some(told.facts), told.floor));
    Ok(PhotoRow {
        device: parsed(row, "device_id", WHAT)?,
        photo: parsed(row, "photo_id", WHAT)?,
        media: optional_text(row, "media", WHAT)?,
        facts,
        floor,
        facts_at: optional_time(row, "facts_at", WHAT)?,
        stage: word(text(row, "stage", WHAT)?)?,
        stage_at: optional_time(row, "stage_at", WHAT)?,
        cause: cause.map(word::<Cause>).transpose()?,
        incomplete: optional_time(row, "incomplete_since", WHAT)?
            .map(|since| Incomplete { since, problem }),
        receipt: optional_json(row, "receipt")?,
        usable_before: optional_json(row, "usable")?,
        seq: number(row, "seq", WHAT)?,
    })
}

async fn find(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    device: DeviceId,
    id: PhotoId,
) -> Result<Option<PhotoRow>, StorageError> {
    let select = format!("{SELECT} AND p.device_id = $2 AND p.photo_id = $3");
    sqlx::query(sqlx::AssertSqlSafe(select))
        .bind(setting)
        .bind(device.to_string())
        .bind(id.to_string())
        .fetch_optional(on)
        .await
        .map_err(failed("find a photo"))?
        .as_ref()
        .map(photo)
        .transpose()
}

/// The photo an event is about; `None`: it is about none.
pub(super) fn about(body: &EventBody) -> Option<PhotoId> {
    match body {
        EventBody::PhotoSeen { photo, .. }
        | EventBody::PhotoTagged { photo, .. }
        | EventBody::PhotoStage { photo, .. }
        | EventBody::PhotoIncomplete { photo, .. } => Some(*photo),
        EventBody::PhotoKnown { facts, .. } => Some(facts.photo),
        EventBody::Destroyed { receipt } => Some(receipt.photo),
        EventBody::Enrolled { .. }
        | EventBody::AgentStarted { .. }
        | EventBody::BundleApplied { .. }
        | EventBody::BundleRefused { .. }
        | EventBody::BundleExpired { .. }
        | EventBody::ControlChanged { .. }
        | EventBody::DriftReverted { .. }
        | EventBody::AppRefused { .. }
        | EventBody::PasscodeLockedOut { .. }
        | EventBody::CustodyTaken { .. }
        | EventBody::CustodyReturned { .. }
        | EventBody::PinRefused { .. }
        | EventBody::PinLockedOut { .. }
        | EventBody::SessionStarted { .. }
        | EventBody::SessionEnded { .. }
        | EventBody::AccessReview { .. }
        // Said of a request, and read with it.
        | EventBody::PhotoReviewed { .. }
        | EventBody::PhotoExported { .. }
        | EventBody::ClockDoubt { .. }
        | EventBody::CommandOutcome { .. }
        | EventBody::Unsupported { .. }
        | EventBody::RecordContinued { .. }
        | EventBody::Alarm { .. } => None,
    }
}

/// What one event changes in what is known of its photo.
fn told(row: &mut PhotoRow, seq: u64, at: Timestamp, body: EventBody, opened: Opened) {
    let short = |text: String| text.chars().take(MAX_TEXT_CHARS).collect::<String>();
    row.seq = seq;
    match body {
        EventBody::PhotoSeen { media, .. } => row.media = Some(short(media)),
        EventBody::PhotoKnown { media, mut facts } => {
            // Whose it is comes from the certificate, never from a body.
            facts.device = row.device;
            row.media = Some(short(media));
            if let Some(floor) = &mut row.floor {
                floor.facts = floor.facts.tightened_by(&facts);
            } else if row.stage >= Stage::Sealed {
                row.floor = Some(Floor {
                    facts: (*facts).clone(),
                    sealed: true,
                });
            }
            row.facts = Some(*facts);
            row.facts_at = Some(at);
        }
        EventBody::PhotoStage {
            to,
            cause,
            observed_only: false,
            ..
        } => {
            floor(row, to, cause, opened);
            row.stage = to;
            row.stage_at = Some(at);
            row.cause = cause;
            row.incomplete = None;
        }
        EventBody::PhotoIncomplete { problem, .. } => {
            row.incomplete = Some(Incomplete {
                since: row.incomplete.take().map_or(at, |before| before.since),
                problem: short(problem),
            });
        }
        EventBody::Destroyed { receipt } => {
            row.stage = Stage::Destroyed;
            row.stage_at = Some(receipt.destroyed_at);
            row.cause = Some(receipt.cause);
            row.incomplete = None;
            row.receipt = Some(receipt);
        }
        // What would have happened in observe mode happened not; tags come with their facts; others have no photo.
        EventBody::PhotoStage {
            observed_only: true,
            ..
        }
        | EventBody::PhotoTagged { .. }
        | EventBody::Enrolled { .. }
        | EventBody::AgentStarted { .. }
        | EventBody::BundleApplied { .. }
        | EventBody::BundleRefused { .. }
        | EventBody::BundleExpired { .. }
        | EventBody::ControlChanged { .. }
        | EventBody::DriftReverted { .. }
        | EventBody::AppRefused { .. }
        | EventBody::PasscodeLockedOut { .. }
        | EventBody::CustodyTaken { .. }
        | EventBody::CustodyReturned { .. }
        | EventBody::PinRefused { .. }
        | EventBody::PinLockedOut { .. }
        | EventBody::SessionStarted { .. }
        | EventBody::SessionEnded { .. }
        | EventBody::AccessReview { .. }
        | EventBody::PhotoReviewed { .. }
        | EventBody::PhotoExported { .. }
        | EventBody::ClockDoubt { .. }
        | EventBody::CommandOutcome { .. }
        | EventBody::Unsupported { .. }
        | EventBody::RecordContinued { .. }
        | EventBody::Alarm { .. } => {}
    }
}

/// A tablet that says it opened a sealed photo is believed where we gave it the key.
fn floor(row: &mut PhotoRow, to: Stage, cause: Option<Cause>, opened: Opened) {
    let stands = |floor: &Floor| match to {
        Stage::Live => floor.sealed && opened == Opened::No,
        Stage::Withheld => !floor.sealed || opened == Opened::No,
        Stage::Sealed | Stage::Destroyed => true,
    };
    row.floor = row.floor.take().filter(stands);
    let sealed = to >= Stage::Sealed;
    let locked = sealed || (to == Stage::Withheld && cause.is_some_and(Cause::rests_on_names));
    if let Some(floor) = &mut row.floor {
        floor.sealed |= sealed;
    } else if locked && let Some(facts) = row.facts.clone() {
        row.floor = Some(Floor { facts, sealed });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    Yes,
    No,
}

/// Whether the tablet was given the key of the file the photo was sealed to.
async fn opened(
    tx: &mut SqliteConnection,
    setting: &str,
    row: &PhotoRow,
) -> Result<Opened, StorageError> {
    let Some(floor) = row.floor.as_ref().filter(|floor| floor.sealed) else {
        return Ok(Opened::No);
    };
    let sealed_at = floor.facts.sealed_at.map(|at| at.to_string());
    let found = sqlx::query(
        "SELECT 1 FROM unsealed_files WHERE setting_id = $1 AND device_id = $2 AND photo_id = $3 \
         AND sealed_at = $4",
    )
    .bind(setting)
    .bind(row.device.to_string())
    .bind(row.photo.to_string())
    .bind(sealed_at.unwrap_or_default())
    .fetch_optional(tx)
    .await
    .map_err(failed("find whether a sealed photo was opened"))?;
    Ok(found.map_or(Opened::No, |_| Opened::Yes))
}

/// Reads one event that was kept in the same transaction; whether it was about a photo. Bodies that cannot be read stay in the log and say nothing here.
pub(super) async fn read(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    seq: u64,
    at: Timestamp,
    body: &str,
) -> Result<bool, StorageError> {
    let Ok(body) = serde_json::from_str::<EventBody>(body) else {
        return Ok(false);
    };
    let Some(id) = about(&body) else {
        return Ok(false);
    };
    let mut row = find(&mut *tx, setting, device, id)
        .await?
        .unwrap_or_else(|| PhotoRow::new(device, id));
    let before = (row.seq > 0).then(|| photo_subjects::of(&row));
    let opened = opened(tx, setting, &row).await?;
    told(&mut row, seq, at, body, opened);
    put(tx, setting, &row).await?;
    let who = photo_subjects::of(&row);
    if before.as_ref() != Some(&who) {
        photo_subjects::put(tx, setting, &row, &who).await?;
    }
    Ok(true)
}

async fn put(tx: &mut SqliteConnection, setting: &str, row: &PhotoRow) -> Result<(), StorageError> {
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    let told = row.facts.clone().map(|facts| Told {
        facts,
        floor: row.floor.clone(),
    });
    let facts = told.as_ref().map(|told| to_json(told, WHAT)).transpose()?;
    let receipt = row.receipt.as_ref().map(|r| to_json(r, WHAT)).transpose()?;
    let cause = row.cause.map(|c| to_json(&c, WHAT)).transpose()?;
    let incomplete = row.incomplete.as_ref();
    sqlx::query(
        "INSERT INTO photos (setting_id, device_id, photo_id, media, facts, facts_at, stage, \
         stage_at, cause, incomplete_since, incomplete, receipt, seq) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (setting_id, device_id, photo_id) DO UPDATE SET media = excluded.media, \
         facts = excluded.facts, facts_at = excluded.facts_at, stage = excluded.stage, \
         stage_at = excluded.stage_at, cause = excluded.cause, \
         incomplete_since = excluded.incomplete_since, incomplete = excluded.incomplete, \
         receipt = excluded.receipt, seq = excluded.seq",
    )
    .bind(setting)
    .bind(row.device.to_string())
    .bind(row.photo.to_string())
    .bind(row.media.as_deref())
    .bind(facts)
    .bind(micros(row.facts_at))
    .bind(to_json(&row.stage, WHAT)?.trim_matches('"'))
    .bind(micros(row.stage_at))
    .bind(cause.as_deref().map(|cause| cause.trim_matches('"')))
    .bind(micros(incomplete.map(|i| i.since)))
    .bind(incomplete.map(|i| i.problem.as_str()))
    .bind(receipt)
    .bind(stored(row.seq))
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("note what was told of a photo"))
}

/// Notes that something was told of photos.
pub(super) async fn note_change(
    tx: &mut SqliteConnection,
    setting: &str,
) -> Result<(), StorageError> {
    sqlx::query("UPDATE projections SET changes = changes + 1 WHERE setting_id = $1 AND name = $2")
        .bind(setting)
        .bind(NAME)
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("note that photos changed"))
}

/// Reads everything one tablet told, of one photo or of all.
async fn read_device(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    only: Option<PhotoId>,
) -> Result<(), StorageError> {
    let mentions = only.map_or_else(|| "%".to_owned(), |photo| format!("%{photo}%"));
    let select = format!(
        "SELECT seq, at, body FROM events WHERE setting_id = $1 AND device_id = $2 AND seq > $3 \
         AND body IS NOT NULL AND kind IN {KINDS} AND body LIKE $4 ORDER BY seq LIMIT $5"
    );
    let mut after = 0;
    loop {
        let rows = sqlx::query(sqlx::AssertSqlSafe(select.as_str()))
            .bind(setting)
            .bind(device.to_string())
            .bind(stored(after))
            .bind(&mentions)
            .bind(stored(PAGE.into()))
            .fetch_all(&mut *tx)
            .await
            .map_err(failed("read events again"))?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            after = number(&row, "seq", WHAT)?;
            let (at, body) = (parsed(&row, "at", WHAT)?, text(&row, "body", WHAT)?);
            let is_asked_for = |body: &EventBody| about(body) == only;
            if only.is_none() || serde_json::from_str(&body).is_ok_and(|body| is_asked_for(&body)) {
                read(tx, setting, device, after, at, &body).await?;
            }
        }
    }
}

/// After a body was erased: what is known of its photo is what the others say.
pub(super) async fn forget_erased(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    id: PhotoId,
) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM photos WHERE setting_id = $1 AND device_id = $2 AND photo_id = $3")
        .bind(setting)
        .bind(device.to_string())
        .bind(id.to_string())
        .execute(&mut *tx)
        .await
        .map_err(failed("forget a photo"))?;
    photo_subjects::forget(tx, setting, device, id).await?;
    read_device(tx, setting, device, Some(id)).await
}

/// Reads the events again where an older version of this program kept them.
pub(super) async fn bring_up_to_date(pool: &SqlitePool, setting: &str) -> Result<(), StorageError> {
    let found = sqlx::query("SELECT version FROM projections WHERE setting_id = $1 AND name = $2")
        .bind(setting)
        .bind(NAME)
        .fetch_optional(pool)
        .await
        .map_err(failed("find how far its photos were read"))?;
    let version = found.map(|row| number(&row, "version", WHAT)).transpose()?;
    if version != Some(VERSION) {
        rebuild(pool, setting).await?;
    }
    Ok(())
}

async fn rebuild(pool: &SqlitePool, setting: &str) -> Result<u64, StorageError> {
    let mut tx = begin(pool).await?;
    sqlx::query("DELETE FROM photos WHERE setting_id = $1")
        .bind(setting)
        .execute(&mut *tx)
        .await
        .map_err(failed("forget what was read of photos"))?;
    photo_subjects::forget_all(&mut tx, setting).await?;
    let devices = sqlx::query("SELECT device_id FROM devices WHERE setting_id = $1")
        .bind(setting)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed("list devices"))?;
    for device in &devices {
        let device = parsed(device, "device_id", WHAT)?;
        read_device(&mut tx, setting, device, None).await?;
    }
    sqlx::query(
        "INSERT INTO projections (setting_id, name, version) VALUES ($1, $2, $3) \
         ON CONFLICT (setting_id, name) DO UPDATE SET version = excluded.version, \
         changes = projections.changes + 1",
    )
    .bind(setting)
    .bind(NAME)
    .bind(stored(VERSION))
    .execute(&mut *tx)
    .await
    .map_err(failed("note how far its photos were read"))?;
    let row = sqlx::query("SELECT COUNT(*) AS photos FROM photos WHERE setting_id = $1")
        .bind(setting)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed("count photos"))?;
    commit(tx).await?;
    number(&row, "photos", WHAT)
}

impl PhotoStore for SqlStorage {
    fn photo_list(
        &self,
        after: Option<(DeviceId, PhotoId)>,
        limit: u32,
    ) -> Answer<'_, Vec<PhotoRow>> {
        Box::pin(async move {
            let (device, id) = after.map_or_else(Default::default, |(device, id)| {
                (device.to_string(), id.to_string())
            });
            let select = format!(
                "{SELECT} AND (p.device_id, p.photo_id) > ($2, $3) \
                 ORDER BY p.device_id, p.photo_id LIMIT $4"
            );
            sqlx::query(sqlx::AssertSqlSafe(select))
                .bind(&self.setting_text)
                .bind(device)
                .bind(id)
                .bind(stored(limit.into()))
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list photos"))?
                .iter()
                .map(photo)
                .collect()
        })
    }

    fn photos_that_may_show<'a>(
        &'a self,
        children: &'a BTreeSet<ChildId>,
    ) -> Answer<'a, Vec<(DeviceId, PhotoId)>> {
        Box::pin(SqlStorage::photos_that_may_show(self, children))
    }

    fn photo_some<'a>(&'a self, photos: &'a [(DeviceId, PhotoId)]) -> Answer<'a, Vec<PhotoRow>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(photos.len());
            for some in photos.chunks(ASKED_AT_ONCE) {
                let mut query = QueryBuilder::<Sqlite>::new(SELECT_OF);
                query.push_bind(&self.setting_text);
                query.push(" AND (p.device_id, p.photo_id) IN (VALUES ");
                let mut keys = query.separated(", ");
                for (device, id) in some {
                    keys.push("(");
                    keys.push_bind_unseparated(device.to_string());
                    keys.push_unseparated(", ");
                    keys.push_bind_unseparated(id.to_string());
                    keys.push_unseparated(")");
                }
                query.push(") ORDER BY p.device_id, p.photo_id");
                let rows = query.build().fetch_all(&self.readers).await;
                for row in &rows.map_err(failed("read some photos"))? {
                    found.push(photo(row)?);
                }
            }
            Ok(found)
        })
    }

    fn photo_find(&self, device: DeviceId, id: PhotoId) -> Answer<'_, Option<PhotoRow>> {
        Box::pin(find(&self.readers, &self.setting_text, device, id))
    }

    fn photo_by_id(&self, id: PhotoId) -> Answer<'_, Vec<PhotoRow>> {
        Box::pin(async move {
            let select = format!("{SELECT} AND p.photo_id = $2 ORDER BY p.device_id");
            sqlx::query(sqlx::AssertSqlSafe(select))
                .bind(&self.setting_text)
                .bind(id.to_string())
                .fetch_all(&self.readers)
                .await
                .map_err(failed("find a photo"))?
                .iter()
                .map(photo)
                .collect()
        })
    }

    fn photo_receipts(&self, limit: u32) -> Answer<'_, Vec<PhotoRow>> {
        Box::pin(async move {
            let select = format!(
                "{SELECT} AND p.receipt IS NOT NULL ORDER BY p.stage_at DESC, p.photo_id LIMIT $2"
            );
            sqlx::query(sqlx::AssertSqlSafe(select))
                .bind(&self.setting_text)
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list receipts"))?
                .iter()
                .map(photo)
                .collect()
        })
    }

    fn photo_version(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            let row =
                sqlx::query("SELECT changes FROM projections WHERE setting_id = $1 AND name = $2")
                    .bind(&self.setting_text)
                    .bind(NAME)
                    .fetch_one(&self.readers)
                    .await
                    .map_err(failed("find how often photos changed"))?;
            number(&row, "changes", WHAT)
        })
    }

    fn photo_rebuild(&self) -> Answer<'_, u64> {
        Box::pin(rebuild(&self.writer, &self.setting_text))
    }
}
