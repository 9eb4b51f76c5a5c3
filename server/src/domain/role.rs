//! Who may do what to the register.

use crate::storage::{Operator, Role};
use std::collections::BTreeSet;

/// What needs a person of a certain role. What only takes consent away needs none: it must never be hindered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Record a Yes.
    GiveConsent,
    /// Set or lift a restriction.
    Restrict,
    /// Say that a child leaves, died, or stays after all.
    Leave,
    /// Change families or rooms.
    Arrange,
    /// Confirm a large import, or how a mapping reads.
    ConfirmImport,
    /// Say who is in a photo, or what becomes of photos found at enrolment.
    Correct,
    /// Give out what is known of a child.
    Export,
    /// Be the second person for a child's photos, or end a request for them.
    AgreeToExport,
    /// Import over the admin API.
    Import,
    /// Say that what only the safeguarding lead can judge was seen to.
    AnswerForDsl,
}

#[derive(Debug, thiserror::Error)]
pub enum NotAllowed {
    #[error("{name} may not {act}; that is for {who}")]
    Role {
        name: String,
        act: &'static str,
        who: &'static str,
    },
    #[error("to {act} is for {who}: say who you are with `--as OPERATOR`")]
    Nobody {
        act: &'static str,
        who: &'static str,
    },
}

impl Act {
    const fn roles(self) -> &'static [Role] {
        match self {
            Self::Restrict | Self::AnswerForDsl => &[Role::Dsl, Role::Deputy],
            Self::GiveConsent
            | Self::Leave
            | Self::Arrange
            | Self::ConfirmImport
            | Self::Correct
            | Self::Export
            | Self::AgreeToExport => &[Role::Manager, Role::Dsl, Role::Deputy],
            Self::Import => &[Role::Manager, Role::Dsl, Role::Deputy, Role::ItAdmin],
        }
    }

    const fn who(self) -> &'static str {
        match self {
            Self::Restrict | Self::AnswerForDsl => "the DSL or a deputy",
            Self::GiveConsent
            | Self::Leave
            | Self::Arrange
            | Self::ConfirmImport
            | Self::Correct
            | Self::Export
            | Self::AgreeToExport => "a manager, the DSL or a deputy",
            Self::Import => "a manager, the DSL, a deputy or an IT admin",
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::GiveConsent => "record a Yes",
            Self::Restrict => "set or lift a restriction",
            Self::Leave => "say that a child leaves, died or stays",
            Self::Arrange => "change families or rooms",
            Self::ConfirmImport => "confirm an import",
            Self::Import => "import a register",
            Self::Correct => "decide on photos",
            Self::Export => "give out what is known of a child",
            Self::AgreeToExport => "decide on a request for a child's photos",
            Self::AnswerForDsl => "say that a task of the DSL is done",
        }
    }
}

/// `None`: nobody said who they are.
pub fn require_person(by: Option<&Operator>, act: Act) -> Result<(), NotAllowed> {
    match by {
        Some(by) => require(by, act),
        None => Err(NotAllowed::Nobody {
            act: act.as_str(),
            who: act.who(),
        }),
    }
}

pub fn require(by: &Operator, act: Act) -> Result<(), NotAllowed> {
    if act.roles().iter().any(|role| by.roles.contains(role)) {
        return Ok(());
    }
    Err(NotAllowed::Role {
        name: by.name.clone(),
        act: act.as_str(),
        who: act.who(),
    })
}

/// A part of the console, by who may look into it. Acts in it are judged one by one besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// How the setting and its tablets stand; no children.
    House,
    /// Letting a tablet in, and asking something of one.
    Enrol,
    /// Children, what was answered for them, holds and tasks.
    Register,
    /// Holding photos of a child as evidence.
    Safeguarding,
    /// Who may come in, and as what.
    People,
    /// What was destroyed and whether the record of it holds; no children.
    Evidence,
}

impl Area {
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::House => &[
                Role::ItAdmin,
                Role::Manager,
                Role::Dsl,
                Role::Deputy,
                Role::Auditor,
            ],
            Self::Enrol => &[Role::ItAdmin, Role::Manager],
            Self::Register => &[Role::Manager, Role::Dsl, Role::Deputy],
            Self::Safeguarding => &[Role::Dsl, Role::Deputy],
            Self::People => &[Role::Manager, Role::Dsl],
            Self::Evidence => &[Role::Manager, Role::Dsl, Role::Deputy, Role::Auditor],
        }
    }

    pub const fn who(self) -> &'static str {
        match self {
            Self::House => "people with a role in this setting",
            Self::Enrol => "IT admins and managers",
            Self::Register => "managers, the DSL and deputies",
            Self::Safeguarding => "the DSL and deputies",
            Self::People => "managers and the DSL",
            Self::Evidence => "managers, the DSL, deputies and auditors",
        }
    }

    pub fn admits(self, roles: &BTreeSet<Role>) -> bool {
        self.roles().iter().any(|role| roles.contains(role))
    }
}
