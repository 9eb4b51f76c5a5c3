//! Commands. What a tablet says of one is read in the transaction that keeps its events.

use super::value::{json, optional_text, optional_time, text, to_json};
use super::{SqlStorage, StorageError, commit, device, failed};
use crate::storage::command::{
    Cancelled, CommandAdded, CommandOutcome, CommandRow, CommandStore, DONE, HourlyLimit,
};
use crate::storage::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind, said};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const WHAT: &str = "a command";
/// Of what a tablet says.
const MAX_TEXT_CHARS: usize = 400;

pub(super) fn command(row: &SqliteRow) -> Result<CommandRow, StorageError> {
    let said = optional_text(row, "outcome", WHAT)?;
    Ok(CommandRow {
        command: json(row, "command", WHAT)?,
        ordered_by: text(row, "ordered_by", WHAT)?,
        cancelled: optional_text(row, "cancelled_by", WHAT)?
            .zip(optional_time(row, "cancelled_at", WHAT)?)
            .map(|(by, at)| Cancelled { by, at }),
        outcome: said
            .zip(optional_time(row, "outcome_at", WHAT)?)
            .map(|(said, at)| CommandOutcome { said, at }),
    })
}

pub(super) async fn list(
    on: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    setting: &str,
    device: DeviceId,
) -> Result<Vec<CommandRow>, StorageError> {
    sqlx::query(
        "SELECT * FROM commands WHERE setting_id = $1 AND device_id = $2 ORDER BY command_id",
    )
    .bind(setting)
    .bind(device.to_string())
    .fetch_all(on)
    .await
    .map_err(failed("list commands"))?
    .iter()
    .map(command)
    .collect()
}

pub(super) async fn insert(
    tx: &mut SqliteConnection,
    setting: &str,
    approved: &ApprovedCommand,
    ordered_by: &str,
) -> Result<(), StorageError> {
    let new = &approved.command;
    sqlx::query(
        "INSERT INTO commands (setting_id, device_id, command_id, command, ordered_by, kind) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(setting)
    .bind(new.device.to_string())
    .bind(new.id.to_string())
    .bind(to_json(approved, WHAT)?)
    .bind(ordered_by)
    .bind(new.kind.name())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("keep a command"))
}

/// Whether a later word says otherwise, so that this one is no longer what was asked for last.
fn is_overtaken(row: &CommandRow, all: &[CommandRow]) -> bool {
    let command = &row.command.command;
    let other = match command.kind {
        CommandKind::Lost => CommandKind::Found,
        CommandKind::Found => CommandKind::Lost,
        CommandKind::Refresh
        | CommandKind::Lock
        | CommandKind::Message { .. }
        | CommandKind::RotatePasscode
        | CommandKind::SetPasscode { .. }
        | CommandKind::Unenrol
        | CommandKind::Wipe => return false,
    };
    all.iter().any(|later| {
        let is_later = later.command.command.issued_at > command.issued_at;
        is_later && later.cancelled.is_none() && later.command.command.kind == other
    })
}

/// From when on one more command that disrupts a tablet is taken; `None`: at `now`.
pub(super) async fn limited_until(
    tx: &mut SqliteConnection,
    setting: &str,
    new: &Command,
    HourlyLimit(most): HourlyLimit,
) -> Result<Option<Timestamp>, StorageError> {
    if !new.kind.is_disruptive() {
        return Ok(None);
    }
    // Ids grow with time, so the newest come from the index alone.
    let last = sqlx::query(
        "SELECT command FROM commands WHERE setting_id = $1 AND kind IN \
         ('lock', 'rotate_passcode', 'set_passcode', 'lost', 'unenrol', 'wipe') \
         ORDER BY command_id DESC LIMIT 1 OFFSET $2",
    )
    .bind(setting)
    .bind(i64::from(most.saturating_sub(1)))
    .fetch_optional(tx)
    .await
    .map_err(failed("count the commands of the last hour"))?;
    let Some(last) = last else {
        return Ok(None);
    };
    let last: ApprovedCommand = json(&last, "command", WHAT)?;
    let until = last
        .command
        .issued_at
        .checked_add(HourlyLimit::WITHIN)
        .unwrap_or(Timestamp::MAX);
    // Commands from a clock that was ahead are not of the last hour.
    let is_of_the_last_hour = (last.command.issued_at..until).contains(&new.issued_at);
    Ok(is_of_the_last_hour.then_some(until))
}

