//! Who works here, from when to when, what they were trained in, and which version of the acceptable use policy they
//! acknowledged. Names are words of the entry; what a tablet or a report needs is in the acts.

use super::aup::{Audience, AupVersion};
use super::words::Words;
use super::{Entry, Hand, Kept, Refused, RegisterError, Registers};
use crate::domain::account::session;
use crate::domain::task;
use crate::storage::{Operator, RegisterName};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::id::{EntryId, OperatorId, StaffId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of the name of a course.
pub const COURSE_CHARS: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    Practitioner,
    RoomLeader,
    Manager,
    Safeguarding,
    Office,
    Student,
    Agency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    OnPaper,
    OnScreen,
    InPerson,
    /// On a tablet, as they signed it out with their PIN.
    OnTablet,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    pub job: Job,
    pub start: Date,
    /// As whom they sign in here; `None`: they do not.
    pub operator: Option<OperatorId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Add {
        post: Post,
    },
    Correct {
        post: Post,
    },
    Suspend,
    Reinstate,
    /// `last_day` is one they still work on.
    Leave {
        last_day: Date,
    },
    Stay,
    Course {
        /// As it is called; a later line of the same name takes the place of this one.
        course: String,
        on: Date,
        /// The last day it is good for; `None`: it does not run out.
        until: Option<Date>,
    },
    Acknowledge {
        version: EntryId,
        on: Date,
        method: Method,
    },
    /// By which they sign tablets out themselves. Its verifier, and how tablets name them, are words of the line.
    SetPin,
    RemovePin,
}

