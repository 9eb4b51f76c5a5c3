//! Operators.

use super::value::{json, parsed, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::{Answer, AuditEntry, Changed, Operator, OperatorStore, StorageError};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::OperatorId;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

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
    sqlx::query("SELECT * FROM operators WHERE setting_id = $1 AND name = $2")
        .bind(setting)
        .bind(name)
        .fetch_optional(on)
        .await
        .map_err(failed("find an operator"))?
        .as_ref()
        .map(operator)
        .transpose()
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
        Box::pin(async move {
            sqlx::query("SELECT * FROM operators WHERE setting_id = $1 ORDER BY name")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list operators"))?
                .iter()
                .map(operator)
                .collect()
        })
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
            if by_name(&mut *tx, &self.setting_text, &operator.name)
                .await?
                .is_some()
            {
                return Ok(Changed::Already);
            }
            insert(&mut tx, &self.setting_text, operator).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn operator_token_set<'a>(
        &'a self,
        operator: OperatorId,
        hash: Digest,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let done = sqlx::query(
                "UPDATE operators SET token_hash = $3 WHERE setting_id = $1 AND operator_id = $2",
            )
            .bind(&self.setting_text)
            .bind(operator.to_string())
            .bind(hash.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("set an operator's token"))?;
            if done.rows_affected() == 0 {
                return Ok(Changed::Missing);
            }
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn operator_by_token(&self, hash: Digest) -> Answer<'_, Option<Operator>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM operators WHERE setting_id = $1 AND token_hash = $2")
                .bind(&self.setting_text)
                .bind(hash.to_string())
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("find an operator by token"))?
                .as_ref()
                .map(operator)
                .transpose()
        })
    }
}
