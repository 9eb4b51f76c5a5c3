//! What an import would change, and which of it a manager must confirm first.

use super::Refusal;
use super::cell::Said;
use super::changes::{ChildChange, changes};
use super::rows::{Answered, Facts, File, Listed};
use crate::domain::fresh;
use crate::domain::photo::Effect;
use crate::domain::register::Register;
use crate::domain::returning::Returning;
use crate::storage::{Child, FileSaid, RegisterChange, SetHere};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentRecord, ConsentSource, ConsentState, GivenBy, LeaveReason, Leaving, Method,
    Purpose, RoomName,
};
use nestwarden_policy_schema::id::{ChildId, ConsentId, FamilyId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub change: RegisterChange,
    /// The version of the register it was made for.
    pub based_on: i64,
    pub counts: Counts,
    /// Anything here stops the import until a manager confirms it.
    pub concerns: Vec<Concern>,
    /// Child by child, by reference.
    pub changes: Vec<ChildChange>,
    /// What would become of photos.
    pub photos: Effect,
    /// Photos of children whose consent comes back.
    pub returning: Vec<Returning>,
    /// Why rows were refused. They may have taken consent away, and gave none.
    pub refused: Vec<Refusal>,
    /// References of listed children who are in no room afterwards, and so may be in any photo that nobody tagged.
    pub in_no_room: Vec<String>,
    /// The file says Yes, and the register still does not permit: an earlier No or withdrawal stands.
    pub not_restored: Vec<NotRestored>,
    /// References that were listed before and are not any more.
    pub missing: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Children in the file.
    pub children: usize,
    pub new_children: usize,
    pub changed_children: usize,
    /// Children not in the file who were listed before and have not left.
    pub newly_missing: usize,
    pub leave_dates_added: usize,
    pub answers_added: usize,
    /// Consents that permitted before.
    pub permitted_before: usize,
    /// Of those, how many permit no longer.
    pub lapsing: usize,
    /// Children those belong to.
    pub lapsing_children: usize,
    pub refused_rows: usize,
    pub photos_withheld: usize,
    pub photos_sealed: usize,
}

/// More of a change than a day brings, which is more often a wrong file than the truth.
///
/// In a setting of three children a single family is a third of everything. So no share that one child alone makes up
/// stops an import; what concerns several does, and so do many photos at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "concern", rename_all = "snake_case")]
pub enum Concern {
    /// More than 10 % of consents, of more than one child.
    Lapsing { lapsing: usize, of: usize },
    /// More than 20 % of children and more than one, or more than 5.
    Missing { missing: usize, of: usize },
    /// More than 5.
    Leaving { leave_dates: usize },
    /// More than 50.
    Sealing { photos: usize },
}

