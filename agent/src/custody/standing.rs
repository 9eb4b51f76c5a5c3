//! Who has the tablet and who could, as the screens show it.

use super::state::State;
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::StaffId;
use nestwarden_policy_schema::roster::{AupNotice, MayHave, RosterEntry};
use std::collections::BTreeSet;

/// When a tablet is due back where contact hours are over.
const USUAL: SignedDuration = SignedDuration::from_hours(2);

/// What the screens show.
#[derive(Clone, Debug)]
pub struct Standing {
    pub open: Option<Holder>,
    /// By name.
    pub people: Vec<Somebody>,
    pub aup: Option<AupNotice>,
    pub rooms: BTreeSet<RoomName>,
    /// When it is due where nobody says otherwise.
    pub due: Time,
    /// What it goes by is older than it should be, since then.
    pub expired_at: Option<DateTime>,
}

impl Standing {
    /// Whether anybody can sign it out here; where nobody can, the office does.
    pub fn is_offered(&self) -> bool {
        self.people.iter().any(|one| one.may_take.is_ok())
    }

    pub fn somebody(&self, staff: StaffId) -> Option<&Somebody> {
        self.people.iter().find(|one| one.staff == staff)
    }
}

/// Who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub staff: StaffId,
    pub name: String,
    pub room: Option<RoomName>,
    pub since: DateTime,
    pub due: DateTime,
    pub is_overdue: bool,
    /// They may not have one any more; it stays theirs until somebody signs it in.
    pub may_not: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Somebody {
    pub staff: StaffId,
    pub name: String,
    /// `Err`: why not.
    pub may_take: Result<(), String>,
    pub may_bring_back: bool,
    /// Whether they have to agree to the policy in force first.
    pub must_agree: bool,
}

pub(super) fn standing(bundle: &Bundle, state: &State, now: Timestamp) -> Standing {
    let today = bundle.calendar.local_date(now);
    let may_take = |entry: &RosterEntry| entry.may_have_on(today).map_err(str::to_owned);
    let mut people: Vec<Somebody> = bundle
        .roster
        .iter()
        .filter(|entry| !entry.name.is_empty())
        .map(|entry| Somebody {
            staff: entry.staff,
            name: entry.name.clone(),
            may_take: may_take(entry),
            may_bring_back: entry.pin.is_some(),
            must_agree: must_agree(bundle, state, entry).is_some(),
        })
        .collect();
    people.sort_by_cached_key(|one| (one.name.to_lowercase(), one.staff));
    let local = |at| bundle.calendar.local(at);
    Standing {
        open: state.open.as_ref().map(|open| Holder {
            staff: open.staff,
            name: open.name.clone(),
            room: open.room.clone(),
            since: local(open.since),
            due: local(open.due),
            is_overdue: open.due <= now,
            may_not: !is_trusted(bundle, open.staff, today),
        }),
        people,
        aup: bundle.aup.clone(),
        rooms: rooms(bundle),
        due: usual_due(bundle, now),
        expired_at: (bundle.expires_at <= now).then(|| local(bundle.issued_at)),
    }
}

/// Whether they may go on with what they have; that they have no PIN is no reason against it.
fn is_trusted(bundle: &Bundle, staff: StaffId, today: Date) -> bool {
    let mut of_them = bundle.roster.iter().filter(|entry| entry.staff == staff);
    of_them.any(|entry| {
        entry.may_have == MayHave::Yes && entry.until.is_none_or(|until| today <= until)
    })
}

/// Where the tablet has none of its own, every room of the setting.
pub(super) fn rooms(bundle: &Bundle) -> BTreeSet<RoomName> {
    if !bundle.rooms.is_empty() {
        return bundle.rooms.clone();
    }
    let children = bundle.register.children.values();
    children.flat_map(|child| &child.rooms).cloned().collect()
}

/// The end of today's contact hours; when they are over, some hours from now, and today.
fn usual_due(bundle: &Bundle, now: Timestamp) -> Time {
    let calendar = &bundle.calendar;
    let today = calendar.local_date(now);
    let contact = calendar.contact_on(today);
    let end = contact.last().map(|(_, to)| *to).filter(|to| *to > now);
    let due = end.or_else(|| now.checked_add(USUAL).ok()).unwrap_or(now);
    let due = calendar.local(due);
    let last = Time::constant(23, 59, 0, 0);
    if due.date() == today {
        due.time()
            .with()
            .second(0)
            .subsec_nanosecond(0)
            .build()
            .unwrap_or(last)
    } else {
        last
    }
}

/// The version that somebody has yet to agree to.
pub(super) fn must_agree<'b>(
    bundle: &'b Bundle,
    state: &State,
    entry: &RosterEntry,
) -> Option<&'b AupNotice> {
    let aup = bundle.aup.as_ref()?;
    let agreed = entry.acknowledged || state.agreed.get(&entry.staff) == Some(&aup.version);
    (!agreed).then_some(aup)
}
