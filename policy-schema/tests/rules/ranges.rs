//! Which values a policy may have: the ends of every range, and just beyond them.

use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::policy::{AppsPolicy, Mode, PhotosPolicy, Policy, Rotation};
use nestwarden_policy_schema::profile::{EARLY_YEARS, PolicyProfile};
use std::collections::BTreeSet;

/// Key; least and most; whether anything is below the least that the type could hold.
const RANGES: &[(&str, u32, u32)] = &[
    ("passcode.min_length", 4, 16),
    ("passcode.history", 0, 50),
    ("passcode.max_age_days", 1, 730),
    ("passcode.max_failed_attempts", 3, 50),
    ("passcode.auto_lock_minutes", 1, 60),
    ("hours.margin_minutes", 0, 120),
    ("photos.max_age_days", 1, 366),
    ("photos.after_upload_hours", 1, 672),
    ("photos.untagged_opening_days", 1, 28),
    ("photos.destroy_after_opening_days", 1, 28),
    ("photos.destroy_unconfirmed_after_days", 2, 28),
    ("photos.leaver_days", 1, 60),
    ("photos.lease_opening_days", 1, 28),
    ("photos.max_destroyed_per_hour", 1, 10_000),
    ("photos.purposes.website", 1, 366),
];

fn early_years() -> Policy {
    PolicyProfile::from_toml(EARLY_YEARS).unwrap().policy
}

/// The keys that are refused once `key` has `value`.
fn refused(key: &str, value: u32) -> Vec<String> {
    let mut policy = serde_json::to_value(early_years()).unwrap();
    let pointer = format!("/{}", key.replace('.', "/"));
    *policy.pointer_mut(&pointer).unwrap() = value.into();
    let policy: Policy = serde_json::from_value(policy).unwrap();
    policy.problems().into_iter().map(|p| p.key).collect()
}

#[test]
fn every_range_has_the_ends_that_its_message_names() {
    for (key, least, most) in RANGES {
        assert_eq!(
            refused(key, *least),
            Vec::<String>::new(),
            "{key} = {least}"
        );
        assert_eq!(refused(key, *most), Vec::<String>::new(), "{key} = {most}");
        assert_eq!(refused(key, most + 1), [*key], "{key} = {most} + 1");
        if let Some(below) = least.checked_sub(1) {
            assert_eq!(refused(key, below), [*key], "{key} = {least} - 1");
        }
    }
}

#[test]
fn a_photo_waits_as_long_as_the_lifecycle_says_where_the_profile_says_nothing() {
    let json = r#"{ "capture_roots": ["/home/*/Pictures"], "purposes": { "website": 7 } }"#;
    let photos: PhotosPolicy = serde_json::from_str(json).unwrap();
    assert_eq!((photos.max_age_days, photos.after_upload_hours), (28, 24));
    assert_eq!(
        (
            photos.untagged_opening_days,
            photos.destroy_unconfirmed_after_days
        ),
        (7, 7)
    );
    assert_eq!(
        (photos.destroy_after_opening_days, photos.leaver_days),
        (3, 14)
    );
    assert_eq!(
        (photos.lease_opening_days, photos.max_destroyed_per_hour),
        (7, 200)
    );
}

fn with_roots(roots: &[&str]) -> Vec<String> {
    let mut policy = early_years();
    let photos = policy.photos.as_mut().unwrap();
    photos.capture_roots = roots.iter().map(|root| (*root).to_owned()).collect();
    policy.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_capture_root_is_a_whole_path_of_at_least_two_folders() {
    for root in ["/home/*/Pictures", "/srv/photos", "/a/b/c/d"] {
        assert_eq!(with_roots(&[root]), Vec::<String>::new(), "{root}");
    }
    for root in [
        "",
        "/",
        "/home",
        "home/anna",
        "/home/",
        "/home//x",
        "/home/./x",
        "/home/../etc",
        "/home/x/",
    ] {
        let problems = with_roots(&[root]);
        assert_eq!(problems.len(), 1, "{root}");
        assert!(problems[0].contains("by its whole path"), "{problems:?}");
    }
    assert!(with_roots(&[])[0].contains("`photos.capture_roots` is empty"));
}

#[test]
fn a_capture_root_lies_over_nothing_that_the_tablet_needs_to_run() {
    for root in [
        "/etc/nestwarden",
        "/usr/share",
        "/var/lib",
        "/var/lib/nestwarden",
        "/var/*",
        "/*/*",
        "/run/systemd",
    ] {
        let problems = with_roots(&[root]);
        assert_eq!(problems.len(), 1, "{root}");
        assert!(problems[0].contains("the agent itself"), "{problems:?}");
    }
    assert_eq!(
        with_roots(&["/run/media/*", "/var/photos"]),
        Vec::<String>::new()
    );
}

#[test]
fn a_photos_policy_without_a_purpose_is_refused() {
    let mut policy = early_years();
    policy.photos.as_mut().unwrap().purposes.clear();
    let problems = policy.problems();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "photos.purposes");
}

#[test]
fn every_essential_app_that_is_not_allowed_is_named() {
    let apps = |allowed: &[&str], essential: &[&str]| {
        let set =
            |names: &[&str]| -> BTreeSet<_> { names.iter().map(|n| n.parse().unwrap()).collect() };
        let policy = Policy {
            apps: Some(AppsPolicy {
                allowed: set(allowed),
                essential: set(essential),
                ..early_years().apps.unwrap()
            }),
            ..Policy::default()
        };
        policy
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(apps(&["dpkg:a"], &["dpkg:a"]), Vec::<String>::new());
    assert!(apps(&["dpkg:a"], &["dpkg:b", "dpkg:c"])[0].contains("without dpkg:b, dpkg:c"));
    assert_eq!(apps(&["dpkg:a"], &[]).len(), 1);
}

#[test]
fn a_passcode_changes_on_schedule_on_event_or_on_both() {
    for (rotation, scheduled, on_event) in [
        (Rotation::Scheduled, true, false),
        (Rotation::Event, false, true),
        (Rotation::Both, true, true),
    ] {
        assert_eq!(
            (rotation.is_scheduled(), rotation.is_on_event()),
            (scheduled, on_event)
        );
        let mut policy = early_years();
        let passcode = policy.passcode.as_mut().unwrap();
        (passcode.rotation, passcode.max_age_days) = (rotation, None);
        assert_eq!(policy.problems().is_empty(), !scheduled, "{rotation:?}");
    }
}

#[test]
fn a_control_has_the_mode_that_its_own_table_says() {
    for control in ControlName::ALL {
        let mut policy = serde_json::to_value(early_years()).unwrap();
        policy[control.as_str()]["mode"] = "enforce".into();
        let policy: Policy = serde_json::from_value(policy).unwrap();
        for other in ControlName::ALL {
            let mode = if other == control {
                Mode::Enforce
            } else {
                Mode::Observe
            };
            assert_eq!(policy.mode(other), Some(mode));
            assert_eq!(Policy::default().mode(other), None);
        }
    }
}