impl std::fmt::Display for Concern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lapsing { lapsing, of } => write!(
                f,
                "{lapsing} of {of} consents would lapse, and their photos be withheld"
            ),
            Self::Missing { missing, of } => write!(
                f,
                "{missing} of {of} children are missing from the file; after 72 hours their photos would be withheld"
            ),
            Self::Leaving { leave_dates } => {
                write!(f, "{leave_dates} children would get a leave date")
            }
            Self::Sealing { photos } => write!(f, "{photos} photos would be sealed"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRestored {
    pub reference: String,
    pub purpose: Purpose,
    /// What the register has instead.
    pub state: ConsentState,
}

/// Purposes that earlier imports told us about and this file is silent on: a column lost its name.
pub(super) fn purposes_gone(register: &Register, file: &File) -> Vec<Refusal> {
    let known: BTreeSet<Purpose> = register
        .records
        .values()
        .flatten()
        .filter(|r| r.source == ConsentSource::Import)
        .map(|r| r.purpose)
        .collect();
    known
        .difference(&file.purposes)
        .map(|purpose| {
            Refusal::heading(
                purpose.as_str(),
                "is missing, and earlier files had it; add it to the export, with empty values if nobody is asked any more",
            )
        })
        .collect()
}

/// References that are on the register in other letters: nobody can tell whether it is the same child.
pub(super) fn ambiguous(register: &Register, file: &File) -> Vec<Refusal> {
    let known: BTreeSet<&str> = register
        .children
        .iter()
        .map(|c| c.reference.as_str())
        .collect();
    let lower: BTreeMap<String, &str> = known
        .iter()
        .map(|reference| (reference.to_lowercase(), *reference))
        .collect();
    file.children
        .iter()
        .filter(|listed| !known.contains(listed.reference.as_str()))
        .filter_map(|listed| Some((listed, lower.get(&listed.reference.to_lowercase())?)))
        .map(|(listed, as_known)| Refusal {
            reference: Some(listed.reference.clone()),
            ..Refusal::cell(
                listed.row,
                "reference",
                &listed.reference,
                format!("is on the register as \"{as_known}\"; references that differ only in upper and lower case cannot be told apart"),
            )
        })
        .collect()
}

pub(super) fn make(register: &Register, calendar: &Calendar, file: File, now: Timestamp) -> Plan {
    let known: BTreeMap<&str, &Child> = register
        .children
        .iter()
        .map(|child| (child.reference.as_str(), child))
        .collect();
    let mut counts = Counts {
        children: file.children.len(),
        ..Counts::default()
    };
    let mut change = RegisterChange::default();
    let mut ids: BTreeMap<String, ChildId> = BTreeMap::new();
    for listed in &file.children {
        let before = known.get(listed.reference.as_str()).copied();
        let child = child(before, listed);
        ids.insert(listed.reference.clone(), child.id);
        for (&purpose, answered) in &listed.answers {
            change.records.extend(record(
                register, calendar, child.id, purpose, *answered, now,
            ));
        }
        let had_leave = before.is_some_and(|b| b.entry.leaves.is_some());
        if child.entry.leaves.is_some() && !had_leave && before.is_some() {
            counts.leave_dates_added += 1;
        }
        match before {
            None => counts.new_children += 1,
            Some(before) if *before != child => counts.changed_children += 1,
            Some(_) => continue,
        }
        change.children.push(child);
    }
    let today = calendar.local_date(now);
    let mut missing = Vec::new();
    for child in &register.children {
        let gone = child.entry.has_died() || child.entry.leaves.is_some_and(|l| l.date < today);
        if ids.contains_key(&child.reference) || gone || child.entry.missing_since.is_some() {
            continue;
        }
        missing.push(child.reference.clone());
        let mut child = child.clone();
        child.entry.missing_since = Some(now);
        change.children.push(child);
    }
    counts.newly_missing = missing.len();
    counts.answers_added = change.records.len();

    counts.refused_rows = file
        .refused
        .iter()
        .map(|r| r.row)
        .collect::<BTreeSet<_>>()
        .len();

    let after = register.with(&change);
    let permitted_after: BTreeSet<_> = after.permitted(calendar, now).into_iter().collect();
    let permitted_before = register.permitted(calendar, now);
    let lapsing: Vec<_> = permitted_before
        .iter()
        .filter(|pair| !permitted_after.contains(pair))
        .collect();
    counts.permitted_before = permitted_before.len();
    counts.lapsing = lapsing.len();
    counts.lapsing_children = lapsing
        .iter()
        .map(|(child, _)| child)
        .collect::<BTreeSet<_>>()
        .len();
    let listed_before = register
        .children
        .iter()
        .filter(|c| {
            c.entry.missing_since.is_none() && c.entry.leaves.is_none_or(|l| l.date >= today)
        })
        .count();
    let is_anywhere = |child: &&Child| {
        let entry = &child.entry;
        let gone = entry.has_died() || entry.leaves.is_some_and(|l| l.date < today);
        ids.contains_key(&child.reference) && entry.rooms.is_empty() && !gone
    };
    let in_no_room = after.children.iter().filter(is_anywhere);
    let in_no_room: BTreeSet<String> = in_no_room.map(|c| c.reference.clone()).collect();
    Plan {
        in_no_room: in_no_room.into_iter().collect(),
        concerns: concerns(&counts, listed_before),
        not_restored: not_restored(&file, &ids, &after),
        changes: changes(register, &after, &file, &missing),
        photos: Effect::default(),
        returning: Vec::new(),
        refused: file.refused,
        change,
        based_on: register.version,
        counts,
        missing,
    }
}

/// More photos than this sealed at once are for a person to confirm.
const MOST_SEALED: usize = 50;

impl Plan {
    /// What the tablets' photos add to it.
    pub(super) fn with_photos(mut self, photos: Effect, returning: Vec<Returning>) -> Self {
        self.counts.photos_withheld = photos.withheld;
        self.counts.photos_sealed = photos.sealed;
        if photos.sealed > MOST_SEALED {
            self.concerns.push(Concern::Sealing {
                photos: photos.sealed,
            });
        }
        for change in &mut self.changes {
            if let Some(stages) = photos.by_child.get(&change.child) {
                change.photos_withheld = stages.withheld;
                change.photos_sealed = stages.sealed;
            }
        }
        self.photos = photos;
        self.returning = returning;
        self
    }
}

fn concerns(counts: &Counts, listed_before: usize) -> Vec<Concern> {
    let mut found = Vec::new();
    if counts.lapsing * 10 > counts.permitted_before && counts.lapsing_children > 1 {
        found.push(Concern::Lapsing {
            lapsing: counts.lapsing,
            of: counts.permitted_before,
        });
    }
    let missing = counts.newly_missing;
    if missing > 5 || (missing * 5 > listed_before && missing > 1) {
        found.push(Concern::Missing {
            missing,
            of: listed_before,
        });
    }
    if counts.leave_dates_added > 5 {
        found.push(Concern::Leaving {
            leave_dates: counts.leave_dates_added,
        });
    }
    found
}

/// What a row makes of a child. Restriction and death are ours alone, whatever the file says.
fn child(before: Option<&Child>, listed: &Listed) -> Child {
    let mut child = before.cloned().unwrap_or_else(|| Child {
        id: ChildId::from_uuid(fresh::random()),
        reference: listed.reference.clone(),
        first_name: listed.first_name.clone(),
        last_name: listed.last_name.clone(),
        family: None,
        entry: ChildEntry::default(),
        set_here: SetHere::default(),
    });
    child.entry.missing_since = None;
    match &listed.facts {
        Some(facts) => {
            child.first_name.clone_from(&listed.first_name);
            child.last_name.clone_from(&listed.last_name);
            take_over(&mut child, listed, facts);
        }
        // Somebody new may be there on any day.
        None if before.is_none() => child.entry.rooms = listed.rooms.clone().unwrap_or_default(),
        None => may_be_there_too(&mut child, listed),
    }
    child
}

/// What a refused row says of rooms and days makes a child possible in more photos, and in none impossible.
fn may_be_there_too(child: &mut Child, listed: &Listed) {
    let was_said = |rooms: &&BTreeSet<RoomName>| {
        let set_here = child.set_here.rooms.as_ref();
        set_here.is_some_and(|here| here.file_said == **rooms)
    };
    if let Some(rooms) = listed.rooms.as_ref().filter(|rooms| !was_said(rooms)) {
        widen(&mut child.entry.rooms, rooms);
    }
    if let Some(days) = &listed.days {
        widen(&mut child.entry.attends, days);
    }
}

/// Empty: any.
fn widen<T: Ord + Clone>(known: &mut BTreeSet<T>, also: &BTreeSet<T>) {
    if also.is_empty() {
        known.clear();
    } else if !known.is_empty() {
        known.extend(also.iter().cloned());
    }
}

fn take_over(child: &mut Child, listed: &Listed, facts: &Facts) {
    let (now, set_here) = (&mut child.entry, &mut child.set_here);
    let left = |leaving: &Leaving| leaving.reason == LeaveReason::Left;
    let leave_date = settled(
        facts.leave,
        now.leaves.filter(left).map(|leaving| leaving.date),
        &mut set_here.leaves,
    );
    let leaves = leave_date.map(|date| Leaving {
        date,
        reason: LeaveReason::Left,
    });
    now.leaves = now.leaves.filter(|leaving| !left(leaving)).or(leaves);
    let family_in_file = facts.family.as_ref().map(|f| f.as_deref().map(family));
    child.family = settled(family_in_file, child.family, &mut set_here.family);
    let rooms = std::mem::take(&mut now.rooms);
    now.rooms = settled(listed.rooms.clone(), rooms, &mut set_here.rooms);
    if let Some(days) = &listed.days {
        now.attends.clone_from(days);
    }
    now.starts = facts.start.unwrap_or(now.starts);
}

/// What holds of a field: what was set here, until the file says something else than it said then.
fn settled<T: PartialEq>(file: Option<T>, now: T, set_here: &mut Option<FileSaid<T>>) -> T {
    match file {
        None => now,
        Some(file) if set_here.as_ref().is_some_and(|here| here.file_said == file) => now,
        Some(file) => {
            *set_here = None;
            file
        }
    }
}

/// Equal for equal names, so that files need not be remembered.
pub(super) fn family(name: &str) -> FamilyId {
    let digest = Digest::of_parts("nestwarden/family/v1", &[name.as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    FamilyId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The record of an answer, unless the last import said the same.
fn record(
    register: &Register,
    calendar: &Calendar,
    child: ChildId,
    purpose: Purpose,
    answered: Answered,
    now: Timestamp,
) -> Option<ConsentRecord> {
    let state = match answered.said {
        Said::Given => ConsentState::Given,
        Said::Refused => ConsentState::Refused,
        Said::Withdrawn => ConsentState::Withdrawn,
        Said::Nothing | Said::Unclear => ConsentState::Unanswered,
    };
    let answered_at = match state {
        ConsentState::Unanswered => None,
        ConsentState::Given => answered.on.map(|on| calendar.start_of(on)),
        ConsentState::Refused
        | ConsentState::Withdrawn
        | ConsentState::Expired
        | ConsentState::EndedLeaver
        | ConsentState::Conflicted => answered
            .on
            .map(|on| calendar.end_of(on) - SignedDuration::from_secs(1)),
    };
    let valid_until = answered
        .valid_until
        .filter(|_| state == ConsentState::Given);
    let same = match register.last_imported(child, purpose) {
        Some(last) => {
            last.state == state
                && last.answered_at == answered_at
                && last.valid_until == valid_until
        }
        None => state == ConsentState::Unanswered,
    };
    (!same).then(|| ConsentRecord {
        id: ConsentId::from_uuid(fresh::ordered(now)),
        child,
        purpose,
        state,
        given_by: GivenBy::Parent,
        has_parental_responsibility: None,
        method: Method::BookingSystem,
        wording_version: None,
        answered_at,
        recorded_at: now,
        valid_from: None,
        valid_until,
        withdrawn_at: answered_at.filter(|_| state == ConsentState::Withdrawn),
        source: ConsentSource::Import,
    })
}

fn not_restored(
    file: &File,
    ids: &BTreeMap<String, ChildId>,
    after: &Register,
) -> Vec<NotRestored> {
    let mut found = Vec::new();
    for listed in &file.children {
        let Some(id) = ids.get(&listed.reference) else {
            continue;
        };
        let standings = after.standings(*id);
        for (&purpose, answered) in &listed.answers {
            let state = standings
                .get(&purpose)
                .map_or(ConsentState::Unanswered, |s| s.state);
            if answered.said == Said::Given && state != ConsentState::Given {
                found.push(NotRestored {
                    reference: listed.reference.clone(),
                    purpose,
                    state,
                });
            }
        }
    }
    found
}
