//! The event spool: chained, bounded, kept until acknowledged and 35 days more.
//!
//! Evidence is never counted together with other events and never refused.

use super::{Ledger, LedgerError, LedgerTx, enrolment, meta, repeats};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::event::{ChainPosition, Event, EventBody};
use ring::rand::SecureRandom as _;
use rusqlite::{Connection, OptionalExtension as _, Row};

/// Events waiting for the server beyond which only evidence is taken.
pub const MAX_WAITING: u64 = 50_000;
/// Longest body of an event, so that a batch always has room for one.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

const KEPT_AFTER_ACK: SignedDuration = SignedDuration::from_hours(35 * 24);
const ACKED_KEY: &str = "acknowledged_through";
const NOT_KEPT_KEY: &str = "events_not_kept";

impl LedgerTx<'_> {
    /// Appends an event to the chain, durable with this transaction; its number.
    ///
    /// A repeat that is only counted for now, or an event that is not evidence when the spool is full, gets the
    /// number of the newest event instead.
    pub fn record(&self, at: Timestamp, body: &EventBody) -> Result<u64, LedgerError> {
        match repeats::repeat(body) {
            Some(repeat) => self.record_repeat(at, body, &repeat),
            None => self.chain(at, body, 1),
        }
    }

    /// Whether an event that is no evidence would be kept.
    pub fn has_room(&self) -> Result<bool, LedgerError> {
        Ok(self.waiting()? < MAX_WAITING)
    }

    fn waiting(&self) -> Result<u64, LedgerError> {
        let acked = match self.acked.get() {
            Some(acked) => acked,
            None => acked_through(self.sql())?,
        };
        self.acked.set(Some(acked));
        Ok(self.head()?.seq.saturating_sub(acked))
    }

    fn head(&self) -> Result<ChainPosition, LedgerError> {
        let head = match self.head.get() {
            Some(head) => head,
            None => head(self.sql())?,
        };
        self.head.set(Some(head));
        Ok(head)
    }

    /// `count`: how many this one stands for.
    pub(super) fn chain(
        &self,
        at: Timestamp,
        body: &EventBody,
        count: u64,
    ) -> Result<u64, LedgerError> {
        let waiting = self.waiting()?;
        if waiting >= MAX_WAITING && !body.is_evidence() {
            // Never an error: what the caller does besides must not fail for want of an event of a lesser kind.
            let not_kept = not_kept(self.sql())?;
            self.set_meta(NOT_KEPT_KEY, &not_kept.saturating_add(count).to_string())?;
            if not_kept == 0 {
                let what = format!(
                    "{waiting} events wait for the server; until it takes them only evidence is kept and the rest is counted"
                );
                return self.append(at, &EventBody::Alarm { what });
            }
            return Ok(self.head()?.seq);
        }
        self.append(at, body)
    }

    pub(super) fn tell_not_kept(&self, now: Timestamp) -> Result<(), LedgerError> {
        let not_kept = not_kept(self.sql())?;
        let waiting = self.waiting()?;
        if not_kept > 0 && waiting < MAX_WAITING {
            self.remove_meta(NOT_KEPT_KEY)?;
            let what = format!("{not_kept} events could not be kept while the server took none");
            self.append(now, &EventBody::Alarm { what })?;
        }
        Ok(())
    }

    fn append(&self, at: Timestamp, body: &EventBody) -> Result<u64, LedgerError> {
        let device = match self.device.get() {
            Some(device) => device,
            None => enrolment::device(self.sql())?,
        };
        self.device.set(Some(device));
        let head = self.head()?;
        let event =
            Event::following(head, device, at, body, salt()?).map_err(LedgerError::Unwritable)?;
        let bytes = event.body.as_ref().map_or(0, String::len);
        if bytes > MAX_BODY_BYTES {
            return Err(LedgerError::EventTooLarge { bytes });
        }
        self.insert(&event)?;
        Ok(event.seq)
    }

    pub(super) fn insert(&self, event: &Event) -> Result<(), LedgerError> {
        self.sql()
            .prepare_cached(
                "INSERT INTO events (seq, at, body, salt, body_digest, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                to_sql(event.seq),
                event.at.to_string(),
                &event.body,
                event.salt.as_ref().map(|salt| &salt.0),
                event.body_digest.0,
                event.previous.0,
                event.hash.0,
            ))?;
        self.recorded.set(Some(event.seq));
        self.head.set(Some(event.position()));
        Ok(())
    }
}

