//! Who has which tablet. One is signed out once at a time, to somebody who may have it, until a time; and at closing
//! somebody counts those that are here.

use super::aup::AupVersion;
use super::staff::{Staff, Standing, standing};
use super::words::Words;
use super::{Entry, Hand, Kept, Refused, RegisterError, Registers, find, list};
use crate::storage::{Device, RegisterName, Role, Which};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::{CustodyId, DeviceId, EntryId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Out {
    pub device: DeviceId,
    /// An entry of the staff register.
    pub staff: EntryId,
    pub due: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Out {
        out: Out,
    },
    /// It is needed for longer.
    Extend {
        due: Timestamp,
    },
    In,
    /// A manager says that it is back, with a reason: nobody signed it in.
    Forced,
    /// Signed out on the tablet itself.
    Taken {
        out: Out,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<RoomName>,
    },
    /// Signed in on the tablet itself.
    Returned {
        /// An entry of the staff register.
        by: EntryId,
    },
    /// It was signed out anew, by somebody who did not know of this time yet.
    Overtaken,
}

/// Where it was signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Office,
    Tablet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custody {
    pub out: Out,
    pub out_at: Timestamp,
    pub place: Place,
    /// As said on the tablet.
    pub room: Option<RoomName>,
    pub back_at: Option<Timestamp>,
}

impl Custody {
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.back_at.is_none() && self.out.due <= now
    }
}

impl Entry for Custody {
    const REGISTER: RegisterName = RegisterName::Custody;
    type Act = Act;

    fn after(before: Option<Self>, act: &Act, at: Timestamp) -> Result<Self, Refused> {
        let due_later = |due: Timestamp| {
            if due <= at {
                let says = "It has to come back later than now. Correct the time.";
                return Err(Refused::at("due", says));
            }
            Ok(())
        };
        match (before, act) {
            (None, Act::Out { out }) => {
                due_later(out.due)?;
                Ok(Self {
                    out: out.clone(),
                    out_at: at,
                    place: Place::Office,
                    room: None,
                    back_at: None,
                })
            }
            // What a tablet tells has happened, whatever its clock said.
            (None, Act::Taken { out, room }) => Ok(Self {
                out: out.clone(),
                out_at: at,
                place: Place::Tablet,
                room: room.clone(),
                back_at: None,
            }),
            (None, _) => Err(Refused::whole("It was not signed out.")),
            (Some(_), Act::Out { .. } | Act::Taken { .. }) => {
                Err(Refused::whole("It is signed out already."))
            }
            (Some(custody), _) if custody.back_at.is_some() => {
                Err(Refused::whole("It is back already."))
            }
            (Some(custody), Act::Extend { due }) => {
                due_later(*due)?;
                let out = Out {
                    due: *due,
                    ..custody.out
                };
                Ok(Self { out, ..custody })
            }
            (Some(custody), Act::In | Act::Forced | Act::Returned { .. } | Act::Overtaken) => {
                Ok(Self {
                    back_at: Some(at),
                    ..custody
                })
            }
        }
    }

    fn is_open(&self) -> bool {
        self.back_at.is_none()
    }

    fn subject(&self) -> Option<String> {
        Some(self.out.device.to_string())
    }
}

/// By which tablets know one of the times.
pub const fn custody_id(entry: EntryId) -> CustodyId {
    CustodyId::from_uuid(*entry.as_uuid())
}

pub const fn entry_id(custody: CustodyId) -> EntryId {
    EntryId::from_uuid(*custody.as_uuid())
}

/// Who has more than one tablet signed out with their PIN: somebody else may know it.
pub fn with_several(open: &[Kept<Custody>]) -> BTreeMap<EntryId, BTreeSet<EntryId>> {
    let mut times: BTreeMap<EntryId, BTreeSet<EntryId>> = BTreeMap::new();
    let on_tablets = open
        .iter()
        .filter(|kept| kept.now.is_open() && kept.now.place == Place::Tablet);
    for kept in on_tablets {
        times.entry(kept.now.out.staff).or_default().insert(kept.id);
    }
    times.retain(|_, of_one| of_one.len() > 1);
    times
}

