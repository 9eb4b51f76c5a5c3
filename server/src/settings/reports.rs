//! `[reports]`: what reports are held to.

use crate::domain::reports::Thresholds;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reports {
    #[serde(deserialize_with = "known_only")]
    pub thresholds: Thresholds,
}

impl Reports {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        self.thresholds.validate()
    }
}

/// Signed reports hold thresholds too, and may come from a newer server; whoever types one here means one there is.
fn known_only<'de, D: Deserializer<'de>>(from: D) -> Result<Thresholds, D::Error> {
    let mut unknown = Vec::new();
    let found = serde_ignored::deserialize(from, |path| unknown.push(path.to_string()))?;
    match unknown.first() {
        Some(key) => Err(D::Error::custom(format!(
            "`reports.thresholds.{key}` is no threshold; `nestwarden-server doctor` names those there are"
        ))),
        None => Ok(found),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::domain::reports::thresholds::AmberRed;

    #[test]
    fn a_threshold_that_is_left_out_is_the_one_there_is_without_settings() {
        let text = "[thresholds]\nuntagged_days = { amber = 1, red = 2 }";
        let reports: Reports = toml::from_str(text).unwrap();
        let expected = Thresholds {
            untagged_days: AmberRed { amber: 1, red: 2 },
            ..Thresholds::default()
        };
        assert_eq!(reports.thresholds, expected);
    }

    #[test]
    fn a_threshold_that_nobody_knows_is_refused() {
        for text in [
            "[thresholds]\nuntaged_days = { amber = 1, red = 2 }",
            "[thresholds]\nuntagged_days = { amber = 1, red = 2, green = 3 }",
            "[thresholds]\nuntagged_days = { amber = 1 }",
        ] {
            let refused = toml::from_str::<Reports>(text).unwrap_err().to_string();
            let names = ["reports.thresholds.untag", "missing field `red`"];
            assert!(names.iter().any(|name| refused.contains(name)), "{refused}");
        }
    }
}
