//! The profile a setting writes, the overrides that tighten it for one tablet, and the policy that comes of both.

use crate::calendar::{Calendar, CalendarError};
use crate::policy::{DatedException, Policy, PolicyError, Tighten};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A policy profile as a setting keeps it, in TOML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyProfile {
    /// Short name, lower case: `early-years`.
    pub name: String,
    /// What people call it.
    pub title: String,
    pub calendar: Calendar,
    /// `[policy.passcode]`, `[policy.apps]` …: one table per control; a control without one is unmanaged.
    #[serde(default)]
    pub policy: Policy,
    #[serde(default, rename = "exception", skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<DatedException>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, or a value of the wrong kind; the source names line and column.
    #[error("{0}")]
    Syntax(String),
    #[error("`{key}` is not a key of a profile{}", line.map(|l| format!(" (line {l})")).unwrap_or_default())]
    UnknownKey { key: String, line: Option<usize> },
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Policy(Vec<PolicyError>),
    #[error("`name` is \"{0}\"; write lower-case letters, digits and hyphens, at most 60")]
    Name(String),
    #[error("exception {number}: {problem}")]
    Exception {
        number: usize,
        problem: &'static str,
    },
}

impl PolicyProfile {
    /// Reads a profile that an operator wrote. Unknown keys are refused, and so is every value out of its range.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let syntax = |error: toml::de::Error| ProfileError::Syntax(error.to_string());
        let mut unknown = Vec::new();
        let deserializer = toml::Deserializer::parse(text).map_err(syntax)?;
        let profile: Self =
            serde_ignored::deserialize(deserializer, |path| unknown.push(path.to_string()))
                .map_err(syntax)?;
        if let Some(key) = unknown.into_iter().next() {
            let line = line_of_key(text, &key);
            return Err(ProfileError::UnknownKey { key, line });
        }
        profile.validate()?;
        Ok(profile)
    }

    pub fn validate(&self) -> Result<(), ProfileError> {
        let name_is_good = !self.name.is_empty()
            && self.name.len() <= 60
            && self
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !name_is_good {
            return Err(ProfileError::Name(self.name.chars().take(80).collect()));
        }
        self.calendar.validate()?;
        let problems = self.policy.problems();
        if !problems.is_empty() {
            return Err(ProfileError::Policy(problems));
        }
        for (index, exception) in self.exceptions.iter().enumerate() {
            let refuse = |problem| {
                Err(ProfileError::Exception {
                    number: index + 1,
                    problem,
                })
            };
            if exception.reason.trim().is_empty() {
                return refuse("`reason` is empty; say in a few words why it is needed");
            }
            if exception.approved_by.trim().is_empty() {
                return refuse("`approved_by` is empty; name the manager or DSL who approved it");
            }
            if exception.until < exception.from {
                return refuse("`until` is before `from`; put the earlier date first");
            }
        }
        Ok(())
    }

    /// The profile held tighter by every override, before exceptions.
    pub fn policy_with(&self, overrides: &[Policy]) -> Policy {
        overrides
            .iter()
            .fold(self.policy.clone(), |merged, o| merged.tighten(o))
    }
}

/// The line on which the last segment of a dotted key is first written, counted from 1.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let last = key.rsplit('.').next()?;
    text.lines()
        .position(|line| line.trim_start().trim_start_matches('[').starts_with(last))
        .map(|index| index + 1)
}
