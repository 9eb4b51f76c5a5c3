//! The requirement of the setting's written policies that a rule answers.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::fmt;

/// `R1` … `R39`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
pub struct RequirementId(u8);

/// The last requirement in the register.
const LAST: u8 = 39;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a requirement; write R1 to R{LAST}")]
pub struct RequirementIdError(String);

impl std::str::FromStr for RequirementId {
    type Err = RequirementIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('R')
            .and_then(|digits| digits.parse().ok())
            .filter(|n| (1..=LAST).contains(n))
            .map(Self)
            .ok_or_else(|| RequirementIdError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for RequirementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{}", self.0)
    }
}

impl From<RequirementId> for String {
    fn from(id: RequirementId) -> Self {
        id.to_string()
    }
}

impl<'de> Deserialize<'de> for RequirementId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
