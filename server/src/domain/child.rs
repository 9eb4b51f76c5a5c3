//! What is said of a child here, beside consent: restriction, leaving, death, family, rooms.
//!
//! Restriction and death are ours alone: no file sets them or takes them back. Leave date, rooms and family stand as set
//! here until the booking system's file says something else than it said then.

use super::register::{self, Act, NoChild, Register};
use super::role::{self, NotAllowed};
use super::{fresh, import};
use crate::storage::{
    AuditEntry, Child, FileSaid, Operator, RegisterChange, Storage, StorageError,
};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::consent::{BeforeDeath, LeaveReason, Leaving, Restriction, RoomName};
use nestwarden_policy_schema::id::{ChildId, FamilyId};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error(transparent)]
    NoChild(#[from] NoChild),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error("{reference} started on {starts}, after {date}; correct the date")]
    BeforeStart {
        reference: String,
        starts: Date,
        date: Date,
    },
    #[error("{0} is not a year of this register; write a date between 2000 and 2100")]
    Year(Date),
    #[error("{0} is in the future; write the day of the death")]
    DiedLater(Date),
    #[error(
        "{0} is recorded as having died; `child stay {0}` takes that back, if it was a mistake"
    )]
    Died(String),
    #[error("a family has at least two children; name each by reference")]
    Alone,
    #[error("{0} is named twice")]
    Twice(String),
    #[error(transparent)]
    Calendar(#[from] import::CalendarError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The children as they are after the act, and whether anything changed.
#[derive(Clone, Debug)]
pub struct Done {
    pub children: Vec<Child>,
    pub changed: bool,
}

/// Why is neither asked nor kept.
pub async fn restrict(
    storage: &Storage,
    reference: &str,
    restriction: Restriction,
    by: &Operator,
    now: Timestamp,
) -> Result<Done, ChildError> {
    role::require(by, role::Act::Restrict)?;
    let detail = json!({ "restriction": restriction });
    change_one(
        storage,
        reference,
        "child.restrict",
        detail,
        by,
        now,
        |child| {
            child.entry.restriction = restriction;
            Ok(())
        },
    )
    .await
}

/// `date` is the last day.
pub async fn leave(
    storage: &Storage,
    reference: &str,
    date: Date,
    by: &Operator,
    now: Timestamp,
) -> Result<Done, ChildError> {
    role::require(by, role::Act::Leave)?;
    if !(2000..=2100).contains(&date.year()) {
        return Err(ChildError::Year(date));
    }
    let detail = json!({ "date": date });
    change_one(
        storage,
        reference,
        "child.leave",
        detail,
        by,
        now,
        |child| {
            if child.entry.has_died() {
                return Err(ChildError::Died(child.reference.clone()));
            }
            if let Some(starts) = child.entry.starts.filter(|starts| date < *starts) {
                return Err(ChildError::BeforeStart {
                    reference: child.reference.clone(),
                    starts,
                    date,
                });
            }
            let leaving = Leaving {
                date,
                reason: LeaveReason::Left,
            };
            set_leaves(child, Some(leaving));
            Ok(())
        },
    )
    .await
}

/// Stops every deletion, reminder and letter.
pub async fn died(
    storage: &Storage,
    reference: &str,
    date: Date,
    by: &Operator,
    now: Timestamp,
) -> Result<Done, ChildError> {
    role::require(by, role::Act::Leave)?;
    let today = import::calendar(storage).await?.local_date(now);
    if date > today {
        return Err(ChildError::DiedLater(date));
    }
    if date.year() < 2000 {
        return Err(ChildError::Year(date));
    }
    let detail = json!({ "date": date });
    change_one(storage, reference, "child.died", detail, by, now, |child| {
        let leaving = Leaving {
            date,
            reason: LeaveReason::Died,
        };
        // A date that is corrected was known before.
        let known = child.entry.before_death.unwrap_or(BeforeDeath {
            recorded_at: now,
            left: child.entry.left_on(),
        });
        set_leaves(child, Some(leaving));
        child.entry.before_death = Some(known);
        Ok(())
    })
    .await
}

/// Takes a death back, and of a child who had not died a leave date.
pub async fn stay(
    storage: &Storage,
    reference: &str,
    by: &Operator,
    now: Timestamp,
) -> Result<Done, ChildError> {
    role::require(by, role::Act::Leave)?;
    change_one(
        storage,
        reference,
        "child.stay",
        json!({}),
        by,
        now,
        |child| {
            if child.entry.leaves.is_some() {
                let died = child.entry.has_died();
                let left = child.entry.left_on().filter(|_| died);
                let leaving = left.map(|date| Leaving {
                    date,
                    reason: LeaveReason::Left,
                });
                set_leaves(child, leaving);
                child.entry.before_death = None;
            }
            Ok(())
        },
    )
    .await
}

/// Empty: any room.
pub async fn room(
    storage: &Storage,
    reference: &str,
    rooms: &BTreeSet<RoomName>,
    by: &Operator,
    now: Timestamp,
) -> Result<Done, ChildError> {
    role::require(by, role::Act::Arrange)?;
    let detail = json!({ "rooms": rooms });
    change_one(storage, reference, "child.room", detail, by, now, |child| {
        let before = std::mem::replace(&mut child.entry.rooms, rooms.clone());
        if before != *rooms {
            child
                .set_here
                .rooms
                .get_or_insert(FileSaid { file_said: before });
        }
        Ok(())
    })
    .await
}

/// Makes these children, and those already of a family with one of them, siblings.
pub async fn join(
    storage: &Storage,
    references: &[String],
    by: &Operator,
    now: Timestamp,
) -> Result<Done, ChildError> {
    role::require(by, role::Act::Arrange)?;
    if references.len() < 2 {
        return Err(ChildError::Alone);
    }
    let new = FamilyId::from_uuid(fresh::random());
    register::act(storage, |register| {
        let named = named(register, references)?;
        let families: BTreeSet<FamilyId> = named.iter().filter_map(|c| c.family).collect();
        let family = families.first().copied().unwrap_or(new);
        let of_these = |child: &Child| {
            named.iter().any(|c| c.id == child.id)
                || child
                    .family
                    .is_some_and(|family| families.contains(&family))
        };
        let children: Vec<&Child> = register.children.iter().filter(|c| of_these(c)).collect();
        Ok(change(
            register,
            &children,
            "child.family",
            json!({}),
            by,
            now,
            |child| {
                set_family(child, Some(family));
            },
        ))
    })
    .await
}

/// Takes these children out of their families; among themselves they are no siblings either.
pub async fn split(
    storage: &Storage,
    references: &[String],
    by: &Operator,
    now: Timestamp,
) -> Result<Done, ChildError> {
    role::require(by, role::Act::Arrange)?;
    register::act(storage, |register| {
        let named = named(register, references)?;
        Ok(change(
            register,
            &named,
            "child.split",
            json!({}),
            by,
            now,
            |child| {
                set_family(child, None);
            },
        ))
    })
    .await
}

fn named<'a>(register: &'a Register, references: &[String]) -> Result<Vec<&'a Child>, ChildError> {
    let mut seen = BTreeSet::new();
    references
        .iter()
        .map(|reference| {
            if !seen.insert(reference) {
                return Err(ChildError::Twice(reference.clone()));
            }
            Ok(register.child(reference)?)
        })
        .collect()
}

