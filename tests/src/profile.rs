//! Profiles of invented settings.

/// The name of every one of them.
pub const NAME: &str = "acorns";

/// The package that the profile approves.
pub const APPROVED_PACKAGE: &str = "nursery-register";

/// Open from Monday to Friday, photos held to consent.
pub fn photos_only() -> String {
    format!("{HEAD}{PHOTOS}")
}

/// Every control, all of them enforced.
pub fn everything() -> String {
    format!("{HEAD}{PHOTOS}{OTHERS}")
}

const HEAD: &str = r#"
name = "acorns"
title = "Little Acorns"

[calendar]
time_zone = "Europe/London"

[calendar.contact_hours]
monday = [{ from = "07:30", to = "18:30" }]
tuesday = [{ from = "07:30", to = "18:30" }]
wednesday = [{ from = "07:30", to = "18:30" }]
thursday = [{ from = "07:30", to = "18:30" }]
friday = [{ from = "07:30", to = "18:30" }]
"#;

const PHOTOS: &str = r#"
[policy.photos]
mode = "enforce"
requirements = ["R21", "R22"]
capture_roots = ["/home/*/Pictures"]

[policy.photos.purposes]
own_learning_journal = 28
display_in_setting = 14
"#;

const OTHERS: &str = r#"
[policy.passcode]
mode = "enforce"
requirements = ["R10"]
min_length = 6
refuse_simple = true
history = 5
rotation = "both"
max_age_days = 91
max_failed_attempts = 10
auto_lock_minutes = 5

[policy.apps]
mode = "enforce"
requirements = ["R9"]
allowed = ["dpkg:nursery-register"]
essential = ["dpkg:nursery-register"]

[policy.radios]
mode = "enforce"
requirements = ["R11"]
bluetooth = "outside_contact_hours"
nearby_sharing = "never"
nfc = "never"
hotspot = "never"
wifi_direct = "never"

[policy.storage]
mode = "enforce"
requirements = ["R11"]
removable_media = "never"
usb_transfer = "never"
require_encryption = true

[policy.camera]
mode = "enforce"
requirements = ["R20"]
camera = "in_session"

[policy.hours]
mode = "enforce"
requirements = ["R7"]
lock_outside_contact_hours = true
margin_minutes = 30
"#;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod tests {
    use super::*;
    use nestwarden_policy_schema::profile::PolicyProfile;

    #[test]
    fn the_invented_profiles_are_profiles() {
        for toml in [photos_only(), everything()] {
            assert_eq!(PolicyProfile::from_toml(&toml).unwrap().name, NAME);
        }
    }
}
