//! What other programs are given: the Apple configuration profile and the JSON Schema.

use nestwarden_policy_schema::export::apple::{AppleExport, NoteKind, export as export_of};
use nestwarden_policy_schema::export::schema_json;
use nestwarden_policy_schema::policy::{Allowed, CameraUse};
use nestwarden_policy_schema::profile::{EARLY_YEARS, PolicyProfile};
use plist::Value;
use serde_json::json;

fn early_years() -> PolicyProfile {
    PolicyProfile::from_toml(EARLY_YEARS).unwrap()
}

fn payload(export: &AppleExport, kind: &str) -> plist::Dictionary {
    let root = Value::from_reader_xml(export.mobileconfig.as_bytes()).unwrap();
    let payloads = root.as_dictionary().unwrap()["PayloadContent"]
        .as_array()
        .unwrap();
    let found = payloads
        .iter()
        .find(|p| p.as_dictionary().unwrap()["PayloadType"].as_string() == Some(kind));
    found.unwrap().as_dictionary().unwrap().clone()
}

fn says(export: &AppleExport, rule: &str, kind: NoteKind) -> bool {
    export
        .notes
        .iter()
        .any(|note| note.rule == rule && note.kind == kind)
}

#[test]
fn every_payload_and_every_exported_rule_is_marked_as_not_observed() {
    let export = export_of(&early_years()).unwrap();
    for kind in [
        "com.apple.applicationaccess",
        "com.apple.mobiledevice.passwordpolicy",
    ] {
        let payload = payload(&export, kind);
        let description = payload["PayloadDescription"].as_string().unwrap();
        assert!(
            description.starts_with("Exported, not observed"),
            "{description}"
        );
    }
    for note in &export.notes {
        let exported = matches!(
            note.kind,
            NoteKind::ExportedNotObserved | NoteKind::NeedsSupervision
        );
        if exported && note.rule != "policy.storage.require_encryption" {
            assert!(note.text.contains("Exported, not observed"), "{note:?}");
        }
    }
}

#[test]
fn every_switch_in_the_file_is_named_in_a_note() {
    let export = export_of(&early_years()).unwrap();
    for (key, _) in payload(&export, "com.apple.applicationaccess") {
        let ours = key.starts_with("Payload") || key == "forceAirDropUnmanaged";
        assert!(
            ours || export.notes.iter().any(|note| note.text.starts_with(&key)),
            "{key}"
        );
    }
}

#[test]
fn the_same_profile_gives_the_same_file_and_a_changed_one_other_uuids() {
    let uuid = |export: &AppleExport| {
        payload(export, "com.apple.applicationaccess")["PayloadUUID"].clone()
    };
    let (one, two) = (
        export_of(&early_years()).unwrap(),
        export_of(&early_years()).unwrap(),
    );
    assert_eq!(one, two);
    let mut changed = early_years();
    changed.policy.camera.as_mut().unwrap().camera = CameraUse::Off;
    assert_ne!(uuid(&one), uuid(&export_of(&changed).unwrap()));
    let text = uuid(&one).into_string().unwrap();
    assert_eq!(uuid::Uuid::try_parse(&text).unwrap().get_version_num(), 8);
}

#[test]
fn no_wrong_try_ever_erases_an_ipad() {
    let export = export_of(&early_years()).unwrap();
    let passcode = payload(&export, "com.apple.mobiledevice.passwordpolicy");
    assert!(!passcode.contains_key("maxFailedAttempts"));
    assert!(says(
        &export,
        "policy.passcode.max_failed_attempts",
        NoteKind::NotExpressible
    ));
    assert_eq!(passcode["minLength"].as_unsigned_integer(), Some(6));
    assert_eq!(passcode["maxPINAgeInDays"].as_unsigned_integer(), Some(91));
    assert_eq!(passcode["allowSimple"].as_boolean(), Some(false));
    let mut on_event = early_years();
    let policy = on_event.policy.passcode.as_mut().unwrap();
    policy.rotation = nestwarden_policy_schema::policy::Rotation::Event;
    policy.history = 0;
    let passcode = payload(
        &export_of(&on_event).unwrap(),
        "com.apple.mobiledevice.passwordpolicy",
    );
    assert!(!passcode.contains_key("maxPINAgeInDays") && !passcode.contains_key("pinHistory"));
}

#[test]
fn what_cannot_be_expressed_is_said() {
    let export = export_of(&early_years()).unwrap();
    for rule in [
        "policy.photos",
        "policy.hours",
        "policy.apps.allowed",
        "policy.camera",
        "policy.radios.wifi_direct",
    ] {
        assert!(says(&export, rule, NoteKind::NotExpressible), "{rule}");
    }
    assert!(says(&export, "policy.*.mode", NoteKind::Approximated));
    assert!(says(&export, "policy.radios.nfc", NoteKind::Approximated));
    // A list without a single app for iPads would leave nothing that opens.
    assert!(
        !payload(&export, "com.apple.applicationaccess").contains_key("allowListedAppBundleIDs")
    );
}

#[test]
fn what_is_always_allowed_is_not_in_the_file() {
    let mut open = early_years();
    let radios = open.policy.radios.as_mut().unwrap();
    radios.bluetooth = Allowed::Always;
    radios.nearby_sharing = Allowed::Always;
    open.policy.passcode = None;
    let export = export_of(&open).unwrap();
    let keys = payload(&export, "com.apple.applicationaccess");
    for key in [
        "allowBluetoothModification",
        "allowAirDrop",
        "forceAirDropUnmanaged",
        "allowActivityContinuation",
    ] {
        assert!(!keys.contains_key(key), "{key}");
    }
    assert!(keys.contains_key("allowNFC"));
    assert!(!export.mobileconfig.contains("passwordpolicy"));
    assert!(
        !export
            .notes
            .iter()
            .any(|note| note.rule == "policy.radios.bluetooth")
    );
}

#[test]
fn an_empty_profile_exports_no_payload() {
    let mut empty = early_years();
    empty.policy = nestwarden_policy_schema::policy::Policy::default();
    let export = export_of(&empty).unwrap();
    let root = Value::from_reader_xml(export.mobileconfig.as_bytes()).unwrap();
    assert_eq!(
        root.as_dictionary().unwrap()["PayloadContent"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn the_schema_knows_every_control_and_refuses_unknown_keys() {
    let schema = schema_json();
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["required"], json!(["name", "title", "calendar"]));
    let definitions = schema["$defs"].as_object().unwrap();
    for name in [
        "PasscodePolicy",
        "AppsPolicy",
        "RadiosPolicy",
        "StoragePolicy",
        "CameraPolicy",
        "HoursPolicy",
        "PhotosPolicy",
        "Calendar",
        "Closure",
        "TimeRange",
    ] {
        assert_eq!(
            definitions[name]["additionalProperties"],
            json!(false),
            "{name}"
        );
    }
    let length = &definitions["PasscodePolicy"]["properties"]["min_length"];
    assert_eq!(
        (&length["minimum"], &length["maximum"]),
        (&json!(4), &json!(16))
    );
    let days = &definitions["PhotosPolicy"]["properties"]["purposes"];
    assert!(
        days.to_string().contains("own_learning_journal") || definitions.contains_key("Purpose"),
        "{days}"
    );
}
