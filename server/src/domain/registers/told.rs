//! What tablets tell of who has them, written into the registers of custody and staff. Harmless to repeat: one time has one
//! id, the tablet's, and so has its entry.
//!
//! Where a tablet without a network and the office both signed it out, the later of the two holds, and the earlier is over
//! from then on. Both stay on the register, and the tablet hears of it with its next bundle.

use super::aup::{Audience, AupVersion};
use super::custody::{self, Act, Custody, Out};
use super::staff::{self, Method, Staff};
use super::{Entry, Kept, audit, find, list};
use crate::domain::local_time::LocalTime;
use crate::storage::told::ToldCustody;
use crate::storage::{
    Changed, EntryBegun, EntryHead, Leaves, NewLine, Storage, StorageError, Which,
};
use jiff::Timestamp;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{DeviceId, EntryId};
use std::collections::BTreeMap;
use tokio::sync::Mutex;

const AT_ONCE: u32 = 5_000;
/// Somebody else wrote at the same time.
const TRIES: u32 = 5;
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Writes everything that waits; how much it was. A tablet whose word cannot be written now keeps no other's waiting, and its
/// later words wait behind it.
pub async fn write_all(storage: &Storage) -> Result<usize, StorageError> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (mut written, mut stuck) = (0, BTreeMap::new());
    loop {
        let before = written;
        for one in storage.told_list(AT_ONCE).await? {
            if stuck.contains_key(&one.device) {
                continue;
            }
            match write(storage, &one).await {
                Ok(()) => {
                    storage.told_done(one.device, one.seq).await?;
                    written += 1;
                }
                Err(error) => {
                    stuck.insert(one.device, error);
                }
            }
        }
        if written == before {
            let error = stuck.into_values().next();
            return error.map_or(Ok(written), Err);
        }
    }
}

async fn write(storage: &Storage, told: &ToldCustody) -> Result<(), StorageError> {
    let by = on_tablet(storage, told.device).await?;
    let scribe = Scribe {
        storage,
        by: &by,
        at: told.at,
    };
    for _ in 0..TRIES {
        if scribe.written(told).await? == Written::Yes {
            return Ok(());
        }
    }
    Err(StorageError::Busy)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Yes,
    /// Somebody else wrote meanwhile: look again.
    Meanwhile,
}

/// Writes lines that no person of the office wrote.
struct Scribe<'a> {
    storage: &'a Storage,
    by: &'a str,
    at: Timestamp,
}

