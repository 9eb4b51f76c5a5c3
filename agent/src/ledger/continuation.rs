//! A record that was put back to an earlier state goes on from where the server's ends, and what the server does not have is
//! told again after that: nothing either side had is lost.

use super::spool::{self, event_of, head};
use super::{Ledger, LedgerError, LedgerTx, enrolment};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::event::{ChainPosition, Event, EventBody};
use rusqlite::{Connection, OptionalExtension as _};

impl Ledger {
    /// The hash of event `seq`; `None`: it was dropped, or never recorded.
    pub fn hash_at(&self, seq: u64) -> Result<Option<Digest>, LedgerError> {
        self.read(|sql| hash_at(sql, seq))
    }

    /// The number of the oldest event that is still here; `None`: there are none.
    pub fn oldest_event(&self) -> Result<Option<u64>, LedgerError> {
        let oldest = self.oldest_position()?.seq.saturating_add(1);
        Ok((self.head()?.seq >= oldest).then_some(oldest))
    }

    /// Goes on after `server`, where the server's record ends. Every event after `common`, the last that both have, is told
    /// again; `None`: all that are still here.
    pub fn continue_after(
        &self,
        server: ChainPosition,
        common: Option<ChainPosition>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.transaction(|tx| {
            let sql = tx.sql();
            let device = enrolment::device(sql)?;
            let had = head(sql)?;
            let after = common.map_or(0, |common| common.seq);
            let events = events_after(sql, after)?;
            sql.execute("DELETE FROM events WHERE seq > ?1", [spool::to_sql(after)])?;
            let said = EventBody::RecordContinued {
                common,
                had,
                server,
                again: u64::try_from(events.len()).unwrap_or(u64::MAX),
            };
            let mut last = tx.append_after(server, now, &said)?;
            for event in events {
                let moved = event.moved_after(last, device);
                last = moved.position();
                tx.insert(&moved)?;
            }
            Ok::<_, LedgerError>(())
        })?;
        self.acknowledge(server.seq, now)
    }
}

impl LedgerTx<'_> {
    fn append_after(
        &self,
        position: ChainPosition,
        at: Timestamp,
        body: &EventBody,
    ) -> Result<ChainPosition, LedgerError> {
        let device = enrolment::device(self.sql())?;
        let event = Event::following(position, device, at, body, spool::salt()?)
            .map_err(LedgerError::Unwritable)?;
        self.insert(&event)?;
        Ok(event.position())
    }
}

fn hash_at(sql: &Connection, seq: u64) -> Result<Option<Digest>, LedgerError> {
    if seq == 0 {
        return Ok(Some(Digest::ZERO));
    }
    let one = |query: &str, seq: u64| {
        sql.query_row(query, [spool::to_sql(seq)], |row| row.get(0).map(Digest))
            .optional()
    };
    Ok(match one("SELECT hash FROM events WHERE seq = ?1", seq)? {
        Some(hash) => Some(hash),
        None => one("SELECT previous FROM events WHERE seq = ?1", seq + 1)?,
    })
}

fn events_after(sql: &Connection, seq: u64) -> Result<Vec<Event>, LedgerError> {
    let mut rows = sql.prepare(
        "SELECT seq, at, body, salt, body_digest, previous, hash FROM events WHERE seq > ?1 ORDER BY seq",
    )?;
    let rows = rows.query_map([spool::to_sql(seq)], event_of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
