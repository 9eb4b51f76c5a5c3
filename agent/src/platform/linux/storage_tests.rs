#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::control::storage::StorageWish;
use crate::control::{Control, Unread};
use std::fs;
use std::os::unix::fs::symlink;

/// A tablet whose `/` is on an encrypted volume and whose `/home` is not, with a stick in its port.
struct Fake {
    root: tempfile::TempDir,
    enforcer: StorageEnforcer,
}

impl Fake {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let enforcer = StorageEnforcer::new(&Paths::new(root.path()));
        let fake = Self { root, enforcer };
        fake.disk("8:0", "pci0/ata1/block/sda", None, "0");
        fake.disk("8:1", "pci0/ata1/block/sda/sda1", Some("1"), "0");
        fake.disk("8:17", "pci0/usb1/1-1/block/sdb/sdb1", Some("1"), "0");
        fake.disk("179:1", "soc/mmc1/block/mmcblk1/mmcblk1p1", Some("1"), "0");
        fake.file("sys/devices/soc/mmc1/block/mmcblk1/device/type", "SD\n");
        fake.disk("254:0", "virtual/block/dm-0", None, "0");
        fake.file(
            "sys/devices/virtual/block/dm-0/dm/uuid",
            "CRYPT-LUKS2-0-root",
        );
        fake.disk("254:1", "virtual/block/dm-1", None, "0");
        fake.file("sys/devices/virtual/block/dm-1/dm/uuid", "LVM-abc");
        fake.slave("dm-1", "dm-0", "virtual/block/dm-0");
        fake.slave("dm-0", "sda1", "pci0/ata1/block/sda/sda1");
        fs::create_dir_all(fake.root.path().join("sys/class")).unwrap();
        fake
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn disk(&self, number: &str, place: &str, partition: Option<&str>, removable: &str) {
        let dir = self.root.path().join("sys/devices").join(place);
        fs::create_dir_all(&dir).unwrap();
        match partition {
            Some(partition) => fs::write(dir.join("partition"), partition).unwrap(),
            None => fs::write(dir.join("removable"), removable).unwrap(),
        }
        let links = self.root.path().join("sys/dev/block");
        fs::create_dir_all(&links).unwrap();
        symlink(dir, links.join(number)).unwrap();
    }

    fn slave(&self, of: &str, name: &str, place: &str) {
        let slaves = self
            .root
            .path()
            .join(format!("sys/devices/virtual/block/{of}/slaves"));
        fs::create_dir_all(&slaves).unwrap();
        let below = self.root.path().join("sys/devices").join(place);
        symlink(below, slaves.join(name)).unwrap();
    }

    fn mounts(&self, lines: &[&str]) {
        self.file("proc/self/mountinfo", &(lines.join("\n") + "\n"));
    }
}

const ROOT: &str = "1 0 254:1 / / rw - ext4 /dev/mapper/vg-root rw";
const HOME: &str = "2 1 8:1 / /home rw - ext4 /dev/sda1 rw";
const BOOT: &str = "3 1 8:1 / /boot/efi rw - vfat /dev/sda1 rw";
const STICK: &str = "4 1 8:17 / /media/STICK rw - vfat /dev/sdb1 rw";
const CARD: &str = "5 1 179:1 / /media/CARD rw - vfat /dev/mmcblk1p1 rw";

#[test]
fn a_stick_and_a_card_are_removable_and_the_own_disk_is_not() {
    let mut fake = Fake::new();
    fake.mounts(&[ROOT, HOME, BOOT, STICK, CARD]);
    let seen = fake.enforcer.observe().unwrap();
    assert_eq!(
        seen.mounted,
        Reading::Seen(vec!["/media/STICK".to_owned(), "/media/CARD".to_owned()])
    );
}

#[test]
fn a_tablet_that_runs_from_a_card_does_not_lose_its_own_disk() {
    let mut fake = Fake::new();
    fake.mounts(&["1 0 179:1 / / rw - ext4 /dev/mmcblk1p1 rw"]);
    let seen = fake.enforcer.observe().unwrap();
    assert_eq!(seen.mounted, Reading::Seen(vec![]));
    assert_eq!(seen.unencrypted, Reading::Seen(vec!["/".to_owned()]));
}