impl Scribe<'_> {
    async fn written(&self, told: &ToldCustody) -> Result<Written, StorageError> {
        let body = &told.body;
        if let EventBody::CustodyTaken {
            custody,
            staff,
            room,
            due,
            acknowledged,
        } = body
        {
            let out = Out {
                device: told.device,
                staff: staff::entry_id(*staff),
                due: *due,
            };
            if let Some(version) = acknowledged
                && self.acknowledge(out.staff, *version).await? == Written::Meanwhile
            {
                return Ok(Written::Meanwhile);
            }
            let room = room.clone();
            return self
                .take(custody::entry_id(*custody), Act::Taken { out, room })
                .await;
        }
        if let EventBody::CustodyReturned { custody, by } = body {
            let by = staff::entry_id(*by);
            return self
                .give_back(told.device, custody::entry_id(*custody), by)
                .await;
        }
        Ok(Written::Yes)
    }

    async fn take(&self, id: EntryId, act: Act) -> Result<Written, StorageError> {
        let Ok(new) = Custody::after(None, &act, self.at) else {
            return Ok(Written::Yes);
        };
        let device = new.out.device;
        let open = list::<Custody>(self.storage, Which::Open).await?;
        let other = open
            .into_iter()
            .find(|kept| kept.now.out.device == device && kept.id != id);
        let overtaken_at = other
            .as_ref()
            .map(|other| other.now.out_at)
            .filter(|out_at| *out_at > self.at);
        let found = find::<Custody>(self.storage, id).await?;
        match (&found, other) {
            (Some(known), _) if known.now.out.device != device => {
                tracing::warn!(device.id = %device, "a tablet tells of a time that is another's; it stays in its record");
                return Ok(Written::Yes);
            }
            (None, Some(earlier)) if overtaken_at.is_none() => {
                if self.line(earlier, &Act::Overtaken, self.at).await? == Written::Meanwhile {
                    return Ok(Written::Meanwhile);
                }
            }
            (Some(_) | None, _) => {}
        }
        let known = match found {
            Some(known) => known,
            None if self.begin(id, &act, &new, overtaken_at).await? == Written::Meanwhile => {
                return Ok(Written::Meanwhile);
            }
            None => match find::<Custody>(self.storage, id).await? {
                Some(known) => known,
                None => return Ok(Written::Meanwhile),
            },
        };
        match overtaken_at {
            Some(at) if known.now.is_open() => self.line(known, &Act::Overtaken, at).await,
            Some(_) | None => Ok(Written::Yes),
        }
    }

    async fn begin(
        &self,
        id: EntryId,
        act: &Act,
        new: &Custody,
        overtaken_at: Option<Timestamp>,
    ) -> Result<Written, StorageError> {
        let head = EntryHead {
            id,
            begun_at: self.at,
            closed_at: None,
            subject: new.subject().filter(|_| overtaken_at.is_none()),
            circle: None,
        };
        let line = self.new_line(1, act, self.at, leaves(overtaken_at.is_none()))?;
        let audit = audit(Custody::REGISTER, id, &line);
        let begun = self
            .storage
            .entry_begin(Custody::REGISTER, &head, &line, &audit)
            .await?;
        Ok(match begun {
            EntryBegun::Yes => Written::Yes,
            EntryBegun::Taken => Written::Meanwhile,
        })
    }

    async fn give_back(
        &self,
        device: DeviceId,
        id: EntryId,
        by: EntryId,
    ) -> Result<Written, StorageError> {
        match find::<Custody>(self.storage, id).await? {
            Some(known) if known.now.out.device == device && known.now.is_open() => {
                self.line(known, &Act::Returned { by }, self.at).await
            }
            // It is back already by the office's word, or the office knows nothing of it.
            Some(_) | None => Ok(Written::Yes),
        }
    }

    async fn acknowledge(&self, staff: EntryId, version: EntryId) -> Result<Written, StorageError> {
        let Some(known) = find::<Staff>(self.storage, staff).await? else {
            return Ok(Written::Yes);
        };
        let shown = find::<AupVersion>(self.storage, version).await?;
        let is_for_staff = shown.is_some_and(|v| v.now.audience == Audience::Staff);
        if !is_for_staff || known.now.acknowledged.contains_key(&version) {
            return Ok(Written::Yes);
        }
        let local = LocalTime::load(self.storage).await?;
        let act = staff::Act::Acknowledge {
            version,
            on: local.date(self.at),
            method: Method::OnTablet,
        };
        self.line(known, &act, self.at).await
    }

    /// At the end of an entry that takes it.
    async fn line<E: Entry>(
        &self,
        kept: Kept<E>,
        act: &E::Act,
        at: Timestamp,
    ) -> Result<Written, StorageError> {
        let seq = kept.lines.last().map_or(1, |last| last.seq + 1);
        let Ok(after) = E::after(Some(kept.now), act, at) else {
            return Ok(Written::Yes);
        };
        let line = self.new_line(seq, act, at, leaves(after.is_open()))?;
        let audit = audit(E::REGISTER, kept.id, &line);
        let appended = self
            .storage
            .entry_append(E::REGISTER, kept.id, &line, &audit)
            .await?;
        Ok(match appended {
            Changed::Yes | Changed::Missing => Written::Yes,
            Changed::Already => Written::Meanwhile,
        })
    }

    fn new_line(
        &self,
        seq: u64,
        act: &impl serde::Serialize,
        at: Timestamp,
        leaves: Leaves,
    ) -> Result<NewLine, StorageError> {
        let act = serde_json::to_value(act).map_err(|error| StorageError::Corrupt {
            what: "a line of a register",
            problem: error.to_string(),
        })?;
        Ok(NewLine {
            seq,
            at,
            by: self.by.to_owned(),
            act,
            sealed: None,
            leaves,
        })
    }
}

const fn leaves(is_open: bool) -> Leaves {
    if is_open {
        Leaves::Open
    } else {
        Leaves::Closed
    }
}

/// Whose word it is.
async fn on_tablet(storage: &Storage, device: DeviceId) -> Result<String, StorageError> {
    let known = storage.device_find(device).await?;
    Ok(known.map_or_else(
        || "a tablet".to_owned(),
        |device| format!("tablet {}", device.name),
    ))
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
