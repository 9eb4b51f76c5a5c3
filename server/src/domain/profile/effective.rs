//! What a tablet is held to, setting by setting, and which of profile, overrides and defaults says so.

use super::{collect, leaves};
use nestwarden_policy_schema::policy::Policy;
use nestwarden_policy_schema::profile::PolicyProfile;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SaidBy {
    /// The text of the profile.
    Profile,
    /// The text does not name it.
    Default,
    /// An override of this tablet, which holds it tighter.
    Override,
}

/// One setting by its dotted key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    pub key: String,
    pub value: serde_json::Value,
    pub said_by: SaidBy,
}

/// By key, calendar and policy; exceptions are apart from these. `source` is the text of `profile`.
pub fn effective(source: &str, profile: &PolicyProfile, overrides: &[Policy]) -> Vec<Effective> {
    let written = written(source);
    let plain = leaves(profile);
    let held = PolicyProfile {
        policy: profile.policy_with(overrides),
        ..profile.clone()
    };
    let is_setting = |key: &str| key.starts_with("policy.") || key.starts_with("calendar.");
    leaves(&held)
        .into_iter()
        .filter(|(key, _)| is_setting(key))
        .map(|(key, value)| {
            let said_by = if plain.get(&key) != Some(&value) {
                SaidBy::Override
            } else if written.contains_key(&key) {
                SaidBy::Profile
            } else {
                SaidBy::Default
            };
            Effective {
                key,
                value,
                said_by,
            }
        })
        .collect()
}

/// Every key that the text names.
fn written(source: &str) -> BTreeMap<String, serde_json::Value> {
    let mut found = BTreeMap::new();
    let table = toml::from_str::<serde_json::Value>(source);
    if let Ok(value) = table {
        collect(String::new(), value, &mut found);
    }
    found
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::super::read_override;
    use super::*;
    use nestwarden_policy_schema::profile::EARLY_YEARS;

    fn said_by(found: &[Effective], key: &str) -> Option<SaidBy> {
        found
            .iter()
            .find(|one| one.key == key)
            .map(|one| one.said_by)
    }

    #[test]
    fn each_setting_says_whether_profile_override_or_default_made_it_so() {
        let source = EARLY_YEARS.replace("leaver_days = 14\n", "");
        assert_ne!(source, EARLY_YEARS, "a line with a default is left out");
        let profile = PolicyProfile::from_toml(&source).unwrap();
        let tighter = read_override("[passcode]\nmode = \"enforce\"\nmin_length = 9\n").unwrap();
        let found = effective(&source, &profile, &[tighter]);
        let of = |key| said_by(&found, key);
        assert_eq!(of("policy.passcode.min_length"), Some(SaidBy::Override));
        assert_eq!(of("policy.photos.leaver_days"), Some(SaidBy::Default));
        assert_eq!(of("policy.camera.mode"), Some(SaidBy::Profile));
        assert_eq!(of("calendar.time_zone"), Some(SaidBy::Profile));
        assert_eq!(of("name"), None, "only what holds the tablet");
        let length = found
            .iter()
            .find(|one| one.key == "policy.passcode.min_length");
        assert_eq!(length.unwrap().value, 9);
    }

    #[test]
    fn an_override_that_changes_nothing_is_not_said_to_be_why() {
        let profile = PolicyProfile::from_toml(EARLY_YEARS).unwrap();
        let same = Policy {
            camera: profile.policy.camera.clone(),
            ..Policy::default()
        };
        let found = effective(EARLY_YEARS, &profile, &[same]);
        assert!(found.iter().all(|one| one.said_by != SaidBy::Override));
    }
}
