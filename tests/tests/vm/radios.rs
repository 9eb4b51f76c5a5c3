//! A Bluetooth controller, which the kernel and bluetoothd take for a real one.

use super::apps::held;
use super::tablet;
use serde_json::Value;
use system_tests::vm::nursery::{Hours, Profile};
use system_tests::vm::tablet::Tablet;

const POWER_ON: &str =
    "busctl set-property org.bluez /org/bluez/hci0 org.bluez.Adapter1 Powered b true";
const IS_POWERED: &str = "busctl get-property org.bluez /org/bluez/hci0 org.bluez.Adapter1 Powered";
const IS_BLOCKED: &str = "for switch in /sys/class/rfkill/rfkill*; do
    grep -qx bluetooth $switch/type && grep -qx 1 $switch/soft && exit 0
done; exit 1";
/// One that the kernel could not set up in time never shows, so it makes way for another.
const CONTROLLER: &str = "modprobe hci_vhci && systemctl start bluetooth
systemctl is-active --quiet btvirt || systemd-run --quiet --collect --unit=btvirt /usr/bin/btvirt -l1
tries=0; until busctl get-property org.bluez /org/bluez/hci0 org.bluez.Adapter1 Powered; do
    [ $tries -lt 50 ] || { systemctl stop btvirt; exit 1; }
    sleep 0.2; tries=$((tries + 1))
done";
const HEARING_AID: &str = "{ bluetooth_service = \"0000fdf0-0000-1000-8000-00805f9b34fb\" }";

fn with_controller(tablet: &Tablet) {
    tablet
        .until("a Bluetooth controller", |tablet| {
            Ok((tablet.ask(CONTROLLER)?.code == 0).then_some(()))
        })
        .unwrap_or_else(|problem| {
            let log =
                tablet.ask("dmesg | tail; journalctl --no-pager -n 40 -u bluetooth -u btvirt");
            panic!("{problem:?}\n{log:?}")
        });
}

/// What bluetoothd says of the controller, where it has one.
fn is_powered(tablet: &Tablet) -> anyhow::Result<Option<bool>> {
    let said = tablet.ask(IS_POWERED)?;
    Ok((said.code == 0).then_some(said.stdout == "b true\n"))
}

fn until_blocked(tablet: &Tablet) {
    tablet
        .until("Bluetooth off", |tablet| {
            let is_blocked = tablet.ask(IS_BLOCKED)?.code == 0;
            Ok((is_blocked && is_powered(tablet)? == Some(false)).then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{}", tablet.agent_log()));
}

fn until_powered(tablet: &Tablet) {
    let mut last = String::new();
    tablet
        .until("Bluetooth on", |tablet| {
            last = format!("{:?}", tablet.ask(POWER_ON)?);
            Ok((is_powered(tablet)? == Some(true)).then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{last}\n{}", tablet.agent_log()));
}

#[test]
fn bluetooth_switched_on_in_contact_hours_is_off_again() {
    let tablet = tablet();
    tablet.hold_to(&Profile::in_hours(Hours::Contact)).unwrap();
    with_controller(&tablet);
    until_blocked(&tablet);
    tablet.done("rfkill unblock bluetooth").unwrap();
    until_blocked(&tablet);
    // By rfkill and at once over D-Bus, before or after the agent has noticed.
    tablet
        .ask(&format!("rfkill unblock bluetooth; {POWER_ON}"))
        .unwrap();
    until_blocked(&tablet);
    tablet
        .ask("rfkill unblock bluetooth; bluetoothctl --timeout 5 power on")
        .unwrap();
    until_blocked(&tablet);
    tablet.until_compliant("radios").unwrap();
}

#[test]
fn bluetooth_is_left_alone_out_of_contact_hours() {
    let tablet = tablet();
    with_controller(&tablet);
    tablet.hold_to(&Profile::in_hours(Hours::Closed)).unwrap();
    tablet.until_compliant("radios").unwrap();
    tablet.done("rfkill unblock bluetooth").unwrap();
    until_powered(&tablet);
    tablet.measured_again("radios").unwrap();
    assert_ne!(tablet.ask(IS_BLOCKED).unwrap().code, 0);
    assert_eq!(is_powered(&tablet).unwrap(), Some(true));
}

#[test]
fn bluetooth_stays_off_for_an_exception_that_debians_bluetoothd_cannot_limit_and_this_is_said() {
    let tablet = tablet();
    with_controller(&tablet);
    // It is on when the exception comes.
    tablet.hold_to(&Profile::in_hours(Hours::Closed)).unwrap();
    tablet.until_compliant("radios").unwrap();
    tablet.done("rfkill unblock bluetooth").unwrap();
    until_powered(&tablet);
    let excepted = Profile::in_hours(Hours::Contact).with_exception(HEARING_AID);
    tablet.hold_to(&excepted).unwrap();
    until_blocked(&tablet);
    let mut last = Value::Null;
    let mut until_said = || {
        tablet
            .until("the reason", |tablet| {
                last = tablet.control("radios")?;
                let reason = last["reason"].as_str().unwrap_or_default();
                let is_said = last["outcome"] == "unsupported" && reason.contains("cannot limit");
                Ok(is_said.then_some(()))
            })
            .unwrap_or_else(|problem| panic!("{problem:?}\n{last}\n{}", tablet.agent_log()));
    };
    until_said();
    tablet
        .ask(&format!("rfkill unblock bluetooth; {POWER_ON}"))
        .unwrap();
    until_blocked(&tablet);
    until_said();
}

#[test]
fn nothing_receives_files_over_bluetooth_for_staff() {
    let tablet = tablet();
    held(&tablet);
    tablet.until_compliant("radios").unwrap();
    let masked = tablet
        .done("readlink /etc/systemd/user/obex.service")
        .unwrap();
    assert_eq!(masked, "/dev/null\n");
    // It may be started, and does not live to see a file. Without a bus to be on it would end by itself.
    let bus = tablet
        .staff("dbus-daemon --session --fork --address=unix:path=/home/room/bus --print-pid")
        .unwrap();
    assert_eq!(bus.code, 0, "{bus:?}");
    let said = tablet
        .ask("export HOME=/home/room DBUS_SESSION_BUS_ADDRESS=unix:path=/home/room/bus; setpriv --reuid=room --regid=room --init-groups -- timeout 60 /usr/libexec/bluetooth/obexd --nodetach")
        .unwrap();
    let was_told_to_end = said.code == 128 + 15 || said.stderr.contains("Terminating");
    assert!(was_told_to_end && said.code != 124, "{said:?}");
    tablet
        .done(&format!(
            "kill {} && rm -f /home/room/bus",
            bus.stdout.trim()
        ))
        .unwrap();
}
