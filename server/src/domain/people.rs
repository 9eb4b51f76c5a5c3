//! Who runs the setting: exactly one lead for safeguarding, deputies who cover on days of their own, and always two people
//! who can act together.
//!
//! Rules are judged on the list of people as it would be after a change; storage takes the change only where the list is
//! still the one it was judged on.

use super::account::set_up::NAME_CHARS;
use super::fresh;
use crate::storage::{
    AuditEntry, Cover, Operator, PeopleChange, PeoplePut, Role, Storage, StorageError,
};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::id::OperatorId;
use nestwarden_policy_schema::text::is_unseen;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("a name has 1 to {NAME_CHARS} characters on one line; choose another")]
    Name,
    #[error(
        "\"{0}\" is or was somebody's name here, perhaps in other capitals; choose a name that tells the two apart"
    )]
    Taken(String),
    #[error("there is no operator \"{0}\"; `operator list` shows those there are")]
    Nobody(String),
    #[error("choose at least one role; to take every role away, remove the person")]
    NoRole,
    #[error("a setting has a lead for safeguarding (DSL); hand the lead to somebody else first")]
    NoLead,
    #[error(
        "{0} is the lead for safeguarding (DSL), and a setting has one; hand the lead over instead"
    )]
    TwoLeads(String),
    #[error(
        "two people have to be left who can act together (managers, the DSL or deputies); add another one first"
    )]
    NoSecond,
    #[error("you cannot remove yourself; somebody else has to")]
    Oneself,
    #[error("{0} is no deputy; only a deputy covers for the DSL")]
    NotDeputy(String),
    #[error("the cover ends on {last}, before it begins on {first}; put the earlier day first")]
    Backwards { first: Date, last: Date },
    #[error("{0} covers on some of these days already; one person is the DSL on a day")]
    Covered(String),
    #[error("somebody else changed people at the same time, so nothing was changed; look again")]
    ChangedMeanwhile,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Who the DSL is on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    pub operator: Operator,
    /// The last day on which they stand in; `None`: they are the lead.
    pub covers_until: Option<Date>,
}

/// `None`: nobody has the role, as after `init` without one.
pub fn dsl_on(people: &[Operator], covers: &[Cover], day: Date) -> Option<Lead> {
    let covering = covers.iter().find_map(|cover| {
        let deputy = people.iter().find(|person| person.id == cover.operator)?;
        let covers = is(deputy, Role::Deputy) && (cover.first..=cover.last).contains(&day);
        covers.then(|| Lead {
            operator: deputy.clone(),
            covers_until: Some(cover.last),
        })
    });
    covering.or_else(|| {
        let lead = people.iter().find(|person| is(person, Role::Dsl))?;
        Some(Lead {
            operator: lead.clone(),
            covers_until: None,
        })
    })
}

pub async fn dsl_today(storage: &Storage, today: Date) -> Result<Option<Lead>, StorageError> {
    let people = storage.operator_list().await?;
    let covers = storage.cover_list().await?;
    Ok(dsl_on(&people, &covers, today))
}

