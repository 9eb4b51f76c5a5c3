//! What to write for each key of a profile, for a person whose value was refused. A table.

const MODE: &str = "write \"observe\" or \"enforce\"";
const REQUIREMENTS: &str =
    "write a list of requirements R1 to R39 in quotes, such as [\"R10\", \"R19\"]";
const SWITCH: &str = "write true or false, without quotes";
const ALLOWED: &str = "write \"always\", \"outside_contact_hours\" or \"never\"";
const TIME: &str = "write a time in quotes, such as \"07:30\"";
const DATE: &str = "write a date in quotes, year first, such as \"2026-12-24\"";
const APPS: &str = "write a list of apps in quotes, such as [\"dpkg:firefox-esr\"]";
const APP: &str = "write an app with where it comes from, such as \"dpkg:firefox-esr\"";
const RANGES: &str =
    "write the hours in square brackets, such as [{ from = \"07:30\", to = \"18:30\" }]";
const CALENDAR: &str = "write [calendar] with time_zone, and below it [calendar.contact_hours]";
const EXCEPTION: &str = "write [[exception]] with allow, reason, approved_by, from and until";

/// Keys from the top of the profile; `*` stands for any one part. The first that fits counts.
const REMEDIES: &[(&str, &str)] = &[
    (
        "name",
        "write 1 to 60 lower-case letters, digits and hyphens, such as \"early-years\"",
    ),
    ("title", "write what people call it, 1 to 100 characters"),
    ("calendar", CALENDAR),
    (
        "calendar.time_zone",
        "write an IANA name such as \"Europe/London\"",
    ),
    (
        "calendar.contact_hours",
        "write a table of weekdays, such as monday = [{ from = \"07:30\", to = \"18:30\" }]",
    ),
    ("calendar.contact_hours.*", RANGES),
    ("calendar.contact_hours.*.*", RANGES),
    ("calendar.contact_hours.*.*.*", TIME),
    (
        "calendar.closures",
        "write [[calendar.closures]] with from and to",
    ),
    ("calendar.closures.*.from", DATE),
    ("calendar.closures.*.to", DATE),
    ("calendar.closures.*.reason", "write a few words in quotes"),
    ("policy.*.mode", MODE),
    ("policy.*.requirements", REQUIREMENTS),
    ("policy.*.requirements.*", REQUIREMENTS),
    ("policy.passcode.min_length", "write 4 to 16"),
    ("policy.passcode.alphanumeric", SWITCH),
    ("policy.passcode.refuse_simple", SWITCH),
    ("policy.passcode.history", "write 0 to 50"),
    (
        "policy.passcode.rotation",
        "write \"scheduled\", \"event\" or \"both\"",
    ),
    (
        "policy.passcode.max_age_days",
        "write 1 to 730, such as 91 for a term of 13 weeks",
    ),
    ("policy.passcode.max_failed_attempts", "write 3 to 50"),
    ("policy.passcode.auto_lock_minutes", "write 1 to 60"),
    ("policy.passcode.set_by", "write \"user\" or \"manager\""),
    ("policy.apps.allowed", APPS),
    ("policy.apps.allowed.*", APP),
    ("policy.apps.essential", APPS),
    ("policy.apps.essential.*", APP),
    ("policy.radios.*", ALLOWED),
    ("policy.storage.require_encryption", SWITCH),
    ("policy.storage.*", ALLOWED),
    (
        "policy.camera.camera",
        "write \"on\", \"in_session\" or \"off\"",
    ),
    ("policy.hours.lock_outside_contact_hours", SWITCH),
    ("policy.hours.margin_minutes", "write 0 to 120"),
    (
        "policy.photos.capture_roots",
        "write a list of folders by their whole paths, such as [\"/home/*/Pictures\"]",
    ),
    (
        "policy.photos.capture_roots.*",
        "write a folder by its whole path, such as \"/home/*/Pictures\"",
    ),
    (
        "policy.photos.purposes",
        "write uses with the days for which each keeps a photo, such as own_learning_journal = 28",
    ),
    ("policy.photos.purposes.*", "write 1 to 366 days"),
    ("policy.photos.max_age_days", "write 1 to 366"),
    ("policy.photos.after_upload_hours", "write 1 to 672"),
    ("policy.photos.untagged_opening_days", "write 1 to 28"),
    ("policy.photos.destroy_after_opening_days", "write 1 to 28"),
    (
        "policy.photos.destroy_unconfirmed_after_days",
        "write 2 to 28",
    ),
    ("policy.photos.leaver_days", "write 1 to 60"),
    ("policy.photos.lease_opening_days", "write 1 to 28"),
    ("policy.photos.max_destroyed_per_hour", "write 1 to 10000"),
    ("policy.*", "write a table, such as [policy.passcode]"),
    (
        "policy",
        "write one table per control, such as [policy.passcode]",
    ),
    ("exception", EXCEPTION),
    ("exception.*", EXCEPTION),
    (
        "exception.*.allow",
        "write \"camera\", \"removable_media\", \"open_outside_contact_hours\", { app = \"dpkg:firefox-esr\" } or { bluetooth_service = \"UUID\" }",
    ),
    ("exception.*.allow.app", APP),
    (
        "exception.*.allow.*",
        "write \"camera\", \"removable_media\", \"open_outside_contact_hours\", { app = \"dpkg:firefox-esr\" } or { bluetooth_service = \"UUID\" }",
    ),
    (
        "exception.*.reason",
        "say in a few words in quotes why it is needed",
    ),
    (
        "exception.*.approved_by",
        "name in quotes the manager or DSL who approved it",
    ),
    ("exception.*.from", DATE),
    ("exception.*.until", DATE),
    ("exception.*.medical", SWITCH),
];

/// What to write for a key, by its path from the top of the profile.
pub(super) fn of(key: &str) -> Option<&'static str> {
    REMEDIES
        .iter()
        .find(|(pattern, _)| fits(pattern, key))
        .map(|(_, remedy)| *remedy)
}

fn fits(pattern: &str, key: &str) -> bool {
    let (mut pattern, mut key) = (pattern.split('.'), key.split('.'));
    loop {
        match (pattern.next(), key.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == "*" || wanted == part => {}
            (Some(_) | None, Some(_)) | (Some(_), None) => return false,
        }
    }
}
