//! Staff sign the tablet out and in on the tablet, each with their own PIN. It works from the last bundle, however old: a
//! tablet in the garden without a network is still somebody's.
//!
//! State, counters of wrong tries and the event are one transaction; nothing counts as done before it is on disk.

mod standing;
mod state;
mod tries;

pub use standing::{Holder, Somebody, Standing};

use crate::clock::TrustedClock;
use crate::ledger::{Ledger, LedgerError, LedgerTx, meta};
use argon2::Argon2;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::envelope::VerifiedBundle;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{CustodyId, EntryId, StaffId};
use nestwarden_policy_schema::pin::{Pin, PinVerifier};
use nestwarden_policy_schema::roster::RosterEntry;
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use standing::{must_agree, rooms, standing};
use state::{Open, State};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tries::{BootReading, Tries};
use uuid::Uuid;

const STATE_KEY: &str = "custody";
const TRIES_KEY: &str = "pin_tries";

/// Clones share it.
#[derive(Clone)]
pub struct Custody {
    ledger: Ledger,
    clock: TrustedClock,
    /// Checking a PIN takes memory on purpose.
    checking: Arc<Semaphore>,
}

/// What somebody fills in to take the tablet.
#[derive(Debug)]
pub struct Taking {
    pub staff: StaffId,
    pub pin: Option<Pin>,
    /// The version they ticked.
    pub agreed: Option<EntryId>,
    pub room: Option<RoomName>,
    /// Today, on the wall clock of the setting.
    pub due: Time,
}

