//! Nonces.

use super::value::number;
use super::{SqlStorage, commit, failed};
use crate::storage::{Answer, NonceStore};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;

fn hash(nonce: &str) -> String {
    Digest::of_parts("nestwarden/nonce/v1", &[nonce.as_bytes()]).to_string()
}

impl NonceStore for SqlStorage {
    fn nonce_put<'a>(
        &'a self,
        nonce: &'a str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query("DELETE FROM nonces WHERE setting_id = $1 AND expires_at <= $2")
                .bind(&self.setting_text)
                .bind(now.as_microsecond())
                .execute(&mut *tx)
                .await
                .map_err(failed("forget old nonces"))?;
            sqlx::query(
                "INSERT INTO nonces (setting_id, nonce_hash, expires_at) VALUES ($1, $2, $3)",
            )
            .bind(&self.setting_text)
            .bind(hash(nonce))
            .bind(expires_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(failed("add a nonce"))?;
            commit(tx).await
        })
    }

    fn nonce_take<'a>(&'a self, nonce: &'a str, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move {
            sqlx::query(
                "DELETE FROM nonces WHERE setting_id = $1 AND nonce_hash = $2 AND expires_at > $3",
            )
            .bind(&self.setting_text)
            .bind(hash(nonce))
            .bind(now.as_microsecond())
            .execute(&self.writer)
            .await
            .map(|done| done.rows_affected() == 1)
            .map_err(failed("use up a nonce"))
        })
    }

    fn nonce_count(&self, now: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT COUNT(*) AS open FROM nonces WHERE setting_id = $1 AND expires_at > $2",
            )
            .bind(&self.setting_text)
            .bind(now.as_microsecond())
            .fetch_one(&self.readers)
            .await
            .map_err(failed("count nonces"))?;
            number(&row, "open", "a count of nonces")
        })
    }
}