pub async fn add(
    storage: &Storage,
    name: &str,
    roles: BTreeSet<Role>,
    who: &str,
    now: Timestamp,
) -> Result<Operator, PeopleError> {
    let name = name.trim();
    let is_name = (1..=NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(is_unseen);
    if !is_name {
        return Err(PeopleError::Name);
    }
    if roles.is_empty() {
        return Err(PeopleError::NoRole);
    }
    let operator = Operator {
        id: OperatorId::from_uuid(fresh::ordered(now)),
        name: name.to_owned(),
        roles,
        created_at: now,
    };
    let detail = json!({ "name": operator.name, "roles": operator.roles });
    let change = PeopleChange {
        add: Some(operator.clone()),
        ..PeopleChange::default()
    };
    let audit = audit("operator.add", operator.id, detail, who, now);
    change_to(storage, &storage.operator_list().await?, &change, &audit).await?;
    Ok(operator)
}

/// Takes hold with the person's next page; the lead itself is handed over with [`hand_over`].
pub async fn set_roles(
    storage: &Storage,
    name: &str,
    roles: BTreeSet<Role>,
    who: &str,
    now: Timestamp,
) -> Result<(), PeopleError> {
    if roles.is_empty() {
        return Err(PeopleError::NoRole);
    }
    let before = storage.operator_list().await?;
    let person = named(&before, name)?;
    let detail = json!({ "from": person.roles, "to": roles });
    let change = PeopleChange {
        roles: vec![(person.id, roles)],
        ..PeopleChange::default()
    };
    let audit = audit("operator.roles", person.id, detail, who, now);
    change_to(storage, &before, &change, &audit).await
}

/// Makes a person the lead; the lead until now is a deputy from then on.
pub async fn hand_over(
    storage: &Storage,
    to: &str,
    who: &str,
    now: Timestamp,
) -> Result<(), PeopleError> {
    let before = storage.operator_list().await?;
    let person = named(&before, to)?;
    let with = |person: &Operator, gains: Role, loses: Role| {
        let mut roles = person.roles.clone();
        roles.remove(&loses);
        roles.insert(gains);
        (person.id, roles)
    };
    let mut roles: Vec<_> = before
        .iter()
        .filter(|other| other.id != person.id && is(other, Role::Dsl))
        .map(|lead| with(lead, Role::Deputy, Role::Dsl))
        .collect();
    let until_now: Vec<&OperatorId> = roles.iter().map(|(id, _)| id).collect();
    let audit = audit(
        "operator.lead",
        person.id,
        json!({ "until_now": until_now }),
        who,
        now,
    );
    roles.push(with(person, Role::Dsl, Role::Deputy));
    let change = PeopleChange {
        roles,
        ..PeopleChange::default()
    };
    change_to(storage, &before, &change, &audit).await
}

/// Ends the person's account, sessions, link and token in the same act. What they did stays under their name.
pub async fn remove(
    storage: &Storage,
    name: &str,
    who: &str,
    now: Timestamp,
) -> Result<(), PeopleError> {
    let before = storage.operator_list().await?;
    let person = named(&before, name)?;
    if person.name == who {
        return Err(PeopleError::Oneself);
    }
    let change = PeopleChange {
        remove: Some(person.id),
        ..PeopleChange::default()
    };
    let detail = json!({ "name": person.name, "roles": person.roles });
    let audit = audit("operator.remove", person.id, detail, who, now);
    change_to(storage, &before, &change, &audit).await
}

/// `days`: the first and the last on which the deputy is the DSL; `None`: they cover no more.
pub async fn set_cover(
    storage: &Storage,
    name: &str,
    days: Option<(Date, Date)>,
    who: &str,
    now: Timestamp,
) -> Result<(), PeopleError> {
    let people = storage.operator_list().await?;
    let person = named(&people, name)?;
    let cover = match days {
        None => None,
        Some((first, last)) if last < first => {
            return Err(PeopleError::Backwards { first, last });
        }
        Some(_) if !is(person, Role::Deputy) => {
            return Err(PeopleError::NotDeputy(person.name.clone()));
        }
        Some((first, last)) => Some(Cover {
            operator: person.id,
            first,
            last,
        }),
    };
    let covers = storage.cover_list().await?;
    if let Some(cover) = cover {
        for other in &covers {
            let deputy = people.iter().find(|person| person.id == other.operator);
            if let Some(deputy) = deputy.filter(|deputy| is(deputy, Role::Deputy))
                && other.operator != cover.operator
                && other.first <= cover.last
                && cover.first <= other.last
            {
                return Err(PeopleError::Covered(deputy.name.clone()));
            }
        }
    }
    let audit = audit("operator.cover", person.id, json!(cover), who, now);
    let seen = (people.as_slice(), covers.as_slice());
    match storage.cover_put(seen, person.id, cover, &audit).await? {
        PeoplePut::Done => Ok(()),
        PeoplePut::ChangedMeanwhile | PeoplePut::NameTaken => Err(PeopleError::ChangedMeanwhile),
    }
}

fn is(person: &Operator, role: Role) -> bool {
    person.roles.contains(&role)
}

fn named<'p>(people: &'p [Operator], name: &str) -> Result<&'p Operator, PeopleError> {
    let found = people.iter().find(|person| person.name == name);
    found.ok_or_else(|| PeopleError::Nobody(name.chars().take(NAME_CHARS).collect()))
}

async fn change_to(
    storage: &Storage,
    before: &[Operator],
    change: &PeopleChange,
    audit: &AuditEntry,
) -> Result<(), PeopleError> {
    judge(before, &after(before, change))?;
    match storage.people_change(before, change, audit).await? {
        PeoplePut::Done => Ok(()),
        PeoplePut::NameTaken => Err(PeopleError::Taken(
            change
                .add
                .as_ref()
                .map(|new| new.name.clone())
                .unwrap_or_default(),
        )),
        PeoplePut::ChangedMeanwhile => Err(PeopleError::ChangedMeanwhile),
    }
}

fn after(before: &[Operator], change: &PeopleChange) -> Vec<Operator> {
    let mut people: Vec<Operator> = before.iter().chain(&change.add).cloned().collect();
    people.retain(|person| Some(person.id) != change.remove);
    for person in &mut people {
        if let Some((_, roles)) = change.roles.iter().find(|(id, _)| *id == person.id) {
            person.roles.clone_from(roles);
        }
    }
    people
}

/// What is wrong already may stay for as long as it gets no worse: a setting from before these rules can still mend it.
fn judge(before: &[Operator], after: &[Operator]) -> Result<(), PeopleError> {
    let leads = |people: &[Operator]| people.iter().filter(|p| is(p, Role::Dsl)).count();
    let (were, will_be) = (leads(before), leads(after));
    if were > 0 && will_be == 0 {
        return Err(PeopleError::NoLead);
    }
    if will_be > 1 && will_be > were {
        let lead = before.iter().find(|person| is(person, Role::Dsl));
        return Err(PeopleError::TwoLeads(
            lead.map(|lead| lead.name.clone()).unwrap_or_default(),
        ));
    }
    let approvers = |people: &[Operator]| people.iter().filter(|p| can_approve(p)).count();
    let left = approvers(after);
    if left < 2 && left < approvers(before) {
        return Err(PeopleError::NoSecond);
    }
    Ok(())
}

/// Who can be one of two people where an act needs two.
pub fn can_approve(person: &Operator) -> bool {
    [Role::Manager, Role::Dsl, Role::Deputy]
        .into_iter()
        .any(|role| is(person, role))
}

fn audit(act: &str, subject: OperatorId, detail: Value, who: &str, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        who: who.to_owned(),
        act: act.to_owned(),
        subject: subject.to_string(),
        detail,
    }
}

#[cfg(test)]
mod tests;
