//! A Bluetooth controller, which the kernel and bluetoothd take for a real one.

use super::apps::held;
use super::tablet;
use system_tests::vm::nursery::{Hours, Profile};
use system_tests::vm::tablet::Tablet;

const POWER_ON: &str =
    "busctl set-property org.bluez /org/bluez/hci0 org.bluez.Adapter1 Powered b true";
const IS_BLOCKED: &str = "cat /sys/class/rfkill/rfkill*/soft | grep -qx 1";

/// A unit of its own: one that is just being started again may be asked for once more.
const CONTROLLER: &str = "cat >/run/systemd/system/btvirt.service <<'END'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/btvirt -l1
Restart=always
END
systemctl daemon-reload && modprobe hci_vhci && systemctl start bluetooth btvirt";

fn with_controller(tablet: &Tablet) {
    tablet
        .until("a Bluetooth controller", |tablet| {
            tablet.done(CONTROLLER)?;
            let seen = tablet.ask("grep -qx bluetooth /sys/class/rfkill/rfkill*/type")?;
            Ok((seen.code == 0).then_some(()))
        })
        .unwrap_or_else(|problem| {
            let log = tablet.ask("journalctl --no-pager -n 40 -u bluetooth -u btvirt");
            panic!("{problem:?}\n{log:?}")
        });
}

fn until_blocked(tablet: &Tablet) {
    tablet
        .until("Bluetooth off", |tablet| {
            Ok((tablet.ask(IS_BLOCKED)?.code == 0).then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{}", tablet.agent_log()));
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
    tablet.measured_again("radios").unwrap();
    assert_ne!(tablet.ask(IS_BLOCKED).unwrap().code, 0);
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
