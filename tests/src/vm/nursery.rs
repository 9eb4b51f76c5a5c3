//! The profile that the tablet in the box is held to, and what of it a test changes.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt::Write as _;

/// Whether it is contact hours all week, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    Contact,
    Closed,
}

/// A profile in which every control is enforced.
#[derive(Clone, Debug)]
pub struct Profile {
    hours: Hours,
    max_age_days: u16,
    apps: Vec<&'static str>,
    passcode: &'static str,
    unmanaged: Option<&'static str>,
    more: String,
}

impl Profile {
    pub const NAME: &str = "acorns";

    pub fn in_hours(hours: Hours) -> Self {
        Self {
            hours,
            max_age_days: 91,
            apps: vec!["dpkg:counting-song", "dpkg:tool-box"],
            passcode: "",
            unmanaged: None,
            more: String::new(),
        }
    }

    pub fn with_max_age(mut self, days: u16) -> Self {
        self.max_age_days = days;
        self
    }

    /// With another line about passcodes.
    pub fn with_passcode(mut self, line: &'static str) -> Self {
        self.passcode = line;
        self
    }

    /// Leaving one control unmanaged.
    pub fn without(mut self, control: &'static str) -> Self {
        self.unmanaged = Some(control);
        self
    }

    pub fn allowing(mut self, app: &'static str) -> Self {
        self.apps.push(app);
        self
    }

    /// An exception that runs now; `allow` as a profile writes it.
    pub fn with_exception(mut self, allow: &str) -> Self {
        let (from, until) = (today() - 2.days(), today() + 30.days());
        let _ = write!(
            self.more,
            "\n[[exception]]\nallow = {allow}\nreason = \"medical device\"\napproved_by = \"Manager\"\nfrom = \"{from}\"\nuntil = \"{until}\"\n"
        );
        self
    }

    pub fn toml(&self) -> String {
        let mut calendar = String::new();
        for day in [
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
            "sunday",
        ] {
            let _ = writeln!(
                calendar,
                "{day} = [{{ from = \"00:00\", to = \"23:59:59\" }}]"
            );
        }
        if self.hours == Hours::Closed {
            // Every day that this run could reach, in every time zone.
            let (from, to) = (today() - 2.days(), today() + 2.days());
            let _ = write!(
                calendar,
                "\n[[calendar.closures]]\nfrom = \"{from}\"\nto = \"{to}\"\nreason = \"closed\"\n"
            );
        }
        let policy = POLICY
            .replace("MAX_AGE_DAYS", &self.max_age_days.to_string())
            .replace("APPS", &format!("{:?}", self.apps))
            .replace("MORE_OF_PASSCODES", self.passcode);
        let unmanaged = self.unmanaged.map(|name| format!("[policy.{name}]\n"));
        let policy: String = policy
            .split_inclusive("\n\n")
            .filter(|part| {
                unmanaged
                    .as_ref()
                    .is_none_or(|head| !part.trim_start().starts_with(head.as_str()))
            })
            .collect();
        format!("{HEAD}{calendar}{policy}{}", self.more)
    }
}

fn today() -> Date {
    crate::clock::system_now().to_zoned(TimeZone::UTC).date()
}

const HEAD: &str = r#"
name = "acorns"
title = "Little Acorns"

[calendar]
time_zone = "Europe/London"

[calendar.contact_hours]
"#;

const POLICY: &str = r#"
[policy.passcode]
mode = "enforce"
requirements = ["R10"]
min_length = 6
refuse_simple = true
history = 5
rotation = "both"
max_age_days = MAX_AGE_DAYS
max_failed_attempts = 5
auto_lock_minutes = 5
MORE_OF_PASSCODES

[policy.apps]
mode = "enforce"
requirements = ["R9"]
allowed = APPS
essential = ["dpkg:counting-song"]

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

[policy.camera]
mode = "enforce"
requirements = ["R20"]
camera = "on"

[policy.hours]
mode = "enforce"
requirements = ["R7"]
lock_outside_contact_hours = true

[policy.photos]
mode = "enforce"
requirements = ["R21", "R22"]
capture_roots = ["/home/*/Pictures"]

[policy.photos.purposes]
own_learning_journal = 28
"#;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod tests {
    use super::*;
    use nestwarden_policy_schema::profile::PolicyProfile;

    #[test]
    fn the_profiles_of_the_box_are_profiles() {
        for hours in [Hours::Contact, Hours::Closed] {
            let uuid = "{ bluetooth_service = \"0000fdf0-0000-1000-8000-00805f9b34fb\" }";
            let profile = Profile::in_hours(hours)
                .with_max_age(30)
                .with_exception(uuid);
            let read = PolicyProfile::from_toml(&profile.toml());
            assert_eq!(read.unwrap().name, Profile::NAME);
        }
    }
}
