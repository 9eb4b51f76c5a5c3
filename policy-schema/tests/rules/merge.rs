//! Combining policies: the order never matters, and nothing is ever looser for it. Exceptions loosen while they run.

use crate::nursery::{at, calendar, cases, date};
use crate::policies::{app, policy};
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::Purpose;
use nestwarden_policy_schema::policy::exception::{bluetooth_services, with_exceptions};
use nestwarden_policy_schema::policy::{
    Allowed, AppId, AppsPolicy, CameraPolicy, CameraUse, DatedException, HoursPolicy, Loosening,
    Mode, Policy, RequirementId, SetBy, StoragePolicy, Tighten,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn is(value: impl Into<i64>) -> i64 {
    value.into()
}

/// How much is allowed, more being looser: one number per field, written without the merge in mind. An absent control
/// allows everything.
fn looseness(policy: &Policy) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    let mut says = |key: &str, value: i64| {
        found.insert(key.to_owned(), value);
    };
    let no_limit = i64::MAX;
    let within = |a: Allowed| is(a.is_allowed(true)) + is(a.is_allowed(false));
    let observes = |m: Mode| is(m == Mode::Observe);
    let passcode = policy.passcode.as_ref();
    says(
        "passcode.mode",
        passcode.map_or(no_limit, |p| observes(p.mode)),
    );
    says(
        "passcode.min_length",
        passcode.map_or(no_limit, |p| -is(p.min_length)),
    );
    says(
        "passcode.alphanumeric",
        passcode.map_or(no_limit, |p| is(!p.alphanumeric)),
    );
    says(
        "passcode.refuse_simple",
        passcode.map_or(no_limit, |p| is(!p.refuse_simple)),
    );
    says(
        "passcode.history",
        passcode.map_or(no_limit, |p| -is(p.history)),
    );
    let age = passcode
        .filter(|p| p.rotation.is_scheduled())
        .and_then(|p| p.max_age_days);
    says("passcode.age", age.map_or(no_limit, is));
    says(
        "passcode.event",
        is(!passcode.is_some_and(|p| p.rotation.is_on_event())),
    );
    says(
        "passcode.tries",
        passcode
            .and_then(|p| p.max_failed_attempts)
            .map_or(no_limit, is),
    );
    says(
        "passcode.lock",
        passcode
            .and_then(|p| p.auto_lock_minutes)
            .map_or(no_limit, is),
    );
    says(
        "passcode.set_by",
        passcode.map_or(no_limit, |p| is(p.set_by == SetBy::User)),
    );
    let apps = policy.apps.as_ref();
    says("apps.mode", apps.map_or(no_limit, |a| observes(a.mode)));
    for number in 0..6 {
        let runs = apps.is_none_or(|a| a.allowed.contains(&app(number)));
        says(&format!("apps.allowed.{number}"), is(runs));
    }
    let radios = policy.radios.as_ref();
    says("radios.mode", radios.map_or(no_limit, |r| observes(r.mode)));
    says(
        "radios.bluetooth",
        radios.map_or(2, |r| within(r.bluetooth)),
    );
    says(
        "radios.nearby_sharing",
        radios.map_or(2, |r| within(r.nearby_sharing)),
    );
    says("radios.nfc", radios.map_or(2, |r| within(r.nfc)));
    says("radios.hotspot", radios.map_or(2, |r| within(r.hotspot)));
    says(
        "radios.wifi_direct",
        radios.map_or(2, |r| within(r.wifi_direct)),
    );
    let storage = policy.storage.as_ref();
    says(
        "storage.mode",
        storage.map_or(no_limit, |s| observes(s.mode)),
    );
    says(
        "storage.removable_media",
        storage.map_or(2, |s| within(s.removable_media)),
    );
    says(
        "storage.usb_transfer",
        storage.map_or(2, |s| within(s.usb_transfer)),
    );
    says(
        "storage.encryption",
        is(!storage.is_some_and(|s| s.require_encryption)),
    );
    let camera = policy.camera.as_ref();
    says("camera.mode", camera.map_or(no_limit, |c| observes(c.mode)));
    says(
        "camera.camera",
        camera.map_or(2, |c| match c.camera {
            CameraUse::On => 2,
            CameraUse::InSession => 1,
            CameraUse::Off => 0,
        }),
    );
    let hours = policy.hours.as_ref();
    says("hours.mode", hours.map_or(no_limit, |h| observes(h.mode)));
    says(
        "hours.locked",
        is(!hours.is_some_and(|h| h.lock_outside_contact_hours)),
    );
    says(
        "hours.margin",
        hours.map_or(no_limit, |h| is(h.margin_minutes)),
    );
    let photos = policy.photos.as_ref();
    says("photos.mode", photos.map_or(no_limit, |f| observes(f.mode)));
    for root in ["/home/*/Pictures", "/home/*/DCIM", "/srv/photos"] {
        says(
            &format!("photos.unwatched.{root}"),
            is(!photos.is_some_and(|f| f.capture_roots.contains(root))),
        );
    }
    for purpose in Purpose::ALL {
        let days = photos.map_or(no_limit, |f| {
            f.purposes.get(&purpose).copied().map_or(0, is)
        });
        says(&format!("photos.{purpose}"), days);
    }
    for (key, days) in [
        ("max_age", photos.map(|f| f.max_age_days)),
        ("upload", photos.map(|f| f.after_upload_hours)),
        ("untagged", photos.map(|f| f.untagged_opening_days)),
        ("destroy", photos.map(|f| f.destroy_after_opening_days)),
        (
            "destroy_unconfirmed",
            photos.map(|f| f.destroy_unconfirmed_after_days),
        ),
        ("leaver", photos.map(|f| f.leaver_days)),
        ("lease", photos.map(|f| f.lease_opening_days)),
        ("per_hour", photos.map(|f| f.max_destroyed_per_hour)),
    ] {
        says(&format!("photos.{key}"), days.map_or(no_limit, is));
    }
    found
}

