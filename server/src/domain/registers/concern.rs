//! Concerns: anybody who signs in raises one; the DSL and deputies read it. Nobody reads one about themselves: who is said to
//! be part of it is left out, and where that is the DSL, managers read it, too. Where nobody would be left nothing is kept.

use super::circle::Circle;
use super::incident::{Facts, Incident, Kind};
use super::words::Words;
use super::{Entry, Hand, Kept, Refused, RegisterError, Registers, incident, list};
use crate::storage::{Operator, RegisterName, Role, Which};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::{EntryId, OperatorId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Within which somebody who may read it says that they have.
pub const ACKNOWLEDGE_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// Within which it is decided what becomes of it.
pub const DECIDE_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Of one person within a day: so many that no list is ever full of them.
const RAISED_A_DAY: usize = 20;

/// Says nothing of what it is about, or what was decided: that is among its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Raise,
    Acknowledge,
    Note,
    Decide,
    /// Of it came this incident; `None`: it was closed with a reason.
    Close {
        incident: Option<EntryId>,
    },
    Reopen,
}

/// What was decided. Among the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    LowLevel,
    Allegation,
    ReferredLado,
    ReferredChildrensServices,
    NotSafeguarding,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    pub raised_at: Timestamp,
    pub acknowledged_at: Option<Timestamp>,
    pub decided_at: Option<Timestamp>,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Closed,
    BecameIncident(EntryId),
}

impl Concern {
    /// By when the next thing is due; `None`: nothing is.
    pub fn due(&self) -> Option<Timestamp> {
        if self.state != State::Open {
            return None;
        }
        let within = if self.acknowledged_at.is_none() {
            ACKNOWLEDGE_WITHIN
        } else {
            DECIDE_WITHIN
        };
        Some(self.raised_at.checked_add(within).unwrap_or(Timestamp::MAX))
    }

    fn take(&mut self, act: &Act, at: Timestamp) -> Result<(), Refused> {
        if self.state != State::Open {
            if *act != Act::Reopen {
                return Err(Refused::whole(
                    "This concern is closed. Open it again first.",
                ));
            }
            self.state = State::Open;
            self.decided_at = None;
            return Ok(());
        }
        match act {
            Act::Raise | Act::Reopen => {
                return Err(Refused::whole("This concern is open already."));
            }
            Act::Acknowledge if self.acknowledged_at.is_some() => {
                return Err(Refused::whole("Somebody said so before."));
            }
            Act::Acknowledge => self.acknowledged_at = Some(at),
            Act::Note => {}
            // Whoever decides has read it.
            Act::Decide => {
                self.acknowledged_at.get_or_insert(at);
                self.decided_at = Some(at);
            }
            Act::Close { incident } => {
                if self.decided_at.is_none() {
                    return Err(Refused::whole(
                        "Write down first what was decided, and why. Then it can be closed.",
                    ));
                }
                self.state = incident.map_or(State::Closed, State::BecameIncident);
            }
        }
        Ok(())
    }
}

impl Entry for Concern {
    const REGISTER: RegisterName = RegisterName::Concern;
    type Act = Act;
    const WRITERS_READ: bool = false;

    fn after(before: Option<Self>, act: &Act, at: Timestamp) -> Result<Self, Refused> {
        match (before, act) {
            (None, Act::Raise) => Ok(Self {
                raised_at: at,
                acknowledged_at: None,
                decided_at: None,
                state: State::Open,
            }),
            (None, _) => Err(Refused::whole("There is no such concern.")),
            (Some(mut concern), act) => {
                concern.take(act, at)?;
                Ok(concern)
            }
        }
    }

    fn is_open(&self) -> bool {
        self.state == State::Open
    }
}

/// Who reads a concern in which these people play a part; `None`: nobody would.
pub fn circle_for(people: &[Operator], part: &BTreeSet<OperatorId>) -> Option<Circle> {
    let is_about_lead = people
        .iter()
        .any(|person| person.roles.contains(&Role::Dsl) && part.contains(&person.id));
    let safeguarding = Circle::of([Role::Dsl, Role::Deputy]).without(part);
    let is_left = |circle: &Circle| people.iter().any(|person| circle.admits(person));
    if !is_about_lead && is_left(&safeguarding) {
        return Some(safeguarding);
    }
    Some(safeguarding.with(Role::Manager)).filter(is_left)
}

/// What raising came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    Kept(EntryId),
    /// Everybody who could read it plays a part in it. Nothing was kept.
    NobodyToRead,
}

/// `part`: those of the setting's people who are said to be part of it.
pub async fn raise(
    registers: &Registers<'_>,
    words: &Words,
    part: &BTreeSet<OperatorId>,
    hand: Hand<'_>,
) -> Result<Raised, RegisterError> {
    if words.of("body").is_empty() {
        return Err(Refused::at("body", "Fill this in.").into());
    }
    let day = hand
        .now
        .checked_sub(SignedDuration::from_hours(24))
        .unwrap_or(Timestamp::MIN);
    let all = list::<Concern>(registers.storage, Which::All).await?;
    let of_today = all
        .iter()
        .filter(|kept| kept.begun_by() == hand.by.name && kept.begun_at > day);
    if of_today.count() >= RAISED_A_DAY {
        let says = "You have raised many concerns since yesterday. If this one cannot wait, call one of the numbers below.";
        return Err(Refused::whole(says).into());
    }
    let people = registers.storage.operator_list().await?;
    let Some(circle) = circle_for(&people, part) else {
        return Ok(Raised::NobodyToRead);
    };
    let id = registers
        .begin::<Concern>(&Act::Raise, words, Some(&circle), hand)
        .await?;
    Ok(Raised::Kept(id))
}

/// Who reads the incident that comes of a concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    AsTheConcern,
    /// And managers; never those who are left out.
    AndManagers,
}

/// Begins the incident that comes of a concern, and closes the concern with it. Whoever is left out of the one is left out of
/// the other.
pub async fn become_incident(
    registers: &Registers<'_>,
    concern: &Kept<Concern>,
    facts: Facts,
    (words, readers): (&Words, Readers),
    hand: Hand<'_>,
) -> Result<EntryId, RegisterError> {
    let kept = registers.circle(concern).unwrap_or_default();
    let circle = match readers {
        Readers::AsTheConcern => kept,
        Readers::AndManagers => kept.with(Role::Manager),
    };
    // Judged before anything is written. The id is not known yet, and does not matter for that.
    let mut trial = concern.now.clone();
    trial.take(&Act::Close { incident: None }, hand.now)?;
    let act = incident::Act::Open {
        kind: Kind::Safeguarding,
        facts,
        concern: Some(concern.id),
        hold: None,
    };
    let id = registers
        .begin::<Incident>(&act, words, Some(&circle), hand)
        .await?;
    let close = Act::Close { incident: Some(id) };
    registers
        .add::<Concern>(concern.id, &close, &Words::default(), hand)
        .await?;
    Ok(id)
}

#[cfg(test)]
mod tests;
