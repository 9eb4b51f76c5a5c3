//! Entries of registers. The writing connection overwrites what it erases (`secure_delete`).

use super::value::{
    bytes, json, number, optional_text, optional_time, parsed, stored, text, time, to_base64,
    to_json,
};
use super::{SqlStorage, commit, failed};
use crate::storage::entry::{
    EntryBegun, EntryHead, EntryLine, EntryRow, EntryStore, EntryWords, EraseAsked, Leaves,
    NewLine, RegisterName, Which,
};
use crate::storage::{Answer, AuditEntry, Changed, StorageError};
use nestwarden_policy_schema::id::EntryId;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::BTreeMap;

const WHAT: &str = "an entry of a register";

fn sealed(row: &SqliteRow, column: &'static str) -> Result<Option<Vec<u8>>, StorageError> {
    match optional_text(row, column, WHAT)? {
        Some(_) => bytes(row, column, WHAT).map(Some),
        None => Ok(None),
    }
}

fn head(row: &SqliteRow) -> Result<EntryHead, StorageError> {
    Ok(EntryHead {
        id: parsed(row, "entry_id", WHAT)?,
        begun_at: time(row, "begun_at", WHAT)?,
        closed_at: optional_time(row, "closed_at", WHAT)?,
        subject: optional_text(row, "subject", WHAT)?,
        circle: sealed(row, "circle")?,
    })
}

fn line(row: &SqliteRow) -> Result<EntryLine, StorageError> {
    let words = match (
        sealed(row, "words")?,
        optional_time(row, "erased_at", WHAT)?,
    ) {
        (Some(words), _) => EntryWords::Sealed(words),
        (None, Some(at)) => EntryWords::Erased {
            at,
            why: optional_text(row, "erased_why", WHAT)?.unwrap_or_default(),
        },
        (None, None) => EntryWords::None,
    };
    Ok(EntryLine {
        seq: number(row, "seq", WHAT)?,
        at: time(row, "at", WHAT)?,
        by: text(row, "written_by", WHAT)?,
        act: json(row, "act", WHAT)?,
        words,
        erase_asked: optional_text(row, "erase_asked_by", WHAT)?
            .zip(optional_text(row, "erase_asked_why", WHAT)?)
            .map(|(by, why)| EraseAsked { by, why }),
    })
}

async fn lines(
    on: &mut SqliteConnection,
    setting: &str,
    register: RegisterName,
    id: EntryId,
) -> Result<Vec<EntryLine>, StorageError> {
    sqlx::query(
        "SELECT * FROM entry_lines WHERE setting_id = $1 AND register = $2 AND entry_id = $3 ORDER BY seq",
    )
    .bind(setting)
    .bind(register.as_str())
    .bind(id.to_string())
    .fetch_all(on)
    .await
    .map_err(failed("read an entry"))?
    .iter()
    .map(line)
    .collect()
}

async fn add(
    tx: &mut SqliteConnection,
    setting: &str,
    register: RegisterName,
    id: EntryId,
    line: &NewLine,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO entry_lines (setting_id, register, entry_id, seq, at, written_by, act, words) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(setting)
    .bind(register.as_str())
    .bind(id.to_string())
    .bind(stored(line.seq))
    .bind(line.at.as_microsecond())
    .bind(&line.by)
    .bind(to_json(&line.act, WHAT)?)
    .bind(line.sealed.as_deref().map(to_base64))
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("add a line to an entry"))
}

async fn is_taken(
    tx: &mut SqliteConnection,
    setting: &str,
    register: RegisterName,
    except: EntryId,
    subject: Option<&str>,
) -> Result<bool, StorageError> {
    let Some(subject) = subject else {
        return Ok(false);
    };
    let other = sqlx::query(
        "SELECT entry_id FROM entries WHERE setting_id = $1 AND register = $2 AND subject = $3 \
         AND closed_at IS NULL AND entry_id <> $4",
    )
    .bind(setting)
    .bind(register.as_str())
    .bind(subject)
    .bind(except.to_string())
    .fetch_optional(tx)
    .await
    .map_err(failed("look for an open entry"))?;
    Ok(other.is_some())
}

