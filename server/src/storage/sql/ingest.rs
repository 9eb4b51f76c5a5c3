//! The one writer of events: batches that arrive together are committed together, with one flush to disk, and each is
//! answered only after that.

use super::access;
use super::command;
use super::event::position;
use super::photo;
use super::told;
use super::value::{parsed, stored, to_base64};
use super::{StorageError, begin, commit, failed, touch_inputs};
use crate::storage::{AppendOutcome, NewBatch};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::event::Event;
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Sqlite};
use tokio::sync::{mpsc, oneshot};

/// Batches that may wait; more make their senders wait.
const QUEUE: usize = 256;
/// Batches that share a commit.
const GROUP: usize = 64;
/// Events that do; one batch may have more. A fleet that catches up must not keep a decision waiting for its turn to write.
const GROUP_EVENTS: usize = 1000;
/// Rows of one statement; SQLite takes 32,766 values.
const ROWS: usize = 500;
/// Kinds are short; a longer one is cut, its body keeps it whole.
const KIND_CHARS: usize = 60;

struct Append {
    batch: NewBatch,
    answer: oneshot::Sender<Result<AppendOutcome, StorageError>>,
}

pub(super) struct Ingest(mpsc::Sender<Append>);

impl Ingest {
    /// The writer ends when this is dropped.
    pub(super) fn start(pool: SqlitePool, setting: String) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(write(pool, setting, receiver));
        Self(sender)
    }

    pub(super) async fn append(&self, batch: NewBatch) -> Result<AppendOutcome, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.0
            .send(Append { batch, answer })
            .await
            .map_err(|_| StorageError::WriterStopped)?;
        answered.await.map_err(|_| StorageError::WriterStopped)?
    }
}

async fn write(pool: SqlitePool, setting: String, mut queue: mpsc::Receiver<Append>) {
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = queue.recv().await {
        let mut events = first.batch.events.len();
        group.push(first);
        while group.len() < GROUP
            && events < GROUP_EVENTS
            && let Ok(next) = queue.try_recv()
        {
            events += next.batch.events.len();
            group.push(next);
        }
        match together(&pool, &setting, &group).await {
            Ok(outcomes) => {
                for (append, outcome) in group.drain(..).zip(outcomes) {
                    let _ = append.answer.send(Ok(outcome));
                }
            }
            // One batch must not fail its neighbours: each is tried by itself.
            Err(_) if group.len() > 1 => {
                for append in group.drain(..) {
                    let alone = together(&pool, &setting, std::slice::from_ref(&append)).await;
                    let outcome = alone.map(|all| all.first().copied());
                    let _ = append.answer.send(match outcome {
                        Ok(Some(outcome)) => Ok(outcome),
                        Ok(None) => Err(StorageError::WriterStopped),
                        Err(error) => Err(error),
                    });
                }
            }
            Err(error) => {
                if let Some(append) = group.pop() {
                    let _ = append.answer.send(Err(error));
                }
            }
        }
    }
}

/// Every batch in one transaction; a batch that does not continue its chain writes nothing and keeps no other back.
async fn together(
    pool: &SqlitePool,
    setting: &str,
    group: &[Append],
) -> Result<Vec<AppendOutcome>, StorageError> {
    let mut tx = begin(pool).await?;
    let mut outcomes = Vec::with_capacity(group.len());
    for append in group {
        outcomes.push(one(&mut tx, setting, &append.batch).await?);
    }
    commit(tx).await?;
    Ok(outcomes)
}