fn essentials(policy: &Policy) -> BTreeSet<AppId> {
    policy
        .apps
        .iter()
        .flat_map(|a| a.essential.clone())
        .collect()
}

fn cited(policy: &Policy) -> BTreeSet<RequirementId> {
    let p = policy.clone();
    [
        p.passcode.map(|p| p.requirements),
        p.apps.map(|p| p.requirements),
        p.radios.map(|p| p.requirements),
        p.storage.map(|p| p.requirements),
        p.camera.map(|p| p.requirements),
        p.hours.map(|p| p.requirements),
        p.photos.map(|p| p.requirements),
    ]
    .into_iter()
    .flatten()
    .flatten()
    .collect()
}

fn exception(allow: Loosening) -> DatedException {
    DatedException {
        allow,
        reason: "outing".to_owned(),
        approved_by: "Manager".to_owned(),
        from: date("2026-06-02"),
        until: date("2026-06-03"),
        medical: false,
    }
}

fn loosening() -> impl Strategy<Value = Loosening> {
    prop_oneof![
        (0u8..6).prop_map(|n| Loosening::App(app(n))),
        Just(Loosening::BluetoothService(
            "0000fdf0-0000-1000-8000-00805f9b34fb".to_owned()
        )),
        Just(Loosening::RemovableMedia),
        Just(Loosening::Camera),
        Just(Loosening::OpenOutsideContactHours),
    ]
}

