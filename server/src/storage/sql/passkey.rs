//! Passkeys.

use super::value::{bytes, number, optional_time, parsed, text, time, to_base64};
use super::{SqlStorage, commit, failed, session};
use crate::storage::passkey::{Passkey, PasskeyAdded, PasskeyRemoved, PasskeyState, PasskeyStore};
use crate::storage::{Answer, AuditEntry, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::id::{OperatorId, PasskeyId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const WHAT: &str = "a passkey";

fn passkey(row: &SqliteRow) -> Result<Passkey, StorageError> {
    let state = bytes(row, "state", WHAT)?;
    let state = PasskeyState::try_from(state).map_err(|state| StorageError::Corrupt {
        what: WHAT,
        problem: format!("its state has {} bytes", state.len()),
    })?;
    Ok(Passkey {
        id: parsed(row, "passkey_id", WHAT)?,
        operator: parsed(row, "operator_id", WHAT)?,
        name: text(row, "name", WHAT)?,
        credential: bytes(row, "credential", WHAT)?,
        public_key: bytes(row, "public_key", WHAT)?,
        state,
        added_at: time(row, "added_at", WHAT)?,
        last_used_at: optional_time(row, "last_used_at", WHAT)?,
        copied_at: optional_time(row, "copied_at", WHAT)?,
    })
}

async fn list(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    operator: OperatorId,
) -> Result<Vec<Passkey>, StorageError> {
    sqlx::query(
        "SELECT * FROM passkeys WHERE setting_id = $1 AND operator_id = $2 \
         ORDER BY added_at, passkey_id",
    )
    .bind(setting)
    .bind(operator.to_string())
    .fetch_all(on)
    .await
    .map_err(failed("list passkeys"))?
    .iter()
    .map(passkey)
    .collect()
}

/// Whether it is somebody's already.
pub(super) async fn is_known(
    tx: &mut SqliteConnection,
    setting: &str,
    credential: &[u8],
) -> Result<bool, StorageError> {
    sqlx::query("SELECT 1 FROM passkeys WHERE setting_id = $1 AND credential = $2")
        .bind(setting)
        .bind(to_base64(credential))
        .fetch_optional(tx)
        .await
        .map(|row| row.is_some())
        .map_err(failed("look whether a passkey is known"))
}

pub(super) async fn insert(
    tx: &mut SqliteConnection,
    setting: &str,
    new: &Passkey,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO passkeys (setting_id, passkey_id, operator_id, name, credential, \
         public_key, state, added_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(setting)
    .bind(new.id.to_string())
    .bind(new.operator.to_string())
    .bind(&new.name)
    .bind(to_base64(&new.credential))
    .bind(to_base64(&new.public_key))
    .bind(to_base64(&new.state))
    .bind(new.added_at.as_microsecond())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("add a passkey"))
}

/// Takes over what a use changed. `false`: it was used, marked or removed meanwhile.
pub(super) async fn use_up(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
    id: PasskeyId,
    (before, after): (PasskeyState, PasskeyState),
    now: Timestamp,
) -> Result<bool, StorageError> {
    sqlx::query(
        "UPDATE passkeys SET state = $5, last_used_at = $6 WHERE setting_id = $1 \
         AND operator_id = $2 AND passkey_id = $3 AND state = $4 AND copied_at IS NULL",
    )
    .bind(setting)
    .bind(operator.to_string())
    .bind(id.to_string())
    .bind(to_base64(&before))
    .bind(to_base64(&after))
    .bind(now.as_microsecond())
    .execute(tx)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(failed("use a passkey"))
}

async fn has_account(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
) -> Result<bool, StorageError> {
    sqlx::query("SELECT 1 FROM accounts WHERE setting_id = $1 AND operator_id = $2")
        .bind(setting)
        .bind(operator.to_string())
        .fetch_optional(tx)
        .await
        .map(|row| row.is_some())
        .map_err(failed("find an account"))
}

async fn has_authenticator(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
) -> Result<bool, StorageError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS has FROM accounts WHERE setting_id = $1 AND operator_id = $2 \
         AND (sealed_totp IS NOT NULL OR totp <> '')",
    )
    .bind(setting)
    .bind(operator.to_string())
    .fetch_one(tx)
    .await
    .map_err(failed("look for an authenticator"))?;
    Ok(number(&row, "has", WHAT)? > 0)
}

impl PasskeyStore for SqlStorage {
    fn passkey_list(&self, operator: OperatorId) -> Answer<'_, Vec<Passkey>> {
        Box::pin(list(&self.readers, &self.setting_text, operator))
    }

    fn passkey_add<'a>(
        &'a self,
        new: &'a Passkey,
        most: usize,
        audit: &'a AuditEntry,
    ) -> Answer<'a, PasskeyAdded> {
        Box::pin(async move {
            let setting = &self.setting_text;
            let mut tx = self.write().await?;
            if !has_account(&mut tx, setting, new.operator).await? {
                return Ok(PasskeyAdded::NoAccount);
            }
            if is_known(&mut tx, setting, &new.credential).await? {
                return Ok(PasskeyAdded::Known);
            }
            if list(&mut *tx, setting, new.operator).await?.len() >= most {
                return Ok(PasskeyAdded::TooMany);
            }
            insert(&mut tx, setting, new).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(PasskeyAdded::Done)
        })
    }

    fn passkey_remove<'a>(
        &'a self,
        operator: OperatorId,
        passkey: PasskeyId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, PasskeyRemoved> {
        Box::pin(async move {
            let setting = &self.setting_text;
            let mut tx = self.write().await?;
            let all = list(&mut *tx, setting, operator).await?;
            let Some(found) = all.iter().find(|known| known.id == passkey) else {
                return Ok(PasskeyRemoved::Missing);
            };
            let another = all
                .iter()
                .any(|known| known.id != passkey && known.copied_at.is_none());
            // One that opens nothing is nobody's last.
            let opens = found.copied_at.is_none();
            if opens && !another && !has_authenticator(&mut tx, setting, operator).await? {
                return Ok(PasskeyRemoved::LastFactor);
            }
            sqlx::query(
                "DELETE FROM passkeys \
                 WHERE setting_id = $1 AND operator_id = $2 AND passkey_id = $3",
            )
            .bind(setting)
            .bind(operator.to_string())
            .bind(passkey.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("remove a passkey"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(PasskeyRemoved::Done)
        })
    }

    fn passkey_copied<'a>(
        &'a self,
        operator: OperatorId,
        passkey: PasskeyId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "UPDATE passkeys SET copied_at = $4 WHERE setting_id = $1 AND operator_id = $2 \
                 AND passkey_id = $3 AND copied_at IS NULL",
            )
            .bind(&self.setting_text)
            .bind(operator.to_string())
            .bind(passkey.to_string())
            .bind(audit.at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("note that a passkey may be copied"))?;
            // Whoever has the copy may have come in by it.
            session::end_of(&mut tx, &self.setting_text, operator).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }
}