async fn one(
    tx: &mut SqliteConnection,
    setting: &str,
    batch: &NewBatch,
) -> Result<AppendOutcome, StorageError> {
    let known = sqlx::query("SELECT 1 FROM devices WHERE setting_id = $1 AND device_id = $2")
        .bind(setting)
        .bind(batch.device.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed("find a device"))?;
    if known.is_none() {
        return Ok(AppendOutcome::DeviceMissing);
    }
    let end = position(&mut *tx, setting, batch.device).await?;
    let split = batch.events.partition_point(|e| e.seq <= end.seq);
    let (replayed, new) = batch.events.split_at(split);
    if let Some(seq) = differing(tx, setting, batch, replayed).await? {
        return Ok(AppendOutcome::Conflict { seq });
    }
    let Some((first, last)) = new.first().zip(new.last()) else {
        return Ok(AppendOutcome::OnDisk(end.seq));
    };
    if first.seq != end.seq + 1 {
        return Ok(AppendOutcome::Gap { on_disk: end.seq });
    }
    if first.previous != end.hash {
        return Ok(AppendOutcome::Conflict { seq: first.seq });
    }
    for rows in new.chunks(ROWS) {
        insert(tx, setting, batch, rows).await?;
    }
    let mut photos_changed = false;
    let mut commands_changed = false;
    for event in new {
        if let Some(body) = &event.body {
            let (seq, at) = (event.seq, event.at);
            photos_changed |= photo::read(tx, setting, batch.device, seq, at, body).await?;
            commands_changed |= command::read(tx, setting, batch.device, at, body).await?;
            access::read(tx, setting, batch.device, at, body).await?;
            told::read(tx, setting, batch.device, (seq, at), body).await?;
        }
    }
    if commands_changed {
        touch_inputs(tx, setting).await?;
    }
    if photos_changed {
        photo::note_change(tx, setting).await?;
    }
    insert_head(tx, setting, batch, last.seq).await?;
    sqlx::query("UPDATE devices SET last_seen_at = $3 WHERE setting_id = $1 AND device_id = $2")
        .bind(setting)
        .bind(batch.device.to_string())
        .bind(batch.received_at.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(failed("note that a device was heard from"))?;
    Ok(AppendOutcome::OnDisk(last.seq))
}

/// The first replayed event that is not the one stored. Hashes commit to everything, so they are enough to compare.
async fn differing(
    tx: &mut SqliteConnection,
    setting: &str,
    batch: &NewBatch,
    replayed: &[Event],
) -> Result<Option<u64>, StorageError> {
    let Some((first, last)) = replayed.first().zip(replayed.last()) else {
        return Ok(None);
    };
    let rows = sqlx::query(
        "SELECT hash FROM events WHERE setting_id = $1 AND device_id = $2 \
         AND seq >= $3 AND seq <= $4 ORDER BY seq",
    )
    .bind(setting)
    .bind(batch.device.to_string())
    .bind(stored(first.seq))
    .bind(stored(last.seq))
    .fetch_all(tx)
    .await
    .map_err(failed("compare events that came again"))?;
    for (index, event) in replayed.iter().enumerate() {
        let hash: Option<Digest> = rows
            .get(index)
            .map(|row| parsed(row, "hash", "an event"))
            .transpose()?;
        if hash != Some(event.hash) {
            return Ok(Some(event.seq));
        }
    }
    Ok(None)
}

async fn insert(
    tx: &mut SqliteConnection,
    setting: &str,
    batch: &NewBatch,
    events: &[Event],
) -> Result<(), StorageError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO events (setting_id, device_id, seq, at, kind, body, salt, body_digest, \
         previous, hash, received_at) ",
    );
    let device = batch.device.to_string();
    query.push_values(events, |mut row, event| {
        row.push_bind(setting)
            .push_bind(device.as_str())
            .push_bind(stored(event.seq))
            .push_bind(event.at.to_string())
            .push_bind(kind(event))
            .push_bind(event.body.as_deref())
            .push_bind(event.salt.as_ref().map(|salt| to_base64(&salt.0)))
            .push_bind(event.body_digest.to_string())
            .push_bind(event.previous.to_string())
            .push_bind(event.hash.to_string())
            .push_bind(batch.received_at.as_microsecond());
    });
    query
        .build()
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("keep events"))
}

async fn insert_head(
    tx: &mut SqliteConnection,
    setting: &str,
    batch: &NewBatch,
    seq: u64,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO event_heads (setting_id, device_id, seq, payload, key_id, signature, \
         public_key, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(setting)
    .bind(batch.device.to_string())
    .bind(stored(seq))
    .bind(&batch.head.payload)
    .bind(batch.head.key_id.to_string())
    .bind(to_base64(&batch.head.signature.0))
    .bind(to_base64(&batch.public_key))
    .bind(batch.received_at.as_microsecond())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("keep a batch head"))
}

/// The kind a body says it is; kinds of newer agents are kept as they are.
fn kind(event: &Event) -> String {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    event
        .body
        .as_deref()
        .and_then(|body| serde_json::from_str::<Kind>(body).ok())
        .map_or_else(
            || "unreadable".to_owned(),
            |k| k.kind.chars().take(KIND_CHARS).collect(),
        )
}
