//! From the power button to a tablet that is held to its policy.

use super::tablet;
use serde_json::Value;
use system_tests::vm::nursery::{Hours, Profile};

#[test]
fn the_tablet_is_held_to_every_control_and_says_so_after_measuring() {
    let tablet = tablet();
    tablet.hold_to(&Profile::in_hours(Hours::Contact)).unwrap();
    tablet
        .done("echo 'room:Cedar5-window' | chpasswd --crypt-method YESCRYPT")
        .unwrap();
    for control in ["passcode", "apps", "radios", "storage", "camera", "hours"] {
        tablet.until_compliant(control).unwrap();
    }
    let photos = tablet.control("photos").unwrap();
    assert!(photos["measured_at"].is_string(), "{photos}");
}

#[test]
fn doctor_finds_nothing_wrong_and_names_this_machines_kernel() {
    let tablet = tablet();
    tablet.until_compliant("apps").unwrap();
    let said = tablet.ask("nestwarden-agent doctor --json").unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    let checks = found["checks"].as_array().unwrap();
    let kernel = checks.iter().find(|check| check["check"] == "kernel");
    let release = tablet.done("uname -r").unwrap();
    assert_eq!(kernel.unwrap()["detail"], release.trim());
}

#[test]
fn the_units_start_by_themselves_and_none_has_failed() {
    let tablet = tablet();
    let enabled = tablet
        .done("systemctl is-enabled nestwarden-agent nestwarden-server nestwarden-signer")
        .unwrap();
    assert_eq!(
        enabled.split_whitespace().collect::<Vec<_>>(),
        ["enabled"; 3]
    );
    let failed = tablet
        .done("systemctl list-units --failed --plain --no-legend")
        .unwrap();
    assert_eq!(failed, "");
}
