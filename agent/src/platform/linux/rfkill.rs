//! Radio switches of the kernel: /sys/class/rfkill to read, /dev/rfkill to change.

use super::tablet::Tablet;
use crate::control::EnforceError;
use std::fs::File;
use std::io::Write;

const CLASS_DIR: &str = "/sys/class/rfkill";
pub(super) const DEVICE_PATH: &str = "/dev/rfkill";

/// `RFKILL_OP_CHANGE_ALL`: every switch of the kind, and those that come later.
const CHANGE_ALL: u8 = 3;

/// Kinds of radio the policy knows, numbered as in linux/rfkill.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RadioKind {
    Bluetooth = 2,
    Nfc = 8,
}

impl RadioKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Bluetooth => "bluetooth",
            Self::Nfc => "nfc",
        }
    }
}

/// One switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    name: String,
    pub(super) is_blocked: bool,
}

/// The switches of one kind of radio.
pub(super) fn switches(tablet: &Tablet, kind: RadioKind) -> Result<Vec<Switch>, EnforceError> {
    let mut found = Vec::new();
    for name in tablet.list(CLASS_DIR)? {
        let read = |file: &str| tablet.read(&format!("{CLASS_DIR}/{name}/{file}"));
        if read("type")?.is_some_and(|read| read.trim() == kind.name()) {
            let is_set = |text: Option<String>| text.is_some_and(|text| text.trim() == "1");
            let is_blocked = is_set(read("soft")?) || is_set(read("hard")?);
            found.push(Switch { name, is_blocked });
        }
    }
    Ok(found)
}

/// Blocks or frees every radio of a kind.
pub(super) fn set_blocked(
    tablet: &Tablet,
    kind: RadioKind,
    blocked: bool,
) -> Result<(), EnforceError> {
    if tablet.exists(DEVICE_PATH) {
        let path = tablet.path(DEVICE_PATH);
        let event = event(kind, blocked);
        return File::options()
            .write(true)
            .open(&path)
            .and_then(|mut device| device.write_all(&event))
            .map_err(|e| EnforceError::failed(format!("write to `{}`", path.display()), e));
    }
    for switch in switches(tablet, kind)? {
        let soft = format!("{CLASS_DIR}/{}/soft", switch.name);
        tablet.poke(&soft, if blocked { "1" } else { "0" })?;
    }
    Ok(())
}

/// `struct rfkill_event`: index, kind, operation, soft block, hard block.
fn event(kind: RadioKind, blocked: bool) -> [u8; 8] {
    [0, 0, 0, 0, kind as u8, CHANGE_ALL, u8::from(blocked), 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_laid_out_as_the_kernel_reads_it() {
        assert_eq!(event(RadioKind::Bluetooth, true), [0, 0, 0, 0, 2, 3, 1, 0]);
        assert_eq!(event(RadioKind::Nfc, false), [0, 0, 0, 0, 8, 3, 0, 0]);
    }
}
