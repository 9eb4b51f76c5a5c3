//! Time the tablet can vouch for: what the server signed for, carried on by the boot clock.
//!
//! Within one boot only the boot clock counts; whatever is done to the wall clock changes nothing. Across a restart there
//! is nothing but the wall clock to say how long the tablet was off, so it is believed within bounds:
//!
//! | the wall clock reads | then time goes on from | doubtful |
//! |---|---|---|
//! | earlier than the last time seen | the last time seen | yes, until the next contact; the tampering is told |
//! | up to 14 days later | the wall clock | no |
//! | more than 14 days later | the wall clock | yes, until the next contact |
//!
//! 14 days is what the default lease of seven opening days comes to in calendar days with a closure in it: a tablet that
//! was off for longer has its photos withheld for want of the server anyway. A wall clock set ahead can therefore never
//! destroy anything that was not due within a fortnight, and one set back never revives a consent. While in doubt, time
//! is good for withholding and for nothing that cannot be undone.
//!
//! The server's own clock may be wrong, too. Where its time leaps more than an hour ahead of what the boot clock made of its
//! last word, it is followed, but no hold list counts as current, so that nothing is destroyed, until it was put right or the
//! tablet has been on with it, awake or asleep, for eight hours. After a restart of the tablet there is nothing to tell that by.

use crate::door::ClockDoor;
use crate::ledger::{Ledger, LedgerError, LedgerTx, meta};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::consent::TrustedNow;
use nestwarden_policy_schema::event::EventBody;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How far the wall clock may have gone while the tablet was off and still be believed.
pub const MAX_TIME_OFF: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A wall clock this little behind the last time seen is drift and no tampering.
pub const TOLERATED_DRIFT: SignedDuration = SignedDuration::from_mins(2);
/// How far ahead of what the boot clock made of its last word the server's time may be and be believed at once.
pub const MAX_LEAP: SignedDuration = SignedDuration::from_hours(1);
/// How long the tablet is on, awake or asleep, with a time that leapt ahead before anything is destroyed by it.
pub const LEAP_LIVED: Duration = Duration::from_hours(8);
const KEY: &str = "clock";

/// The trusted clock; clones share it.
#[derive(Clone)]
pub struct TrustedClock {
    shared: Arc<Shared>,
}

struct Shared {
    door: Arc<dyn ClockDoor>,
    ledger: Ledger,
    state: Mutex<State>,
    doubt: watch::Sender<bool>,
}

/// A trusted instant tied to a reading of the boot clock.
#[derive(Clone, Debug)]
struct State {
    at: Timestamp,
    since_boot: Duration,
    doubt: Option<String>,
    last_contact: Option<Timestamp>,
    holds_confirmed_at: Option<Timestamp>,
    leap: Option<Leap>,
    /// Only the boot clock went on from what the server said last.
    is_servers: bool,
}

/// The server's time leapt ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Leap {
    /// What the tablet's own clock would say, as of the last reading.
    own: Timestamp,
    /// How long the tablet has been on since, awake or asleep.
    lived: Duration,
}

/// What outlives the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Saved {
    boot_id: String,
    since_boot_ms: u64,
    at: Timestamp,
    doubt: Option<String>,
    last_contact: Option<Timestamp>,
    holds_confirmed_at: Option<Timestamp>,
    #[serde(default)]
    leap: Option<Leap>,
    #[serde(default)]
    is_servers: bool,
}

impl TrustedClock {
    /// Takes up the time from what the ledger last saw, and records a new doubt.
    pub fn open(ledger: Ledger, door: Arc<dyn ClockDoor>) -> Result<Self, LedgerError> {
        let saved = ledger.read(saved)?;
        // Before the first contact there is nothing to doubt yet that anybody was told of.
        let was_doubtful = saved.as_ref().is_none_or(|saved| saved.doubt.is_some());
        let state = taken_up(saved, door.as_ref());
        let clock = Self {
            shared: Arc::new(Shared {
                doubt: watch::Sender::new(state.doubt.is_some()),
                door,
                ledger,
                state: Mutex::new(state),
            }),
        };
        clock.checkpoint()?;
        let state = clock.state().clone();
        if let Some(reason) = state.doubt.filter(|_| !was_doubtful) {
            clock.record_doubt(true, reason)?;
        }
        Ok(clock)
    }

