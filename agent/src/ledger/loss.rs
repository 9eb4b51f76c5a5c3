//! Whether the tablet is marked as lost, by the newest word its setting signed.
//!
//! The word is kept as it came: neither a bundle that no longer carries it, nor a restart, nor the lack of a network ends it.

use super::{Ledger, LedgerError, LedgerTx, meta};
use jiff::Timestamp;
use nestwarden_policy_schema::command::Command;
use nestwarden_policy_schema::id::PhotoId;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

const KEY: &str = "loss";

/// The newest command that marks the tablet as lost, or as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossWord {
    /// As it was signed for this tablet.
    pub command: Command,
    /// Trusted time; `None`: it was found.
    pub lost_since: Option<Timestamp>,
    /// Whether the server was told what came of it.
    pub told: bool,
    /// Where the profile only observed photos when the tablet was lost: those that were out of sight already, and stay so
    /// when it is found. `None`: it enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld_before: Option<BTreeSet<PhotoId>>,
}

impl Ledger {
    /// `None`: nobody ever said that the tablet is lost.
    pub fn loss(&self) -> Option<Arc<LossWord>> {
        self.shared.loss.borrow().clone()
    }

    pub fn watch_loss(&self) -> watch::Receiver<Option<Arc<LossWord>>> {
        self.shared.loss.subscribe()
    }

    pub(super) fn take_up_loss(&self) -> Result<(), LedgerError> {
        let word = self.read(read)?;
        self.shared.loss.send_replace(word.map(Arc::new));
        Ok(())
    }
}

impl LedgerTx<'_> {
    /// As in [`Ledger::loss`], within this transaction.
    pub fn loss(&self) -> Result<Option<LossWord>, LedgerError> {
        read(self.sql)
    }

    /// Takes the place of every word before; whoever watches hears of it once it is durable.
    pub fn set_loss(&self, word: LossWord) -> Result<(), LedgerError> {
        let text = serde_json::to_string(&word).map_err(LedgerError::Unwritable)?;
        self.set_meta(KEY, &text)?;
        self.loss.set(Some(word));
        Ok(())
    }
}

fn read(sql: &Connection) -> Result<Option<LossWord>, LedgerError> {
    meta(sql, KEY)?
        .map(|text| {
            serde_json::from_str(&text).map_err(|error| LedgerError::Damaged {
                what: "note of being lost".to_owned(),
                problem: error.to_string(),
            })
        })
        .transpose()
}