/// Signs a tablet out to somebody who works here today, is not suspended, and acknowledged the policy.
pub async fn sign_out(
    registers: &Registers<'_>,
    (out, words): (Out, &Words),
    today: Date,
    hand: Hand<'_>,
) -> Result<EntryId, RegisterError> {
    let staff = find::<Staff>(registers.storage, out.staff).await?;
    let staff = staff.ok_or_else(|| Refused::at("staff", "Choose one of these."))?;
    let versions = list::<AupVersion>(registers.storage, Which::Open).await?;
    let why = match standing(&staff.now, &versions, today) {
        Standing::Ready | Standing::Grace { .. } => None,
        Standing::NotHere => Some("They do not work here today. Choose somebody else."),
        Standing::Suspended => Some("They have no tablets at the moment. Choose somebody else."),
        Standing::NotInducted => Some(
            "They have not acknowledged the acceptable use policy. Have them do it, and write it down on their page.",
        ),
        Standing::AupOutOfDate => Some(
            "The policy they acknowledged is out of date. Have them acknowledge the present one, and write it down on their page.",
        ),
    };
    if let Some(why) = why {
        return Err(Refused::at("staff", why).into());
    }
    let begun = registers
        .begin::<Custody>(&Act::Out { out }, words, None, hand)
        .await;
    match begun {
        Err(RegisterError::Refused(refused)) if refused.field.is_empty() => Err(Refused::at(
            "device",
            "It is signed out already. Sign it in first; where nobody did, a manager does so with a reason.",
        )
        .into()),
        other => other,
    }
}

/// Who may say that a tablet is back which nobody signed in.
pub fn may_force(hand: Hand<'_>) -> Result<(), Refused> {
    if hand.by.roles.contains(&Role::Manager) {
        return Ok(());
    }
    Err(Refused::whole(
        "Only a manager says that a tablet is back which nobody signed in.",
    ))
}

/// What somebody counted at closing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum CountAct {
    Count {
        day: Date,
        here: BTreeSet<DeviceId>,
        /// Signed out at that moment.
        out: BTreeSet<DeviceId>,
        /// Neither here nor signed out.
        missing: BTreeSet<DeviceId>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub day: Date,
    pub here: BTreeSet<DeviceId>,
    pub out: BTreeSet<DeviceId>,
    pub missing: BTreeSet<DeviceId>,
}

impl Entry for Count {
    const REGISTER: RegisterName = RegisterName::ClosingCount;
    type Act = CountAct;

    fn after(before: Option<Self>, act: &CountAct, _: Timestamp) -> Result<Self, Refused> {
        let CountAct::Count {
            day,
            here,
            out,
            missing,
        } = act;
        if before.is_some() {
            return Err(Refused::whole("A count is not changed. Count again."));
        }
        Ok(Self {
            day: *day,
            here: here.clone(),
            out: out.clone(),
            missing: missing.clone(),
        })
    }

    /// Nothing is written after it.
    fn is_open(&self) -> bool {
        false
    }
}

/// Of the tablets in use: what is neither here nor signed out is missing. What is here although it is signed out counts as
/// here.
pub async fn count(
    registers: &Registers<'_>,
    devices: &[Device],
    here: &BTreeSet<DeviceId>,
    today: Date,
    hand: Hand<'_>,
) -> Result<CountAct, RegisterError> {
    let in_use: BTreeSet<DeviceId> = devices
        .iter()
        .filter(|device| device.revoked.is_none())
        .map(|device| device.id)
        .collect();
    if in_use.is_empty() {
        return Err(Refused::whole("There is no tablet to count yet.").into());
    }
    let open = list::<Custody>(registers.storage, Which::Open).await?;
    let out: BTreeSet<DeviceId> = open.iter().map(|kept| kept.now.out.device).collect();
    let here: BTreeSet<DeviceId> = in_use.intersection(here).copied().collect();
    let out: BTreeSet<DeviceId> = out.difference(&here).copied().collect();
    let missing = in_use
        .iter()
        .filter(|id| !here.contains(id) && !out.contains(id));
    let act = CountAct::Count {
        day: today,
        missing: missing.copied().collect(),
        here,
        out,
    };
    registers
        .begin::<Count>(&act, &Words::default(), None, hand)
        .await?;
    Ok(act)
}

#[cfg(test)]
mod tests;