#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    #[error("the PIN was wrong")]
    Wrong { wait: Duration },
    #[error("too many PINs were wrong")]
    Wait { wait: Duration },
    #[error("somebody has the tablet already")]
    Taken,
    #[error("nobody has the tablet")]
    NotTaken,
    #[error("{0}")]
    MayNot(String),
    #[error("they have not agreed to the policy in force")]
    MustAgree,
    #[error("it would have to be back before now")]
    DueBefore,
    #[error("this tablet is not used in that room")]
    Room,
    #[error("no policy has arrived yet")]
    NoBundle,
    #[error("the check of PINs has ended")]
    Ended,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Custody {
    pub fn new(ledger: Ledger, clock: TrustedClock) -> Self {
        Self {
            ledger,
            clock,
            checking: Arc::new(Semaphore::new(1)),
        }
    }

    /// `None` before the first bundle. Blocks.
    pub fn standing(&self) -> Result<Option<Standing>, CustodyError> {
        let Some(bundle) = self.ledger.bundle() else {
            return Ok(None);
        };
        let state = self.ledger.read(read_state)?;
        let state = state.told(bundle.bundle().custody.as_ref());
        Ok(Some(standing(bundle.bundle(), &state, self.clock.now().at)))
    }

    /// Writes down what the server says, so that it holds however much it says later.
    pub async fn take_over_words(self) {
        let mut bundles = self.ledger.watch_bundle();
        loop {
            let custody = self.clone();
            let taken = tokio::task::spawn_blocking(move || custody.take_over());
            if let Ok(Err(error)) = taken.await {
                tracing::error!(error = %crate::whole_text(&error), "what the office says of who has the tablet was not written down");
            }
            if bundles.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn take_over(&self) -> Result<(), LedgerError> {
        let Some(bundle) = self.ledger.bundle() else {
            return Ok(());
        };
        let before = self.ledger.read(read_state)?;
        let told = before.clone().told(bundle.bundle().custody.as_ref());
        if told == before {
            return Ok(());
        }
        self.ledger.transaction(|tx| {
            let state: State = read(tx.sql(), STATE_KEY)?;
            write(tx, STATE_KEY, &state.told(bundle.bundle().custody.as_ref()))
        })
    }

    /// Somebody takes the tablet. Done is what this says is done: it is on disk.
    pub async fn take(&self, taking: Taking) -> Result<(), CustodyError> {
        let pin = taking.pin.clone();
        let staff = taking.staff;
        let request = Arc::new(taking);
        let before = Arc::clone(&request);
        let may = move |moment: &Moment| may_take(&before, moment).map(drop);
        let deed = move |moment: &mut Moment| {
            let (due, agreed) = may_take(&request, moment)?;
            let entry = moment.entry(request.staff)?;
            let open = Open {
                custody: CustodyId::from_uuid(Uuid::now_v7()),
                staff: request.staff,
                name: entry.name.clone(),
                room: request.room.clone(),
                since: moment.now,
                due,
            };
            let event = EventBody::CustodyTaken {
                custody: open.custody,
                staff: open.staff,
                room: open.room.clone(),
                due,
                acknowledged: agreed,
            };
            if let Some(version) = agreed {
                moment.state.agreed.insert(request.staff, version);
            }
            moment.state.open = Some(open);
            Ok(event)
        };
        self.with_pin(staff, pin, may, deed).await
    }

    /// Somebody brings it back, whoever had it.
    pub async fn give_back(&self, by: StaffId, pin: Option<Pin>) -> Result<(), CustodyError> {
        let may = |moment: &Moment| {
            let open = moment.state.open.as_ref();
            open.map(|open| open.custody).ok_or(CustodyError::NotTaken)
        };
        let deed = move |moment: &mut Moment| {
            let custody = may(moment)?;
            moment.state.end();
            Ok(EventBody::CustodyReturned { custody, by })
        };
        let may = move |moment: &Moment| may(moment).map(drop);
        self.with_pin(by, pin, may, deed).await
    }

    /// `may` is asked before a try is counted, and `deed` asks again: the check takes a while.
    async fn with_pin(
        &self,
        staff: StaffId,
        pin: Option<Pin>,
        may: impl FnOnce(&Moment) -> Result<(), CustodyError> + Send + 'static,
        deed: impl FnOnce(&mut Moment) -> Result<EventBody, CustodyError> + Send + 'static,
    ) -> Result<(), CustodyError> {
        let place = Arc::clone(&self.checking).acquire_owned().await;
        let place = place.map_err(|_| CustodyError::Ended)?;
        let custody = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Goes on, and keeps its place, also where nobody waits for the answer any more.
            let _place = place;
            let verifier = custody.admit(staff, may)?;
            let is_right = pin.is_some_and(|pin| is_right(&pin, &verifier));
            if is_right {
                custody.right(staff, deed)
            } else {
                custody.wrong(staff)
            }
        });
        done.await.map_err(|_| CustodyError::Ended)?
    }

    fn admit(
        &self,
        staff: StaffId,
        may: impl FnOnce(&Moment) -> Result<(), CustodyError>,
    ) -> Result<PinVerifier, CustodyError> {
        let bundle = self.ledger.bundle().ok_or(CustodyError::NoBundle)?;
        let now = self.boot();
        self.ledger.transaction(|tx| {
            let moment = self.moment(tx, bundle)?;
            may(&moment)?;
            let pin = moment.entry(staff)?.pin.clone();
            let pin = pin.ok_or_else(|| no_pin(moment.entry(staff)))?;
            let roster = &moment.bundle().roster;
            let roster = roster.iter().map(|entry| entry.staff).collect();
            let mut tries: Tries = read(tx.sql(), TRIES_KEY)?;
            tries
                .admit(staff, &roster, &now)
                .map_err(|wait| CustodyError::Wait { wait })?;
            write(tx, TRIES_KEY, &tries)?;
            Ok(pin)
        })
    }

    fn right(
        &self,
        staff: StaffId,
        deed: impl FnOnce(&mut Moment) -> Result<EventBody, CustodyError>,
    ) -> Result<(), CustodyError> {
        let bundle = self.ledger.bundle().ok_or(CustodyError::NoBundle)?;
        let done = self.ledger.transaction(|tx| {
            let mut tries: Tries = read(tx.sql(), TRIES_KEY)?;
            tries.right(staff);
            write(tx, TRIES_KEY, &tries)?;
            let mut moment = self.moment(tx, bundle)?;
            // That the PIN was right stands, also where meanwhile somebody else was quicker.
            match deed(&mut moment) {
                Ok(event) => {
                    write(tx, STATE_KEY, &moment.state)?;
                    tx.record(moment.now, &event)?;
                    Ok::<_, LedgerError>(Ok(()))
                }
                Err(error) => Ok(Err(error)),
            }
        });
        done?
    }

    fn wrong(&self, staff: StaffId) -> Result<(), CustodyError> {
        let (now, boot) = (self.clock.now().at, self.boot());
        let wait = self.ledger.transaction(|tx| {
            let mut tries: Tries = read(tx.sql(), TRIES_KEY)?;
            let told = tries.wrong(staff);
            write(tx, TRIES_KEY, &tries)?;
            tx.record(now, &EventBody::PinRefused { staff, count: 1 })?;
            if let Some(told) = told {
                let event = EventBody::PinLockedOut {
                    staff,
                    tries: told.tries,
                    wait_s: u32::try_from(told.wait.as_secs()).unwrap_or(u32::MAX),
                };
                tx.record(now, &event)?;
            }
            Ok::<_, LedgerError>(tries.left(staff, &boot))
        })?;
        Err(CustodyError::Wrong { wait })
    }

    fn moment(
        &self,
        tx: &LedgerTx<'_>,
        bundle: Arc<VerifiedBundle>,
    ) -> Result<Moment, LedgerError> {
        let state: State = read(tx.sql(), STATE_KEY)?;
        Ok(Moment {
            state: state.told(bundle.bundle().custody.as_ref()),
            bundle,
            now: self.clock.now().at,
        })
    }

    fn boot(&self) -> BootReading {
        let door = self.clock.door();
        BootReading {
            boot: door.boot_id(),
            since: door.since_boot(),
        }
    }
}

