//! Devices and their keys.

use super::value::{
    bytes, json, optional_text, optional_time, parsed, text, time, to_base64, to_json,
};
use super::{SqlStorage, commit, failed};
use crate::storage::{
    Answer, AuditEntry, Changed, Device, DeviceKey, DeviceStore, Revocation, StorageError,
};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::policy::Policy;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::BTreeSet;

const WHAT: &str = "a device";

/// Hearing from a tablet is written down no more often than this.
const SEEN_EVERY: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn device(row: &SqliteRow) -> Result<Device, StorageError> {
    let revoked_at = optional_time(row, "revoked_at", WHAT)?;
    let reason = optional_text(row, "revoked_why", WHAT)?.unwrap_or_default();
    Ok(Device {
        id: parsed(row, "device_id", WHAT)?,
        name: text(row, "name", WHAT)?,
        profile: text(row, "profile", WHAT)?,
        rooms: json(row, "rooms", WHAT)?,
        overrides: json(row, "overrides", WHAT)?,
        platform: text(row, "platform", WHAT)?,
        agent_version: text(row, "agent_version", WHAT)?,
        time_zone_data: text(row, "time_zone_data", WHAT)?,
        enrolled_at: time(row, "enrolled_at", WHAT)?,
        last_seen_at: optional_time(row, "last_seen_at", WHAT)?,
        revoked: revoked_at.map(|at| Revocation { at, reason }),
    })
}

fn key(row: &SqliteRow, device: DeviceId) -> Result<DeviceKey, StorageError> {
    Ok(DeviceKey {
        device,
        public_key: bytes(row, "public_key", WHAT)?,
        certificate: bytes(row, "certificate", WHAT)?,
        issued_at: time(row, "issued_at", WHAT)?,
        expires_at: time(row, "expires_at", WHAT)?,
    })
}

/// Adds a device; its first key follows.
pub(super) async fn insert(
    tx: &mut SqliteConnection,
    setting: &str,
    device: &Device,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO devices (setting_id, device_id, name, profile, rooms, overrides, platform, \
         agent_version, time_zone_data, enrolled_at, last_seen_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(setting)
    .bind(device.id.to_string())
    .bind(&device.name)
    .bind(&device.profile)
    .bind(to_json(&device.rooms, WHAT)?)
    .bind(to_json(&device.overrides, WHAT)?)
    .bind(&device.platform)
    .bind(&device.agent_version)
    .bind(&device.time_zone_data)
    .bind(device.enrolled_at.as_microsecond())
    .bind(device.last_seen_at.map(Timestamp::as_microsecond))
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("add a device"))
}

pub(super) async fn insert_key(
    tx: &mut SqliteConnection,
    setting: &str,
    key: &DeviceKey,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO device_keys (setting_id, device_id, public_key, certificate, issued_at, \
         expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(setting)
    .bind(key.device.to_string())
    .bind(to_base64(&key.public_key))
    .bind(to_base64(&key.certificate))
    .bind(key.issued_at.as_microsecond())
    .bind(key.expires_at.as_microsecond())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("add a device key"))
}

pub(super) async fn find(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    id: DeviceId,
) -> Result<Option<Device>, StorageError> {
    sqlx::query("SELECT * FROM devices WHERE setting_id = $1 AND device_id = $2")
        .bind(setting)
        .bind(id.to_string())
        .fetch_optional(on)
        .await
        .map_err(failed("find a device"))?
        .as_ref()
        .map(device)
        .transpose()
}

impl DeviceStore for SqlStorage {
    fn device_list(&self) -> Answer<'_, Vec<Device>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM devices WHERE setting_id = $1 ORDER BY name, device_id")
                .bind(&self.setting_text)
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list devices"))?
                .iter()
                .map(device)
                .collect()
        })
    }

    fn device_find(&self, device: DeviceId) -> Answer<'_, Option<Device>> {
        Box::pin(find(&self.readers, &self.setting_text, device))
    }

    fn device_seen(&self, device: DeviceId, at: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let due = find(&self.readers, &self.setting_text, device)
                .await?
                .is_some_and(|d| {
                    d.last_seen_at
                        .is_none_or(|seen| at.duration_since(seen) >= SEEN_EVERY)
                });
            if !due {
                return Ok(());
            }
            sqlx::query(
                "UPDATE devices SET last_seen_at = $3 WHERE setting_id = $1 AND device_id = $2",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(at.as_microsecond())
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(failed("note that a device was heard from"))
        })
    }

    fn device_keys(&self, device: DeviceId) -> Answer<'_, Vec<DeviceKey>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT * FROM device_keys WHERE setting_id = $1 AND device_id = $2 \
                 ORDER BY issued_at DESC, public_key",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list a device's keys"))?
            .iter()
            .map(|row| key(row, device))
            .collect()
        })
    }

    fn device_key_add<'a>(&'a self, key: &'a DeviceKey) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let device = find(&mut *tx, &self.setting_text, key.device).await?;
            if device.is_none_or(|d| d.revoked.is_some()) {
                return Ok(Changed::Missing);
            }
            insert_key(&mut tx, &self.setting_text, key).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn device_revoke<'a>(
        &'a self,
        device: DeviceId,
        revocation: &'a Revocation,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match find(&mut *tx, &self.setting_text, device).await? {
                None => return Ok(Changed::Missing),
                Some(known) if known.revoked.is_some() => return Ok(Changed::Already),
                Some(_) => {}
            }
            sqlx::query(
                "UPDATE devices SET revoked_at = $3, revoked_why = $4 \
                 WHERE setting_id = $1 AND device_id = $2",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(revocation.at.as_microsecond())
            .bind(&revocation.reason)
            .execute(&mut *tx)
            .await
            .map_err(failed("revoke a device"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn device_set_rooms<'a>(
        &'a self,
        device: DeviceId,
        rooms: &'a BTreeSet<RoomName>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match find(&mut *tx, &self.setting_text, device).await? {
                None => return Ok(Changed::Missing),
                Some(known) if known.rooms == *rooms => return Ok(Changed::Already),
                Some(_) => {}
            }
            sqlx::query("UPDATE devices SET rooms = $3 WHERE setting_id = $1 AND device_id = $2")
                .bind(&self.setting_text)
                .bind(device.to_string())
                .bind(to_json(rooms, WHAT)?)
                .execute(&mut *tx)
                .await
                .map_err(failed("set a device's rooms"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn device_set_overrides<'a>(
        &'a self,
        device: DeviceId,
        overrides: &'a [Policy],
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            match find(&mut *tx, &self.setting_text, device).await? {
                None => return Ok(Changed::Missing),
                Some(known) if known.overrides == overrides => return Ok(Changed::Already),
                Some(_) => {}
            }
            sqlx::query(
                "UPDATE devices SET overrides = $3 WHERE setting_id = $1 AND device_id = $2",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(to_json(overrides, WHAT)?)
            .execute(&mut *tx)
            .await
            .map_err(failed("set a device's overrides"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }
}
