//! A tablet that is marked as lost, against logind: a session at its seat is locked, and locked again.

use super::tablet;
use system_tests::vm::nursery::{Hours, Profile};
use system_tests::vm::tablet::Tablet;

/// A desktop at the seat, as far as logind knows of one: it says that it is locked when it was told to lock.
const DESKTOP: &str = r#"cat >/run/desktop <<'END'
#!/bin/sh
hint() {
    busctl call org.freedesktop.login1 /org/freedesktop/login1/session/auto \
        org.freedesktop.login1.Session SetLockedHint b "$1"
}
hint false
dbus-monitor --system "type='signal',interface='org.freedesktop.login1.Session',member='Lock'" |
    while read -r line; do
        case "$line" in *member=Lock*) hint true ;; esac
    done
END
chmod 755 /run/desktop
systemd-run --unit=desktop --uid=room -p PAMName=login -E XDG_SEAT=seat0 -E XDG_SESSION_TYPE=wayland \
    -E XDG_SESSION_CLASS=user /run/desktop"#;

/// As `loginctl` has it.
fn is_locked(tablet: &Tablet) -> anyhow::Result<bool> {
    let said = tablet.done(
        "loginctl show-session \"$(loginctl list-sessions --no-legend | awk '$3 == \"room\" { print $1; exit }')\" -p LockedHint --value",
    )?;
    Ok(said.trim() == "yes")
}

/// Whoever has the passcode unlocks it.
const UNLOCK: &str = "runuser -u room -- busctl call org.freedesktop.login1 /org/freedesktop/login1/session/auto \
    org.freedesktop.login1.Session SetLockedHint b false";

#[test]
fn a_session_on_a_lost_tablet_is_locked_and_locked_again_whoever_unlocks_it_until_it_is_found() {
    let tablet = tablet();
    tablet.hold_to(&Profile::in_hours(Hours::Contact)).unwrap();
    tablet.done(DESKTOP).unwrap();
    tablet
        .until("a session at the seat", |tablet| {
            Ok((!is_locked(tablet)?).then_some(()))
        })
        .unwrap();
    tablet
        .server("device lost Ladybird-1 --reason 'left on the bus'")
        .unwrap();
    let locked = |tablet: &Tablet| Ok(is_locked(tablet)?.then_some(()));
    tablet.until("a locked session", locked).unwrap();
    for _ in 0..3 {
        tablet.done(UNLOCK).unwrap();
        tablet.until("the session locked again", locked).unwrap();
    }
    let status = tablet.status().unwrap();
    assert!(status["lost_since"].is_string(), "{status}");

    tablet
        .server("device found Ladybird-1 --reason 'the driver had it'")
        .unwrap();
    tablet
        .until("the tablet found", |tablet| {
            Ok(tablet.status()?["lost_since"].is_null().then_some(()))
        })
        .unwrap();
    tablet.done(UNLOCK).unwrap();
    tablet.measured_again("hours").unwrap();
    assert!(!is_locked(&tablet).unwrap());
    tablet.done("systemctl stop desktop").unwrap();
}
