//! The starting profile, and what an operator is told about a profile that is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up may panic")]

use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::policy::{Mode, RequirementId};
use nestwarden_policy_schema::profile::{EARLY_YEARS, MAX_PROFILE_BYTES, PolicyProfile};
use std::collections::BTreeSet;

fn requirements(profile: &PolicyProfile, control: ControlName) -> BTreeSet<RequirementId> {
    let policy = profile.policy.clone();
    match control {
        ControlName::Passcode => policy.passcode.unwrap().requirements,
        ControlName::Apps => policy.apps.unwrap().requirements,
        ControlName::Radios => policy.radios.unwrap().requirements,
        ControlName::Storage => policy.storage.unwrap().requirements,
        ControlName::Camera => policy.camera.unwrap().requirements,
        ControlName::Hours => policy.hours.unwrap().requirements,
        ControlName::Photos => policy.photos.unwrap().requirements,
    }
}

#[test]
fn every_control_of_the_starting_profile_cites_a_requirement_and_only_observes() {
    let profile = PolicyProfile::from_toml(EARLY_YEARS).unwrap();
    assert_eq!(profile.name, "early-years");
    for control in ControlName::ALL {
        assert!(!requirements(&profile, control).is_empty(), "{control}");
        assert_eq!(profile.policy.mode(control), Some(Mode::Observe));
    }
}

#[test]
fn a_profile_survives_being_written_as_json_and_read_again() {
    let profile = PolicyProfile::from_toml(EARLY_YEARS).unwrap();
    let json = serde_json::to_string(&profile).unwrap();
    assert_eq!(
        serde_json::from_str::<PolicyProfile>(&json).unwrap(),
        profile
    );
}

/// The starting profile with one stretch of text replaced, and what is said about it.
fn refused(from: &str, to: &str) -> String {
    assert!(EARLY_YEARS.contains(from), "nothing to replace: {from}");
    let text = EARLY_YEARS.replacen(from, to, 1);
    let error = PolicyProfile::from_toml(&text).unwrap_err();
    assert!(!error.refusals().is_empty());
    error.to_string()
}

fn line_of(text: &str) -> usize {
    let at = EARLY_YEARS.find(text).unwrap();
    EARLY_YEARS[..at].lines().count() + usize::from(EARLY_YEARS[..at].ends_with('\n'))
}

#[test]
fn a_misspelled_key_is_named_with_its_line_at_every_depth() {
    for (from, to, key) in [
        ("title =", "titel = \"x\"\ntitle =", "titel"),
        (
            "[calendar]\n",
            "[calendar]\nzone = \"x\"\n",
            "calendar.zone",
        ),
        (
            "[{ from = \"07:30\", to = \"18:30\" }]",
            "[{ from = \"07:30\", to = \"18:30\", till = \"x\" }]",
            "calendar.contact_hours.monday.0.till",
        ),
        (
            "reason = \"Easter\"",
            "raeson = \"Easter\"",
            "calendar.closures.1.raeson",
        ),
        ("history = 8", "hystory = 8", "policy.passcode.hystory"),
        ("[policy.radios]", "[policy.radio]", "policy.radio"),
        (
            "usb_transfer =",
            "usb_tranfer =",
            "policy.storage.usb_tranfer",
        ),
        ("leaver_days", "leavers_days", "policy.photos.leavers_days"),
    ] {
        let line = EARLY_YEARS.replacen(from, to, 1);
        let message = refused(from, to);
        let leaf = key.rsplit('.').next().unwrap();
        let at = line
            .lines()
            .position(|l| !l.starts_with('#') && l.contains(leaf))
            .unwrap()
            + 1;
        let wanted = format!(
            "line {at}: `{key}` is not a key of a profile; look for a misspelling, or take it out"
        );
        assert!(
            message.lines().any(|l| l == wanted),
            "{message}\nwanted {wanted}"
        );
    }
}