fn london() -> Calendar {
    calendar("Europe/London", &[])
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(a in policy(), b in policy(), c in policy()) {
        prop_assert_eq!(a.tighten(&b), b.tighten(&a));
        prop_assert_eq!(a.tighten(&b).tighten(&c), a.tighten(&b.tighten(&c)));
        prop_assert_eq!(a.tighten(&a), a.clone());
        prop_assert_eq!(a.tighten(&Policy::default()), a);
    }

    #[test]
    fn merging_never_loosens_and_takes_no_more_than_one_side_asked(a in policy(), b in policy()) {
        let merged = looseness(&a.tighten(&b));
        let (of_a, of_b) = (looseness(&a), looseness(&b));
        for (key, value) in merged {
            let stricter = of_a[&key].min(of_b[&key]);
            // An age written beside rotation on events counts as soon as another part wants a schedule.
            if key == "passcode.age" {
                prop_assert!(value <= stricter);
            } else {
                prop_assert_eq!(value, stricter, "{}", key);
            }
        }
    }

    #[test]
    fn merging_never_loses_an_essential_app_or_a_requirement(a in policy(), b in policy()) {
        let merged = a.tighten(&b);
        prop_assert_eq!(essentials(&merged), &essentials(&a) | &essentials(&b));
        prop_assert_eq!(cited(&merged), &cited(&a) | &cited(&b));
    }

    #[test]
    fn exceptions_loosen_only_while_they_run(policy in policy(), allow in loosening(), hour in -30i64..80) {
        let now = at("2026-06-01T23:00:00Z") + jiff::SignedDuration::from_hours(hour);
        let exceptions = [exception(allow)];
        let loosened = with_exceptions(&policy, &exceptions, &london(), now);
        if !(0..48).contains(&hour) {
            prop_assert_eq!(&loosened, &policy);
            prop_assert!(bluetooth_services(&exceptions, &london(), now).is_empty());
        }
        let before = looseness(&policy);
        for (key, value) in looseness(&loosened) {
            prop_assert!(value >= before[&key], "{} became stricter", key);
        }
    }
}

#[test]
fn an_exception_loosens_just_what_it_names() {
    let strict = Policy {
        apps: Some(AppsPolicy {
            mode: Mode::Enforce,
            requirements: BTreeSet::new(),
            allowed: BTreeSet::from([app(0)]),
            essential: BTreeSet::from([app(0)]),
        }),
        storage: Some(StoragePolicy {
            removable_media: Allowed::Never,
            usb_transfer: Allowed::Never,
            ..StoragePolicy::default()
        }),
        camera: Some(CameraPolicy {
            camera: CameraUse::Off,
            ..CameraPolicy::default()
        }),
        hours: Some(HoursPolicy {
            lock_outside_contact_hours: true,
            ..HoursPolicy::default()
        }),
        ..Policy::default()
    };
    let now = at("2026-06-02T10:00:00Z");
    for (allow, changed) in [
        (Loosening::App(app(3)), vec!["apps.allowed.3"]),
        (Loosening::RemovableMedia, vec!["storage.removable_media"]),
        (Loosening::Camera, vec!["camera.camera"]),
        (Loosening::OpenOutsideContactHours, vec!["hours.locked"]),
        (Loosening::BluetoothService("x".to_owned()), vec![]),
    ] {
        let loosened = with_exceptions(&strict, &[exception(allow.clone())], &london(), now);
        let (before, after) = (looseness(&strict), looseness(&loosened));
        let keys: Vec<&str> = after
            .iter()
            .filter(|(key, value)| before[*key] != **value)
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(keys, changed, "{allow:?}");
        // What is unmanaged stays unmanaged.
        let nothing = with_exceptions(&Policy::default(), &[exception(allow)], &london(), now);
        assert_eq!(nothing, Policy::default());
    }
}

#[test]
fn a_medical_exception_goes_on_until_somebody_decides_but_never_starts_early() {
    let service = "0000fdf0-0000-1000-8000-00805f9b34fb";
    let mut aid = exception(Loosening::BluetoothService(service.to_owned()));
    aid.medical = true;
    let services = |when| {
        bluetooth_services(
            &[aid.clone(), exception(Loosening::Camera)],
            &london(),
            at(when),
        )
    };
    assert!(services("2026-06-01T22:59:59Z").is_empty());
    assert_eq!(services("2026-06-01T23:00:00Z"), [service]);
    assert_eq!(services("2027-06-01T23:00:00Z"), [service]);
}

#[test]
fn allowed_outside_contact_hours_means_just_that() {
    assert!(Allowed::Always.is_allowed(true) && Allowed::Always.is_allowed(false));
    assert!(
        !Allowed::OutsideContactHours.is_allowed(true)
            && Allowed::OutsideContactHours.is_allowed(false)
    );
    assert!(!Allowed::Never.is_allowed(true) && !Allowed::Never.is_allowed(false));
}
