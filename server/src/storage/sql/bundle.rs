//! Issued bundles.

use super::value::{bytes, number, parsed, stored, text, time, to_base64};
use super::{SqlStorage, commit, failed};
use crate::storage::bundle::PastBundle;
use crate::storage::{Answer, BundleStore, IssuedBundle, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::trust::KeyId;
use sqlx::sqlite::SqliteRow;

const WHAT: &str = "a bundle";

fn issued(row: &SqliteRow, device: DeviceId) -> Result<IssuedBundle, StorageError> {
    Ok(IssuedBundle {
        device,
        generation: Generation::new(number(row, "generation", WHAT)?),
        content_digest: parsed(row, "content_digest", WHAT)?,
        holds_digest: parsed(row, "holds_digest", WHAT)?,
        issued_at: time(row, "issued_at", WHAT)?,
        expires_at: time(row, "expires_at", WHAT)?,
        signed: Signed {
            payload: text(row, "payload", WHAT)?,
            key_id: KeyId(parsed(row, "key_id", WHAT)?),
            signature: Base64(bytes(row, "signature", WHAT)?),
        },
    })
}

fn past(row: &SqliteRow) -> Result<PastBundle, StorageError> {
    Ok(PastBundle {
        generation: Generation::new(number(row, "generation", WHAT)?),
        payload_digest: parsed(row, "payload_digest", WHAT)?,
        issued_at: time(row, "issued_at", WHAT)?,
    })
}

impl BundleStore for SqlStorage {
    fn bundle_newest(&self, device: DeviceId) -> Answer<'_, Option<IssuedBundle>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM bundles WHERE setting_id = $1 AND device_id = $2 \
                 ORDER BY generation DESC LIMIT 1",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find a bundle"))?
            .as_ref()
            .map(|row| issued(row, device))
            .transpose()
        })
    }

    fn bundle_history(&self, device: DeviceId) -> Answer<'_, Vec<PastBundle>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT generation, payload_digest, issued_at FROM bundles \
                 WHERE setting_id = $1 AND device_id = $2 ORDER BY generation",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list bundles"))?
            .iter()
            .map(past)
            .collect()
        })
    }

    fn bundle_put<'a>(&'a self, bundle: &'a IssuedBundle) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let row = sqlx::query(
                "SELECT COALESCE(MAX(generation), 0) AS newest FROM bundles \
                 WHERE setting_id = $1 AND device_id = $2",
            )
            .bind(&self.setting_text)
            .bind(bundle.device.to_string())
            .fetch_one(&mut *tx)
            .await
            .map_err(failed("find the newest bundle"))?;
            if number(&row, "newest", WHAT)? >= bundle.generation.get() {
                return Ok(false);
            }
            sqlx::query(
                "UPDATE bundles SET payload = NULL \
                 WHERE setting_id = $1 AND device_id = $2 AND payload IS NOT NULL",
            )
            .bind(&self.setting_text)
            .bind(bundle.device.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("forget the text of older bundles"))?;
            sqlx::query(
                "INSERT INTO bundles (setting_id, device_id, generation, content_digest, \
                 payload_digest, holds_digest, issued_at, expires_at, key_id, signature, payload) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            )
            .bind(&self.setting_text)
            .bind(bundle.device.to_string())
            .bind(stored(bundle.generation.get()))
            .bind(bundle.content_digest.to_string())
            .bind(Digest::sha256(bundle.signed.payload.as_bytes()).to_string())
            .bind(bundle.holds_digest.to_string())
            .bind(bundle.issued_at.as_microsecond())
            .bind(bundle.expires_at.as_microsecond())
            .bind(bundle.signed.key_id.to_string())
            .bind(to_base64(&bundle.signed.signature.0))
            .bind(&bundle.signed.payload)
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a bundle"))?;
            commit(tx).await?;
            Ok(true)
        })
    }

    fn bundle_issued_until(&self, at: Timestamp) -> Answer<'_, Vec<DeviceId>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT b.device_id AS device_id FROM bundles b JOIN devices d \
                 ON d.setting_id = b.setting_id AND d.device_id = b.device_id \
                 WHERE b.setting_id = $1 AND b.payload IS NOT NULL AND b.issued_at <= $2 \
                 AND d.revoked_at IS NULL ORDER BY b.device_id",
            )
            .bind(&self.setting_text)
            .bind(at.as_microsecond())
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list bundles past half their life"))?;
            rows.iter()
                .map(|row| parsed(row, "device_id", WHAT))
                .collect()
        })
    }
}
