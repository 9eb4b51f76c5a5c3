//! Answers recorded here, by a person: given, refused, withdrawn.

use super::register::{self, Act, NoChild, Register};
use super::role::{self, NotAllowed};
use super::{fresh, import};
use crate::storage::{AuditEntry, Child, Operator, RegisterChange, Storage, StorageError};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::{
    ConsentRecord, ConsentSource, ConsentStanding, ConsentState, GivenBy, Method, Purpose,
};
use nestwarden_policy_schema::id::{ChildId, ConsentId};
use std::collections::BTreeMap;

const WORDING_CHARS: usize = 60;

/// Who answered, and how they said so.
#[derive(Clone, Debug)]
pub struct Said {
    pub given_by: GivenBy,
    /// `None`: not asked.
    pub has_parental_responsibility: Option<bool>,
    pub method: Method,
    /// The version of the form or text the person answered.
    pub wording: Option<String>,
}

/// When an answer was given and holds, in local days; `None`: now, and for good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dates {
    pub answered: Option<Date>,
    pub from: Option<Date>,
    pub until: Option<Date>,
}

/// What an answer came to.
#[derive(Clone, Debug)]
pub struct Answered {
    pub child: Child,
    /// What stands now, for each purpose that was answered.
    pub standings: BTreeMap<Purpose, ConsentStanding>,
    /// What stood before.
    pub before: BTreeMap<Purpose, ConsentStanding>,
}

/// For whom a withdrawal is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Child,
    Family,
}

