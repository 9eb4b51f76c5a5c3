//! Incidents: what happened, what was done, what came of it and what was learnt. Personal-data breaches and illegal content
//! are incidents that something is due for besides.

pub mod illegal;

use super::circle::Circle;
use super::{Entry, Refused};
use crate::storage::{RegisterName, Role};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::{DeviceId, EntryId, HoldId, OperatorId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Within which the regulator for data protection has to hear of a personal-data breach, once the setting knows of it
/// (UK GDPR, article 33).
pub const REPORT_WITHIN: SignedDuration = SignedDuration::from_hours(72);
/// Who reads and writes incidents. Those on illegal content are for [`ILLEGAL_READERS`].
pub const READERS: [Role; 3] = [Role::Manager, Role::Dsl, Role::Deputy];
pub const ILLEGAL_READERS: [Role; 2] = [Role::Dsl, Role::Deputy];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Misuse,
    PersonalDevice,
    LostTablet,
    PersonalData,
    Safeguarding,
    IllegalContent,
    Other,
}

impl Kind {
    /// Those that a form offers. Illegal content has a page of its own.
    pub const OFFERED: [Self; 6] = [
        Self::Misuse,
        Self::PersonalDevice,
        Self::LostTablet,
        Self::PersonalData,
        Self::Safeguarding,
        Self::Other,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Minor,
    Serious,
    Critical,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeCode {
    NoFurtherAction,
    Advice,
    Training,
    Disciplinary,
    RuleChanged,
    ReferredLado,
    ReferredPolice,
    NotSubstantiated,
}

/// What is known of when, how bad and with which tablet; the facts are the line's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub happened_at: Timestamp,
    /// When the setting came to know of it.
    pub noticed_at: Timestamp,
    pub severity: Severity,
    /// `None`: none of the setting's tablets.
    pub device: Option<DeviceId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Open {
        kind: Kind,
        facts: Facts,
        /// The concern it came of.
        concern: Option<EntryId>,
        /// That freezes the tablet, where the content is illegal.
        hold: Option<HoldId>,
    },
    /// Takes the place of the facts before it.
    Correct {
        facts: Facts,
    },
    /// Something was done about it.
    Action,
    /// It turned out to be a personal-data breach, too.
    DataBreach {
        aware_at: Timestamp,
    },
    Reported {
        at: Timestamp,
    },
    NotReportable,
    Step {
        step: illegal::Step,
        at: Timestamp,
    },
    Debrief {
        due: Option<Date>,
    },
    Close {
        outcome: OutcomeCode,
    },
    Reopen,
}

/// What became of the duty to report a personal-data breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    pub aware_at: Timestamp,
    /// `None`: nobody decided yet, and the clock runs.
    pub decided: Option<Decided>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    Reported { at: Timestamp },
    NotReportable,
}

impl Breach {
    pub fn due(&self) -> Timestamp {
        self.aware_at
            .checked_add(REPORT_WITHIN)
            .unwrap_or(Timestamp::MAX)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    pub kind: Kind,
    pub facts: Facts,
    pub concern: Option<EntryId>,
    pub hold: Option<HoldId>,
    pub opened_at: Timestamp,
    pub breach: Option<Breach>,
    /// When each was done; empty but for illegal content.
    pub steps: BTreeMap<illegal::Step, Timestamp>,
    /// Whether it was talked over since it was last opened.
    pub is_debriefed: bool,
    /// `None`: it is open.
    pub outcome: Option<OutcomeCode>,
}

impl Incident {
    /// Who reads one that came of nothing else, and in which these people play a part.
    pub fn circle(part: &BTreeSet<OperatorId>) -> Circle {
        Circle::of(READERS).without(part)
    }

    pub fn is_illegal(&self) -> bool {
        self.kind == Kind::IllegalContent
    }

    /// The steps for illegal content that nobody did yet, in their order.
    pub fn steps_left(&self) -> impl Iterator<Item = illegal::Step> {
        let is_illegal = self.is_illegal();
        illegal::Step::ALL
            .into_iter()
            .filter(move |step| is_illegal && !self.steps.contains_key(step))
    }

    /// What has to be done before it can be closed, each a whole sentence.
    pub fn lacks(&self) -> Vec<&'static str> {
        let mut lacks = Vec::new();
        if self.breach.is_some_and(|breach| breach.decided.is_none()) {
            lacks.push("Say whether the data breach was reported, or why it need not be.");
        }
        if self.steps_left().next().is_some() {
            lacks.push("Do every step for illegal content.");
        }
        if !self.is_debriefed {
            lacks.push("Write down the debrief.");
        }
        lacks
    }