    pub fn now(&self) -> TrustedNow {
        let state = self.state();
        TrustedNow {
            at: state.at_reading(self.shared.door.since_boot()),
            doubtful: state.doubt.is_some(),
            last_contact: state.last_contact,
            lost_since: self.shared.ledger.loss().and_then(|word| word.lost_since),
            holds_confirmed_at: state.holds_confirmed_at,
        }
    }

    /// Takes over a time the server signed for in answer to a request that took `round_trip`, and ends any doubt.
    ///
    /// The signature and the nonce were checked. The time was signed somewhere within the round trip, a hang included, so
    /// it is now no earlier than that and no later by more than the round trip: a clock within those bounds is left alone,
    /// and an answer held back on the way cannot hold the tablet's clock back.
    pub fn confirm(&self, signed_for: Timestamp, round_trip: Duration) -> Result<(), LedgerError> {
        self.confirmed(signed_for, self.shared.door.since_boot(), round_trip)
    }

    /// Likewise, in answer to a request that was sent when the boot clock said `asked`. Whatever time passes before this
    /// is done, in sleep too, is part of the round trip.
    pub fn confirm_since(&self, signed_for: Timestamp, asked: Duration) -> Result<(), LedgerError> {
        let since_boot = self.shared.door.since_boot();
        self.confirmed(signed_for, since_boot, since_boot.saturating_sub(asked))
    }

    fn confirmed(
        &self,
        signed_for: Timestamp,
        since_boot: Duration,
        round_trip: Duration,
    ) -> Result<(), LedgerError> {
        let round_trip = SignedDuration::try_from(round_trip).unwrap_or(SignedDuration::MAX);
        let latest = signed_for
            .saturating_add(round_trip)
            .unwrap_or(Timestamp::MAX);
        let (is_first, doubt_ended, leapt) = {
            let mut state = self.state();
            let is_first = state.last_contact.is_none();
            let leapt = state.follow(signed_for, since_boot);
            state.at = state.at_reading(since_boot).clamp(signed_for, latest);
            state.since_boot = since_boot;
            state.last_contact = Some(signed_for);
            (is_first, state.doubt.take().is_some(), leapt)
        };
        if doubt_ended || leapt.is_some() {
            self.checkpoint()?;
        }
        if let Some(ahead) = leapt {
            let what = format!(
                "the server's time leapt {} minutes ahead of the tablet's: set the server's clock right; no photo is destroyed until it is, or the tablet has been on with it for eight hours",
                ahead.as_mins()
            );
            tracing::error!(what);
            let alarm = EventBody::Alarm { what };
            match self.shared.ledger.record(self.now().at, &alarm) {
                Ok(_) | Err(LedgerError::NotEnrolled) => {}
                Err(error) => return Err(error),
            }
        }
        if doubt_ended && !is_first {
            self.record_doubt(false, "the server confirmed the time".to_owned())?;
        }
        self.shared.doubt.send_replace(false);
        Ok(())
    }

    /// Notes that the hold list in force is the server's, as of a time it signed for, and has everything that waited for
    /// a fresh one looked at again.
    pub fn confirm_holds(&self, signed_for: Timestamp) {
        let doubtful = {
            let mut state = self.state();
            state.holds_confirmed_at = state.leap.is_none().then_some(signed_for);
            state.doubt.is_some()
        };
        self.shared.doubt.send_replace(doubtful);
    }

