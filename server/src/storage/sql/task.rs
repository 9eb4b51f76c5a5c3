//! Tasks, and what photos were usable for when they were last judged.

use super::value::{json, optional_text, optional_time, parsed, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::task::{
    Closing, PhotoUses, Task, TaskChanges, TaskDraft, TaskRound, TaskStore, TaskSubject, WithClosed,
};
use crate::storage::{Answer, AuditEntry, Changed, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::id::{PhotoId, TaskId};
use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};
use std::collections::BTreeSet;

const WHAT: &str = "a task";
/// Photos whose uses are noted in one transaction.
const USES: usize = 500;

fn word<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T, StorageError> {
    serde_json::from_value(serde_json::Value::String(text(row, column, WHAT)?)).map_err(|e| {
        StorageError::Corrupt {
            what: WHAT,
            problem: e.to_string(),
        }
    })
}

fn task(row: &SqliteRow) -> Result<Task, StorageError> {
    let by = optional_text(row, "closed_by", WHAT)?.unwrap_or_default();
    let note = optional_text(row, "note", WHAT)?.unwrap_or_default();
    Ok(Task {
        id: parsed(row, "task_id", WHAT)?,
        key: text(row, "task_key", WHAT)?,
        kind: word(row, "kind")?,
        subject: json(row, "subject", WHAT)?,
        owner: word(row, "owner")?,
        due: parsed(row, "due", WHAT)?,
        created_at: time(row, "created_at", WHAT)?,
        closed: optional_time(row, "closed_at", WHAT)?.map(|at| Closing { at, by, note }),
    })
}

async fn of_key(
    tx: &mut SqliteConnection,
    setting: &str,
    key: &str,
) -> Result<Vec<Task>, StorageError> {
    sqlx::query("SELECT * FROM tasks WHERE setting_id = $1 AND task_key = $2")
        .bind(setting)
        .bind(key)
        .fetch_all(tx)
        .await
        .map_err(failed("find a task"))?
        .iter()
        .map(task)
        .collect()
}

async fn insert(
    tx: &mut SqliteConnection,
    setting: &str,
    draft: &TaskDraft,
    subject: &TaskSubject,
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO tasks (setting_id, task_id, task_key, kind, subject, owner, due, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(setting)
    .bind(draft.id.to_string())
    .bind(&draft.key)
    .bind(to_json(&draft.kind, WHAT)?.trim_matches('"'))
    .bind(to_json(subject, WHAT)?)
    .bind(to_json(&draft.owner, WHAT)?.trim_matches('"'))
    .bind(draft.due.to_string())
    .bind(now.as_microsecond())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("open a task"))
}

async fn take(
    tx: &mut SqliteConnection,
    setting: &str,
    draft: &TaskDraft,
    now: Timestamp,
    changes: &mut TaskChanges,
) -> Result<(), StorageError> {
    let known = of_key(tx, setting, &draft.key).await?;
    if let Some(open) = known.iter().find(|task| task.closed.is_none()) {
        let mut subject = open.subject.clone();
        subject.photos.extend(&draft.subject.photos);
        if subject != open.subject {
            sqlx::query("UPDATE tasks SET subject = $3 WHERE setting_id = $1 AND task_id = $2")
                .bind(setting)
                .bind(open.id.to_string())
                .bind(to_json(&subject, WHAT)?)
                .execute(tx)
                .await
                .map_err(failed("extend a task"))?;
            changes.extended += 1;
        }
        return Ok(());
    }
    let mut subject = draft.subject.clone();
    if !draft.kind.happens_again() {
        let seen: BTreeSet<PhotoId> = known
            .iter()
            .flat_map(|task| task.subject.photos.iter().copied())
            .collect();
        subject.photos.retain(|photo| !seen.contains(photo));
        if !known.is_empty() && subject.photos.is_empty() {
            return Ok(());
        }
    }
    insert(tx, setting, draft, &subject, now).await?;
    changes.opened += 1;
    Ok(())
}

async fn note_uses(
    tx: &mut SqliteConnection,
    setting: &str,
    uses: &[PhotoUses],
) -> Result<(), StorageError> {
    let mut rows = Vec::with_capacity(uses.len());
    for uses in uses {
        rows.push((uses, to_json(&uses.usable, WHAT)?));
    }
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO photo_uses (setting_id, device_id, photo_id, usable) ",
    );
    query.push_values(rows, |mut row, (uses, usable)| {
        row.push_bind(setting)
            .push_bind(uses.device.to_string())
            .push_bind(uses.photo.to_string())
            .push_bind(usable);
    });
    query.push(
        " ON CONFLICT (setting_id, device_id, photo_id) DO UPDATE SET usable = excluded.usable",
    );
    query
        .build()
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("note what photos may be used for"))
}

async fn close(
    tx: &mut SqliteConnection,
    setting: &str,
    id: TaskId,
    closing: &Closing,
) -> Result<Changed, StorageError> {
    let found = sqlx::query("SELECT closed_at FROM tasks WHERE setting_id = $1 AND task_id = $2")
        .bind(setting)
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed("find a task"))?;
    let Some(row) = found else {
        return Ok(Changed::Missing);
    };
    if optional_time(&row, "closed_at", WHAT)?.is_some() {
        return Ok(Changed::Already);
    }
    sqlx::query(
        "UPDATE tasks SET closed_at = $3, closed_by = $4, note = $5 \
         WHERE setting_id = $1 AND task_id = $2",
    )
    .bind(setting)
    .bind(id.to_string())
    .bind(closing.at.as_microsecond())
    .bind(&closing.by)
    .bind(&closing.note)
    .execute(tx)
    .await
    .map_err(failed("close a task"))?;
    Ok(Changed::Yes)
}

impl TaskStore for SqlStorage {
    fn task_list(&self, closed: WithClosed) -> Answer<'_, Vec<Task>> {
        Box::pin(async move {
            let select = match closed {
                WithClosed::Yes => {
                    "SELECT * FROM tasks WHERE setting_id = $1 ORDER BY due, task_id"
                }
                WithClosed::No => {
                    "SELECT * FROM tasks WHERE setting_id = $1 AND closed_at IS NULL \
                     ORDER BY due, task_id"
                }
            };
            sqlx::query(select)
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list tasks"))?
                .iter()
                .map(task)
                .collect()
        })
    }

    fn task_round<'a>(&'a self, round: &'a TaskRound, now: Timestamp) -> Answer<'a, TaskChanges> {
        Box::pin(async move {
            let mut changes = TaskChanges::default();
            let mut tx = self.write().await?;
            for draft in &round.drafts {
                take(&mut tx, &self.setting_text, draft, now, &mut changes).await?;
            }
            for (id, why) in &round.over {
                let closing = Closing::by_itself(now, *why);
                let closed = close(&mut tx, &self.setting_text, *id, &closing).await?;
                changes.closed += usize::from(closed == Changed::Yes);
            }
            commit(tx).await?;
            // What was decided meanwhile is written in between.
            for uses in round.uses.chunks(USES) {
                let mut tx = self.write().await?;
                note_uses(&mut tx, &self.setting_text, uses).await?;
                commit(tx).await?;
            }
            Ok(changes)
        })
    }

    fn task_close<'a>(
        &'a self,
        id: TaskId,
        closing: &'a Closing,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let changed = close(&mut tx, &self.setting_text, id, closing).await?;
            if changed == Changed::Yes {
                self.add_audit(&mut tx, audit).await?;
                commit(tx).await?;
            }
            Ok(changed)
        })
    }
}
