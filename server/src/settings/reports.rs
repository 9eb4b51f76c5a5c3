//! `[reports]`: what reports are held to, and who is told of them.

use crate::domain::alert::report::Weekly;
use crate::domain::reports::Thresholds;
use jiff::civil::Time;
use nestwarden_policy_schema::calendar::Day;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reports {
    #[serde(deserialize_with = "known_only")]
    pub thresholds: Thresholds,
    /// Absent: nobody is told that a week's report is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<ReportEmail>,
}

/// When the DSL and the managers are told that a week's report is ready, in the setting's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportEmail {
    /// Where the setting is closed that day, the next opening day.
    pub weekday: Day,
    pub at: Time,
}

impl Default for ReportEmail {
    fn default() -> Self {
        Self {
            weekday: Day::Monday,
            at: Time::constant(8, 0, 0, 0),
        }
    }
}

impl Reports {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn validate(&self, has_mail: bool) -> Result<(), String> {
        if self.email.is_some() && !has_mail {
            return Err(
                "`reports.email` needs a mail server; name one under `[mail]`, or leave `[reports.email]` out"
                    .to_owned(),
            );
        }
        self.thresholds.validate()
    }

    pub(crate) fn weekly(&self) -> Option<Weekly> {
        let ReportEmail { weekday, at } = self.email?;
        Some(Weekly { weekday, at })
    }
}

/// Signed reports hold thresholds too, and may come from a newer server; whoever types one here means one there is.
fn known_only<'de, D: Deserializer<'de>>(from: D) -> Result<Thresholds, D::Error> {
    let mut unknown = Vec::new();
    let found = serde_ignored::deserialize(from, |path| unknown.push(path.to_string()))?;
    match unknown.first() {
        Some(key) => Err(D::Error::custom(format!(
            "`reports.thresholds.{key}` is no threshold; take it out, and `nestwarden-server doctor` names those there are"
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