#[test]
fn an_unencrypted_home_beside_an_encrypted_root_is_red() {
    let mut fake = Fake::new();
    fake.mounts(&[ROOT, HOME, BOOT, STICK]);
    let seen = fake.enforcer.observe().unwrap();
    assert_eq!(seen.unencrypted, Reading::Seen(vec!["/home".to_owned()]));
    fake.mounts(&[ROOT, BOOT]);
    let seen = fake.enforcer.observe().unwrap();
    assert_eq!(seen.unencrypted, Reading::Seen(vec![]));
}

#[test]
fn swap_on_a_bare_disk_is_red() {
    let mut fake = Fake::new();
    fake.mounts(&[ROOT]);
    fake.file("proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n");
    let seen = fake.enforcer.observe().unwrap();
    assert_eq!(
        seen.unencrypted,
        Reading::Seen(vec!["/dev/sda2".to_owned()])
    );
}

#[test]
fn a_root_whose_disk_cannot_be_told_is_unknown() {
    let mut fake = Fake::new();
    fake.mounts(&["1 0 0:30 / / rw - overlay overlay rw"]);
    let seen = fake.enforcer.observe().unwrap();
    assert!(matches!(
        seen.unencrypted,
        Reading::Unread(Unread::Unknown(_))
    ));
}

#[test]
fn a_gadget_that_is_bound_is_transfer_by_cable() {
    let mut fake = Fake::new();
    assert_eq!(
        fake.enforcer.observe().unwrap().transfer,
        Reading::Seen(TransferSeen::Absent)
    );
    fake.file("sys/class/udc/fe980000.usb/state", "not attached\n");
    fake.file("sys/kernel/config/usb_gadget/g1/UDC", "\n");
    assert_eq!(
        fake.enforcer.observe().unwrap().transfer,
        Reading::Seen(TransferSeen::Off)
    );
    fake.file("sys/kernel/config/usb_gadget/g1/UDC", "fe980000.usb\n");
    assert_eq!(
        fake.enforcer.observe().unwrap().transfer,
        Reading::Seen(TransferSeen::On)
    );
}

#[test]
fn media_are_blocked_by_rules_that_are_read_back_and_go_at_release() {
    let mut fake = Fake::new();
    fake.mounts(&[ROOT]);
    let wish = StorageWish {
        media_blocked: true,
        transfer_blocked: true,
        encrypted: true,
    };
    let observed = fake.enforcer.observe().unwrap();
    let changes = Storage::diff(&wish, &observed);
    assert_eq!(changes, [StorageChange::BlockMedia]);
    fake.enforcer.apply(&changes[0]).unwrap();
    assert_eq!(Storage::diff(&wish, &fake.enforcer.observe().unwrap()), []);
    fake.file(&UDEV_PATH[1..], "# nothing\n");
    assert_eq!(
        Storage::diff(&wish, &fake.enforcer.observe().unwrap()),
        [StorageChange::BlockMedia]
    );
    fake.enforcer.release().unwrap();
    assert!(!fake.root.path().join(&UDEV_PATH[1..]).exists());
    assert!(!fake.root.path().join(&POLKIT_PATH[1..]).exists());
}

#[test]
fn beneath_a_bare_root_only_the_rules_are_known() {
    let root = tempfile::tempdir().unwrap();
    let mut enforcer = StorageEnforcer::new(&Paths::new(root.path()));
    let seen = enforcer.observe().unwrap();
    assert_eq!(seen.rules, Reading::Seen(false));
    let confined =
        |reason: &str| Unread::Unsupported(format!("{reason} is not available in a confined root"));
    assert_eq!(
        seen.mounted,
        Reading::Unread(confined("the list of mounts"))
    );
    assert_eq!(
        seen.transfer,
        Reading::Unread(confined("transfer by cable"))
    );
}

#[test]
fn nothing_is_unmounted_from_a_confined_root() {
    let fake = &mut Fake::new().enforcer;
    let path = "/media/STICK".to_owned();
    assert!(matches!(
        fake.apply(&StorageChange::Unmount { path }),
        Err(EnforceError::Unsupported(_))
    ));
}
