//! Passcodes that wait for their tablet. The writing connection overwrites what it deletes (`secure_delete`), and the log is
//! emptied afterwards: it holds pages as they were.

use super::value::{optional_text, parsed, to_base64};
use super::{SqlStorage, StorageError, command, commit, device, failed};
use crate::storage::command::{CommandAdded, HourlyLimit};
use crate::storage::passcode::{Erased, PasscodeStore, WaitingPasscode};
use crate::storage::{Answer, AuditEntry};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use nestwarden_policy_schema::command::ApprovedCommand;
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

const WHAT: &str = "a passcode that waits";

const WITH_COMMANDS: &str = "SELECT c.*, w.sealed, d.revoked_at FROM commands c \
     JOIN waiting_passcodes w USING (setting_id, device_id, command_id) \
     JOIN devices d USING (setting_id, device_id) WHERE c.setting_id = $1";

fn has_ended(row: &SqliteRow, now: Timestamp) -> Result<bool, StorageError> {
    let revoked_at: Option<i64> = row
        .try_get("revoked_at")
        .map_err(failed("read a passcode that waits"))?;
    let known = command::command(row)?;
    Ok(revoked_at.is_some()
        || known.outcome.is_some()
        || known.cancelled.is_some()
        || known.command.command.expires_at <= now)
}

impl SqlStorage {
    async fn ended(
        &self,
        on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
        now: Timestamp,
    ) -> Result<Vec<(DeviceId, CommandId)>, StorageError> {
        let rows = sqlx::query(WITH_COMMANDS)
            .bind(&self.setting_text)
            .fetch_all(on)
            .await
            .map_err(failed("list the passcodes that wait"))?;
        let mut ended = Vec::new();
        for row in &rows {
            if has_ended(row, now)? {
                let of = (
                    parsed(row, "device_id", WHAT)?,
                    parsed(row, "command_id", WHAT)?,
                );
                ended.push(of);
            }
        }
        Ok(ended)
    }
}

impl PasscodeStore for SqlStorage {
    fn passcode_add<'a>(
        &'a self,
        approved: &'a ApprovedCommand,
        sealed: &'a [u8],
        limit: HourlyLimit,
        audit: &'a AuditEntry,
    ) -> Answer<'a, CommandAdded> {
        Box::pin(async move {
            let new = &approved.command;
            let mut tx = self.write().await?;
            let found = device::find(&mut *tx, &self.setting_text, new.device).await?;
            if found.is_none_or(|device| device.revoked.is_some()) {
                return Ok(CommandAdded::Missing);
            }
            if let Some(until) =
                command::limited_until(&mut tx, &self.setting_text, new, limit).await?
            {
                return Ok(CommandAdded::TooMany { until });
            }
            let before = command::list(&mut *tx, &self.setting_text, new.device).await?;
            for row in before {
                let is_passcode = row.command.command.kind.passcode_reason().is_some();
                if is_passcode && row.outcome.is_none() && row.cancelled.is_none() {
                    let id = row.command.command.id;
                    command::mark_cancelled(&mut tx, &self.setting_text, new.device, id, audit)
                        .await?;
                }
            }
            command::insert(&mut tx, &self.setting_text, approved, &audit.who).await?;
            sqlx::query(
                "INSERT INTO waiting_passcodes (setting_id, device_id, command_id, sealed) \
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(&self.setting_text)
            .bind(new.device.to_string())
            .bind(new.id.to_string())
            .bind(to_base64(sealed))
            .execute(&mut *tx)
            .await
            .map_err(failed("keep a passcode"))?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(CommandAdded::Yes)
        })
    }

    fn passcode_find(
        &self,
        device: DeviceId,
        command: CommandId,
    ) -> Answer<'_, Option<WaitingPasscode>> {
        Box::pin(async move {
            let found = sqlx::query(
                "SELECT c.*, w.sealed FROM commands c \
                 LEFT JOIN waiting_passcodes w USING (setting_id, device_id, command_id) \
                 WHERE c.setting_id = $1 AND c.device_id = $2 AND c.command_id = $3",
            )
            .bind(&self.setting_text)
            .bind(device.to_string())
            .bind(command.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find a passcode that waits"))?;
            let Some(found) = found else {
                return Ok(None);
            };
            let row = command::command(&found)?;
            if row.command.command.kind.passcode_reason().is_none() {
                return Ok(None);
            }
            let sealed = optional_text(&found, "sealed", WHAT)?
                .map(|text| STANDARD.decode(text))
                .transpose()
                .map_err(|_| StorageError::Corrupt {
                    what: WHAT,
                    problem: "it is no base64".to_owned(),
                })?;
            Ok(Some(WaitingPasscode { row, sealed }))
        })
    }

    fn passcode_ended(&self, now: Timestamp) -> Answer<'_, usize> {
        Box::pin(async move { Ok(self.ended(&self.readers, now).await?.len()) })
    }

    fn passcode_erase_ended(&self, now: Timestamp) -> Answer<'_, Erased> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            for (device, command) in self.ended(&mut *tx, now).await? {
                sqlx::query(
                    "DELETE FROM waiting_passcodes \
                     WHERE setting_id = $1 AND device_id = $2 AND command_id = $3",
                )
                .bind(&self.setting_text)
                .bind(device.to_string())
                .bind(command.to_string())
                .execute(&mut *tx)
                .await
                .map_err(failed("erase a passcode"))?;
            }
            commit(tx).await?;
            self.empty_log().await
        })
    }
}
