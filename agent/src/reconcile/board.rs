//! The board: each control's last measured outcome, for status, inventory and the record of changes.

use crate::ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::event::EventBody;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Every control's outcome since this start of the agent; clones share it. Calls that report block.
#[derive(Clone)]
pub struct OutcomeBoard {
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Ledger,
    measured: Mutex<BTreeMap<ControlName, ControlReport>>,
    /// The last outcome known, from this run or an earlier one: what a change is a change from.
    last: Mutex<BTreeMap<ControlName, Outcome>>,
    started_at: Timestamp,
    changed: watch::Sender<u64>,
}

impl OutcomeBoard {
    /// An empty board at `started_at`; what an earlier run recorded serves only to tell changes.
    pub fn open(ledger: Ledger, started_at: Timestamp) -> Result<Self, LedgerError> {
        let last = recorded(&ledger)?
            .into_iter()
            .map(|report| (report.control, report.outcome))
            .collect();
        Ok(Self {
            shared: Arc::new(Shared {
                ledger,
                measured: Mutex::default(),
                last: Mutex::new(last),
                started_at,
                changed: watch::Sender::new(0),
            }),
        })
    }

    /// Puts up an outcome, and records it as an event when it differs from the one before. That a correction held is no
    /// change: the next correction is. Whether it differed.
    pub fn report(
        &self,
        control: ControlName,
        outcome: Outcome,
        at: Timestamp,
    ) -> Result<bool, LedgerError> {
        let mut last = lock(&self.shared.last);
        let before = last.get(&control);
        let differs = before != Some(&outcome);
        let held = matches!(
            (before, &outcome),
            (Some(Outcome::Corrected { .. }), Outcome::Compliant)
        );
        let report = ControlReport {
            control,
            outcome,
            measured_at: at,
        };
        if differs {
            let kept = self.shared.ledger.transaction(|tx| {
                save(tx.sql(), &report)?;
                if !held {
                    let body = EventBody::ControlChanged {
                        control,
                        outcome: report.outcome.clone(),
                    };
                    tx.record(at, &body)?;
                }
                Ok::<_, LedgerError>(())
            });
            if let Err(error) = kept {
                self.cannot_record(control, &error, at);
                return Err(error);
            }
            last.insert(control, report.outcome.clone());
        }
        lock(&self.shared.measured).insert(control, report);
        drop(last);
        if differs {
            self.stir();
        }
        Ok(differs)
    }

    /// What cannot be written down is not claimed.
    fn cannot_record(&self, control: ControlName, error: &LedgerError, at: Timestamp) {
        let report = ControlReport {
            control,
            outcome: Outcome::Unknown {
                error: format!(
                    "what was measured cannot be recorded: {}; free some space on the tablet, or have it looked at",
                    crate::whole_text(error)
                ),
            },
            measured_at: at,
        };
        let outcome = report.outcome.clone();
        let before = lock(&self.shared.measured).insert(control, report);
        if before.is_none_or(|before| before.outcome != outcome) {
            self.stir();
        }
    }

    /// Lets whoever tells the server look again.
    pub fn stir(&self) {
        self.shared.changed.send_modify(|count| *count += 1);
    }

    /// Every control, in order. One that was not measured since the agent started is unknown, and so is every one while
    /// the ledger cannot take what the server sends.
    pub fn reports(&self) -> Vec<ControlReport> {
        let mut reports = self.measured();
        if let Some(error) = self.shared.ledger.obstacle().borrow().clone() {
            for report in &mut reports {
                report.outcome = Outcome::Unknown {
                    error: error.clone(),
                };
            }
        }
        reports
    }

    fn measured(&self) -> Vec<ControlReport> {
        let measured = lock(&self.shared.measured);
        ControlName::ALL
            .into_iter()
            .map(|control| {
                measured.get(&control).cloned().unwrap_or(ControlReport {
                    control,
                    outcome: Outcome::Unknown {
                        error: "not measured since the agent started".to_owned(),
                    },
                    measured_at: self.shared.started_at,
                })
            })
            .collect()
    }

    /// Counts changes, for whoever tells the server.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Writes down the times of measurement too, for a status without the agent.
    pub fn checkpoint_in(&self, sql: &rusqlite::Connection) -> Result<(), LedgerError> {
        let measured: Vec<ControlReport> = lock(&self.shared.measured).values().cloned().collect();
        measured.iter().try_for_each(|report| save(sql, report))
    }
}

/// What an earlier or a running agent last wrote down. Old news: never to be shown as how things stand.
pub fn recorded(ledger: &Ledger) -> Result<Vec<ControlReport>, LedgerError> {
    ledger.read(|sql| {
        let mut rows = sql.prepare("SELECT report FROM outcomes ORDER BY control")?;
        let rows = rows.query_map([], |row| row.get::<_, String>(0))?;
        let texts: Vec<String> = rows.collect::<Result<_, _>>()?;
        texts
            .iter()
            .map(|text| {
                serde_json::from_str(text).map_err(|e| LedgerError::Damaged {
                    what: "outcomes".to_owned(),
                    problem: e.to_string(),
                })
            })
            .collect()
    })
}

fn save(sql: &rusqlite::Connection, report: &ControlReport) -> Result<(), LedgerError> {
    let text = serde_json::to_string(report).map_err(LedgerError::Unwritable)?;
    sql.execute(
        "INSERT OR REPLACE INTO outcomes (control, report) VALUES (?1, ?2)",
        (report.control.as_str(), text),
    )?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use crate::testing::{Signer, enrolled};

    fn now() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().unwrap()
    }

    fn corrected() -> Outcome {
        Outcome::Corrected {
            changed: vec!["switch Bluetooth off".to_owned()],
        }
    }

    #[test]
    fn what_was_not_measured_since_the_start_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
        let board = OutcomeBoard::open(ledger.clone(), now()).unwrap();
        board
            .report(ControlName::Radios, Outcome::Compliant, now())
            .unwrap();
        let again = OutcomeBoard::open(ledger, now()).unwrap();
        assert!(
            again
                .reports()
                .iter()
                .all(|r| matches!(r.outcome, Outcome::Unknown { .. }))
        );
    }

    #[test]
    fn only_changes_are_recorded_also_across_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
        for _ in 0..2 {
            let board = OutcomeBoard::open(ledger.clone(), now()).unwrap();
            board
                .report(ControlName::Radios, Outcome::Compliant, now())
                .unwrap();
        }
        assert_eq!(ledger.head().unwrap().seq, 1);
    }

    #[test]
    fn a_correction_that_held_is_told_once_and_the_next_again() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
        let board = OutcomeBoard::open(ledger.clone(), now()).unwrap();
        for outcome in [corrected(), Outcome::Compliant, corrected()] {
            board.report(ControlName::Radios, outcome, now()).unwrap();
        }
        assert_eq!(ledger.head().unwrap().seq, 2);
    }
}
