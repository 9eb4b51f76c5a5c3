//! What tablets are told of staff: who may have one, by which PIN, what they agree to first, and who has it by the office's
//! word. Names and verifiers are opened for it, so it is put together only where bundles are.

use super::registers::aup::{Audience, AupVersion, current};
use super::registers::custody::{Custody, custody_id};
use super::registers::pin::on_tablets;
use super::registers::staff::{Staff, Standing, staff_id, standing};
use super::registers::{Kept, Registers, every, list};
use crate::storage::{StorageError, Which};
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::id::{CustodyId, DeviceId, EntryId};
use nestwarden_policy_schema::pin::PinVerifier;
use nestwarden_policy_schema::roster::{
    AupNotice, CustodyWord, MAX_OVER, MAX_ROSTER, MayHave, NOTICE_CHARS, OpenCustody, RosterEntry,
    VERSION_CHARS,
};
use nestwarden_policy_schema::text::is_unseen;
use std::collections::{BTreeMap, BTreeSet};

/// How far ahead the day is looked for on which somebody may no longer have a tablet. A bundle that is older stays in force.
const LOOKED_AHEAD_DAYS: u32 = 35;
/// In the words of a policy version: what tablets show before they are used.
pub const NOTICE: &str = "notice";

/// As one reading.
#[derive(Default)]
pub struct Roster {
    people: Vec<Person>,
    versions: Vec<Kept<AupVersion>>,
    /// By version.
    notices: BTreeMap<EntryId, String>,
    custody: BTreeMap<DeviceId, CustodyWord>,
}

struct Person {
    id: EntryId,
    staff: Staff,
    name: String,
    pin: Option<PinVerifier>,
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Roster(…)")
    }
}

impl Roster {
    pub async fn load(registers: &Registers<'_>) -> Result<Self, StorageError> {
        let storage = registers.storage;
        let people: Vec<Person> = every::<Staff>(storage, Which::All)
            .await?
            .into_iter()
            .map(|kept| {
                let known = on_tablets(registers, &kept);
                Person {
                    id: kept.id,
                    name: known.name,
                    pin: known.pin,
                    staff: kept.now,
                }
            })
            .collect();
        let versions = list::<AupVersion>(storage, Which::Open).await?;
        let notices = versions.iter().map(|version| {
            let read = version.lines.first().map(|line| registers.read(line));
            let text = read.as_ref().map_or("", |read| read.of(NOTICE));
            (version.id, shown(text, NOTICE_CHARS))
        });
        let notices = notices.collect();
        let open = list::<Custody>(storage, Which::Open).await?;
        let newest = list::<Custody>(storage, Which::All).await?;
        let custody = custody(&open, &newest, &people);
        Ok(Self {
            people,
            versions,
            notices,
            custody,
        })
    }

    /// Those who work here on this day.
    pub fn entries(&self, today: Date) -> BTreeSet<RosterEntry> {
        let here = self.people.iter().filter(|one| one.staff.is_here(today));
        here.take(MAX_ROSTER)
            .map(|one| self.entry(one, today))
            .collect()
    }

    fn entry(&self, one: &Person, today: Date) -> RosterEntry {
        let standing = standing(&one.staff, &self.versions, today);
        let may_have = may_have(standing);
        let version = current(&self.versions, Audience::Staff, today);
        RosterEntry {
            staff: staff_id(one.id),
            name: one.name.clone(),
            // Their word that a tablet is back is somebody else's to give.
            pin: one.pin.clone().filter(|_| standing != Standing::Suspended),
            until: (may_have == MayHave::Yes)
                .then(|| self.last_day(&one.staff, today))
                .flatten(),
            may_have,
            acknowledged: version.is_some_and(|v| one.staff.acknowledged.contains_key(&v.id)),
        }
    }

    /// The last on which they may have a tablet, as far as is known today; `None`: no end is near.
    fn last_day(&self, staff: &Staff, today: Date) -> Option<Date> {
        let day = |ahead| Calendar::plus_days(today, ahead);
        let is_over =
            |ahead: &u32| !standing(staff, &self.versions, day(*ahead)).may_take_a_tablet();
        let first = (1..=LOOKED_AHEAD_DAYS).find(is_over)?;
        Some(day(first - 1))
    }

    pub fn aup(&self, today: Date) -> Option<AupNotice> {
        let version = current(&self.versions, Audience::Staff, today)?;
        Some(AupNotice {
            version: version.id,
            name: shown(&version.now.version, VERSION_CHARS),
            notice: self.notices.get(&version.id).cloned().unwrap_or_default(),
        })
    }

    pub fn custody(&self, device: DeviceId) -> CustodyWord {
        self.custody.get(&device).cloned().unwrap_or_default()
    }
}

/// For whoever holds the tablet, so never why somebody is suspended, nor that they are.
fn may_have(standing: Standing) -> MayHave {
    match standing {
        Standing::Ready | Standing::Grace { .. } => MayHave::Yes,
        // One text for all: whoever holds the tablet reads it, and could tell by elimination who is suspended.
        Standing::NotHere
        | Standing::Suspended
        | Standing::NotInducted
        | Standing::AupOutOfDate => MayHave::No {
            reason: "No tablet at the moment. Ask the office.".to_owned(),
        },
    }
}

fn custody(
    open: &[Kept<Custody>],
    newest: &[Kept<Custody>],
    people: &[Person],
) -> BTreeMap<DeviceId, CustodyWord> {
    let name = |staff: EntryId| {
        let found = people.iter().find(|one| one.id == staff);
        found.map_or_else(
            || "somebody not on the register".to_owned(),
            |one| one.name.clone(),
        )
    };
    let mut words: BTreeMap<DeviceId, CustodyWord> = BTreeMap::new();
    let mut over: BTreeMap<DeviceId, Vec<(jiff::Timestamp, CustodyId)>> = BTreeMap::new();
    for kept in newest {
        if let Some(back_at) = kept.now.back_at {
            let of_it = over.entry(kept.now.out.device).or_default();
            of_it.push((back_at, custody_id(kept.id)));
        }
    }
    for kept in open {
        let custody = &kept.now;
        words.entry(custody.out.device).or_default().open = Some(OpenCustody {
            custody: custody_id(kept.id),
            staff: staff_id(custody.out.staff),
            name: name(custody.out.staff),
            room: custody.room.clone(),
            since: custody.out_at,
            due: custody.out.due,
        });
    }
    for (device, mut of_it) in over {
        of_it.sort_unstable_by(|a, b| b.cmp(a));
        let newest = of_it.into_iter().take(MAX_OVER).map(|(_, id)| id);
        words.entry(device).or_default().over = newest.collect();
    }
    words
}

/// As a tablet takes it.
fn shown(text: &str, most: usize) -> String {
    let is_shown = |c: &char| !is_unseen(*c) || matches!(c, '\n' | '\t');
    text.chars().filter(is_shown).take(most).collect()
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