    fn begin(act: &Act, at: Timestamp) -> Result<Self, Refused> {
        let Act::Open {
            kind,
            facts,
            concern,
            hold,
        } = act
        else {
            return Err(Refused::whole("There is no such incident."));
        };
        facts.check(at)?;
        let breach = (*kind == Kind::PersonalData).then_some(Breach {
            aware_at: facts.noticed_at,
            decided: None,
        });
        Ok(Self {
            kind: *kind,
            facts: facts.clone(),
            concern: *concern,
            hold: *hold,
            opened_at: at,
            breach,
            steps: BTreeMap::new(),
            is_debriefed: false,
            outcome: None,
        })
    }

    fn take(&mut self, act: &Act, at: Timestamp) -> Result<(), Refused> {
        if self.outcome.is_some() {
            if *act != Act::Reopen {
                return Err(Refused::whole(
                    "This incident is closed. Open it again first.",
                ));
            }
            self.outcome = None;
            self.is_debriefed = false;
            return Ok(());
        }
        match act {
            Act::Open { .. } | Act::Reopen => {
                return Err(Refused::whole("This incident is open already."));
            }
            Act::Correct { facts } => {
                facts.check(at)?;
                if self.kind == Kind::IllegalContent && facts.device != self.facts.device {
                    return Err(Refused::at(
                        "device",
                        "The tablet is held for this. If it was another one, begin another incident for that one, so that it is held, too.",
                    ));
                }
                self.facts = facts.clone();
            }
            Act::Action => {}
            Act::DataBreach { aware_at } => {
                if self.breach.is_some() {
                    return Err(Refused::whole("The clock of this breach runs already."));
                }
                not_ahead("aware_at", *aware_at, at)?;
                self.breach = Some(Breach {
                    aware_at: *aware_at,
                    decided: None,
                });
            }
            Act::Reported { at: reported } => {
                not_ahead("at", *reported, at)?;
                self.decide(Decided::Reported { at: *reported })?;
            }
            Act::NotReportable => self.decide(Decided::NotReportable)?,
            Act::Step { step, at: done } => {
                if self.kind != Kind::IllegalContent {
                    return Err(Refused::whole(
                        "Only incidents with illegal content have steps.",
                    ));
                }
                not_ahead("at", *done, at)?;
                if self.steps.contains_key(step) {
                    return Err(Refused::whole("Somebody said so before."));
                }
                self.steps.insert(*step, *done);
            }
            Act::Debrief { .. } => self.is_debriefed = true,
            Act::Close { outcome } => {
                if let Some(first) = self.lacks().first() {
                    return Err(Refused::whole(format!("It cannot be closed yet. {first}")));
                }
                self.outcome = Some(*outcome);
            }
        }
        Ok(())
    }

    fn decide(&mut self, decided: Decided) -> Result<(), Refused> {
        let Some(breach) = &mut self.breach else {
            return Err(Refused::whole("This incident is no personal-data breach."));
        };
        match (breach.decided, decided) {
            // Whoever finds out more may still report it.
            (None, _) | (Some(Decided::NotReportable), Decided::Reported { .. }) => {
                breach.decided = Some(decided);
                Ok(())
            }
            (Some(_), _) => Err(Refused::whole("That was decided before.")),
        }
    }
}

impl Facts {
    fn check(&self, now: Timestamp) -> Result<(), Refused> {
        not_ahead("noticed_at", self.noticed_at, now)?;
        if self.noticed_at < self.happened_at {
            return Err(Refused::at(
                "happened_at",
                "It happened before it was noticed. Correct one of the two times.",
            ));
        }
        Ok(())
    }
}

/// Clocks of two machines differ by a little.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

fn not_ahead(field: &'static str, at: Timestamp, now: Timestamp) -> Result<(), Refused> {
    if at.duration_since(now) > AHEAD {
        return Err(Refused::at(
            field,
            "This time is still to come. Correct it.",
        ));
    }
    Ok(())
}

impl Entry for Incident {
    const REGISTER: RegisterName = RegisterName::Incident;
    type Act = Act;

    fn after(before: Option<Self>, act: &Act, at: Timestamp) -> Result<Self, Refused> {
        match before {
            None => Self::begin(act, at),
            Some(mut incident) => {
                incident.take(act, at)?;
                Ok(incident)
            }
        }
    }

    fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    fn never_waits(act: &Act) -> bool {
        matches!(
            act,
            Act::Step { .. } | Act::Debrief { .. } | Act::Reported { .. } | Act::NotReportable
        )
    }
}

#[cfg(test)]
mod tests;
