//! Repeats: the first of a run is chained at once, so that it is told at once; what follows within ten minutes is counted
//! on disk and chained as one.

use super::spool::{head, timestamp, to_sql, unsigned};
use super::{Ledger, LedgerError, LedgerTx};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::event::EventBody;
use rusqlite::{Connection, OptionalExtension as _, Row};

/// Repeats within this time of the first are counted and chained together when it is over.
pub const REPEAT_WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// Programs are named by whoever runs them, so the kinds of repeats are bounded too.
const MAX_KEYS: i64 = 500;

/// How an event counts together with others of its kind.
pub(super) struct Repeat {
    kind: &'static str,
    key: String,
    /// How many of a window are chained as they come.
    at_once: u64,
    count: u64,
}

/// `None` for kinds that are never counted together.
pub(super) fn repeat(body: &EventBody) -> Option<Repeat> {
    match body {
        EventBody::AppRefused {
            program,
            observed_only,
            count,
        } => Some(Repeat {
            kind: "app_refused",
            key: format!("app_refused/{observed_only}/{program}"),
            at_once: 1,
            count: (*count).max(1),
        }),
        EventBody::DriftReverted {
            control,
            what,
            count,
        } => Some(Repeat {
            kind: "drift_reverted",
            key: format!("drift_reverted/{control}/{what}"),
            at_once: 1,
            count: (*count).max(1),
        }),
        // A control may change and change back a few times without being held up.
        EventBody::ControlChanged { control, .. } => Some(Repeat {
            kind: "control_changed",
            key: format!("control_changed/{control}"),
            at_once: 6,
            count: 1,
        }),
        EventBody::PinRefused { staff, count } => Some(Repeat {
            kind: "pin_refused",
            key: format!("pin_refused/{staff}"),
            at_once: 1,
            count: (*count).max(1),
        }),
        EventBody::Enrolled { .. }
        | EventBody::AgentStarted { .. }
        | EventBody::BundleApplied { .. }
        | EventBody::BundleRefused { .. }
        | EventBody::BundleExpired { .. }
        | EventBody::PasscodeLockedOut { .. }
        | EventBody::CustodyTaken { .. }
        | EventBody::CustodyReturned { .. }
        | EventBody::PinLockedOut { .. }
        | EventBody::SessionStarted { .. }
        | EventBody::SessionEnded { .. }
        | EventBody::PhotoSeen { .. }
        | EventBody::PhotoTagged { .. }
        | EventBody::PhotoKnown { .. }
        | EventBody::PhotoStage { .. }
        | EventBody::PhotoIncomplete { .. }
        | EventBody::Destroyed { .. }
        | EventBody::AccessReview { .. }
        | EventBody::PhotoReviewed { .. }
        | EventBody::PhotoExported { .. }
        | EventBody::ClockDoubt { .. }
        | EventBody::CommandOutcome { .. }
        | EventBody::Unsupported { .. }
        | EventBody::RecordContinued { .. }
        | EventBody::Alarm { .. } => None,
    }
}

impl Ledger {
    /// Chains what was counted in windows that are over; see [`LedgerTx::flush_repeats`].
    pub fn flush_repeats(&self, now: Timestamp) -> Result<(), LedgerError> {
        self.transaction(|tx| tx.flush_repeats(now))
    }
}