#[test]
fn a_misspelled_key_of_an_exception_is_named() {
    let text = format!(
        "{EARLY_YEARS}\n[[exception]]\nallow = \"camera\"\nreason = \"outing\"\napproved_by = \"M\"\nfrom = \"2026-05-01\"\nuntil = \"2026-05-01\"\nmedicla = true\n"
    );
    let message = PolicyProfile::from_toml(&text).unwrap_err().to_string();
    assert!(
        message.contains("`exception.0.medicla` is not a key"),
        "{message}"
    );
}

#[test]
fn a_refused_value_is_named_with_line_key_value_and_what_to_write() {
    for row in REFUSED.trim().lines() {
        let parts: Vec<&str> = row.split(" => ").collect();
        let [from, to, wanted] = parts[..] else {
            panic!("{row}")
        };
        let wanted = format!("line {}: {wanted}", line_of(from));
        assert_eq!(refused(from, to), wanted);
    }
}

/// What is written => what is put in its place => what is said about it.
const REFUSED: &str = r#"
min_length = 6 => min_length = 3 => `policy.passcode.min_length` is 3: write 4 to 16
min_length = 6 => min_length = "6" => `policy.passcode.min_length` is "6": write 4 to 16
history = 8 => history = 51 => `policy.passcode.history` is 51: write 0 to 50
history = 8 => history = -1 => `policy.passcode.history` is -1: write 0 to 50
margin_minutes = 30 => margin_minutes = 300 => `policy.hours.margin_minutes` is 300: write 0 to 120
margin_minutes = 30 => margin_minutes = 121 => `policy.hours.margin_minutes` is 121: write 0 to 120
max_failed_attempts = 10 => max_failed_attempts = 2 => `policy.passcode.max_failed_attempts` is 2: write 3 to 50
auto_lock_minutes = 5 => auto_lock_minutes = 0 => `policy.passcode.auto_lock_minutes` is 0: write 1 to 60
max_age_days = 91 => max_age_days = 731 => `policy.passcode.max_age_days` is 731: write 1 to 730
alphanumeric = false => alphanumeric = "no" => `policy.passcode.alphanumeric` is "no": write true or false, without quotes
bluetooth = "outside_contact_hours" => bluetooth = "off" => `policy.radios.bluetooth` is "off": write "always", "outside_contact_hours" or "never"
camera = "in_session" => camera = "session" => `policy.camera.camera` is "session": write "on", "in_session" or "off"
rotation = "both" => rotation = "weekly" => `policy.passcode.rotation` is "weekly": write "scheduled", "event" or "both"
website = 14 => website = 400 => `policy.photos.purposes.website` is 400: write 1 to 366 days
time_zone = "Europe/London" => time_zone = "Europe/Londn" => `calendar.time_zone` is "Europe/Londn", which is not a time zone; write an IANA name such as "Europe/London"
title = "Early years: shared room tablets" => title = "" => `title` is "": write what people call it, 1 to 100 characters
name = "early-years" => name = "Early Years" => `name` is "Early Years": write 1 to 60 lower-case letters, digits and hyphens, such as "early-years"
from = "2026-12-24" => from = "24/12/2026" => `calendar.closures.0.from` is "24/12/2026": write a date in quotes, year first, such as "2026-12-24"
from = "2026-12-24" => from = 2026-12-24 => `calendar.closures.0.from` is 2026-12-24: write a date in quotes, year first, such as "2026-12-24"
from = "2026-12-24" => from = "2026-12-32" => `calendar.closures.0.from` is "2026-12-32": write a date in quotes, year first, such as "2026-12-24"
from = "07:30" => from = "7.30" => `calendar.contact_hours.monday.0.from` is "7.30": write a time in quotes, such as "07:30"
from = "07:30" => from = 07:30:00 => `calendar.contact_hours.monday.0.from` is 07:30:00: write a time in quotes, such as "07:30"
from = "07:30" => from = "24:30" => `calendar.contact_hours.monday.0.from` is "24:30": write a time in quotes, such as "07:30"
"dpkg:nursery-journal" => "nursery-journal" => `policy.apps.allowed.2` is "nursery-journal": write an app with where it comes from, such as "dpkg:firefox-esr"
requirements = ["R11"] => requirements = ["R40"] => `policy.radios.requirements.0` is "R40": write a list of requirements R1 to R39 in quotes, such as ["R10", "R19"]
"#;

