//! A USB stick that somebody puts in.

use super::tablet;
use serde_json::json;
use std::fs::File;
use std::process::Command;
use system_tests::process::done;

#[test]
fn a_usb_stick_does_not_mount_for_staff_and_does_not_stay_mounted() {
    let tablet = tablet();
    tablet.until_compliant("storage").unwrap();
    let stick = tablet.machine().dir().join("stick");
    File::create(&stick)
        .unwrap()
        .set_len(16 * 1024 * 1024)
        .unwrap();
    let mut format = Command::new("mkfs.ext4");
    format.arg("-q").arg("-F").arg(&stick);
    done(format).unwrap();
    let drive = json!({ "driver": "raw", "node-name": "stick", "file": { "driver": "file", "filename": stick } });
    tablet.machine().manage("blockdev-add", &drive).unwrap();
    let plugged =
        json!({ "driver": "usb-storage", "id": "stick", "drive": "stick", "bus": "usb.0" });
    tablet.machine().manage("device_add", &plugged).unwrap();
    tablet
        .until("the stick's device", |tablet| {
            let mode = tablet.done("udevadm settle; stat -c '%a %U' /dev/sda")?;
            Ok((mode == "600 root\n").then_some(()))
        })
        .unwrap();
    let said = tablet
        .staff("udisksctl mount --no-user-interaction -b /dev/sda")
        .unwrap();
    assert_ne!(said.code, 0, "{said:?}");
    // Root can mount it; it does not stay.
    tablet.done("modprobe ext4; mount /dev/sda /mnt").unwrap();
    tablet
        .until("the stick to be unmounted", |tablet| {
            Ok((tablet.ask("mountpoint -q /mnt")?.code != 0).then_some(()))
        })
        .unwrap();
    tablet
        .machine()
        .manage("device_del", &json!({ "id": "stick" }))
        .unwrap();
}
