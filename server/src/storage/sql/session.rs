//! Sessions.

use super::account::set_lock;
use super::operator::operator;
use super::passkey;
use super::value::{stored, time};
use super::{SqlStorage, commit, failed};
use crate::storage::session::{Begun, Factor, NewSession, Session, SessionStore};
use crate::storage::{Answer, AuditEntry, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::OperatorId;
use sqlx::sqlite::SqliteConnection;

const WHAT: &str = "a session";

/// Whether it was still to be used, in which case it no longer is.
async fn use_up(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
    factor: Factor,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let done = match factor {
        Factor::Passkey { id, before, after } => {
            return passkey::use_up(tx, setting, operator, id, (before, after), now).await;
        }
        Factor::Totp { step } => {
            sqlx::query(
                "UPDATE accounts SET totp_step = $3 \
                 WHERE setting_id = $1 AND operator_id = $2 AND totp_step < $3",
            )
            .bind(setting)
            .bind(operator.to_string())
            .bind(stored(step))
            .execute(tx)
            .await
        }
        Factor::Recovery { hash } => {
            sqlx::query(
                "UPDATE recovery_codes SET used_at = $4 WHERE setting_id = $1 \
                 AND operator_id = $2 AND code_hash = $3 AND used_at IS NULL",
            )
            .bind(setting)
            .bind(operator.to_string())
            .bind(hash.to_string())
            .bind(now.as_microsecond())
            .execute(tx)
            .await
        }
    };
    done.map(|done| done.rows_affected() == 1)
        .map_err(failed("use up a code"))
}

async fn is_open(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
    now: Timestamp,
) -> Result<bool, StorageError> {
    sqlx::query(
        "SELECT 1 FROM accounts WHERE setting_id = $1 AND operator_id = $2 \
         AND (locked_until IS NULL OR locked_until <= $3)",
    )
    .bind(setting)
    .bind(operator.to_string())
    .bind(now.as_microsecond())
    .fetch_optional(tx)
    .await
    .map(|row| row.is_some())
    .map_err(failed("look whether an account is locked"))
}

/// Ends every session of an operator; how many there were.
pub(super) async fn end_of(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
) -> Result<u64, StorageError> {
    let done = sqlx::query("DELETE FROM sessions WHERE setting_id = $1 AND operator_id = $2")
        .bind(setting)
        .bind(operator.to_string())
        .execute(tx)
        .await
        .map_err(failed("end sessions"))?;
    Ok(done.rows_affected())
}

impl SessionStore for SqlStorage {
    fn session_begin<'a>(
        &'a self,
        session: &'a NewSession,
        factor: Factor,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Begun> {
        Box::pin(async move {
            let (setting, now) = (&self.setting_text, session.begun_at);
            let mut tx = self.write().await?;
            // Looked at again here: tries that came at the same time may have locked it meanwhile.
            if !is_open(&mut tx, setting, session.operator, now).await?
                || !use_up(&mut tx, setting, session.operator, factor, now).await?
            {
                return Ok(Begun::Refused);
            }
            set_lock(&mut tx, setting, session.operator, None).await?;
            sqlx::query("DELETE FROM sessions WHERE setting_id = $1 AND ends_at <= $2")
                .bind(setting)
                .bind(now.as_microsecond())
                .execute(&mut *tx)
                .await
                .map_err(failed("forget old sessions"))?;
            sqlx::query(
                "INSERT INTO sessions (setting_id, session_hash, operator_id, begun_at, seen_at, \
                 ends_at) VALUES ($1, $2, $3, $4, $4, $5)",
            )
            .bind(setting)
            .bind(session.hash.to_string())
            .bind(session.operator.to_string())
            .bind(now.as_microsecond())
            .bind(session.ends_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("begin a session"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Begun::Done)
        })
    }

    fn session_find(&self, hash: Digest) -> Answer<'_, Option<Session>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT o.*, s.begun_at, s.seen_at, s.ends_at FROM sessions s \
                 JOIN operators o ON o.setting_id = s.setting_id AND o.operator_id = s.operator_id \
                 WHERE s.setting_id = $1 AND s.session_hash = $2",
            )
            .bind(&self.setting_text)
            .bind(hash.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find a session"))?;
            row.map(|row| {
                Ok(Session {
                    operator: operator(&row)?,
                    begun_at: time(&row, "begun_at", WHAT)?,
                    seen_at: time(&row, "seen_at", WHAT)?,
                    ends_at: time(&row, "ends_at", WHAT)?,
                })
            })
            .transpose()
        })
    }

    fn session_seen(&self, hash: Digest, at: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            sqlx::query(
                "UPDATE sessions SET seen_at = $3 WHERE setting_id = $1 AND session_hash = $2",
            )
            .bind(&self.setting_text)
            .bind(hash.to_string())
            .bind(at.as_microsecond())
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(failed("note that a session goes on"))
        })
    }

    fn session_end<'a>(&'a self, hash: Digest, audit: &'a AuditEntry) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let done =
                sqlx::query("DELETE FROM sessions WHERE setting_id = $1 AND session_hash = $2")
                    .bind(&self.setting_text)
                    .bind(hash.to_string())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed("end a session"))?;
            if done.rows_affected() > 0 {
                self.add_audit(&mut tx, audit).await?;
            }
            commit(tx).await
        })
    }

    fn session_end_all<'a>(
        &'a self,
        operator: OperatorId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, u64> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let ended = end_of(&mut tx, &self.setting_text, operator).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(ended)
        })
    }
}