pub(super) async fn mark_cancelled(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    command: CommandId,
    audit: &AuditEntry,
) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE commands SET cancelled_by = $4, cancelled_at = $5 \
         WHERE setting_id = $1 AND device_id = $2 AND command_id = $3",
    )
    .bind(setting)
    .bind(device.to_string())
    .bind(command.to_string())
    .bind(&audit.who)
    .bind(audit.at.as_microsecond())
    .execute(tx)
    .await
    .map(drop)
    .map_err(failed("take a command back"))
}

/// Notes what came of a command, if `body` says so. Whether bundles may change by it.
pub(super) async fn read(
    tx: &mut SqliteConnection,
    setting: &str,
    device: DeviceId,
    at: Timestamp,
    body: &str,
) -> Result<bool, StorageError> {
    if !body.contains("command_outcome") {
        return Ok(false);
    }
    let Ok(EventBody::CommandOutcome { command, outcome }) = serde_json::from_str(body) else {
        return Ok(false);
    };
    // The first word stands, but for one that says that another follows.
    let noted = sqlx::query(
        "UPDATE commands SET outcome = $4, outcome_at = $5 WHERE setting_id = $1 \
         AND device_id = $2 AND command_id = $3 AND (outcome IS NULL \
         OR kind = 'message' AND (outcome LIKE $6 || '%' OR outcome LIKE $7 || '%'))",
    )
    .bind(setting)
    .bind(device.to_string())
    .bind(command.to_string())
    .bind(outcome.chars().take(MAX_TEXT_CHARS).collect::<String>())
    .bind(at.as_microsecond())
    .bind(said::TAKEN)
    .bind(said::SHOWN)
    .execute(&mut *tx)
    .await
    .map_err(failed("note what came of a command"))?;
    if noted.rows_affected() == 0 {
        return Ok(false);
    }
    let known = list(&mut *tx, setting, device).await?;
    let handed_back = known.iter().any(|row| {
        row.command.command.id == command
            && row.command.command.kind == CommandKind::Unenrol
            && outcome.starts_with(DONE)
    });
    if handed_back {
        sqlx::query(
            "UPDATE devices SET revoked_at = $3, revoked_why = 'handed back' \
             WHERE setting_id = $1 AND device_id = $2 AND revoked_at IS NULL",
        )
        .bind(setting)
        .bind(device.to_string())
        .bind(at.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(failed("shut out a tablet that was handed back"))?;
    }
    Ok(true)
}

impl CommandStore for SqlStorage {
    fn command_list(&self, device: DeviceId) -> Answer<'_, Vec<CommandRow>> {
        Box::pin(async move { list(&self.readers, &self.setting_text, device).await })
    }

    fn command_waiting(&self) -> Answer<'_, Vec<ApprovedCommand>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT * FROM commands WHERE setting_id = $1 AND outcome IS NULL \
                 AND cancelled_at IS NULL ORDER BY device_id, command_id",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the commands that wait"))?;
            let rows = rows.iter().map(command);
            rows.map(|row| row.map(|row| row.command)).collect()
        })
    }

    fn command_losses(&self) -> Answer<'_, Vec<CommandRow>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT * FROM commands WHERE setting_id = $1 AND kind IN ('lost', 'found') \
                 ORDER BY command_id",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the tablets that are lost"))?;
            rows.iter().map(command).collect()
        })
    }

    fn command_add<'a>(
        &'a self,
        approved: &'a ApprovedCommand,
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
            let before = list(&mut *tx, &self.setting_text, new.device).await?;
            if before.iter().any(|row| {
                row.outcome.is_none()
                    && row.cancelled.is_none()
                    && row.command.command.kind == new.kind
                    && row.command.command.expires_at > new.issued_at
                    && !is_overtaken(row, &before)
            }) {
                return Ok(CommandAdded::Already);
            }
            if let Some(until) = limited_until(&mut tx, &self.setting_text, new, limit).await? {
                return Ok(CommandAdded::TooMany { until });
            }
            insert(&mut tx, &self.setting_text, approved, &audit.who).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(CommandAdded::Yes)
        })
    }

    fn command_cancel<'a>(
        &'a self,
        device: DeviceId,
        command: CommandId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let known = list(&mut *tx, &self.setting_text, device).await?;
            let of_this = |row: &&CommandRow| row.command.command.id == command;
            let Some(row) = known.iter().find(of_this) else {
                return Ok(Changed::Missing);
            };
            if row.cancelled.is_some() || row.outcome.is_some() {
                return Ok(Changed::Already);
            }
            mark_cancelled(&mut tx, &self.setting_text, device, command, audit).await?;
            self.touch_inputs(&mut tx).await?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }
}
