//! Handing the tablet back on the server's word: asked for by a command, finished once every control is given back, and
//! remembered, so that nothing is held again after a restart.
//!
//! Photos do not come back into use: the withheld stay in the vault and the sealed stay sealed until a manager decides.

use crate::ledger::{Ledger, LedgerError, LedgerTx};
use crate::photos::PhotosError;
use crate::photos::catalogue;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::CommandId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const KEY: &str = "hand_back";

/// That this tablet is to be handed back, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandBack {
    pub command: CommandId,
    pub asked_at: Timestamp,
    /// `None`: not every control was given back yet.
    pub done: Option<HandedBack>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedBack {
    pub at: Timestamp,
    /// The event that tells the server.
    pub told_by: u64,
}

/// `None`: the server never asked.
pub fn asked(ledger: &Ledger) -> Result<Option<HandBack>, LedgerError> {
    ledger.read(read)
}

/// As in [`asked`], within a transaction.
pub(super) fn is_asked(tx: &LedgerTx<'_>) -> Result<bool, LedgerError> {
    Ok(read(tx.sql())?.is_some())
}

/// How many photos stay behind where nobody but the agent goes, by stage. Unlike the photos task, also when it has ended.
pub fn photos_left(ledger: &Ledger) -> Result<BTreeMap<Stage, u64>, PhotosError> {
    ledger.read(catalogue::counts)
}

pub(super) fn ask(
    tx: &LedgerTx<'_>,
    command: CommandId,
    asked_at: Timestamp,
) -> Result<(), LedgerError> {
    if read(tx.sql())?.is_some() {
        return Ok(());
    }
    write(
        tx,
        &HandBack {
            command,
            asked_at,
            done: None,
        },
    )
}

/// Records that every control was given back; what tells the server of it is in the same transaction.
pub(super) fn finish(ledger: &Ledger, at: Timestamp) -> Result<(), LedgerError> {
    let left = photos_left(ledger).unwrap_or_default();
    let count = |stage| left.get(&stage).copied().unwrap_or(0);
    let outcome = format!(
        "done: every control was given back; {} photos stay withheld and {} sealed until a manager decides",
        count(Stage::Withheld),
        count(Stage::Sealed)
    );
    ledger.transaction(|tx| {
        let Some(mut hand_back) = read(tx.sql())?.filter(|known| known.done.is_none()) else {
            return Ok(());
        };
        let command = hand_back.command;
        super::commands::note_done(tx, command, at)?;
        let told_by = tx.record(at, &EventBody::CommandOutcome { command, outcome })?;
        hand_back.done = Some(HandedBack { at, told_by });
        write(tx, &hand_back)
    })
}

fn read(sql: &Connection) -> Result<Option<HandBack>, LedgerError> {
    crate::ledger::meta(sql, KEY)?
        .map(|text| {
            serde_json::from_str(&text).map_err(|error| LedgerError::Damaged {
                what: "note of being handed back".to_owned(),
                problem: error.to_string(),
            })
        })
        .transpose()
}

fn write(tx: &LedgerTx<'_>, hand_back: &HandBack) -> Result<(), LedgerError> {
    let text = serde_json::to_string(hand_back).map_err(LedgerError::Unwritable)?;
    tx.set_meta(KEY, &text)
}