impl LedgerTx<'_> {
    /// Chains what was counted in windows that are over at `now`. Call about once a minute.
    pub fn flush_repeats(&self, now: Timestamp) -> Result<(), LedgerError> {
        for (key, window) in windows(self.sql())? {
            if window.is_open(now) {
                continue;
            }
            self.close(&key, &window, now)?;
        }
        self.tell_not_kept(now)
    }

    pub(super) fn record_repeat(
        &self,
        at: Timestamp,
        body: &EventBody,
        repeat: &Repeat,
    ) -> Result<u64, LedgerError> {
        let key = self.bounded_key(repeat)?;
        let known = window(self.sql(), &key)?;
        let Some(open) = known.as_ref().filter(|window| window.is_open(at)) else {
            if let Some(over) = known {
                self.close(&key, &over, at)?;
            }
            let seq = self.chain(at, body, repeat.count)?;
            self.open_window(&key, at)?;
            return Ok(seq);
        };
        if open.held == 0 && open.chained < repeat.at_once {
            self.sql().execute(
                "UPDATE repeats SET chained = chained + 1 WHERE key = ?1",
                [&key],
            )?;
            return self.chain(at, body, repeat.count);
        }
        let held = open.held.saturating_add(repeat.count);
        let text = serde_json::to_string(body).map_err(LedgerError::Unwritable)?;
        self.sql().execute(
            "UPDATE repeats SET held = ?2, body = ?3 WHERE key = ?1",
            (&key, to_sql(held), text),
        )?;
        Ok(head(self.sql())?.seq)
    }

    /// Chains what a window held, and keeps it open where there was something: a run that goes on is told every ten
    /// minutes, not twice.
    fn close(&self, key: &str, window: &Window, now: Timestamp) -> Result<(), LedgerError> {
        let Some(body) = window.body.as_deref().filter(|_| window.held > 0) else {
            self.sql()
                .execute("DELETE FROM repeats WHERE key = ?1", [key])?;
            return Ok(());
        };
        let body = serde_json::from_str(body).map_err(|e| LedgerError::Damaged {
            what: "list of repeats".to_owned(),
            problem: e.to_string(),
        })?;
        if let (EventBody::ControlChanged { control, .. }, true) = (&body, window.held > 1) {
            let what = format!(
                "{control} changed {} times in ten minutes; only the last outcome is in the record",
                window.held
            );
            self.chain(now, &EventBody::Alarm { what }, 1)?;
        }
        self.chain(now, &with_count(body, window.held), window.held)?;
        self.open_window(key, now)
    }

    fn open_window(&self, key: &str, at: Timestamp) -> Result<(), LedgerError> {
        self.sql().execute(
            "INSERT OR REPLACE INTO repeats (key, opened_at, chained, held, body) VALUES (?1, ?2, 1, 0, NULL)",
            (key, at.to_string()),
        )?;
        Ok(())
    }

    fn bounded_key(&self, repeat: &Repeat) -> Result<String, LedgerError> {
        let known = window(self.sql(), &repeat.key)?.is_some();
        let keys: i64 = self
            .sql()
            .query_row("SELECT count(*) FROM repeats", [], |row| row.get(0))?;
        Ok(if known || keys < MAX_KEYS {
            repeat.key.clone()
        } else {
            format!("{}/…", repeat.kind)
        })
    }
}

fn with_count(mut body: EventBody, held: u64) -> EventBody {
    if let EventBody::AppRefused { count, .. }
    | EventBody::DriftReverted { count, .. }
    | EventBody::PinRefused { count, .. } = &mut body
    {
        *count = held;
    }
    body
}

struct Window {
    opened_at: Timestamp,
    chained: u64,
    held: u64,
    body: Option<String>,
}

impl Window {
    /// A clock that was corrected ends a window rather than keeping it open for ever.
    fn is_open(&self, now: Timestamp) -> bool {
        now.duration_since(self.opened_at).abs() < REPEAT_WINDOW
    }
}

fn window(sql: &Connection, key: &str) -> Result<Option<Window>, LedgerError> {
    let found = sql
        .prepare("SELECT opened_at, chained, held, body FROM repeats WHERE key = ?1")?
        .query_row([key], |row| window_of(row, 0))
        .optional()?;
    Ok(found)
}

fn windows(sql: &Connection) -> Result<Vec<(String, Window)>, LedgerError> {
    let mut rows = sql.prepare("SELECT key, opened_at, chained, held, body FROM repeats")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, window_of(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn window_of(row: &Row<'_>, from: usize) -> rusqlite::Result<Window> {
    Ok(Window {
        opened_at: timestamp(row, from)?,
        chained: unsigned(row, from + 1)?,
        held: unsigned(row, from + 2)?,
        body: row.get(from + 3)?,
    })
}
