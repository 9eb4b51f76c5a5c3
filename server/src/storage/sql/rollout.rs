//! Versions of profiles that some tablets have before the others.

use super::value::{json, number, optional_text, parsed, stored, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::{
    Answer, AuditEntry, Changed, Ended, Joined, Rollout, RolloutStore, Stopped, StorageError,
};
use jiff::Timestamp;
use nestwarden_policy_schema::id::DeviceId;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::{BTreeMap, BTreeSet};

const WHAT: &str = "a roll-out";

/// Ends what is under way of a profile, if anything is.
pub(super) async fn end(
    tx: &mut SqliteConnection,
    (setting, profile): (&str, &str),
    (at, how): (Timestamp, Ended),
) -> Result<bool, StorageError> {
    let ended = sqlx::query(
        "UPDATE rollouts SET ended_at = $3, ended = $4 \
         WHERE setting_id = $1 AND profile = $2 AND ended_at IS NULL",
    )
    .bind(setting)
    .bind(profile)
    .bind(at.as_microsecond())
    .bind(how.as_str())
    .execute(tx)
    .await
    .map_err(failed("end a roll-out"))?;
    Ok(ended.rows_affected() > 0)
}

/// The text that is tried of a profile.
pub(super) async fn tried(
    tx: &mut SqliteConnection,
    (setting, profile): (&str, &str),
) -> Result<Option<String>, StorageError> {
    let row = sqlx::query(
        "SELECT source FROM rollouts WHERE setting_id = $1 AND profile = $2 AND ended_at IS NULL",
    )
    .bind(setting)
    .bind(profile)
    .fetch_optional(tx)
    .await
    .map_err(failed("find a roll-out"))?;
    row.map(|row| text(&row, "source", WHAT)).transpose()
}

impl SqlStorage {
    async fn rollout_join(
        &self,
        tx: &mut SqliteConnection,
        (profile, begun_at): (&str, Timestamp),
        tablets: &BTreeMap<DeviceId, Joined>,
    ) -> Result<(), StorageError> {
        for (device, joined) in tablets {
            sqlx::query(
                "INSERT INTO rollout_tablets \
                 (setting_id, profile, begun_at, device_id, joined_at, already) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(&self.setting_text)
            .bind(profile)
            .bind(begun_at.as_microsecond())
            .bind(device.to_string())
            .bind(joined.at.as_microsecond())
            .bind(to_json(&joined.already, WHAT)?)
            .execute(&mut *tx)
            .await
            .map_err(failed("add a tablet to a roll-out"))?;
        }
        Ok(())
    }

    async fn rollout_set_stopped(
        &self,
        tx: &mut SqliteConnection,
        (profile, begun_at): (&str, Timestamp),
        why: Option<String>,
    ) -> Result<(), StorageError> {
        sqlx::query(
            "UPDATE rollouts SET stopped = $4 \
             WHERE setting_id = $1 AND profile = $2 AND begun_at = $3",
        )
        .bind(&self.setting_text)
        .bind(profile)
        .bind(begun_at.as_microsecond())
        .bind(why)
        .execute(tx)
        .await
        .map(drop)
        .map_err(failed("stop a roll-out"))
    }

    /// Whether it is stopped; `None`: it is over.
    async fn rollout_state(
        &self,
        tx: &mut SqliteConnection,
        (profile, begun_at): (&str, Timestamp),
    ) -> Result<Option<bool>, StorageError> {
        let row = sqlx::query(
            "SELECT stopped FROM rollouts WHERE setting_id = $1 AND profile = $2 \
             AND begun_at = $3 AND ended_at IS NULL",
        )
        .bind(&self.setting_text)
        .bind(profile)
        .bind(begun_at.as_microsecond())
        .fetch_optional(tx)
        .await
        .map_err(failed("find a roll-out"))?;
        row.map(|row| Ok(optional_text(&row, "stopped", WHAT)?.is_some()))
            .transpose()
    }
}

fn head(row: &SqliteRow) -> Result<Rollout, StorageError> {
    let is_stopped = optional_text(row, "stopped", WHAT)?.is_some();
    Ok(Rollout {
        profile: text(row, "profile", WHAT)?,
        begun_at: time(row, "begun_at", WHAT)?,
        begun_by: text(row, "begun_by", WHAT)?,
        source: text(row, "source", WHAT)?,
        on_version: number(row, "on_version", WHAT)?,
        stopped: is_stopped.then(|| json(row, "stopped", WHAT)).transpose()?,
        tablets: BTreeMap::new(),
    })
}

impl RolloutStore for SqlStorage {
    fn rollout_list(&self) -> Answer<'_, Vec<Rollout>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT r.*, t.device_id, t.joined_at, t.already, t.excused FROM rollouts r \
                 JOIN rollout_tablets t ON t.setting_id = r.setting_id AND t.profile = r.profile \
                 AND t.begun_at = r.begun_at \
                 WHERE r.setting_id = $1 AND r.ended_at IS NULL ORDER BY r.profile",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list roll-outs"))?;
            let mut found: BTreeMap<String, Rollout> = BTreeMap::new();
            for row in &rows {
                let rollout = head(row)?;
                let joined = Joined {
                    at: time(row, "joined_at", WHAT)?,
                    already: json(row, "already", WHAT)?,
                    excused: number(row, "excused", WHAT)? > 0,
                };
                let of = found.entry(rollout.profile.clone()).or_insert(rollout);
                of.tablets.insert(parsed(row, "device_id", WHAT)?, joined);
            }
            Ok(found.into_values().collect())
        })
    }

    fn rollout_then(
        &self,
        device: DeviceId,
        at: Timestamp,
    ) -> Answer<'_, Option<(String, Timestamp)>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT r.source, t.joined_at FROM rollout_tablets t \
                 JOIN rollouts r ON r.setting_id = t.setting_id AND r.profile = t.profile \
                 AND r.begun_at = t.begun_at \
                 WHERE t.setting_id = $1 AND t.device_id = $2 AND t.joined_at < $3 \
                 AND (r.ended_at IS NULL OR r.ended_at >= $3) ORDER BY t.joined_at DESC LIMIT 1",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(at.as_microsecond())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find what a tablet had before the others"))?;
            row.map(|row| Ok((text(&row, "source", WHAT)?, time(&row, "joined_at", WHAT)?)))
                .transpose()
        })
    }

    fn rollout_begin<'a>(
        &'a self,
        rollout: &'a Rollout,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            // Only where nothing of this profile is under way, and what it was compared with is live still.
            let begun = sqlx::query(
                "INSERT INTO rollouts (setting_id, profile, begun_at, begun_by, source, on_version) \
                 SELECT $1, $2, $3, $4, $5, $6 \
                 WHERE $6 = (SELECT MAX(version) FROM profiles WHERE setting_id = $1 AND name = $2) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(&self.setting_text)
            .bind(&rollout.profile)
            .bind(rollout.begun_at.as_microsecond())
            .bind(&rollout.begun_by)
            .bind(&rollout.source)
            .bind(stored(rollout.on_version))
            .execute(&mut *tx)
            .await
            .map_err(failed("begin a roll-out"))?;
            if begun.rows_affected() == 0 {
                return Ok(Changed::Already);
            }
            let this = (rollout.profile.as_str(), rollout.begun_at);
            self.rollout_join(&mut tx, this, &rollout.tablets).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn rollout_add<'a>(
        &'a self,
        this: (&'a str, Timestamp),
        tablets: &'a BTreeMap<DeviceId, Joined>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match self.rollout_state(&mut tx, this).await? {
                None => return Ok(Changed::Missing),
                Some(true) => return Ok(Changed::Already),
                Some(false) => {}
            }
            self.rollout_join(&mut tx, this, tablets).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn rollout_stop<'a>(
        &'a self,
        this: (&'a str, Timestamp),
        stopped: &'a Stopped,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match self.rollout_state(&mut tx, this).await? {
                None => return Ok(Changed::Missing),
                Some(true) => return Ok(Changed::Already),
                Some(false) => {}
            }
            let why = to_json(stopped, WHAT)?;
            self.rollout_set_stopped(&mut tx, this, Some(why)).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn rollout_go_on<'a>(
        &'a self,
        this: (&'a str, Timestamp),
        excused: &'a BTreeSet<DeviceId>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match self.rollout_state(&mut tx, this).await? {
                None => return Ok(Changed::Missing),
                Some(false) => return Ok(Changed::Already),
                Some(true) => {}
            }
            self.rollout_set_stopped(&mut tx, this, None).await?;
            for device in excused {
                sqlx::query(
                    "UPDATE rollout_tablets SET excused = 1 WHERE setting_id = $1 \
                     AND profile = $2 AND begun_at = $3 AND device_id = $4",
                )
                .bind(&self.setting_text)
                .bind(this.0)
                .bind(this.1.as_microsecond())
                .bind(device.to_string())
                .execute(&mut *tx)
                .await
                .map_err(failed("excuse a tablet from a roll-out"))?;
            }
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn rollout_take_back<'a>(
        &'a self,
        this: (&'a str, Timestamp),
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            if self.rollout_state(&mut tx, this).await?.is_none() {
                return Ok(Changed::Missing);
            }
            let of = (self.setting_text.as_str(), this.0);
            end(&mut tx, of, (audit.at, Ended::TakenBack)).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }
}
