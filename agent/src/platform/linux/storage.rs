//! Removable media through udev and polkit, transfer by cable through the USB gadget of the kernel, and encryption as
//! sysfs shows it.

use super::block::{BlockDevice, Mount, parse_mounts, parse_swaps};
use super::tablet::Tablet;
use crate::control::storage::{Storage, StorageChange, StorageObserved, TransferSeen};
use crate::control::{EnforceError, Enforcer, Reading};
use crate::paths::Paths;
use rustix::mount::{UnmountFlags, unmount};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

/// After the rules that give media, phones and cameras to whoever sits at the tablet (69, 70), and before 73-seat-late.rules.
const UDEV_PATH: &str = "/etc/udev/rules.d/72-nestwarden-storage.rules";
const UDEV_RULES: &str = "\
# Written by Nestwarden: removable media are blocked on this tablet. Changes are undone.
ACTION==\"remove\", GOTO=\"nestwarden_storage_end\"
SUBSYSTEM==\"block\", SUBSYSTEMS==\"usb\", ENV{UDISKS_IGNORE}=\"1\", OWNER=\"root\", GROUP=\"root\", MODE=\"0600\", TAG-=\"uaccess\"
SUBSYSTEM==\"block\", ATTRS{removable}==\"1\", ENV{UDISKS_IGNORE}=\"1\", OWNER=\"root\", GROUP=\"root\", MODE=\"0600\", TAG-=\"uaccess\"
SUBSYSTEM==\"block\", KERNEL==\"mmcblk*\", ATTRS{type}==\"SD\", ENV{UDISKS_IGNORE}=\"1\", OWNER=\"root\", GROUP=\"root\", MODE=\"0600\", TAG-=\"uaccess\"
SUBSYSTEM==\"usb\", ENV{ID_MTP_DEVICE}==\"?*\", OWNER=\"root\", GROUP=\"root\", MODE=\"0600\", TAG-=\"uaccess\"
SUBSYSTEM==\"usb\", ENV{ID_GPHOTO2}==\"?*\", OWNER=\"root\", GROUP=\"root\", MODE=\"0600\", TAG-=\"uaccess\"
SUBSYSTEM==\"usb\", ENV{ID_MEDIA_PLAYER}==\"?*\", OWNER=\"root\", GROUP=\"root\", MODE=\"0600\", TAG-=\"uaccess\"
LABEL=\"nestwarden_storage_end\"
";
const POLKIT_PATH: &str = "/etc/polkit-1/rules.d/50-nestwarden-storage.rules";
const POLKIT_RULES: &str = "\
// Written by Nestwarden: removable media are blocked on this tablet. Changes are undone.
polkit.addRule(function(action, subject) {
    var refused = [\"filesystem-mount\", \"filesystem-fstab\", \"encrypted-unlock\", \"loop-setup\", \"open-device\"];
    for (var i in refused) {
        if (action.id.indexOf(\"org.freedesktop.udisks2.\" + refused[i]) === 0) {
            return polkit.Result.NO;
        }
    }
    return polkit.Result.NOT_HANDLED;
});
";
const GADGETS_DIR: &str = "/sys/kernel/config/usb_gadget";
const CONTROLLERS_DIR: &str = "/sys/class/udc";

/// udev, polkit, mounts and gadgets.
#[derive(Debug)]
pub struct StorageEnforcer {
    tablet: Tablet,
}

impl StorageEnforcer {
    pub fn new(paths: &Paths) -> Self {
        Self {
            tablet: Tablet::new(paths),
        }
    }

    fn are_rules_in_place(&self) -> Result<bool, EnforceError> {
        if self.tablet.is_whole_machine() && !self.tablet.has_udev() {
            return Err(EnforceError::Unsupported(
                "udev is not running, so that nothing keeps removable media away".to_owned(),
            ));
        }
        Ok(self.tablet.read(UDEV_PATH)?.as_deref() == Some(UDEV_RULES)
            && self.tablet.read(POLKIT_PATH)?.as_deref() == Some(POLKIT_RULES))
    }

    fn mounts(&self) -> Result<Vec<Mount>, EnforceError> {
        match self.tablet.read("/proc/self/mountinfo")? {
            Some(text) => Ok(parse_mounts(&text)),
            None if self.tablet.is_whole_machine() => Err(EnforceError::Unreadable(
                "/proc is not mounted; mount it, or no file system can be seen".to_owned(),
            )),
            None => Err(Tablet::confined("the list of mounts")),
        }
    }

    /// Where removable media are mounted. The disks the tablet itself runs from do not count, even on a USB port.
    fn removable_mounts(&self) -> Result<Vec<String>, EnforceError> {
        let mounts = self.mounts()?;
        let own = self.own_disks(&mounts);
        Ok(mounts
            .iter()
            .filter(|mount| {
                BlockDevice::behind(&self.tablet, mount).is_some_and(|device| {
                    device.is_removable() && device.disks().iter().all(|disk| !own.contains(disk))
                })
            })
            .map(|mount| mount.path.clone())
            .collect())
    }

    fn own_disks(&self, mounts: &[Mount]) -> BTreeSet<PathBuf> {
        mounts
            .iter()
            .filter(|mount| matches!(mount.path.as_str(), "/" | "/usr" | "/var" | "/home"))
            .filter_map(|mount| BlockDevice::behind(&self.tablet, mount))
            .flat_map(|device| device.disks())
            .collect()
    }

    /// Where the tablet's own file systems and swap are not encrypted. What starts the tablet cannot be.
    fn unencrypted(&self) -> Result<Vec<String>, EnforceError> {
        let mounts = self.mounts()?;
        let own = self.own_disks(&mounts);
        let mut found = BTreeSet::new();
        let mut is_root_known = false;
        for mount in &mounts {
            let Some(device) = BlockDevice::behind(&self.tablet, mount) else {
                continue;
            };
            is_root_known |= mount.path == "/";
            let is_for_starting = mount.path == "/boot" || mount.path.starts_with("/boot/");
            let is_image = matches!(mount.kind.as_str(), "squashfs" | "iso9660" | "erofs");
            let is_medium =
                device.is_removable() && device.disks().iter().all(|disk| !own.contains(disk));
            if !is_for_starting && !is_image && !is_medium && !device.is_encrypted() {
                found.insert(mount.path.clone());
            }
        }
        for source in parse_swaps(&self.tablet.read("/proc/swaps")?.unwrap_or_default()) {
            if BlockDevice::at(&self.tablet, &source).is_none_or(|device| !device.is_encrypted()) {
                found.insert(source);
            }
        }
        if is_root_known {
            Ok(found.into_iter().collect())
        } else {
            Err(EnforceError::Unreadable(
                "the disk behind `/` cannot be told, so nothing is known of its encryption"
                    .to_owned(),
            ))
        }
    }

    /// Gadgets that a computer at the other end of the cable can see.
    fn bound_gadgets(&self) -> Result<Vec<String>, EnforceError> {
        let mut bound = Vec::new();
        for gadget in self.tablet.list(GADGETS_DIR)? {
            let path = format!("{GADGETS_DIR}/{gadget}/UDC");
            if self
                .tablet
                .read(&path)?
                .is_some_and(|controller| !controller.trim().is_empty())
            {
                bound.push(path);
            }
        }
        Ok(bound)
    }

    fn transfer(&self) -> Result<TransferSeen, EnforceError> {
        self.tablet.needs_sysfs("transfer by cable")?;
        let controllers = self.tablet.list(CONTROLLERS_DIR)?;
        if controllers.is_empty() {
            return Ok(TransferSeen::Absent);
        }
        if !self.bound_gadgets()?.is_empty() {
            return Ok(TransferSeen::On);
        }
        // A gadget that is built into the kernel shows only in the controller's state.
        for controller in controllers {
            let state = self
                .tablet
                .read(&format!("{CONTROLLERS_DIR}/{controller}/state"))?;
            if state.is_some_and(|state| state.trim() == "configured") {
                return Ok(TransferSeen::On);
            }
        }
        Ok(TransferSeen::Off)
    }

    fn block_media(&self) -> Result<(), EnforceError> {
        self.tablet.write(UDEV_PATH, UDEV_RULES, 0o644)?;
        self.tablet.write(POLKIT_PATH, POLKIT_RULES, 0o644)?;
        self.tell_udev()
    }

    fn allow_media(&self) -> Result<(), EnforceError> {
        self.tablet.remove(UDEV_PATH)?;
        self.tablet.remove(POLKIT_PATH)?;
        self.tell_udev()
    }

    /// polkit watches its directory itself.
    fn tell_udev(&self) -> Result<(), EnforceError> {
        if !self.tablet.has_udev() {
            return Ok(());
        }
        self.tablet.run("udevadm", &["control", "--reload"], &[])?;
        for subsystem in ["block", "usb"] {
            let subsystem = format!("--subsystem-match={subsystem}");
            let again = ["trigger", "--action=change", &subsystem];
            self.tablet.run("udevadm", &again, &[])?;
        }
        Ok(())
    }

    fn unmount(&self, path: &str) -> Result<(), EnforceError> {
        self.tablet.needs_machine("unmounting")?;
        unmount(path, UnmountFlags::NOFOLLOW)
            .map_err(|e| EnforceError::failed(format!("unmount `{path}`"), e.into()))
    }

    fn end_transfer(&self) -> Result<(), EnforceError> {
        self.tablet.needs_machine("ending transfer by cable")?;
        let bound = self.bound_gadgets()?;
        if bound.is_empty() {
            return Err(EnforceError::Unsupported(
                "the USB gadget is built into this kernel and cannot be switched off; use a kernel that configures it through configfs".to_owned(),
            ));
        }
        bound
            .iter()
            .try_for_each(|path| self.tablet.poke(path, "\n"))
    }
}

impl Enforcer<Storage> for StorageEnforcer {
    fn observe(&mut self) -> Result<StorageObserved, EnforceError> {
        Ok(StorageObserved {
            rules: Reading::from(self.are_rules_in_place()),
            mounted: Reading::from(self.removable_mounts()),
            transfer: Reading::from(self.transfer()),
            unencrypted: Reading::from(self.unencrypted()),
        })
    }

    fn apply(&mut self, change: &StorageChange) -> Result<(), EnforceError> {
        match change {
            StorageChange::BlockMedia => self.block_media(),
            StorageChange::Unmount { path } => self.unmount(path),
            StorageChange::EndTransfer => self.end_transfer(),
            StorageChange::Encrypt { path } => Err(EnforceError::failed(
                format!("encrypt the disk behind `{path}`"),
                io::Error::other("only setting the tablet up again with encryption can"),
            )),
            StorageChange::AllowMedia => self.allow_media(),
            StorageChange::Unread { unread, .. } => Err(unread.into()),
        }
    }

    fn release(&mut self) -> Result<(), EnforceError> {
        if self.tablet.exists(UDEV_PATH) || self.tablet.exists(POLKIT_PATH) {
            self.allow_media()?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
