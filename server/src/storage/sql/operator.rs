//! Operators.

use super::account::clear;
use super::api_token::revoke_all;
use super::value::{json, parsed, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::{
    Answer, AuditEntry, Changed, Cover, Operator, OperatorStore, PeopleChange, PeoplePut, Role,
    StorageError,
};
use nestwarden_policy_schema::id::OperatorId;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::BTreeSet;

const WHAT: &str = "an operator";

pub(super) fn operator(row: &SqliteRow) -> Result<Operator, StorageError> {
    Ok(Operator {
        id: parsed(row, "operator_id", WHAT)?,
        name: text(row, "name", WHAT)?,
        roles: json(row, "roles", WHAT)?,
        created_at: time(row, "created_at", WHAT)?,
    })
}

pub(super) async fn by_name(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    name: &str,
) -> Result<Option<Operator>, StorageError> {
    sqlx::query(
        "SELECT * FROM operators WHERE setting_id = $1 AND name = $2 AND removed_at IS NULL",
    )
    .bind(setting)
    .bind(name)
    .fetch_optional(on)
    .await
    .map_err(failed("find an operator"))?
    .as_ref()
    .map(operator)
    .transpose()
}

async fn list(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
) -> Result<Vec<Operator>, StorageError> {
    sqlx::query(
        "SELECT * FROM operators WHERE setting_id = $1 AND removed_at IS NULL ORDER BY name",
    )
    .bind(setting)
    .fetch_all(on)
    .await
    .map_err(failed("list operators"))?
    .iter()
    .map(operator)
    .collect()
}

async fn covers(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
) -> Result<Vec<Cover>, StorageError> {
    sqlx::query("SELECT * FROM dsl_covers WHERE setting_id = $1 ORDER BY first_day, operator_id")
        .bind(setting)
        .fetch_all(on)
        .await
        .map_err(failed("list who covers for the DSL"))?
        .iter()
        .map(cover)
        .collect()
}

/// Names that differ in capitals only are one person's to the eye. SQLite folds ASCII only, so it is done here.
pub(super) async fn is_taken(
    tx: &mut SqliteConnection,
    setting: &str,
    name: &str,
) -> Result<bool, StorageError> {
    let rows = sqlx::query("SELECT name FROM operators WHERE setting_id = $1")
        .bind(setting)
        .fetch_all(tx)
        .await
        .map_err(failed("look whether a name is taken"))?;
    let wanted = name.to_lowercase();
    for row in &rows {
        if text(row, "name", WHAT)?.to_lowercase() == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn set_roles(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
    roles: &BTreeSet<Role>,
) -> Result<(), StorageError> {
    sqlx::query("UPDATE operators SET roles = $3 WHERE setting_id = $1 AND operator_id = $2")
        .bind(setting)
        .bind(operator.to_string())
        .bind(to_json(roles, WHAT)?)
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("set an operator's roles"))
}

async fn remove(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
    at: i64,
) -> Result<(), StorageError> {
    clear(&mut *tx, setting, operator).await?;
    revoke_all(&mut *tx, setting, operator, at).await?;
    super::alert::forget(&mut *tx, setting, operator).await?;
    for sql in [
        "DELETE FROM invitations WHERE setting_id = $1 AND operator_id = $2",
        "DELETE FROM dsl_covers WHERE setting_id = $1 AND operator_id = $2",
    ] {
        sqlx::query(sql)
            .bind(setting)
            .bind(operator.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("forget how an operator came in"))?;
    }
    sqlx::query("UPDATE operators SET removed_at = $3 WHERE setting_id = $1 AND operator_id = $2")
        .bind(setting)
        .bind(operator.to_string())
        .bind(at)
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("remove an operator"))
}

fn cover(row: &SqliteRow) -> Result<Cover, StorageError> {
    Ok(Cover {
        operator: parsed(row, "operator_id", WHAT)?,
        first: parsed(row, "first_day", WHAT)?,
        last: parsed(row, "last_day", WHAT)?,
    })
}

pub(super) async fn insert(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: &Operator,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO operators (setting_id, operator_id, name, roles, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(setting)
    .bind(operator.id.to_string())
    .bind(&operator.name)
    .bind(to_json(&operator.roles, WHAT)?)
    .bind(operator.created_at.as_microsecond())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("add an operator"))
}

impl OperatorStore for SqlStorage {
    fn operator_list(&self) -> Answer<'_, Vec<Operator>> {
        Box::pin(list(&self.readers, &self.setting_text))
    }

    fn operator_by_name<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Operator>> {
        Box::pin(by_name(&self.readers, &self.setting_text, name))
    }

    fn operator_add<'a>(
        &'a self,
        operator: &'a Operator,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            if is_taken(&mut tx, &self.setting_text, &operator.name).await? {
                return Ok(Changed::Already);
            }
            insert(&mut tx, &self.setting_text, operator).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn people_change<'a>(
        &'a self,
        seen: &'a [Operator],
        change: &'a PeopleChange,
        audit: &'a AuditEntry,
    ) -> Answer<'a, PeoplePut> {
        Box::pin(async move {
            let setting = &self.setting_text;
            let mut tx = self.write().await?;
            if list(&mut *tx, setting).await? != seen {
                return Ok(PeoplePut::ChangedMeanwhile);
            }
            if let Some(operator) = &change.add {
                if is_taken(&mut tx, setting, &operator.name).await? {
                    return Ok(PeoplePut::NameTaken);
                }
                insert(&mut tx, setting, operator).await?;
            }
            for (operator, roles) in &change.roles {
                set_roles(&mut tx, setting, *operator, roles).await?;
            }
            if let Some(operator) = change.remove {
                remove(&mut tx, setting, operator, audit.at.as_microsecond()).await?;
            }
            // Tasks ask who may come in.
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(PeoplePut::Done)
        })
    }

    fn cover_list(&self) -> Answer<'_, Vec<Cover>> {
        Box::pin(covers(&self.readers, &self.setting_text))
    }

    fn cover_put<'a>(
        &'a self,
        seen: (&'a [Operator], &'a [Cover]),
        operator: OperatorId,
        cover: Option<Cover>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, PeoplePut> {
        Box::pin(async move {
            let setting = &self.setting_text;
            let mut tx = self.write().await?;
            if list(&mut *tx, setting).await? != seen.0
                || covers(&mut *tx, setting).await? != seen.1
            {
                return Ok(PeoplePut::ChangedMeanwhile);
            }
            sqlx::query("DELETE FROM dsl_covers WHERE setting_id = $1 AND operator_id = $2")
                .bind(&self.setting_text)
                .bind(operator.to_string())
                .execute(&mut *tx)
                .await
                .map_err(failed("end a cover"))?;
            if let Some(cover) = cover {
                sqlx::query(
                    "INSERT INTO dsl_covers (setting_id, operator_id, first_day, last_day) \
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(&self.setting_text)
                .bind(operator.to_string())
                .bind(cover.first.to_string())
                .bind(cover.last.to_string())
                .execute(&mut *tx)
                .await
                .map_err(failed("set a cover"))?;
            }
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(PeoplePut::Done)
        })
    }
}
