//! The controls: what each wants, what was seen, and the difference. No operating system here.

pub mod apps;
pub mod camera;
pub mod code;
pub mod hours;
pub mod passcode;
pub mod radios;
pub mod storage;
#[cfg(test)]
mod testing;

use jiff::Timestamp;
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::policy::{DatedException, Policy};

/// Everything a control's wish depends on apart from its own policy, at one instant.
#[derive(Clone, Debug)]
pub struct Situation {
    pub now: Timestamp,
    pub in_contact_hours: bool,
    /// Minutes to the nearest contact hours in either direction; 0 within them, `None` when none is planned.
    pub minutes_from_contact: Option<u32>,
    pub session_open: bool,
    /// Why the tablet is locked whatever the hours say; `None`: they decide.
    pub locked: Option<hours::Because>,
    /// The lease is over, the clock is in doubt, there is no space for photos, or the tablet is lost: the camera is off.
    pub capture_suspended: bool,
    /// Exceptions active now.
    pub exceptions: Vec<DatedException>,
    /// The bundle's policy with those exceptions applied.
    pub policy: Policy,
    /// A manager or an event asked for the passcode to change at or after this time; `None`: nobody did.
    pub passcode_change_asked_at: Option<Timestamp>,
}

/// One part of the tablet, as a pure comparison of what is wanted with what was seen.
pub trait Control {
    const NAME: ControlName;
    type Desired;
    type Observed;
    /// Prints as a manager would say it: "switch Bluetooth off".
    type Change: std::fmt::Display;

    /// What the situation asks for; `None` when the policy does not manage this control.
    fn desired(situation: &Situation) -> Option<Self::Desired>;

    /// What has to change, tightening first. Empty when observed is as desired.
    fn diff(desired: &Self::Desired, observed: &Self::Observed) -> Vec<Self::Change>;

    /// Why nothing is known about the rule behind `change`; `None` when it was read and is not as wanted. What remains
    /// after applying reads unsupported or unknown, and not drifted, when all of it is unread.
    fn unread(_change: &Self::Change) -> Option<&Unread> {
        None
    }
}

/// What was read of one rule of a control, where its other rules may still be readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    Seen(T),
    Unread(Unread),
}

/// Why one rule of a control could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// This machine lacks what the rule needs.
    Unsupported(String),
    /// It could not be read this time.
    Unknown(String),
}

impl Unread {
    pub fn reason(&self) -> &str {
        match self {
            Self::Unsupported(reason) | Self::Unknown(reason) => reason,
        }
    }
}

impl From<EnforceError> for Unread {
    fn from(error: EnforceError) -> Self {
        match error {
            EnforceError::Unsupported(reason) => Self::Unsupported(reason),
            EnforceError::Failed { .. } | EnforceError::Unreadable(_) => {
                Self::Unknown(error.whole_text())
            }
        }
    }
}

impl From<&Unread> for EnforceError {
    fn from(unread: &Unread) -> Self {
        match unread {
            Unread::Unsupported(reason) => Self::Unsupported(reason.clone()),
            Unread::Unknown(reason) => Self::Unreadable(reason.clone()),
        }
    }
}

impl<T> From<Result<T, EnforceError>> for Reading<T> {
    fn from(read: Result<T, EnforceError>) -> Self {
        match read {
            Ok(seen) => Self::Seen(seen),
            Err(error) => Self::Unread(error.into()),
        }
    }
}

/// How one operating system reads and changes a control. Calls block; the reconciler runs them off the event loop.
pub trait Enforcer<C: Control>: Send {
    fn observe(&mut self) -> Result<C::Observed, EnforceError>;

    fn apply(&mut self, change: &C::Change) -> Result<(), EnforceError>;

    /// Told before every observation what is wanted, in observe mode too, for what a reading alone cannot know: what to
    /// watch, and the trusted time.
    fn watch(&mut self, _desired: &C::Desired) -> Result<(), EnforceError> {
        Ok(())
    }

    /// Removes our files and restores the previous values.
    fn release(&mut self) -> Result<(), EnforceError>;
}

/// Why a control could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// This machine lacks what the control needs; the text says what, and what to do.
    #[error("{0}")]
    Unsupported(String),
    /// It could not be read or changed this time.
    #[error("failed to {act}")]
    Failed {
        act: String,
        #[source]
        source: std::io::Error,
    },
    /// What was read makes no sense.
    #[error("{0}")]
    Unreadable(String),
}

impl EnforceError {
    /// The error with everything that caused it, in one line.
    pub fn whole_text(&self) -> String {
        match self {
            Self::Failed { source, .. } => format!("{self}: {source}"),
            Self::Unsupported(_) | Self::Unreadable(_) => self.to_string(),
        }
    }

    pub fn failed(act: impl Into<String>, source: std::io::Error) -> Self {
        Self::Failed {
            act: act.into(),
            source,
        }
    }
}
