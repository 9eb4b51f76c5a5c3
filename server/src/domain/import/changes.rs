//! What an import would change, child by child: references and values, no names.

use super::plan;
use super::rows::File;
use crate::domain::register::Register;
use crate::storage::{Child, SetHere};
use jiff::civil::Date;
use nestwarden_policy_schema::consent::{ChildEntry, ConsentState, LeaveReason, Purpose, RoomName};
use nestwarden_policy_schema::id::ChildId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChildChange {
    pub reference: String,
    #[serde(skip)]
    pub child: ChildId,
    pub kind: Kind,
    pub fields: Vec<FieldChange>,
    pub answers: Vec<AnswerChange>,
    /// Fields that were set here and stay so, although the file says something else.
    pub kept: Vec<&'static str>,
    pub photos_withheld: usize,
    pub photos_sealed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    New,
    Changed,
    /// Not in the file any more.
    Missing,
    /// Was missing and is listed again.
    Back,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    pub field: &'static str,
    /// Empty where there was nothing, or where it is a name.
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AnswerChange {
    pub purpose: Purpose,
    pub from: ConsentState,
    pub to: ConsentState,
    /// The last days on which they hold; `None`: no day was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_until: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_until: Option<Date>,
}

pub(super) fn changes(
    before: &Register,
    after: &Register,
    file: &File,
    missing: &[String],
) -> Vec<ChildChange> {
    let known: BTreeMap<ChildId, &Child> = before.children.iter().map(|c| (c.id, c)).collect();
    let missing: BTreeSet<&str> = missing.iter().map(String::as_str).collect();
    let listed: BTreeMap<&str, _> = file
        .children
        .iter()
        .map(|l| (l.reference.as_str(), l))
        .collect();
    let nobody = Child {
        id: ChildId::from_uuid(uuid::Uuid::nil()),
        reference: String::new(),
        first_name: String::new(),
        last_name: String::new(),
        family: None,
        entry: ChildEntry::default(),
        set_here: SetHere::default(),
    };
    let mut found: Vec<ChildChange> = after
        .children
        .iter()
        .filter_map(|child| {
            let was = known.get(&child.id).copied();
            let kind = match was {
                None => Kind::New,
                Some(_) if missing.contains(child.reference.as_str()) => Kind::Missing,
                Some(was)
                    if was.entry.missing_since.is_some() && child.entry.missing_since.is_none() =>
                {
                    Kind::Back
                }
                Some(_) => Kind::Changed,
            };
            let change = ChildChange {
                reference: child.reference.clone(),
                child: child.id,
                kind,
                fields: fields(was.unwrap_or(&nobody), child),
                answers: answers(before, after, child.id),
                kept: listed
                    .get(child.reference.as_str())
                    .and_then(|l| Some((*l, l.facts.as_ref()?)))
                    .map_or_else(Vec::new, |(row, facts)| {
                        let here = &child.set_here;
                        let leave = child.entry.leaves.map(|l| l.date);
                        let differs = [
                            (
                                here.rooms.is_some()
                                    && row
                                        .rooms
                                        .as_ref()
                                        .is_some_and(|said| *said != child.entry.rooms),
                                "rooms",
                            ),
                            (
                                here.leaves.is_some()
                                    && facts.leave.is_some_and(|said| said != leave),
                                "leave date",
                            ),
                            (
                                here.family.is_some()
                                    && facts.family.as_ref().is_some_and(|said| {
                                        said.as_deref().map(plan::family) != child.family
                                    }),
                                "family",
                            ),
                        ];
                        differs
                            .into_iter()
                            .filter_map(|(kept, what)| kept.then_some(what))
                            .collect()
                    }),
                photos_withheld: 0,
                photos_sealed: 0,
            };
            let says_something = kind != Kind::Changed
                || !change.fields.is_empty()
                || !change.answers.is_empty()
                || !change.kept.is_empty();
            says_something.then_some(change)
        })
        .collect();
    found.sort_by(|a, b| a.reference.cmp(&b.reference));
    found
}

fn fields(before: &Child, after: &Child) -> Vec<FieldChange> {
    let name = |child: &Child| (child.first_name.clone(), child.last_name.clone());
    let mut changed: Vec<FieldChange> = [
        ("rooms", rooms(before), rooms(after)),
        ("days", days(before), days(after)),
        ("start", start(before), start(after)),
        ("leave", leave(before), leave(after)),
    ]
    .into_iter()
    .filter(|(_, from, to)| from != to)
    .map(|(field, from, to)| FieldChange { field, from, to })
    .collect();
    let unsaid = [
        ("name", name(before) != name(after)),
        ("family", before.family != after.family),
    ];
    for (field, _) in unsaid.into_iter().filter(|(_, differs)| *differs) {
        changed.push(FieldChange {
            field,
            from: String::new(),
            to: String::new(),
        });
    }
    changed
}

fn rooms(child: &Child) -> String {
    let names: Vec<&str> = child.entry.rooms.iter().map(RoomName::as_str).collect();
    names.join("/")
}

fn days(child: &Child) -> String {
    let days: Vec<String> = child
        .entry
        .attends
        .iter()
        .map(ToString::to_string)
        .collect();
    days.join(" ")
}

fn start(child: &Child) -> String {
    child
        .entry
        .starts
        .map(|date| date.to_string())
        .unwrap_or_default()
}

fn leave(child: &Child) -> String {
    let leaving = child.entry.leaves.filter(|l| l.reason == LeaveReason::Left);
    leaving.map(|l| l.date.to_string()).unwrap_or_default()
}

fn answers(before: &Register, after: &Register, child: ChildId) -> Vec<AnswerChange> {
    let was = before.standings(child);
    after
        .standings(child)
        .into_iter()
        .map(|(purpose, standing)| {
            let was = was.get(&purpose);
            AnswerChange {
                purpose,
                from: was.map_or(ConsentState::Unanswered, |s| s.state),
                to: standing.state,
                from_until: was.and_then(|s| s.valid_until),
                to_until: standing.valid_until,
            }
        })
        .filter(|answer| (answer.from, answer.from_until) != (answer.to, answer.to_until))
        .collect()
}
