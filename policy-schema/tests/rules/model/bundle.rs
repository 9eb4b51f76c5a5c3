//! The same history in the product's own types, as a bundle brings it.

use super::super::nursery::{calendar, child};
use super::days::{HOUR, instant};
use super::history::{Fact, HoldOn};
use super::told::{Said, Told};
use nestwarden_policy_schema::calendar::{Calendar, Closure, Day};
use nestwarden_policy_schema::consent::{
    BeforeDeath, ChildEntry, ConsentRecord, LeaveReason, Leaving, Method, RegisterSnapshot,
    RoomName, record,
};
use nestwarden_policy_schema::hold::{Hold, HoldList, HoldScope};
use nestwarden_policy_schema::id::{ChildId, ConsentId, DeviceId, HoldId, PhotoId, StaffId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(super) fn id<T>(of: fn(Uuid) -> T, number: u8) -> T {
    of(Uuid::from_u128(0x1000 + u128::from(number)))
}

pub(super) fn rooms(set: u8) -> BTreeSet<RoomName> {
    let names = ["Ladybirds", "Bees"].into_iter().enumerate();
    names
        .filter(|(n, _)| set & (1 << n) != 0)
        .map(|(_, name)| name.parse().unwrap())
        .collect()
}

pub(super) fn children(set: u8) -> BTreeSet<ChildId> {
    (0..8).filter(|n| set & (1 << n) != 0).map(child).collect()
}

pub(super) fn register(told: &Told) -> RegisterSnapshot {
    let mut entries: BTreeMap<u8, ChildEntry> = BTreeMap::new();
    // Lines of the register live on when a child is taken off and listed again.
    let mut listed: BTreeSet<u8> = BTreeSet::new();
    let mut records: BTreeMap<u8, Vec<ConsentRecord>> = BTreeMap::new();
    for (number, Said { at, fact }) in (0_u8..).zip(told.by_server()) {
        match fact {
            Fact::Answered(answer) => {
                records
                    .entry(answer.child)
                    .or_default()
                    .push(ConsentRecord {
                        id: id(ConsentId::from_uuid, number),
                        child: child(answer.child),
                        purpose: answer.purpose,
                        state: answer.state,
                        given_by: answer.giver,
                        has_parental_responsibility: None,
                        method: Method::BookingSystem,
                        wording_version: None,
                        answered_at: answer.answered_at(*at).map(instant),
                        recorded_at: instant(*at),
                        valid_from: answer.from.map(|n| told.day(n)),
                        valid_until: answer.until.map(|n| told.day(n)),
                        withdrawn_at: answer.withdrawn_at(*at).map(instant),
                        source: answer.source,
                    });
            }
            Fact::Moved {
                child,
                rooms: of,
                days,
            } => {
                listed.insert(*child);
                let entry = entries.entry(*child).or_default();
                entry.rooms = rooms(*of);
                entry.attends = (0..5)
                    .filter(|n| days & (1 << n) != 0)
                    .map(|n| Day::ALL[n])
                    .collect();
                entry.missing_since = None;
            }
            Fact::Starts { child, day } => {
                entries.entry(*child).or_default().starts = Some(told.day(*day));
            }
            Fact::Leaves { child, day, died } => {
                let entry = entries.entry(*child).or_default();
                entry.before_death = died.then(|| {
                    entry.before_death.unwrap_or(BeforeDeath {
                        recorded_at: instant(*at),
                        left: entry.leaves.map(|leaving| leaving.date),
                    })
                });
                entry.leaves = Some(Leaving {
                    date: told.day(*day),
                    reason: if *died {
                        LeaveReason::Died
                    } else {
                        LeaveReason::Left
                    },
                });
            }
            Fact::Stays { child } => {
                let entry = entries.entry(*child).or_default();
                (entry.leaves, entry.before_death) = (None, None);
            }
            Fact::Restricted { child, to } => entries.entry(*child).or_default().restriction = *to,
            Fact::Missing { child } => {
                let since = &mut entries.entry(*child).or_default().missing_since;
                *since = since.or(Some(instant(*at)));
            }
            Fact::Listed { child } => entries.entry(*child).or_default().missing_since = None,
            Fact::Erased { child } => {
                listed.remove(child);
                entries.entry(*child).or_default().missing_since = None;
            }
            Fact::Held { .. }
            | Fact::Released { .. }
            | Fact::Closed { .. }
            | Fact::Policy(_)
            | Fact::Tagged { .. }
            | Fact::CareRecord(_)
            | Fact::Sorted
            | Fact::Uploaded => {}
        }
    }
    let children = entries
        .into_iter()
        .filter(|(number, _)| listed.contains(number))
        .map(|(number, entry)| {
            let purposes = record::resolve(records.get(&number).into_iter().flatten());
            (child(number), ChildEntry { purposes, ..entry })
        });
    RegisterSnapshot {
        as_of: instant(told.taken_at - 86_400),
        children: children.collect(),
    }
}

pub(super) fn holds(told: &Told) -> HoldList {
    let mut open = BTreeMap::new();
    for Said { at, fact } in told.by_server() {
        match fact {
            Fact::Held { hold, on, category } => {
                let hold_id = id(HoldId::from_uuid, *hold);
                open.insert(
                    *hold,
                    Hold {
                        id: hold_id,
                        scope: scope(told, on),
                        category: *category,
                        opened_at: instant(*at),
                        review_by: instant(at + 28 * 86_400),
                    },
                );
            }
            Fact::Released { hold } => {
                open.remove(hold);
            }
            _ => {}
        }
    }
    HoldList::new(instant(told.taken_at), open.into_values().collect())
}

fn scope(told: &Told, on: &HoldOn) -> HoldScope {
    match on {
        HoldOn::ThisPhoto => HoldScope::Photo {
            photo: id(PhotoId::from_uuid, 0),
        },
        HoldOn::AnotherPhoto => HoldScope::Photo {
            photo: id(PhotoId::from_uuid, 1),
        },
        HoldOn::Child(number) => HoldScope::Child {
            child: child(*number),
        },
        HoldOn::ThisTablet => HoldScope::Device {
            device: id(DeviceId::from_uuid, 0),
        },
        HoldOn::AnotherTablet => HoldScope::Device {
            device: id(DeviceId::from_uuid, 1),
        },
        HoldOn::Staff(number) => HoldScope::Staff {
            staff: id(StaffId::from_uuid, *number),
        },
        HoldOn::Window(from, to) => HoldScope::Window {
            from: instant(told.taken_at + from * HOUR),
            to: instant(told.taken_at + to * HOUR),
        },
    }
}

pub(super) fn calendar_of(told: &Told) -> Calendar {
    Calendar {
        closures: told
            .days()
            .closures
            .into_iter()
            .map(|(from, to)| Closure {
                from,
                to,
                reason: String::new(),
            })
            .collect(),
        ..calendar(told.place.zone, &[])
    }
}
