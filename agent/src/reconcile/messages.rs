//! Messages from the setting: kept across restarts, shown on the tablet's page until somebody there says that they read them.
//!
//! At most [`MOST_UNREAD`] wait: those that came first stay, and one more is declined, so that nothing unread ever vanishes.

use super::commands::{note_done, note_outcome};
use crate::ledger::{Ledger, LedgerError, LedgerTx, meta};
use jiff::Timestamp;
use nestwarden_policy_schema::command::said::{DECLINED, DONE, SHOWN, TAKEN};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::CommandId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub const MOST_UNREAD: usize = 20;
const KEY: &str = "messages";

/// One that nobody said they read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub command: CommandId,
    pub text: String,
    /// When it was written, by the server's word.
    pub sent_at: Timestamp,
    /// When it was on the screen first; `None`: never.
    pub shown_at: Option<Timestamp>,
}

/// Those that wait, the oldest first. Blocks.
pub fn unread(ledger: &Ledger) -> Result<Vec<Message>, LedgerError> {
    ledger.read(read)
}

/// Likewise, and tells the server of those that are shown for the first time. Blocks.
pub fn show(ledger: &Ledger, now: Timestamp) -> Result<Vec<Message>, LedgerError> {
    let waiting = unread(ledger)?;
    if waiting.iter().all(|message| message.shown_at.is_some()) {
        return Ok(waiting);
    }
    ledger.transaction(|tx| {
        let mut waiting = read(tx.sql())?;
        let new = waiting.iter_mut().filter(|m| m.shown_at.is_none());
        for message in new {
            message.shown_at = Some(now);
            let outcome = format!("{SHOWN} on the tablet's page; nobody tapped \"Read\" yet");
            tell(tx, message.command, outcome, now)?;
        }
        write(tx, &waiting)?;
        Ok(waiting)
    })
}

/// Somebody at the tablet says that they read it. Again, or of one that is not there: nothing. Blocks.
pub fn note_read(ledger: &Ledger, command: CommandId, now: Timestamp) -> Result<(), LedgerError> {
    ledger.transaction(|tx| {
        let mut waiting = read(tx.sql())?;
        let before = waiting.len();
        waiting.retain(|message| message.command != command);
        if waiting.len() == before {
            return Ok(());
        }
        write(tx, &waiting)?;
        let outcome = format!("{DONE}: somebody at the tablet tapped \"Read\"");
        tell(tx, command, outcome, now)
    })
}

/// Keeps a message that was checked.
pub(super) fn keep(
    tx: &LedgerTx<'_>,
    command: CommandId,
    (text, sent_at): (&str, Timestamp),
    now: Timestamp,
) -> Result<(), LedgerError> {
    let mut waiting = read(tx.sql())?;
    if waiting.len() >= MOST_UNREAD {
        let outcome = format!(
            "{DECLINED}: {MOST_UNREAD} messages wait unread on the tablet; somebody there reads them first"
        );
        return note_outcome(tx, command, outcome, now);
    }
    waiting.push(Message {
        command,
        text: text.to_owned(),
        sent_at,
        shown_at: None,
    });
    write(tx, &waiting)?;
    note_done(tx, command, now)?;
    let outcome = format!("{TAKEN}: it waits for somebody to open the tablet's page");
    tell(tx, command, outcome, now)
}

fn tell(
    tx: &LedgerTx<'_>,
    command: CommandId,
    outcome: String,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let event = EventBody::CommandOutcome { command, outcome };
    tx.record(now, &event).map(drop)
}

fn read(sql: &Connection) -> Result<Vec<Message>, LedgerError> {
    let Some(text) = meta(sql, KEY)? else {
        return Ok(Vec::new());
    };
    serde_json::from_str(&text).map_err(|error| LedgerError::Damaged {
        what: "list of messages".to_owned(),
        problem: error.to_string(),
    })
}

fn write(tx: &LedgerTx<'_>, messages: &[Message]) -> Result<(), LedgerError> {
    let text = serde_json::to_string(messages).map_err(LedgerError::Unwritable)?;
    tx.set_meta(KEY, &text)
}