impl Act {
    /// What it says of who somebody is here; `None`: nothing.
    pub const fn post(&self) -> Option<&Post> {
        match self {
            Self::Add { post } | Self::Correct { post } => Some(post),
            Self::Suspend
            | Self::Reinstate
            | Self::Leave { .. }
            | Self::Stay
            | Self::Course { .. }
            | Self::Acknowledge { .. }
            | Self::SetPin
            | Self::RemovePin => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    pub on: Date,
    pub until: Option<Date>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staff {
    pub post: Post,
    pub last_day: Option<Date>,
    pub suspended_at: Option<Timestamp>,
    /// By name.
    pub courses: BTreeMap<String, Course>,
    /// By version: on which day.
    pub acknowledged: BTreeMap<EntryId, Date>,
    pub has_pin: bool,
}

impl Staff {
    /// Whether they work here on this day.
    pub fn is_here(&self, day: Date) -> bool {
        self.post.start <= day && self.last_day.is_none_or(|last| day <= last)
    }

    /// From when on they should know no passcode any more: the end of their last day, or when they were suspended.
    pub fn out_since(&self, calendar: &Calendar) -> Option<Timestamp> {
        let left = self.last_day.map(|day| calendar.end_of(day));
        [left, self.suspended_at].into_iter().flatten().min()
    }

    fn take(&mut self, act: &Act, at: Timestamp) -> Result<(), Refused> {
        match act {
            Act::Add { .. } => return Err(Refused::whole("They are on the register already.")),
            Act::Correct { post } => self.post = post.clone(),
            Act::Suspend if self.suspended_at.is_some() => {
                return Err(Refused::whole("They are suspended already."));
            }
            Act::Suspend => self.suspended_at = Some(at),
            Act::Reinstate if self.suspended_at.is_none() => {
                return Err(Refused::whole("They are not suspended."));
            }
            Act::Reinstate => self.suspended_at = None,
            Act::Leave { last_day } => {
                if *last_day < self.post.start {
                    return Err(Refused::at(
                        "last_day",
                        "Their last day is before their first. Correct one of the two.",
                    ));
                }
                self.last_day = Some(*last_day);
            }
            Act::Stay => self.last_day = None,
            Act::Course { course, on, until } => {
                if until.is_some_and(|until| until < *on) {
                    return Err(Refused::at(
                        "until",
                        "It ends before it was taken. Correct one of the two days.",
                    ));
                }
                let course_of = Course {
                    on: *on,
                    until: *until,
                };
                self.courses.insert(course.clone(), course_of);
            }
            Act::Acknowledge { version, on, .. } => {
                self.acknowledged.insert(*version, *on);
            }
            Act::SetPin => self.has_pin = true,
            Act::RemovePin if !self.has_pin => return Err(Refused::whole("They have no PIN.")),
            Act::RemovePin => self.has_pin = false,
        }
        Ok(())
    }
}

impl Entry for Staff {
    const REGISTER: RegisterName = RegisterName::Staff;
    type Act = Act;

    fn after(before: Option<Self>, act: &Act, at: Timestamp) -> Result<Self, Refused> {
        match (before, act) {
            (None, Act::Add { post }) => Ok(Self {
                post: post.clone(),
                last_day: None,
                suspended_at: None,
                courses: BTreeMap::new(),
                acknowledged: BTreeMap::new(),
                has_pin: false,
            }),
            (None, _) => Err(Refused::whole("They are not on the register.")),
            (Some(mut staff), act) => {
                staff.take(act, at)?;
                Ok(staff)
            }
        }
    }

    fn never_waits(act: &Act) -> bool {
        matches!(
            act,
            Act::Suspend | Act::Reinstate | Act::Leave { .. } | Act::Stay | Act::RemovePin
        )
    }

    /// Whether somebody still works here is a matter of days, and not of what was written last.
    fn is_open(&self) -> bool {
        true
    }
}

/// By which tablets know somebody: one person has one id, whoever tells of them.
pub const fn staff_id(entry: EntryId) -> StaffId {
    StaffId::from_uuid(*entry.as_uuid())
}

pub const fn entry_id(staff: StaffId) -> EntryId {
    EntryId::from_uuid(*staff.as_uuid())
}

/// Writes a line, and ends the sessions of whoever is out by it. They could sign in again: for that there is a task, because
/// nobody may shut everybody out from here.
pub async fn write(
    registers: &Registers<'_>,
    id: EntryId,
    act: &Act,
    words: &Words,
    hand: Hand<'_>,
) -> Result<(), RegisterError> {
    let staff = registers.add::<Staff>(id, act, words, hand).await?;
    let may_end = matches!(act, Act::Suspend | Act::Leave { .. } | Act::Correct { .. });
    let Some(operator) = staff.post.operator.filter(|_| may_end) else {
        return Ok(());
    };
    let storage = registers.storage;
    let left = match task::local_calendar(storage).await? {
        Some(calendar) => staff.out_since(&calendar).is_some_and(|at| at <= hand.now),
        None => staff.suspended_at.is_some(),
    };
    let people = storage.operator_list().await?;
    if let Some(person) = people.iter().find(|person| person.id == operator)
        && left
    {
        session::end_all(storage, person, &hand.by.name, hand.now).await?;
    }
    Ok(())
}

/// Whom of those who sign in a name is: each is one person's here, whatever its capitals.
pub fn signs_in_as(name: &str, people: &[Operator]) -> Option<OperatorId> {
    let name = name.trim().to_lowercase();
    let same = people
        .iter()
        .find(|person| person.name.to_lowercase() == name);
    same.map(|person| person.id)
}

/// One line, of at most [`COURSE_CHARS`] characters.
pub fn course_name(text: &str) -> Result<String, Refused> {
    let words = Words::default().line("course", text)?;
    let name = words.of("course");
    if name.chars().count() > COURSE_CHARS {
        let says = format!("Shorten this to {COURSE_CHARS} characters.");
        return Err(Refused::at("course", says));
    }
    Ok(name.to_owned())
}

/// Whether a tablet may be handed to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Ready,
    /// A newer version waits for them until this day, that day included.
    Grace {
        until: Date,
    },
    NotHere,
    Suspended,
    /// They never acknowledged any version for staff.
    NotInducted,
    AupOutOfDate,
}

impl Standing {
    pub const fn may_take_a_tablet(self) -> bool {
        matches!(self, Self::Ready | Self::Grace { .. })
    }
}

/// Where no version for staff is in force nothing can be acknowledged, and nobody is inducted.
pub fn standing(staff: &Staff, versions: &[Kept<AupVersion>], today: Date) -> Standing {
    if !staff.is_here(today) {
        return Standing::NotHere;
    }
    if staff.suspended_at.is_some() {
        return Standing::Suspended;
    }
    let Some(current) = super::aup::current(versions, Audience::Staff, today) else {
        return Standing::NotInducted;
    };
    if staff.acknowledged.contains_key(&current.id) {
        return Standing::Ready;
    }
    let of_staff = versions
        .iter()
        .filter(|version| version.now.audience == Audience::Staff);
    let knows_an_earlier = of_staff
        .clone()
        .any(|version| staff.acknowledged.contains_key(&version.id));
    if !knows_an_earlier {
        return Standing::NotInducted;
    }
    let until = current.now.grace_until();
    if today <= until {
        Standing::Grace { until }
    } else {
        Standing::AupOutOfDate
    }
}

#[cfg(test)]
mod tests;