#[derive(Clone, Debug)]
pub struct Withdrawn {
    pub child: Child,
    /// For each child it reached, those that had another answer. What nobody ever answered is withdrawn with them, so that
    /// no Yes without a date gives it later, and not worth a word.
    pub purposes: Vec<(Child, Vec<Purpose>)>,
    /// Children of the same family whose consents stay as they are.
    pub siblings: Vec<Child>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    #[error(transparent)]
    NoChild(#[from] NoChild),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(
        "a parent without parental responsibility cannot give consent; ask somebody who has it, or record who gave it with `--given-by` delegated_carer, local_authority or court"
    )]
    NoResponsibility,
    #[error(
        "`--answered` is {0}, which is in the future; write the day on which the answer was given"
    )]
    AnsweredLater(Date),
    #[error("`--until` is {0}, which is over; write the last day on which it holds")]
    Over(Date),
    #[error("`--from` is {from}, after `--until` {until}; put the earlier day first")]
    Backwards { from: Date, until: Date },
    #[error(
        "`--wording` is \"{0}\"; write what the form is called, 1 to {WORDING_CHARS} characters on one line"
    )]
    Wording(String),
    #[error(transparent)]
    Calendar(#[from] import::CalendarError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Records a Yes. It restores what was refused or withdrawn only if it was answered after that.
pub async fn give(
    storage: &Storage,
    reference: &str,
    purposes: &[Purpose],
    said: &Said,
    dates: Dates,
    by: &Operator,
    now: Timestamp,
) -> Result<Answered, ConsentError> {
    role::require(by, role::Act::GiveConsent)?;
    let of_a_parent = matches!(said.given_by, GivenBy::Parent | GivenBy::OtherParent);
    if of_a_parent && said.has_parental_responsibility == Some(false) {
        return Err(ConsentError::NoResponsibility);
    }
    let calendar = import::calendar(storage).await?;
    let today = calendar.local_date(now);
    if let Some(until) = dates.until {
        if until < today {
            return Err(ConsentError::Over(until));
        }
        if let Some(from) = dates.from.filter(|from| *from > until) {
            return Err(ConsentError::Backwards { from, until });
        }
    }
    // A Yes counts from the beginning of its day, so that of two answers on one day the stricter stands.
    let answered_at = answered_at(dates.answered, &calendar, now, |day| calendar.start_of(day))?;
    let new = NewAnswer {
        state: ConsentState::Given,
        said: checked(said)?,
        answered_at,
        dates,
    };
    answer(storage, reference, purposes, &new, &by.name, now).await
}

/// Records a No to what may never have been given.
pub async fn refuse(
    storage: &Storage,
    reference: &str,
    purposes: &[Purpose],
    said: &Said,
    answered: Option<Date>,
    who: &str,
    now: Timestamp,
) -> Result<Answered, ConsentError> {
    let answered_at = if answered.is_some() {
        let calendar = import::calendar(storage).await?;
        let last = |day| calendar.end_of(day) - SignedDuration::from_secs(1);
        answered_at(answered, &calendar, now, last)?
    } else {
        now
    };
    let new = NewAnswer {
        state: ConsentState::Refused,
        said: checked(said)?,
        answered_at,
        dates: Dates::default(),
    };
    answer(storage, reference, purposes, &new, who, now).await
}

/// Withdraws `purposes`. Those withdrawn already stay as they are.
pub async fn withdraw(
    storage: &Storage,
    reference: &str,
    purposes: &[Purpose],
    said: &Said,
    reach: Reach,
    who: &str,
    now: Timestamp,
) -> Result<Withdrawn, ConsentError> {
    let new = NewAnswer {
        state: ConsentState::Withdrawn,
        said: checked(said)?,
        answered_at: now,
        dates: Dates::default(),
    };
    register::act(storage, |register| {
        Ok(withdrawal(
            register, reference, purposes, &new, reach, who, now,
        )?)
    })
    .await
}

/// What a withdrawal would write, for whoever wants to know before.
pub fn withdrawal_of(
    register: &Register,
    reference: &str,
    purposes: &[Purpose],
    said: &Said,
    reach: Reach,
    now: Timestamp,
) -> Result<RegisterChange, ConsentError> {
    let new = NewAnswer {
        state: ConsentState::Withdrawn,
        said: checked(said)?,
        answered_at: now,
        dates: Dates::default(),
    };
    Ok(withdrawal(register, reference, purposes, &new, reach, "", now)?.change)
}

/// A text as a wording's name may be.
fn checked(said: &Said) -> Result<Said, ConsentError> {
    if let Some(wording) = &said.wording {
        let length = wording.trim().chars().count();
        if length == 0
            || length > WORDING_CHARS
            || wording
                .chars()
                .any(nestwarden_policy_schema::text::is_unseen)
        {
            return Err(ConsentError::Wording(wording.chars().take(80).collect()));
        }
    }
    Ok(Said {
        wording: said.wording.as_ref().map(|w| w.trim().to_owned()),
        ..said.clone()
    })
}

/// Today is now: nobody answers later than that.
fn answered_at(
    answered: Option<Date>,
    calendar: &Calendar,
    now: Timestamp,
    on: impl Fn(Date) -> Timestamp,
) -> Result<Timestamp, ConsentError> {
    let today = calendar.local_date(now);
    match answered {
        Some(day) if day > today => Err(ConsentError::AnsweredLater(day)),
        Some(day) if day < today => Ok(on(day)),
        Some(_) | None => Ok(now),
    }
}

struct NewAnswer {
    state: ConsentState,
    said: Said,
    answered_at: Timestamp,
    dates: Dates,
}

impl NewAnswer {
    fn record(&self, child: ChildId, purpose: Purpose, now: Timestamp) -> ConsentRecord {
        ConsentRecord {
            id: ConsentId::from_uuid(fresh::ordered(now)),
            child,
            purpose,
            state: self.state,
            given_by: self.said.given_by,
            has_parental_responsibility: self.said.has_parental_responsibility,
            method: self.said.method,
            wording_version: self.said.wording.clone(),
            answered_at: Some(self.answered_at),
            recorded_at: now,
            valid_from: self.dates.from,
            valid_until: self.dates.until,
            withdrawn_at: (self.state == ConsentState::Withdrawn).then_some(now),
            source: ConsentSource::Recorded,
        }
    }
}

async fn answer(
    storage: &Storage,
    reference: &str,
    purposes: &[Purpose],
    new: &NewAnswer,
    who: &str,
    now: Timestamp,
) -> Result<Answered, ConsentError> {
    register::act(storage, |register| {
        let child = register.child(reference)?;
        let records: Vec<ConsentRecord> = purposes
            .iter()
            .map(|&purpose| new.record(child.id, purpose, now))
            .collect();
        let change = RegisterChange {
            records,
            ..RegisterChange::default()
        };
        let of_these = |register: &Register| {
            let mut standings = register.standings(child.id);
            standings.retain(|purpose, _| purposes.contains(purpose));
            standings
        };
        let act = if new.state == ConsentState::Given {
            "consent.give"
        } else {
            "consent.refuse"
        };
        Ok(Act {
            audit: Some(AuditEntry {
                at: now,
                who: who.to_owned(),
                act: act.to_owned(),
                subject: child.id.to_string(),
                detail: serde_json::json!({
                    "purposes": purposes,
                    "given_by": new.said.given_by,
                    "answered_at": new.answered_at,
                }),
            }),
            answer: Answered {
                child: child.clone(),
                standings: of_these(&register.with(&change)),
                before: of_these(register),
            },
            change,
        })
    })
    .await
}

fn withdrawal(
    register: &Register,
    reference: &str,
    purposes: &[Purpose],
    new: &NewAnswer,
    reach: Reach,
    who: &str,
    now: Timestamp,
) -> Result<Act<Withdrawn>, NoChild> {
    let child = register.child(reference)?;
    let siblings: Vec<Child> = register.siblings(child).cloned().collect();
    let (reached, others) = match reach {
        Reach::Child => (Vec::new(), siblings),
        Reach::Family => (siblings, Vec::new()),
    };
    let mut change = RegisterChange::default();
    let mut done = Vec::new();
    for child in std::iter::once(child).chain(&reached) {
        let standings = register.standings(child.id);
        let purposes: Vec<Purpose> = purposes
            .iter()
            .copied()
            .filter(|purpose| {
                standings
                    .get(purpose)
                    .is_none_or(|standing| standing.state != ConsentState::Withdrawn)
            })
            .collect();
        let records = purposes.iter().map(|&p| new.record(child.id, p, now));
        change.records.extend(records);
        let answered = |purpose: &Purpose| {
            let standing = standings.get(purpose);
            standing.is_some_and(|standing| standing.state != ConsentState::Unanswered)
        };
        done.push((
            child.clone(),
            purposes.into_iter().filter(answered).collect(),
        ));
    }
    let audit = (!change.is_empty()).then(|| AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "consent.withdraw".to_owned(),
        subject: child.id.to_string(),
        detail: serde_json::json!({
            "purposes": done[0].1,
            "given_by": new.said.given_by,
            "siblings": done[1..].iter().map(|(child, _)| child.id).collect::<Vec<_>>(),
        }),
    });
    Ok(Act {
        change,
        audit,
        answer: Withdrawn {
            child: child.clone(),
            purposes: done,
            siblings: others,
        },
    })
}

#[cfg(test)]
mod tests;