impl EntryStore for SqlStorage {
    fn entry_list(
        &self,
        register: RegisterName,
        which: Which,
        most: u32,
    ) -> Answer<'_, Vec<EntryRow>> {
        Box::pin(async move {
            let of_these = match which {
                Which::Open => "closed_at IS NULL",
                Which::All => "1 = 1",
            };
            // One look for both, so that heads and lines are of the same moment.
            let select = format!(
                "SELECT e.begun_at, e.closed_at, e.subject, e.circle, l.* FROM \
                 (SELECT * FROM entries WHERE setting_id = $1 AND register = $2 AND {of_these} \
                  ORDER BY begun_at DESC, entry_id DESC LIMIT $3) e \
                 JOIN entry_lines l USING (setting_id, register, entry_id) \
                 ORDER BY e.begun_at DESC, e.entry_id DESC, l.seq"
            );
            let rows = sqlx::query(sqlx::AssertSqlSafe(select))
                .bind(&self.setting_text)
                .bind(register.as_str())
                .bind(stored(most.into()))
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list a register"))?;
            let mut found: Vec<EntryRow> = Vec::new();
            let mut places = BTreeMap::new();
            for row in &rows {
                let id: EntryId = parsed(row, "entry_id", WHAT)?;
                let place = *places.entry(id).or_insert(found.len());
                if place == found.len() {
                    found.push(EntryRow {
                        head: head(row)?,
                        lines: Vec::new(),
                    });
                }
                found[place].lines.push(line(row)?);
            }
            Ok(found)
        })
    }

    fn entry_find(&self, register: RegisterName, id: EntryId) -> Answer<'_, Option<EntryRow>> {
        Box::pin(async move {
            let mut tx = self
                .readers
                .begin()
                .await
                .map_err(failed("begin to read an entry"))?;
            let found = find(&mut tx, &self.setting_text, register, id).await?;
            let Some(head) = found else {
                return Ok(None);
            };
            let lines = lines(&mut tx, &self.setting_text, register, id).await?;
            Ok(Some(EntryRow { head, lines }))
        })
    }

    fn entry_begin<'a>(
        &'a self,
        register: RegisterName,
        head: &'a EntryHead,
        line: &'a NewLine,
        audit: &'a AuditEntry,
    ) -> Answer<'a, EntryBegun> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let subject = head.subject.as_deref();
            if is_taken(&mut tx, &self.setting_text, register, head.id, subject).await? {
                return Ok(EntryBegun::Taken);
            }
            sqlx::query(
                "INSERT INTO entries (setting_id, register, entry_id, begun_at, closed_at, subject, circle) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&self.setting_text)
            .bind(register.as_str())
            .bind(head.id.to_string())
            .bind(head.begun_at.as_microsecond())
            .bind(closed_at(line))
            .bind(subject)
            .bind(head.circle.as_deref().map(to_base64))
            .execute(&mut *tx)
            .await
            .map_err(failed("begin an entry"))?;
            add(&mut tx, &self.setting_text, register, head.id, line).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(EntryBegun::Yes)
        })
    }

    fn entry_append<'a>(
        &'a self,
        register: RegisterName,
        id: EntryId,
        line: &'a NewLine,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let Some(head) = find(&mut tx, &self.setting_text, register, id).await? else {
                return Ok(Changed::Missing);
            };
            let known = lines(&mut tx, &self.setting_text, register, id).await?;
            let next = known.last().map_or(1, |last| last.seq + 1);
            let subject = head
                .subject
                .as_deref()
                .filter(|_| line.leaves == Leaves::Open);
            let taken = is_taken(&mut tx, &self.setting_text, register, id, subject).await?;
            if next != line.seq || taken {
                return Ok(Changed::Already);
            }
            add(&mut tx, &self.setting_text, register, id, line).await?;
            sqlx::query(
                "UPDATE entries SET closed_at = $4 WHERE setting_id = $1 AND register = $2 AND entry_id = $3",
            )
            .bind(&self.setting_text)
            .bind(register.as_str())
            .bind(id.to_string())
            .bind(closed_at(line))
            .execute(&mut *tx)
            .await
            .map_err(failed("open or close an entry"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn entry_ask_erase<'a>(
        &'a self,
        register: RegisterName,
        id: EntryId,
        seq: u64,
        asked: &'a EraseAsked,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let known = lines(&mut tx, &self.setting_text, register, id).await?;
            let Some(line) = known.iter().find(|line| line.seq == seq) else {
                return Ok(Changed::Missing);
            };
            if line.erase_asked.is_some() || !has_words(line) {
                return Ok(Changed::Already);
            }
            sqlx::query(
                "UPDATE entry_lines SET erase_asked_by = $5, erase_asked_why = $6 \
                 WHERE setting_id = $1 AND register = $2 AND entry_id = $3 AND seq = $4",
            )
            .bind(&self.setting_text)
            .bind(register.as_str())
            .bind(id.to_string())
            .bind(stored(seq))
            .bind(&asked.by)
            .bind(&asked.why)
            .execute(&mut *tx)
            .await
            .map_err(failed("note a wish to erase words"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn entry_erase<'a>(
        &'a self,
        register: RegisterName,
        id: EntryId,
        seq: u64,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let known = lines(&mut tx, &self.setting_text, register, id).await?;
            let Some(line) = known.into_iter().find(|line| line.seq == seq) else {
                return Ok(Changed::Missing);
            };
            let is_there = has_words(&line);
            let asked = line
                .erase_asked
                .filter(|asked| is_there && asked.by != audit.who);
            let Some(asked) = asked else {
                return Ok(Changed::Already);
            };
            sqlx::query(
                "UPDATE entry_lines SET words = NULL, erased_at = $5, erased_why = $6 \
                 WHERE setting_id = $1 AND register = $2 AND entry_id = $3 AND seq = $4",
            )
            .bind(&self.setting_text)
            .bind(register.as_str())
            .bind(id.to_string())
            .bind(stored(seq))
            .bind(audit.at.as_microsecond())
            .bind(&asked.why)
            .execute(&mut *tx)
            .await
            .map_err(failed("erase the words of a line"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            // Where somebody reads just now, the log keeps the page until it is next emptied.
            let _ = self.empty_log().await?;
            Ok(Changed::Yes)
        })
    }
}

const fn has_words(line: &EntryLine) -> bool {
    matches!(line.words, EntryWords::Sealed(_))
}

fn closed_at(line: &NewLine) -> Option<i64> {
    match line.leaves {
        Leaves::Open => None,
        Leaves::Closed => Some(line.at.as_microsecond()),
    }
}

async fn find(
    on: &mut SqliteConnection,
    setting: &str,
    register: RegisterName,
    id: EntryId,
) -> Result<Option<EntryHead>, StorageError> {
    sqlx::query("SELECT * FROM entries WHERE setting_id = $1 AND register = $2 AND entry_id = $3")
        .bind(setting)
        .bind(register.as_str())
        .bind(id.to_string())
        .fetch_optional(on)
        .await
        .map_err(failed("find an entry"))?
        .as_ref()
        .map(head)
        .transpose()
}