    /// No hold list is known to be the setting's any more, so nothing may be destroyed.
    pub fn forget_holds(&self) -> Result<(), LedgerError> {
        if self.state().holds_confirmed_at.take().is_some() {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Whether the clock is in doubt; marked as changed at every contact with the server, too.
    pub fn watch_doubt(&self) -> watch::Receiver<bool> {
        self.shared.doubt.subscribe()
    }

    /// Why the clock is in doubt; `None` while it is not.
    pub fn doubt(&self) -> Option<String> {
        self.state().doubt.clone()
    }

    pub fn door(&self) -> Arc<dyn ClockDoor> {
        Arc::clone(&self.shared.door)
    }

    /// Writes down the time, so that it never goes back behind it. Call every few minutes and on shutdown.
    pub fn checkpoint(&self) -> Result<(), LedgerError> {
        self.shared.ledger.transaction(|tx| self.checkpoint_in(tx))
    }

    pub fn checkpoint_in(&self, tx: &LedgerTx<'_>) -> Result<(), LedgerError> {
        let state = self.state().clone();
        let since_boot = self.shared.door.since_boot();
        let saved = Saved {
            boot_id: self.shared.door.boot_id(),
            since_boot_ms: u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX),
            at: state.at_reading(since_boot),
            leap: state.leap_at(since_boot),
            is_servers: state.is_servers,
            doubt: state.doubt,
            last_contact: state.last_contact,
            holds_confirmed_at: state.holds_confirmed_at,
        };
        let text = serde_json::to_string(&saved).map_err(LedgerError::Unwritable)?;
        tx.set_meta(KEY, &text)
    }

    fn record_doubt(&self, doubtful: bool, reason: String) -> Result<(), LedgerError> {
        let event = EventBody::ClockDoubt { doubtful, reason };
        match self.shared.ledger.record(self.now().at, &event) {
            Ok(_) | Err(LedgerError::NotEnrolled) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn leap_at(&self, since_boot: Duration) -> Option<Leap> {
        let passed = since_boot.saturating_sub(self.since_boot);
        let own = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        self.leap.map(|leap| Leap {
            own: leap.own.saturating_add(own).unwrap_or(Timestamp::MAX),
            lived: leap.lived + passed,
        })
    }

    /// What the server's time says of a leap; by how much it leapt, if it just did.
    fn follow(&mut self, signed_for: Timestamp, since_boot: Duration) -> Option<SignedDuration> {
        let reading = self.at_reading(since_boot);
        let ahead = signed_for.duration_since(reading);
        let leaps = ahead > MAX_LEAP && self.is_servers;
        self.is_servers = true;
        self.leap = self.leap_at(since_boot);
        if let Some(leap) = self.leap {
            let is_put_right = signed_for.duration_since(leap.own) <= MAX_LEAP;
            if is_put_right || leap.lived >= LEAP_LIVED {
                self.leap = None;
            }
        }
        if !leaps {
            return None;
        }
        let own = self.leap.map_or(reading, |leap| leap.own);
        self.leap = Some(Leap {
            own,
            lived: Duration::ZERO,
        });
        self.holds_confirmed_at = None;
        Some(ahead)
    }

    fn at_reading(&self, since_boot: Duration) -> Timestamp {
        let passed = SignedDuration::try_from(since_boot.saturating_sub(self.since_boot))
            .unwrap_or(SignedDuration::ZERO);
        self.at.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}

/// The last time the ledger saw, for a status without the agent; `None` before the first.
pub fn last_seen(ledger: &Ledger) -> Result<Option<Timestamp>, LedgerError> {
    Ok(ledger.read(saved)?.map(|saved| saved.at))
}

fn saved(sql: &rusqlite::Connection) -> Result<Option<Saved>, LedgerError> {
    meta(sql, KEY)?
        .map(|text| {
            serde_json::from_str(&text).map_err(|e| LedgerError::Damaged {
                what: "last time seen".to_owned(),
                problem: e.to_string(),
            })
        })
        .transpose()
}

fn taken_up(saved: Option<Saved>, door: &dyn ClockDoor) -> State {
    let (wall, since_boot) = (door.wall(), door.since_boot());
    let Some(saved) = saved else {
        return State {
            at: wall,
            since_boot,
            doubt: Some("no server has confirmed the time yet".to_owned()),
            last_contact: None,
            holds_confirmed_at: None,
            leap: None,
            is_servers: false,
        };
    };
    let mut state = State {
        at: saved.at,
        since_boot: Duration::from_millis(saved.since_boot_ms),
        doubt: saved.doubt,
        last_contact: saved.last_contact,
        holds_confirmed_at: saved.holds_confirmed_at,
        leap: saved.leap,
        is_servers: saved.is_servers,
    };
    if saved.boot_id == door.boot_id() && state.since_boot <= since_boot {
        return state;
    }
    let off = wall.duration_since(saved.at);
    state.since_boot = since_boot;
    state.is_servers = false;
    if off < -TOLERATED_DRIFT {
        state.doubt.get_or_insert_with(|| {
            format!(
                "after a restart the clock reads {wall}, before {}, the last time seen",
                saved.at
            )
        });
    } else if off > MAX_TIME_OFF {
        state.at = wall;
        state.doubt.get_or_insert_with(|| {
            format!(
                "after a restart the clock reads {wall}, more than 14 days after {}, the last time seen, and no server has confirmed it",
                saved.at
            )
        });
    } else {
        state.at = wall.max(saved.at);
    }
    state
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests;
