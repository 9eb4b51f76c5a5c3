//! Decisions about photos.

use super::value::{json, optional_text, optional_time, parsed, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::decision::{DecisionStore, UnsealDecision, Unsealing, UnsealingKept};
use crate::storage::hold::HoldAct;
use crate::storage::{Answer, AuditEntry, StorageError};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{FoundPhotos, TagCorrection};
use nestwarden_policy_schema::id::{DeviceId, PhotoId};
use sqlx::sqlite::SqliteRow;

const WHAT: &str = "a decision about a photo";

fn decision(row: &SqliteRow) -> Result<UnsealDecision, StorageError> {
    Ok(UnsealDecision {
        device: parsed(row, "device_id", WHAT)?,
        photo: parsed(row, "photo_id", WHAT)?,
        reason: text(row, "reason", WHAT)?,
        asked: HoldAct {
            by: text(row, "asked_by", WHAT)?,
            at: time(row, "asked_at", WHAT)?,
        },
        confirmed: optional_text(row, "confirmed_by", WHAT)?
            .zip(optional_time(row, "confirmed_at", WHAT)?)
            .map(|(by, at)| HoldAct { by, at }),
    })
}

impl DecisionStore for SqlStorage {
    fn correction_list(&self) -> Answer<'_, Vec<(DeviceId, TagCorrection)>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT device_id, correction FROM photo_corrections WHERE setting_id = $1 \
                 ORDER BY device_id, photo_id",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list corrections"))?
            .iter()
            .map(|row| {
                Ok((
                    parsed(row, "device_id", WHAT)?,
                    json(row, "correction", WHAT)?,
                ))
            })
            .collect()
        })
    }

    fn correction_put<'a>(
        &'a self,
        device: DeviceId,
        correction: &'a TagCorrection,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "INSERT INTO photo_corrections (setting_id, device_id, photo_id, correction) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (setting_id, device_id, photo_id) \
                 DO UPDATE SET correction = excluded.correction",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(correction.photo.to_string())
            .bind(to_json(correction, WHAT)?)
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a correction"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }

    fn found_list(&self) -> Answer<'_, Vec<(DeviceId, FoundPhotos)>> {
        Box::pin(async move {
            sqlx::query("SELECT device_id, found FROM found_photos WHERE setting_id = $1")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list decisions on found photos"))?
                .iter()
                .map(|row| Ok((parsed(row, "device_id", WHAT)?, json(row, "found", WHAT)?)))
                .collect()
        })
    }

    fn found_put<'a>(
        &'a self,
        device: DeviceId,
        found: &'a FoundPhotos,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "INSERT INTO found_photos (setting_id, device_id, found) VALUES ($1, $2, $3) \
                 ON CONFLICT (setting_id, device_id) DO UPDATE SET found = excluded.found",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(to_json(found, WHAT)?)
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a decision on found photos"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }

    fn unseal_decision(
        &self,
        device: DeviceId,
        photo: PhotoId,
    ) -> Answer<'_, Option<UnsealDecision>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM unseal_decisions WHERE setting_id = $1 AND device_id = $2 \
                 AND photo_id = $3",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(photo.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find a decision to unseal"))?
            .as_ref()
            .map(decision)
            .transpose()
        })
    }

    fn unseal_decide<'a>(
        &'a self,
        decision: &'a UnsealDecision,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let confirmed = decision.confirmed.as_ref();
            sqlx::query(
                "INSERT INTO unseal_decisions (setting_id, device_id, photo_id, reason, asked_by, \
                 asked_at, confirmed_by, confirmed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (setting_id, device_id, photo_id) DO UPDATE SET \
                 reason = excluded.reason, asked_by = excluded.asked_by, \
                 asked_at = excluded.asked_at, confirmed_by = excluded.confirmed_by, \
                 confirmed_at = excluded.confirmed_at",
            )
            .bind(&self.setting_text)
            .bind(decision.device.to_string())
            .bind(decision.photo.to_string())
            .bind(&decision.reason)
            .bind(&decision.asked.by)
            .bind(decision.asked.at.as_microsecond())
            .bind(confirmed.map(|act| act.by.as_str()))
            .bind(confirmed.map(|act| act.at.as_microsecond()))
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a decision to unseal"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await
        })
    }

    fn unseal_keep<'a>(
        &'a self,
        unsealing: &'a Unsealing,
        audit: &'a AuditEntry,
    ) -> Answer<'a, UnsealingKept> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let sealed_at = unsealing.sealed_at.map(|at| at.to_string());
            let sealed_at = sealed_at.unwrap_or_default();
            let bound = sqlx::query(
                "SELECT stanza_digest, device_id, photo_id, sealed_at FROM unsealed_files \
                 WHERE setting_id = $1 AND (stanza_digest = $2 \
                 OR (device_id = $3 AND photo_id = $4 AND sealed_at = $5))",
            )
            .bind(&self.setting_text)
            .bind(unsealing.stanza.to_string())
            .bind(unsealing.device.to_string())
            .bind(unsealing.photo.to_string())
            .bind(&sealed_at)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed("find what a sealed file was opened as"))?;
            for row in &bound {
                let stanza: Digest = parsed(row, "stanza_digest", WHAT)?;
                let device: DeviceId = parsed(row, "device_id", WHAT)?;
                let photo: PhotoId = parsed(row, "photo_id", WHAT)?;
                let asked = (unsealing.stanza, unsealing.device, unsealing.photo);
                if (stanza, device, photo) != asked {
                    return Ok(UnsealingKept::OtherFile);
                }
            }
            if bound.is_empty() {
                sqlx::query(
                    "INSERT INTO unsealed_files (setting_id, stanza_digest, device_id, photo_id, \
                     sealed_at, answered_at) VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(&self.setting_text)
                .bind(unsealing.stanza.to_string())
                .bind(unsealing.device.to_string())
                .bind(unsealing.photo.to_string())
                .bind(&sealed_at)
                .bind(unsealing.at.as_microsecond())
                .execute(&mut *tx)
                .await
                .map_err(failed("bind a sealed file to its photo"))?;
            }
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(UnsealingKept::Yes)
        })
    }
}
