//! The register.

use super::value::{json, optional_text, parsed, text, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::{
    Answer, AuditEntry, Child, ConsentStore, RegisterChange, RegisterPut, SetHere, StorageError,
};
use nestwarden_policy_schema::consent::{ChildEntry, ConsentRecord};
use nestwarden_policy_schema::id::ChildId;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const CHILD: &str = "a child";
const RECORD: &str = "a consent record";

fn child(row: &SqliteRow) -> Result<Child, StorageError> {
    let family = match optional_text(row, "family_id", CHILD)? {
        Some(_) => Some(parsed(row, "family_id", CHILD)?),
        None => None,
    };
    Ok(Child {
        id: parsed(row, "child_id", CHILD)?,
        reference: text(row, "reference", CHILD)?,
        first_name: text(row, "first_name", CHILD)?,
        last_name: text(row, "last_name", CHILD)?,
        family,
        entry: json(row, "entry", CHILD)?,
        set_here: match optional_text(row, "set_here", CHILD)? {
            Some(_) => json(row, "set_here", CHILD)?,
            None => SetHere::default(),
        },
    })
}

async fn put_child(
    tx: &mut SqliteConnection,
    setting: &str,
    child: &Child,
) -> Result<(), StorageError> {
    let entry = ChildEntry {
        purposes: std::collections::BTreeMap::new(),
        ..child.entry.clone()
    };
    let set_here = match &child.set_here {
        none if *none == SetHere::default() => None,
        set => Some(to_json(set, CHILD)?),
    };
    sqlx::query(
        "INSERT INTO children (setting_id, child_id, reference, first_name, last_name, family_id, \
         entry, set_here) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (setting_id, child_id) \
         DO UPDATE SET reference = excluded.reference, first_name = excluded.first_name, \
         last_name = excluded.last_name, family_id = excluded.family_id, entry = excluded.entry, \
         set_here = excluded.set_here",
    )
    .bind(setting)
    .bind(child.id.to_string())
    .bind(&child.reference)
    .bind(&child.first_name)
    .bind(&child.last_name)
    .bind(child.family.map(|family| family.to_string()))
    .bind(to_json(&entry, CHILD)?)
    .bind(set_here)
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("keep a child"))
}

async fn add_record(
    tx: &mut SqliteConnection,
    setting: &str,
    record: &ConsentRecord,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO consents (setting_id, consent_id, child_id, purpose, state, recorded_at, \
         record) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(setting)
    .bind(record.id.to_string())
    .bind(record.child.to_string())
    .bind(record.purpose.as_str())
    .bind(to_json(&record.state, RECORD)?.trim_matches('"'))
    .bind(record.recorded_at.as_microsecond())
    .bind(to_json(record, RECORD)?)
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("add a consent record"))
}

impl ConsentStore for SqlStorage {
    fn child_list(&self) -> Answer<'_, Vec<Child>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM children WHERE setting_id = $1 ORDER BY reference")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list children"))?
                .iter()
                .map(child)
                .collect()
        })
    }

    fn child_by_reference<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<Child>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM children WHERE setting_id = $1 AND reference = $2")
                .bind(&self.setting_text)
                .bind(reference)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("find a child"))?
                .as_ref()
                .map(child)
                .transpose()
        })
    }

    fn consent_list(&self) -> Answer<'_, Vec<ConsentRecord>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT record FROM consents WHERE setting_id = $1 ORDER BY recorded_at, consent_id",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list consent records"))?
            .iter()
            .map(|row| json(row, "record", RECORD))
            .collect()
        })
    }

    fn consent_of_child(&self, child: ChildId) -> Answer<'_, Vec<ConsentRecord>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT record FROM consents WHERE setting_id = $1 AND child_id = $2 \
                 ORDER BY recorded_at, consent_id",
            )
            .bind(&self.setting_text)
            .bind(child.to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list a child's consent records"))?
            .iter()
            .map(|row| json(row, "record", RECORD))
            .collect()
        })
    }

    fn register_change<'a>(
        &'a self,
        change: &'a RegisterChange,
        based_on: i64,
        audit: &'a AuditEntry,
    ) -> Answer<'a, RegisterPut> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let version: i64 = sqlx::query("SELECT inputs FROM settings WHERE setting_id = $1")
                .bind(&self.setting_text)
                .fetch_one(&mut *tx)
                .await
                .and_then(|row| row.try_get("inputs"))
                .map_err(failed("read the version of its inputs"))?;
            if version != based_on {
                return Ok(RegisterPut::ChangedMeanwhile);
            }
            for child in &change.children {
                put_child(&mut tx, &self.setting_text, child).await?;
            }
            for record in &change.records {
                add_record(&mut tx, &self.setting_text, record).await?;
            }
            // A key, too: whoever sends the same at the same moment has to look again.
            if !change.is_empty() || change.import_key.is_some() {
                self.touch_inputs(&mut tx).await?;
            }
            if let Some(key) = &change.import_key {
                super::import::remember(&mut tx, &self.setting_text, key).await?;
            }
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(RegisterPut::Done)
        })
    }
}
