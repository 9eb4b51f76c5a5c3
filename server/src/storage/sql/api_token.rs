//! Tokens of other programs.

use super::operator::operator;
use super::value::{json, number, optional_time, parsed, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::api_token::{ApiToken, ApiTokenStore, NewApiToken};
use crate::storage::{Answer, AuditEntry, Changed, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::{ApiTokenId, OperatorId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const WHAT: &str = "a token";

macro_rules! with_operators {
    ($rest:literal) => {
        concat!(
            "SELECT o.*, t.token_id, t.name AS token_name, t.scopes, \
             t.created_at AS token_created_at, t.expires_at, t.last_used_at, t.revoked_at \
             FROM api_tokens t JOIN operators o ON o.setting_id = t.setting_id \
             AND o.operator_id = t.operator_id WHERE t.setting_id = $1 ",
            $rest
        )
    };
}

fn token(row: &SqliteRow) -> Result<ApiToken, StorageError> {
    Ok(ApiToken {
        id: parsed(row, "token_id", WHAT)?,
        operator: operator(row)?,
        name: text(row, "token_name", WHAT)?,
        scopes: json(row, "scopes", WHAT)?,
        created_at: time(row, "token_created_at", WHAT)?,
        expires_at: time(row, "expires_at", WHAT)?,
        last_used_at: optional_time(row, "last_used_at", WHAT)?,
        revoked_at: optional_time(row, "revoked_at", WHAT)?,
    })
}

async fn is_here(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
) -> Result<bool, StorageError> {
    sqlx::query(
        "SELECT 1 FROM operators WHERE setting_id = $1 AND operator_id = $2 \
         AND removed_at IS NULL",
    )
    .bind(setting)
    .bind(operator.to_string())
    .fetch_optional(tx)
    .await
    .map(|row| row.is_some())
    .map_err(failed("find a person"))
}

async fn count_good(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
    now: Timestamp,
) -> Result<u64, StorageError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS many FROM api_tokens WHERE setting_id = $1 \
         AND operator_id = $2 AND revoked_at IS NULL AND expires_at > $3",
    )
    .bind(setting)
    .bind(operator.to_string())
    .bind(now.as_microsecond())
    .fetch_one(tx)
    .await
    .map_err(failed("count tokens"))?;
    number(&row, "many", WHAT)
}

/// Those of somebody who goes.
pub(super) async fn revoke_all(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
    at: i64,
) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE api_tokens SET revoked_at = $3 \
         WHERE setting_id = $1 AND operator_id = $2 AND revoked_at IS NULL",
    )
    .bind(setting)
    .bind(operator.to_string())
    .bind(at)
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("revoke a person's tokens"))
}

impl ApiTokenStore for SqlStorage {
    fn api_token_add<'a>(
        &'a self,
        new: &'a NewApiToken,
        most: usize,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let (setting, now) = (&self.setting_text, new.created_at);
            let mut tx = self.write().await?;
            if !is_here(&mut tx, setting, new.operator).await? {
                return Ok(Changed::Missing);
            }
            if count_good(&mut tx, setting, new.operator, now).await? >= most as u64 {
                return Ok(Changed::Already);
            }
            sqlx::query(
                "INSERT INTO api_tokens (setting_id, token_id, operator_id, token_hash, name, \
                 scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(setting)
            .bind(new.id.to_string())
            .bind(new.operator.to_string())
            .bind(new.hash.to_string())
            .bind(&new.name)
            .bind(to_json(&new.scopes, WHAT)?)
            .bind(new.created_at.as_microsecond())
            .bind(new.expires_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("add a token"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn api_token_list(&self) -> Answer<'_, Vec<ApiToken>> {
        Box::pin(async move {
            sqlx::query(with_operators!("ORDER BY o.name, t.created_at, t.token_id"))
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list tokens"))?
                .iter()
                .map(token)
                .collect()
        })
    }

    fn api_token_find(&self, hash: Digest) -> Answer<'_, Option<ApiToken>> {
        Box::pin(async move {
            sqlx::query(with_operators!("AND t.token_hash = $2"))
                .bind(&self.setting_text)
                .bind(hash.to_string())
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("find a token"))?
                .as_ref()
                .map(token)
                .transpose()
        })
    }

    fn api_token_used(&self, id: ApiTokenId, at: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            sqlx::query(
                "UPDATE api_tokens SET last_used_at = $3 WHERE setting_id = $1 AND token_id = $2",
            )
            .bind(&self.setting_text)
            .bind(id.to_string())
            .bind(at.as_microsecond())
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(failed("note that a token was used"))
        })
    }

    fn api_token_revoke<'a>(
        &'a self,
        id: ApiTokenId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let found = sqlx::query(
                "SELECT revoked_at FROM api_tokens WHERE setting_id = $1 AND token_id = $2",
            )
            .bind(&self.setting_text)
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed("find a token"))?;
            match found {
                None => return Ok(Changed::Missing),
                Some(row) if optional_time(&row, "revoked_at", WHAT)?.is_some() => {
                    return Ok(Changed::Already);
                }
                Some(_) => {}
            }
            sqlx::query(
                "UPDATE api_tokens SET revoked_at = $3 WHERE setting_id = $1 AND token_id = $2",
            )
            .bind(&self.setting_text)
            .bind(id.to_string())
            .bind(audit.at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("revoke a token"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use crate::storage::api_token::{Scope, api_token_hash};
    use crate::storage::sql::testing_execute;
    use crate::storage::testing::{TestStorage, audit, now};
    use crate::storage::{Operator, Role};
    use jiff::SignedDuration;
    use nestwarden_policy_schema::id::OperatorId;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_token_from_before_they_had_an_end_goes_on_for_90_days() {
        let test = TestStorage::create().await;
        let sam = Operator {
            id: OperatorId::from_uuid(Uuid::from_u128(8)),
            name: "Sam".to_owned(),
            roles: [Role::ItAdmin].into(),
            created_at: now(),
        };
        let added = test.storage.operator_add(&sam, &audit("o")).await;
        added.unwrap();
        let hash = api_token_hash("from before");
        let before =
            format!("DROP TABLE api_tokens; UPDATE operators SET token_hash = '{hash}'").leak();
        let path = test.dir.path().join("nestwarden.db");
        testing_execute(&path, before).await;
        let migration = include_str!("../../../migrations/0013_api_tokens.sql");
        testing_execute(&path, migration).await;

        let token = test.storage.api_token_find(hash).await.unwrap().unwrap();
        assert_eq!(token.operator, sam);
        assert_eq!(token.scopes, [Scope::ReadTablets, Scope::Import].into());
        let life = token.expires_at.duration_since(token.created_at);
        assert_eq!(life, SignedDuration::from_hours(24 * 90));
        assert_eq!((token.last_used_at, token.revoked_at), (None, None));
        let listed = test.storage.api_token_list().await.unwrap();
        assert_eq!(listed, [token]);
    }
}
