//! Alerts, mails, and where they go.

use super::value::{number, optional_text, optional_time, parsed, text, time, to_json};
use super::{SqlStorage, commit, failed};
use crate::storage::alert::{Alert, AlertRound, AlertStore, Mail, MailState};
use crate::storage::{Answer, AuditEntry, Changed, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::id::OperatorId;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::BTreeMap;

const ALERT: &str = "an alert";
const LETTER: &str = "a mail";

fn alert(row: &SqliteRow) -> Result<Alert, StorageError> {
    let owner = optional_text(row, "owner", ALERT)?;
    let owner = owner.map(|text| serde_json::from_str(&text)).transpose();
    let opened_by = optional_text(row, "opened_by", ALERT)?;
    Ok(Alert {
        key: text(row, "alert_key", ALERT)?,
        owner: owner.map_err(|error| StorageError::Corrupt {
            what: ALERT,
            problem: error.to_string(),
        })?,
        made_at: time(row, "made_at", ALERT)?,
        opened: optional_time(row, "opened_at", ALERT)?.zip(opened_by),
        passed_on_at: optional_time(row, "passed_on_at", ALERT)?,
    })
}

fn mail(row: &SqliteRow) -> Result<Mail, StorageError> {
    Ok(Mail {
        key: text(row, "mail_key", LETTER)?,
        to: parsed(row, "operator_id", LETTER)?,
        name: text(row, "name", LETTER)?,
        address: optional_text(row, "address", LETTER)?,
        subject: text(row, "subject", LETTER)?,
        body: text(row, "body", LETTER)?,
        made_at: time(row, "made_at", LETTER)?,
        tries: u32::try_from(number(row, "tries", LETTER)?).unwrap_or(u32::MAX),
        next_try_at: time(row, "next_try_at", LETTER)?,
        problem: optional_text(row, "problem", LETTER)?,
        gave_up_at: optional_time(row, "gave_up_at", LETTER)?,
    })
}

/// Address and mails of somebody who goes.
pub(super) async fn forget(
    tx: &mut SqliteConnection,
    setting: &str,
    operator: OperatorId,
) -> Result<(), StorageError> {
    for sql in [
        "DELETE FROM operator_addresses WHERE setting_id = $1 AND operator_id = $2",
        "DELETE FROM mails WHERE setting_id = $1 AND operator_id = $2",
    ] {
        sqlx::query(sql)
            .bind(setting)
            .bind(operator.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("forget where a person's alerts go"))?;
    }
    Ok(())
}

impl SqlStorage {
    async fn not_sent(
        &self,
        mail: &Mail,
        problem: &str,
        at: Timestamp,
        gave_up_at: Option<Timestamp>,
    ) -> Result<(), StorageError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE mails SET problem = $4, gave_up_at = $5 \
             WHERE setting_id = $1 AND mail_key = $2 AND operator_id = $3",
        )
        .bind(&self.setting_text)
        .bind(&mail.key)
        .bind(mail.to.to_string())
        .bind(problem)
        .bind(gave_up_at.map(Timestamp::as_microsecond))
        .execute(&mut *tx)
        .await
        .map_err(failed("note that a mail was not sent"))?;
        self.note_mail(&mut tx, at, Some(problem)).await?;
        commit(tx).await
    }

    async fn note_mail(
        &self,
        tx: &mut SqliteConnection,
        at: Timestamp,
        problem: Option<&str>,
    ) -> Result<(), StorageError> {
        let sql = if problem.is_none() {
            "INSERT INTO mail_state (setting_id, sent_at) VALUES ($1, $2) \
             ON CONFLICT (setting_id) DO UPDATE SET sent_at = $2"
        } else {
            "INSERT INTO mail_state (setting_id, failed_at, problem) VALUES ($1, $2, $3) \
             ON CONFLICT (setting_id) DO UPDATE SET failed_at = $2, problem = $3"
        };
        let query = sqlx::query(sql)
            .bind(&self.setting_text)
            .bind(at.as_microsecond());
        let query = match problem {
            Some(problem) => query.bind(problem),
            None => query,
        };
        query
            .execute(tx)
            .await
            .map(drop)
            .map_err(failed("note how sending goes"))
    }
}