#[test]
fn ranges_that_run_backwards_or_overlap_are_refused() {
    let backward = refused(
        "from = \"07:30\", to = \"18:30\"",
        "from = \"18:30\", to = \"07:30\"",
    );
    assert!(backward.contains("`calendar.contact_hours.monday`: 18:30:00 to 07:30:00 ends before it begins; put the earlier time first"), "{backward}");
    let overlap = refused(
        "[{ from = \"07:30\", to = \"18:30\" }]",
        "[{ from = \"12:00\", to = \"18:30\" }, { from = \"07:30\", to = \"12:01\" }]",
    );
    assert!(
        overlap.contains("two stretches both cover 12:00:00"),
        "{overlap}"
    );
    let closure = refused("to = \"2027-03-29\"", "to = \"2027-03-20\"");
    assert!(
        closure.contains("2027-03-26 to 2027-03-20 ends before it begins"),
        "{closure}"
    );
}

#[test]
fn stretches_that_touch_are_two_stretches() {
    let text = EARLY_YEARS.replacen(
        "[{ from = \"07:30\", to = \"18:30\" }]",
        "[{ from = \"12:00\", to = \"18:30\" }, { from = \"07:30\", to = \"12:00\" }]",
        1,
    );
    assert!(PolicyProfile::from_toml(&text).is_ok());
}

#[test]
fn what_is_missing_is_named_with_what_to_write() {
    let message = refused("min_length = 6\n", "");
    assert!(
        message.contains("`policy.passcode.min_length` is missing: write 4 to 16"),
        "{message}"
    );
    let message = refused("title = \"Early years: shared room tablets\"\n", "");
    assert!(
        message.contains("`title` is missing: write what people call it"),
        "{message}"
    );
    let message = refused("time_zone = \"Europe/London\"\n", "");
    assert!(
        message.contains("`calendar.time_zone` is missing: write an IANA name"),
        "{message}"
    );
}

#[test]
fn a_day_that_does_not_exist_is_named() {
    let message = refused("monday = [", "mondey = [");
    assert!(
        message.contains("`calendar.contact_hours.mondey`") && message.contains("`monday`"),
        "{message}"
    );
}

#[test]
fn text_that_is_not_toml_is_named_by_its_line() {
    let message = refused("history = 8", "history = eight");
    assert!(
        message.starts_with(&format!(
            "line {}: `history = eight`: this is not TOML",
            line_of("history = 8")
        )),
        "{message}"
    );
    let message = refused("history = 8", "min_length = 8");
    assert!(message.contains("duplicate key"), "{message}");
}

#[test]
fn a_schedule_without_an_age_is_refused() {
    for rotation in ["both", "scheduled"] {
        let text = EARLY_YEARS.replacen("max_age_days = 91\n", "", 1).replacen(
            "rotation = \"both\"",
            &format!("rotation = \"{rotation}\""),
            1,
        );
        let message = PolicyProfile::from_toml(&text).unwrap_err().to_string();
        assert!(
            message.contains("rotation on a schedule needs an age"),
            "{message}"
        );
    }
    let text = EARLY_YEARS.replacen("max_age_days = 91\n", "", 1).replacen(
        "rotation = \"both\"",
        "rotation = \"event\"",
        1,
    );
    assert!(PolicyProfile::from_toml(&text).is_ok());
}

