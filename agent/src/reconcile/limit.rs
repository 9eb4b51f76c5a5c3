//! No more than so many commands of a kind within an hour, whatever the server asks: one that was taken over, or a slip of the
//! hand, keeps nobody from their work for long. What only undoes is never limited.

use crate::ledger::{LedgerError, LedgerTx};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::command::{CommandKind, DISRUPTIVE_PER_HOUR_ON_TABLET};

const WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Why one more of `kind` is not carried out at `now`; `None`: it may be.
pub(super) fn refusal(
    tx: &LedgerTx<'_>,
    kind: &CommandKind,
    now: Timestamp,
) -> Result<Option<String>, LedgerError> {
    if !kind.is_disruptive() {
        return Ok(None);
    }
    let recent = recent(tx, kind, now)?;
    if recent.len() < DISRUPTIVE_PER_HOUR_ON_TABLET {
        return Ok(None);
    }
    let oldest = recent.iter().min().copied().unwrap_or(now);
    let left = oldest.duration_since(now).saturating_add(WITHIN);
    let minutes = (left.as_secs().max(0) + 59) / 60;
    Ok(Some(format!(
        "this tablet did that {} times within an hour already; ask again in {minutes} minutes",
        recent.len()
    )))
}

/// Notes that one of `kind` was carried out.
pub(super) fn count(
    tx: &LedgerTx<'_>,
    kind: &CommandKind,
    now: Timestamp,
) -> Result<(), LedgerError> {
    if !kind.is_disruptive() {
        return Ok(());
    }
    let mut times = recent(tx, kind, now)?;
    times.push(now);
    let text = serde_json::to_string(&times).map_err(LedgerError::Unwritable)?;
    tx.set_meta(&key(kind), &text)
}

/// Those of the last hour. What a clock that ran ahead dated later than the next one counts no more once it is right.
fn recent(
    tx: &LedgerTx<'_>,
    kind: &CommandKind,
    now: Timestamp,
) -> Result<Vec<Timestamp>, LedgerError> {
    let Some(text) = tx.meta(&key(kind))? else {
        return Ok(Vec::new());
    };
    let times: Vec<Timestamp> =
        serde_json::from_str(&text).map_err(|error| LedgerError::Damaged {
            what: "count of commands".to_owned(),
            problem: error.to_string(),
        })?;
    let is_recent = |at: &Timestamp| now.duration_since(*at).abs() < WITHIN;
    Ok(times.into_iter().filter(is_recent).collect())
}

fn key(kind: &CommandKind) -> String {
    format!("commands_done/{}", kind.name())
}