impl Ledger {
    /// Events after `seq` in order: at most `max_events`, and no more than `max_bytes` of bodies unless the first alone
    /// is larger.
    pub fn events_after(
        &self,
        seq: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        self.read(|sql| {
            let mut rows = sql.prepare(
                "SELECT seq, at, body, salt, body_digest, previous, hash FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )?;
            let mut rows = rows.query((to_sql(seq), i64::try_from(max_events).unwrap_or(i64::MAX)))?;
            let (mut events, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let event = event_of(row)?;
                bytes += event.body.as_ref().map_or(0, String::len);
                if bytes > max_bytes && !events.is_empty() {
                    break;
                }
                events.push(event);
            }
            Ok(events)
        })
    }

    /// Where the chain has got to.
    pub fn head(&self) -> Result<ChainPosition, LedgerError> {
        self.read(head)
    }

    /// What the oldest event that is still here follows.
    pub fn oldest_position(&self) -> Result<ChainPosition, LedgerError> {
        self.read(|sql| {
            let found = sql
                .prepare("SELECT seq, previous FROM events ORDER BY seq LIMIT 1")?
                .query_row([], |row| {
                    Ok(ChainPosition {
                        seq: unsigned(row, 0)?.saturating_sub(1),
                        hash: Digest(row.get(1)?),
                    })
                })
                .optional()?;
            Ok(found.unwrap_or(ChainPosition::START))
        })
    }

    /// The highest event the server said it has on disk.
    pub fn acked_through(&self) -> Result<u64, LedgerError> {
        self.read(acked_through)
    }

    /// Events the server has yet to take.
    pub fn events_waiting(&self) -> Result<u64, LedgerError> {
        self.read(|sql| Ok(head(sql)?.seq.saturating_sub(acked_through(sql)?)))
    }

    /// Notes what the server has on disk. A lower number than before is believed too: its database was restored, and it
    /// gets again whatever is still here.
    pub fn acknowledge(&self, through: u64, now: Timestamp) -> Result<(), LedgerError> {
        let through = self.transaction(|tx| {
            let through = through.min(head(tx.sql())?.seq);
            // Only what lies between is written to, however long the record is.
            let before = acked_through(tx.sql())?;
            tx.set_meta(ACKED_KEY, &through.to_string())?;
            tx.sql().execute(
                "UPDATE events SET acknowledged_at = ?3 WHERE seq > ?1 AND seq <= ?2",
                (to_sql(before), to_sql(through), now.to_string()),
            )?;
            tx.sql().execute(
                "UPDATE events SET acknowledged_at = NULL WHERE seq > ?1 AND seq <= ?2",
                [to_sql(through), to_sql(before)],
            )?;
            Ok::<_, LedgerError>(through)
        })?;
        self.shared.acknowledged.send_replace(through);
        Ok(())
    }

    /// Drops what was acknowledged 35 days before `now`; how many. The newest event stays, to chain the next to.
    pub fn prune(&self, now: Timestamp) -> Result<usize, LedgerError> {
        self.transaction(|tx| {
            let head = head(tx.sql())?;
            let acknowledged: Vec<(i64, String)> = tx
                .sql()
                .prepare("SELECT seq, acknowledged_at FROM events WHERE acknowledged_at IS NOT NULL ORDER BY seq LIMIT 5000")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            let last_old = acknowledged
                .iter()
                .take_while(|(seq, at)| {
                    *seq < to_sql(head.seq)
                        && at
                            .parse::<Timestamp>()
                            .is_ok_and(|at| now.duration_since(at) > KEPT_AFTER_ACK)
                })
                .last();
            let Some((seq, _)) = last_old else {
                return Ok(0);
            };
            Ok(tx
                .sql()
                .execute("DELETE FROM events WHERE seq <= ?1", [seq])?)
        })
    }
}

pub(super) fn head(sql: &Connection) -> Result<ChainPosition, LedgerError> {
    let found = sql
        .prepare_cached("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(ChainPosition {
                seq: unsigned(row, 0)?,
                hash: Digest(row.get(1)?),
            })
        })
        .optional()?;
    Ok(found.unwrap_or(ChainPosition::START))
}

fn acked_through(sql: &Connection) -> Result<u64, LedgerError> {
    number(sql, ACKED_KEY)
}

fn not_kept(sql: &Connection) -> Result<u64, LedgerError> {
    number(sql, NOT_KEPT_KEY)
}

fn number(sql: &Connection, key: &str) -> Result<u64, LedgerError> {
    let Some(text) = meta(sql, key)? else {
        return Ok(0);
    };
    text.parse().map_err(|_| LedgerError::Damaged {
        what: key.to_owned(),
        problem: format!("`{text}` is not a number"),
    })
}

pub(super) fn event_of(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: unsigned(row, 0)?,
        at: timestamp(row, 1)?,
        body: row.get(2)?,
        salt: row.get::<_, Option<Vec<u8>>>(3)?.map(Base64),
        body_digest: Digest(row.get(4)?),
        previous: Digest(row.get(5)?),
        hash: Digest(row.get(6)?),
    })
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get::<_, String>(column)?.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::<dyn std::error::Error + Send + Sync>::from(format!("{error}")),
        )
    })
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn salt() -> Result<[u8; 16], LedgerError> {
    let mut salt = [0; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| LedgerError::NoRandomness)?;
    Ok(salt)
}