fn set_leaves(child: &mut Child, leaves: Option<Leaving>) {
    let before = std::mem::replace(&mut child.entry.leaves, leaves);
    let file_said = before
        .filter(|leaving| leaving.reason == LeaveReason::Left)
        .map(|leaving| leaving.date);
    child.set_here.leaves.get_or_insert(FileSaid { file_said });
}

fn set_family(child: &mut Child, family: Option<FamilyId>) {
    let file_said = std::mem::replace(&mut child.family, family);
    if file_said != family {
        child.set_here.family.get_or_insert(FileSaid { file_said });
    }
}

async fn change_one(
    storage: &Storage,
    reference: &str,
    act: &str,
    detail: Value,
    by: &Operator,
    now: Timestamp,
    set: impl Fn(&mut Child) -> Result<(), ChildError>,
) -> Result<Done, ChildError> {
    register::act(storage, |register| {
        let child = register.child(reference)?;
        // Refused before anything is made of it.
        set(&mut child.clone())?;
        Ok(change(
            register,
            &[child],
            act,
            detail.clone(),
            by,
            now,
            |child| {
                let _ = set(child);
            },
        ))
    })
    .await
}

fn change(
    register: &Register,
    children: &[&Child],
    act: &str,
    mut detail: Value,
    by: &Operator,
    now: Timestamp,
    set: impl Fn(&mut Child),
) -> Act<Done> {
    let after: Vec<Child> = children
        .iter()
        .map(|before| {
            let mut child = (*before).clone();
            set(&mut child);
            child
        })
        .collect();
    let changed: Vec<Child> = after
        .iter()
        .filter(|child| !register.children.contains(child))
        .cloned()
        .collect();
    let ids: Vec<ChildId> = after.iter().map(|child| child.id).collect();
    let subject = ids.first().map(ToString::to_string).unwrap_or_default();
    if ids.len() > 1 {
        detail["children"] = json!(ids);
    }
    Act {
        audit: (!changed.is_empty()).then(|| AuditEntry {
            at: now,
            who: by.name.clone(),
            act: act.to_owned(),
            subject,
            detail,
        }),
        answer: Done {
            changed: !changed.is_empty(),
            children: after,
        },
        change: RegisterChange {
            children: changed,
            ..RegisterChange::default()
        },
    }
}

#[cfg(test)]
mod tests;