impl AlertStore for SqlStorage {
    fn address_list(&self) -> Answer<'_, BTreeMap<OperatorId, String>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT a.operator_id, a.address FROM operator_addresses a JOIN operators o \
                 ON o.setting_id = a.setting_id AND o.operator_id = a.operator_id \
                 WHERE a.setting_id = $1 AND o.removed_at IS NULL",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list where alerts go"))?
            .iter()
            .map(|row| {
                Ok((
                    parsed(row, "operator_id", LETTER)?,
                    text(row, "address", LETTER)?,
                ))
            })
            .collect()
        })
    }

    fn address_put<'a>(
        &'a self,
        operator: OperatorId,
        address: Option<&'a str>,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let here = sqlx::query(
                "SELECT a.address FROM operators o LEFT JOIN operator_addresses a \
                 ON a.setting_id = o.setting_id AND a.operator_id = o.operator_id \
                 WHERE o.setting_id = $1 AND o.operator_id = $2 AND o.removed_at IS NULL",
            )
            .bind(&self.setting_text)
            .bind(operator.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed("find where a person's alerts go"))?;
            let Some(row) = here else {
                return Ok(Changed::Missing);
            };
            if optional_text(&row, "address", LETTER)?.as_deref() == address {
                return Ok(Changed::Already);
            }
            let sql = if address.is_some() {
                "INSERT INTO operator_addresses (setting_id, operator_id, address) \
                 VALUES ($1, $2, $3) \
                 ON CONFLICT (setting_id, operator_id) DO UPDATE SET address = $3"
            } else {
                "DELETE FROM operator_addresses WHERE setting_id = $1 AND operator_id = $2"
            };
            let query = sqlx::query(sql)
                .bind(&self.setting_text)
                .bind(operator.to_string());
            let query = match address {
                Some(address) => query.bind(address),
                None => query,
            };
            query
                .execute(&mut *tx)
                .await
                .map_err(failed("say where a person's alerts go"))?;
            self.add_audit(&mut tx, audit).await?;
            commit(tx).await?;
            Ok(Changed::Yes)
        })
    }

    fn alert_list(&self, since: Timestamp) -> Answer<'_, BTreeMap<String, Alert>> {
        Box::pin(async move {
            sqlx::query("SELECT * FROM alerts WHERE setting_id = $1 AND made_at >= $2")
                .bind(&self.setting_text)
                .bind(since.as_microsecond())
                .fetch_all(&self.readers)
                .await
                .map_err(failed("list alerts"))?
                .iter()
                .map(|row| alert(row).map(|alert| (alert.key.clone(), alert)))
                .collect()
        })
    }

    fn alert_round<'a>(
        &'a self,
        round: &'a AlertRound,
        now: Timestamp,
        forget: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let at = now.as_microsecond();
            let mut tx = self.write().await?;
            for (key, owner) in &round.made {
                let owner = owner.map(|owner| to_json(&owner, ALERT)).transpose()?;
                sqlx::query(
                    "INSERT INTO alerts (setting_id, alert_key, owner, made_at) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                )
                .bind(&self.setting_text)
                .bind(key)
                .bind(owner)
                .bind(at)
                .execute(&mut *tx)
                .await
                .map_err(failed("make an alert"))?;
            }
            for key in &round.passed_on {
                sqlx::query(
                    "UPDATE alerts SET passed_on_at = $3 WHERE setting_id = $1 AND alert_key = $2",
                )
                .bind(&self.setting_text)
                .bind(key)
                .bind(at)
                .execute(&mut *tx)
                .await
                .map_err(failed("pass an alert on"))?;
            }
            for mail in &round.mails {
                sqlx::query(
                    "INSERT INTO mails (setting_id, mail_key, operator_id, subject, body, \
                     made_at, next_try_at) VALUES ($1, $2, $3, $4, $5, $6, $6) \
                     ON CONFLICT DO NOTHING",
                )
                .bind(&self.setting_text)
                .bind(&mail.key)
                .bind(mail.to.to_string())
                .bind(&mail.subject)
                .bind(&mail.body)
                .bind(at)
                .execute(&mut *tx)
                .await
                .map_err(failed("put a mail by"))?;
            }
            for sql in [
                "DELETE FROM alerts WHERE setting_id = $1 AND made_at < $2",
                "DELETE FROM mails WHERE setting_id = $1 AND gave_up_at < $2",
            ] {
                sqlx::query(sql)
                    .bind(&self.setting_text)
                    .bind(forget.as_microsecond())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed("forget old alerts"))?;
            }
            commit(tx).await
        })
    }

    fn alert_opened<'a>(
        &'a self,
        keys: &'a [String],
        by: &'a str,
        at: Timestamp,
    ) -> Answer<'a, u64> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let mut opened = 0;
            for key in keys {
                let done = sqlx::query(
                    "UPDATE alerts SET opened_at = $3, opened_by = $4 \
                     WHERE setting_id = $1 AND alert_key = $2 AND opened_at IS NULL",
                )
                .bind(&self.setting_text)
                .bind(key)
                .bind(at.as_microsecond())
                .bind(by)
                .execute(&mut *tx)
                .await
                .map_err(failed("note that an alert was seen"))?;
                opened += done.rows_affected();
            }
            commit(tx).await?;
            Ok(opened)
        })
    }

    fn mail_list(&self) -> Answer<'_, Vec<Mail>> {
        Box::pin(async move {
            sqlx::query(
                "SELECT l.*, o.name, a.address FROM mails l \
                 JOIN operators o ON o.setting_id = l.setting_id AND o.operator_id = l.operator_id \
                 LEFT JOIN operator_addresses a \
                 ON a.setting_id = l.setting_id AND a.operator_id = l.operator_id \
                 WHERE l.setting_id = $1 ORDER BY l.made_at, l.mail_key, o.name",
            )
            .bind(&self.setting_text)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list mails"))?
            .iter()
            .map(mail)
            .collect()
        })
    }

    fn mail_tried<'a>(&'a self, mail: &'a Mail, next: Timestamp) -> Answer<'a, ()> {
        Box::pin(async move {
            sqlx::query(
                "UPDATE mails SET tries = tries + 1, next_try_at = $4 \
                 WHERE setting_id = $1 AND mail_key = $2 AND operator_id = $3",
            )
            .bind(&self.setting_text)
            .bind(&mail.key)
            .bind(mail.to.to_string())
            .bind(next.as_microsecond())
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(failed("note that a mail is tried"))
        })
    }

    fn mail_sent<'a>(&'a self, mail: &'a Mail, at: Timestamp) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            sqlx::query(
                "DELETE FROM mails \
                 WHERE setting_id = $1 AND mail_key = $2 AND operator_id = $3",
            )
            .bind(&self.setting_text)
            .bind(&mail.key)
            .bind(mail.to.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("take a mail that was sent away"))?;
            self.note_mail(&mut tx, at, None).await?;
            commit(tx).await
        })
    }

    fn mail_failed<'a>(
        &'a self,
        mail: &'a Mail,
        problem: &'a str,
        at: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(self.not_sent(mail, problem, at, None))
    }

    fn mail_given_up<'a>(
        &'a self,
        mail: &'a Mail,
        problem: &'a str,
        at: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(self.not_sent(mail, problem, at, Some(at)))
    }

    fn mail_state(&self) -> Answer<'_, MailState> {
        Box::pin(async move {
            let row = sqlx::query("SELECT * FROM mail_state WHERE setting_id = $1")
                .bind(&self.setting_text)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("look how sending goes"))?;
            let Some(row) = row else {
                return Ok(MailState::default());
            };
            Ok(MailState {
                sent_at: optional_time(&row, "sent_at", LETTER)?,
                failed_at: optional_time(&row, "failed_at", LETTER)?,
                problem: optional_text(&row, "problem", LETTER)?,
            })
        })
    }
}
