//! Accounts and invitations.

use super::operator::{insert as insert_operator, is_taken, operator};
use super::passkey;
use super::value::{
    bytes, number, optional_text, optional_time, parsed, stored, text, time, to_base64,
};
use super::{SqlStorage, commit, failed};
use crate::storage::account::{
    Account, AccountStore, Invitation, LockAfter, Made, NewAccount, NewFactor,
};
use crate::storage::{Answer, AuditEntry, Erased, Operator, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::{Digest, Secret};
use nestwarden_policy_schema::id::OperatorId;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const WHAT: &str = "an account";

fn account(row: &SqliteRow) -> Result<Account, StorageError> {
    Ok(Account {
        operator: operator(row)?,
        password: text(row, "password", WHAT)?,
        totp: optional_text(row, "sealed_totp", WHAT)?
            .map(|_| bytes(row, "sealed_totp", WHAT))
            .transpose()?,
        totp_step: number(row, "totp_step", WHAT)?,
        locked_until: optional_time(row, "locked_until", WHAT)?,
    })
}

async fn find_invitation(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    hash: Digest,
) -> Result<Option<(Invitation, Operator)>, StorageError> {
    let row = sqlx::query(
        "SELECT o.*, i.token_hash AS invitation, i.expires_at, i.used_at FROM invitations i \
         JOIN operators o ON o.setting_id = i.setting_id AND o.operator_id = i.operator_id \
         WHERE i.setting_id = $1 AND i.token_hash = $2",
    )
    .bind(setting)
    .bind(hash.to_string())
    .fetch_optional(on)
    .await
    .map_err(failed("find an invitation"))?;
    row.map(|row| {
        let operator = operator(&row)?;
        let invitation = Invitation {
            hash: parsed(&row, "invitation", WHAT)?,
            operator: operator.id,
            expires_at: time(&row, "expires_at", WHAT)?,
            used_at: optional_time(&row, "used_at", WHAT)?,
        };
        Ok((invitation, operator))
    })
    .transpose()
}

async fn put_invitation(
    tx: &mut SqliteConnection,
    setting: &str,
    invitation: &Invitation,
) -> Result<(), StorageError> {
    let operator = invitation.operator.to_string();
    sqlx::query("DELETE FROM invitations WHERE setting_id = $1 AND operator_id = $2")
        .bind(setting)
        .bind(&operator)
        .execute(&mut *tx)
        .await
        .map_err(failed("replace an invitation"))?;
    sqlx::query(
        "INSERT INTO invitations (setting_id, token_hash, operator_id, expires_at) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(setting)
    .bind(invitation.hash.to_string())
    .bind(operator)
    .bind(invitation.expires_at.as_microsecond())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("add an invitation"))
}

/// An account that is about to be replaced, or whose person goes, with its sessions and codes.
pub(super) async fn clear(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
) -> Result<(), StorageError> {
    for sql in [
        "DELETE FROM sessions WHERE setting_id = $1 AND operator_id = $2",
        "DELETE FROM passkeys WHERE setting_id = $1 AND operator_id = $2",
        "DELETE FROM recovery_codes WHERE setting_id = $1 AND operator_id = $2",
        "DELETE FROM accounts WHERE setting_id = $1 AND operator_id = $2",
    ] {
        sqlx::query(sql)
            .bind(setting)
            .bind(operator.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("end an account"))?;
    }
    Ok(())
}

async fn insert(
    tx: &mut SqliteConnection,
    setting: &str,
    new: &NewAccount,
) -> Result<(), StorageError> {
    let operator = new.operator.to_string();
    let (sealed, step) = match &new.factor {
        NewFactor::Totp { sealed, step } => (Some(to_base64(sealed)), *step),
        NewFactor::Passkey(_) => (None, 0),
    };
    sqlx::query(
        "INSERT INTO accounts (setting_id, operator_id, password, totp, sealed_totp, totp_step, \
         made_at) VALUES ($1, $2, $3, '', $4, $5, $6)",
    )
    .bind(setting)
    .bind(&operator)
    .bind(&new.password)
    .bind(sealed)
    .bind(stored(step))
    .bind(new.made_at.as_microsecond())
    .execute(&mut *tx)
    .await
    .map_err(failed("add an account"))?;
    if let NewFactor::Passkey(passkey) = &new.factor {
        passkey::insert(tx, setting, passkey).await?;
    }
    for code in &new.recovery {
        sqlx::query(
            "INSERT INTO recovery_codes (setting_id, operator_id, code_hash) VALUES ($1, $2, $3)",
        )
        .bind(setting)
        .bind(&operator)
        .bind(code.to_string())
        .execute(&mut *tx)
        .await
        .map_err(failed("add a recovery code"))?;
    }
    Ok(())
}

impl AccountStore for SqlStorage {
    fn account_find(&self, operator: OperatorId) -> Answer<'_, Option<Account>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT o.*, a.password, a.sealed_totp, a.totp_step, a.locked_until FROM accounts a \
                 JOIN operators o ON o.setting_id = a.setting_id AND o.operator_id = a.operator_id \
                 WHERE a.setting_id = $1 AND a.operator_id = $2",
            )
            .bind(&self.setting_text)
            .bind(operator.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find an account"))?
            .as_ref()
            .map(account)
            .transpose()
        })
    }

    fn totp_unsealed(&self) -> Answer<'_, Vec<(OperatorId, Secret)>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT operator_id, totp FROM accounts WHERE setting_id = $1 AND totp <> ''",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list what is not sealed"))?
            .iter()
            .map(|row| {
                let operator = parsed(row, "operator_id", WHAT)?;
                Ok((operator, Secret::new(bytes(row, "totp", WHAT)?)))
            })
            .collect()
        })
    }

    fn totp_seal<'a>(
        &'a self,
        sealed: &'a [(OperatorId, Vec<u8>)],
        audit: &'a AuditEntry,
    ) -> Answer<'a, Erased> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            for (operator, sealed) in sealed {
                sqlx::query(
                    "UPDATE accounts SET sealed_totp = $3, totp = '' \
                     WHERE setting_id = $1 AND operator_id = $2 AND totp <> ''",
                )
                .bind(&self.setting_text)
                .bind(operator.to_string())
                .bind(to_base64(sealed))
                .execute(&mut *tx)
                .await
                .map_err(failed("seal what an authenticator shares"))?;
            }
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            self.empty_log().await
        })
    }

    fn account_make<'a>(
        &'a self,
        invitation: Digest,
        new: &'a NewAccount,
        audit: &'a [AuditEntry],
    ) -> Answer<'a, Made> {
        Box::pin(async move {
            let setting = &self.setting_text;
            let mut tx = self.write().await?;
            let found = find_invitation(&mut *tx, setting, invitation).await?;
            let is_good = |invitation: &Invitation| {
                invitation.used_at.is_none()
                    && invitation.expires_at > new.made_at
                    && invitation.operator == new.operator
            };
            if !found.is_some_and(|(invitation, _)| is_good(&invitation)) {
                return Ok(Made::InvitationGone);
            }
            if let Some((second, second_invitation)) = &new.second {
                if is_taken(&mut tx, setting, &second.name).await? {
                    return Ok(Made::NameTaken);
                }
                insert_operator(&mut tx, setting, second).await?;
                put_invitation(&mut tx, setting, second_invitation).await?;
            }
            clear(&mut tx, setting, new.operator).await?;
            if let NewFactor::Passkey(new) = &new.factor
                && passkey::is_known(&mut tx, setting, &new.credential).await?
            {
                return Ok(Made::PasskeyKnown);
            }
            insert(&mut tx, setting, new).await?;
            sqlx::query(
                "UPDATE invitations SET used_at = $3 WHERE setting_id = $1 AND token_hash = $2",
            )
            .bind(setting)
            .bind(invitation.to_string())
            .bind(new.made_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("use up an invitation"))?;
            for entry in audit {
                self.add_audit(&mut tx, entry).await?;
            }
            commit(tx).await?;
            Ok(Made::Done)
        })
    }

    fn account_refuse<'a>(
        &'a self,
        operator: OperatorId,
        lock: LockAfter,
        refused: &'a AuditEntry,
        locked: &'a AuditEntry,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let row = sqlx::query(
                "UPDATE accounts SET failures = failures + 1 \
                 WHERE setting_id = $1 AND operator_id = $2 RETURNING failures",
            )
            .bind(&self.setting_text)
            .bind(operator.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed("count a refused try"))?;
            let Some(row) = row else {
                return Ok(false);
            };
            let locks = number(&row, "failures", WHAT)? >= lock.failures;
            self.add_audit(&mut tx, refused).await?;
            if locks {
                set_lock(&mut tx, &self.setting_text, operator, Some(lock.until)).await?;
                self.add_audit(&mut tx, locked).await?;
            }
            commit(tx).await?;
            Ok(locks)
        })
    }

    fn invitation_put<'a>(
        &'a self,
        invitation: &'a Invitation,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            put_invitation(&mut tx, &self.setting_text, invitation).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }

    fn invitation_find(&self, hash: Digest) -> Answer<'_, Option<(Invitation, Operator)>> {
        Box::pin(find_invitation(&self.readers, &self.setting_text, hash))
    }
}

/// Counting begins again with each lock, and with each sign-in.
pub(super) async fn set_lock(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
    until: Option<Timestamp>,
) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE accounts SET failures = 0, locked_until = $3 \
         WHERE setting_id = $1 AND operator_id = $2",
    )
    .bind(setting)
    .bind(operator.to_string())
    .bind(until.map(Timestamp::as_microsecond))
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("lock or unlock an account"))
}