/// What a deed is judged by, within its transaction.
struct Moment {
    state: State,
    bundle: Arc<VerifiedBundle>,
    now: Timestamp,
}

impl Moment {
    fn bundle(&self) -> &Bundle {
        self.bundle.bundle()
    }

    fn entry(&self, staff: StaffId) -> Result<&RosterEntry, CustodyError> {
        entry(self.bundle(), staff).ok_or_else(|| {
            CustodyError::MayNot("They are not on this tablet's list. Ask the office.".to_owned())
        })
    }
}

fn entry(bundle: &Bundle, staff: StaffId) -> Option<&RosterEntry> {
    bundle.roster.iter().find(|entry| entry.staff == staff)
}

fn no_pin(entry: Result<&RosterEntry, CustodyError>) -> CustodyError {
    match entry {
        Ok(_) => CustodyError::MayNot(
            "They have no PIN that counts here. Somebody else signs it in, or the office does."
                .to_owned(),
        ),
        Err(error) => error,
    }
}

/// When it is due, and to which version they agree by it, if they have to.
fn may_take(
    taking: &Taking,
    moment: &Moment,
) -> Result<(Timestamp, Option<EntryId>), CustodyError> {
    if moment.state.open.is_some() {
        return Err(CustodyError::Taken);
    }
    let bundle = moment.bundle();
    let today = bundle.calendar.local_date(moment.now);
    let entry = moment.entry(taking.staff)?;
    entry
        .may_have_on(today)
        .map_err(|why| CustodyError::MayNot(why.to_owned()))?;
    let rooms = rooms(bundle);
    if taking
        .room
        .as_ref()
        .is_some_and(|room| !rooms.contains(room))
    {
        return Err(CustodyError::Room);
    }
    let agreed = match must_agree(bundle, &moment.state, entry) {
        None => None,
        Some(aup) if taking.agreed == Some(aup.version) => Some(aup.version),
        Some(_) => return Err(CustodyError::MustAgree),
    };
    let due = instant(bundle, today.to_datetime(taking.due));
    let due = due.filter(|due| *due > moment.now);
    Ok((due.ok_or(CustodyError::DueBefore)?, agreed))
}

fn instant(bundle: &Bundle, wall: DateTime) -> Option<Timestamp> {
    let zone = bundle.calendar.zone().ok()?;
    zone.to_ambiguous_timestamp(wall).compatible().ok()
}

/// Blocks, and takes as much memory as the verifier says, within bounds.
fn is_right(pin: &Pin, verifier: &PinVerifier) -> bool {
    let is_bounded = verifier.check().is_ok();
    let hash = PasswordHash::new(verifier.as_str());
    is_bounded
        && hash.is_ok_and(|hash| {
            let pin = pin.expose().as_bytes();
            Argon2::default().verify_password(pin, &hash).is_ok()
        })
}

fn read_state(sql: &Connection) -> Result<State, LedgerError> {
    read(sql, STATE_KEY)
}

fn read<T: DeserializeOwned + Default>(
    sql: &Connection,
    key: &'static str,
) -> Result<T, LedgerError> {
    let Some(text) = meta(sql, key)? else {
        return Ok(T::default());
    };
    serde_json::from_str(&text).map_err(|error| LedgerError::Damaged {
        what: key.to_owned(),
        problem: error.to_string(),
    })
}

fn write<T: Serialize>(tx: &LedgerTx<'_>, key: &str, value: &T) -> Result<(), LedgerError> {
    let text = serde_json::to_string(value).map_err(LedgerError::Unwritable)?;
    tx.set_meta(key, &text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests;