#[test]
fn an_allowlist_that_is_empty_or_lacks_an_essential_app_is_refused() {
    let message = refused("    \"dpkg:nursery-register\",\n", "");
    assert!(
        message.contains("`policy.apps.allowed` is without dpkg:nursery-register"),
        "{message}"
    );
    let apps = "[policy.apps]\nallowed = []\nessential = []\n";
    let text = format!(
        "name = \"a\"\ntitle = \"A\"\n[calendar]\ntime_zone = \"UTC\"\n[calendar.contact_hours]\nmonday = [{{ from = \"09:00\", to = \"10:00\" }}]\n{apps}"
    );
    let message = PolicyProfile::from_toml(&text).unwrap_err().to_string();
    assert!(
        message.contains("`policy.apps.allowed` is empty")
            && message.contains("`policy.apps.essential` is empty"),
        "{message}"
    );
}

#[test]
fn every_mistake_is_named_at_once() {
    let text = EARLY_YEARS
        .replacen("history = 8", "history = 60", 1)
        .replacen("leaver_days = 14", "leaver_days = 90", 1)
        .replacen("website = 14", "website = 14\n\n[policy.wifi]\nx = 1", 1);
    let error = PolicyProfile::from_toml(&text).unwrap_err();
    let keys: Vec<&str> = error.refusals().iter().map(|r| r.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "policy.passcode.history",
            "policy.photos.leaver_days",
            "policy.wifi"
        ]
    );
}

fn with_exception(lines: &str) -> Result<PolicyProfile, String> {
    let base = "allow = \"camera\"\nreason = \"outing\"\napproved_by = \"Manager\"\nfrom = \"2026-05-01\"\nuntil = \"2026-05-02\"\n";
    let mut fields: Vec<&str> = base.lines().collect();
    for line in lines.lines() {
        let key = line.split('=').next().unwrap().trim();
        fields.retain(|l| l.split('=').next().unwrap().trim() != key);
        fields.push(line);
    }
    let text = format!("{EARLY_YEARS}\n[[exception]]\n{}\n", fields.join("\n"));
    PolicyProfile::from_toml(&text).map_err(|e| e.to_string())
}

#[test]
fn an_exception_needs_a_reason_an_approver_and_an_end() {
    assert!(with_exception("medical = true").is_ok());
    for (lines, wanted) in [
        (
            "reason = \" \"",
            "exception 1: `reason` is empty or too long",
        ),
        (
            "approved_by = \"\"",
            "exception 1: `approved_by` is empty or too long",
        ),
        (
            "until = \"2026-04-30\"",
            "exception 1: `until` is 2026-04-30, before `from`, 2026-05-01",
        ),
        (
            "until = \"2027-05-03\"",
            "exception 1: `until` is 2027-05-03, more than 366 days after `from`",
        ),
        (
            "allow = \"everything\"",
            "`exception.0.allow` is \"everything\": write \"camera\"",
        ),
        (
            "allow = { app = \"solitaire\" }",
            "`exception.0.allow.app` is \"solitaire\": write an app",
        ),
        (
            "allow = { bluetooth_service = \"hearing aid\" }",
            "exception 1: `allow` names the Bluetooth service \"hearing aid\"; write its whole UUID",
        ),
        (
            "from = 2026-05-01",
            "`exception.0.from` is 2026-05-01: write a date in quotes",
        ),
    ] {
        let message = with_exception(lines).unwrap_err();
        assert!(
            message.starts_with("line ") && message.contains(wanted),
            "{message}\nwanted {wanted}"
        );
    }
    assert!(with_exception("until = \"2027-05-02\"").is_ok());
    assert!(
        with_exception("allow = { bluetooth_service = \"0000fdf0-0000-1000-8000-00805f9b34fb\" }")
            .is_ok()
    );
}

#[test]
fn a_profile_that_is_too_large_is_not_read() {
    let text = format!("{EARLY_YEARS}\n#{}", " ".repeat(MAX_PROFILE_BYTES));
    let message = PolicyProfile::from_toml(&text).unwrap_err().to_string();
    assert!(message.contains("write at most 262144"), "{message}");
}
