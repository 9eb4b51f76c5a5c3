//! The profile a setting writes, the overrides that tighten it for one tablet, and the policy that comes of both.

mod reading;
mod remedy;

use crate::calendar::Calendar;
use crate::policy::{DatedException, Loosening, Policy, Tighten};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The starting profile for an early-years setting, in TOML with its comments.
pub const EARLY_YEARS: &str = include_str!("../../profiles/early-years.toml");

/// The largest profile that is read, in bytes.
pub const MAX_PROFILE_BYTES: usize = 256 * 1024;

/// Days an exception may run before somebody has to approve it again.
const MAX_EXCEPTION_DAYS: u32 = 366;

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

/// Why a profile was refused: every reason that was found, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    refusals: Vec<Refusal>,
}

/// One mistake in a profile, named by key and value, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Counted from 1; `None` where the profile was not read from a text.
    pub line: Option<usize>,
    /// The key from the top of the profile: `policy.passcode.min_length`. Empty for the whole file.
    pub key: String,
    pub message: String,
}

impl ProfileError {
    /// Never empty.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.refusals.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{refusal}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ProfileError {}

impl PolicyProfile {
    /// Reads a profile that an operator wrote. Unknown keys are refused, and so is every value out of its range.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        reading::read(text)
    }

    pub fn validate(&self) -> Result<(), ProfileError> {
        let refusals = self.refusals();
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(ProfileError { refusals })
        }
    }

    /// The profile held tighter by every override, before exceptions.
    pub fn policy_with(&self, overrides: &[Policy]) -> Policy {
        overrides
            .iter()
            .fold(self.policy.clone(), |merged, o| merged.tighten(o))
    }

    fn refusals(&self) -> Vec<Refusal> {
        let mut found = Vec::new();
        let mut refuse = |key: String, message: String| {
            found.push(Refusal {
                line: None,
                key,
                message,
            });
        };
        let name_is_good = (1..=60).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !name_is_good {
            refuse("name".to_owned(), out_of_range("name", &self.name));
        }
        if !is_text(&self.title, 100) {
            refuse("title".to_owned(), out_of_range("title", &self.title));
        }
        if let Err(error) = self.calendar.validate() {
            refuse(error.key(), error.to_string());
        }
        for problem in self.policy.problems() {
            let key = format!("policy.{}", problem.key);
            let message = format!("`{key}` is {}: {}", problem.value, problem.remedy);
            refuse(key, message);
        }
        for (index, exception) in self.exceptions.iter().enumerate() {
            let whole = format!("exception.{index}");
            for (field, problem) in problems_of(exception) {
                let message = format!("exception {}: `{field}` {problem}", index + 1);
                refuse(format!("{whole}.{field}"), message);
            }
        }
        found
    }
}

fn out_of_range(key: &str, value: &str) -> String {
    let value: String = value.chars().take(80).collect();
    let remedy = remedy::of(key).unwrap_or("write another value");
    format!("`{key}` is \"{value}\": {remedy}")
}

fn is_text(text: &str, most: usize) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= most
        && !text.chars().any(crate::text::is_unseen)
}

fn problems_of(exception: &DatedException) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if !is_text(&exception.reason, 200) {
        found.push((
            "reason",
            "is empty or too long; say in at most 200 characters why it is needed, without health details".to_owned(),
        ));
    }
    if !is_text(&exception.approved_by, 100) {
        found.push((
            "approved_by",
            "is empty or too long; name the manager or DSL who approved it".to_owned(),
        ));
    }
    let (from, until) = (exception.from, exception.until);
    if until < from {
        found.push((
            "until",
            format!("is {until}, before `from`, {from}; put the earlier date first"),
        ));
    } else if until > Calendar::plus_days(from, MAX_EXCEPTION_DAYS) {
        found.push((
            "until",
            format!("is {until}, more than {MAX_EXCEPTION_DAYS} days after `from`, {from}; write an earlier end and renew it then"),
        ));
    }
    if let Loosening::BluetoothService(uuid) = &exception.allow
        && (uuid.len() != 36 || uuid::Uuid::try_parse(uuid).is_err())
    {
        let uuid: String = uuid.chars().take(80).collect();
        found.push((
            "allow",
            format!("names the Bluetooth service \"{uuid}\"; write its whole UUID, such as \"0000fdf0-0000-1000-8000-00805f9b34fb\""),
        ));
    }
    found
}
