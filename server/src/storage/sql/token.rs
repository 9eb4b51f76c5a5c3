//! Enrolment tokens.

use super::device::{insert, insert_key};
use super::value::{json, optional_text, optional_time, parsed, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::{
    Answer, AuditEntry, Device, DeviceKey, EnrolOutcome, EnrolToken, StorageError, TokenStore,
};
use nestwarden_policy_schema::bytes::Digest;

const WHAT: &str = "an enrolment token";

async fn find(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    hash: Digest,
) -> Result<Option<EnrolToken>, StorageError> {
    let found = sqlx::query("SELECT * FROM enrol_tokens WHERE setting_id = $1 AND token_hash = $2")
        .bind(setting)
        .bind(hash.to_string())
        .fetch_optional(on)
        .await
        .map_err(failed("find an enrolment token"))?;
    let Some(row) = found.as_ref() else {
        return Ok(None);
    };
    Ok(Some(EnrolToken {
        hash: parsed(row, "token_hash", WHAT)?,
        name: text(row, "name", WHAT)?,
        profile: text(row, "profile", WHAT)?,
        rooms: json(row, "rooms", WHAT)?,
        created_at: time(row, "created_at", WHAT)?,
        expires_at: time(row, "expires_at", WHAT)?,
        used_at: optional_time(row, "used_at", WHAT)?,
        used_by: match optional_text(row, "used_by", WHAT)? {
            Some(_) => Some(parsed(row, "used_by", WHAT)?),
            None => None,
        },
    }))
}

impl TokenStore for SqlStorage {
    fn token_create<'a>(&'a self, token: &'a EnrolToken, audit: &'a AuditEntry) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "INSERT INTO enrol_tokens (setting_id, token_hash, name, profile, rooms, \
                 created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&self.setting_text)
            .bind(token.hash.to_string())
            .bind(&token.name)
            .bind(&token.profile)
            .bind(to_json(&token.rooms, WHAT)?)
            .bind(token.created_at.as_microsecond())
            .bind(token.expires_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("add an enrolment token"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }

    fn token_find(&self, hash: Digest) -> Answer<'_, Option<EnrolToken>> {
        Box::pin(find(&self.readers, &self.setting_text, hash))
    }

    fn token_redeem<'a>(
        &'a self,
        hash: Digest,
        device: &'a Device,
        key: &'a DeviceKey,
    ) -> Answer<'a, EnrolOutcome> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match find(&mut *tx, &self.setting_text, hash).await? {
                None => return Ok(EnrolOutcome::TokenUnknown),
                Some(token) if token.used_at.is_some() => return Ok(EnrolOutcome::TokenUsed),
                Some(token) if token.expires_at <= device.enrolled_at => {
                    return Ok(EnrolOutcome::TokenExpired);
                }
                Some(_) => {}
            }
            insert(&mut tx, &self.setting_text, device).await?;
            insert_key(&mut tx, &self.setting_text, key).await?;
            sqlx::query(
                "UPDATE enrol_tokens SET used_at = $3, used_by = $4 \
                 WHERE setting_id = $1 AND token_hash = $2",
            )
            .bind(&self.setting_text)
            .bind(hash.to_string())
            .bind(device.enrolled_at.as_microsecond())
            .bind(device.id.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("use up an enrolment token"))?;
            self.touch_inputs(&mut tx).await?;
            let audit = AuditEntry {
                at: device.enrolled_at,
                who: format!("device:{}", device.id),
                act: "device.enrol".to_owned(),
                subject: device.id.to_string(),
                detail: serde_json::json!({ "name": device.name, "profile": device.profile }),
            };
            self.add_audit(&mut tx, &audit).await?;
            commit(tx).await?;
            Ok(EnrolOutcome::Enrolled)
        })
    }
}
