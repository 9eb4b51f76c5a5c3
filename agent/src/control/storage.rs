//! Removable media, transfer by cable, and whether the tablet's own disk is encrypted.

use super::{Control, Reading, Situation, Unread};
use nestwarden_policy_schema::control::{ControlName, wording};
use std::fmt;

/// Storage as a control.
#[derive(Debug)]
pub struct Storage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageWish {
    pub media_blocked: bool,
    pub transfer_blocked: bool,
    pub encrypted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageObserved {
    /// Whether the rules that keep removable media away are in place.
    pub rules: Reading<bool>,
    /// Where removable media are mounted.
    pub mounted: Reading<Vec<String>>,
    pub transfer: Reading<TransferSeen>,
    /// Where the tablet's own file systems and swap are not encrypted.
    pub unencrypted: Reading<Vec<String>>,
}

/// Whether a computer at the other end of a cable could read the tablet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferSeen {
    /// The tablet cannot play a device.
    Absent,
    Off,
    On,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageChange {
    BlockMedia,
    Unmount { path: String },
    EndTransfer,
    Encrypt { path: String },
    AllowMedia,
    Unread { rule: &'static str, unread: Unread },
}

impl fmt::Display for StorageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockMedia => f.write_str("block USB sticks and memory cards"),
            Self::Unmount { path } => write!(f, "remove the medium at `{path}`"),
            Self::EndTransfer => f.write_str("end transfer by cable"),
            Self::Encrypt { path } => write!(f, "{} `{path}`", wording::ENCRYPT),
            Self::AllowMedia => f.write_str("allow USB sticks and memory cards"),
            Self::Unread { rule, unread } => {
                write!(f, "{} {rule}: {}", wording::UNREAD, unread.reason())
            }
        }
    }
}

impl Control for Storage {
    const NAME: ControlName = ControlName::Storage;
    type Desired = StorageWish;
    type Observed = StorageObserved;
    type Change = StorageChange;

    fn desired(situation: &Situation) -> Option<StorageWish> {
        let policy = situation.policy.storage.as_ref()?;
        Some(StorageWish {
            media_blocked: !policy
                .removable_media
                .is_allowed(situation.in_contact_hours),
            transfer_blocked: !policy.usb_transfer.is_allowed(situation.in_contact_hours),
            encrypted: policy.require_encryption,
        })
    }

    fn diff(desired: &StorageWish, observed: &StorageObserved) -> Vec<StorageChange> {
        let mut changes = Vec::new();
        let unread = |rule, why: &Unread| StorageChange::Unread {
            rule,
            unread: why.clone(),
        };
        if desired.media_blocked {
            match &observed.rules {
                Reading::Seen(true) => {}
                Reading::Seen(false) => changes.push(StorageChange::BlockMedia),
                Reading::Unread(why) => {
                    changes.push(unread("whether removable media are blocked", why));
                }
            }
            match &observed.mounted {
                Reading::Seen(paths) => changes.extend(
                    paths
                        .iter()
                        .cloned()
                        .map(|path| StorageChange::Unmount { path }),
                ),
                Reading::Unread(why) => {
                    changes.push(unread("whether removable media are in use", why));
                }
            }
        }
        if desired.transfer_blocked {
            match &observed.transfer {
                Reading::Seen(TransferSeen::Absent | TransferSeen::Off) => {}
                Reading::Seen(TransferSeen::On) => changes.push(StorageChange::EndTransfer),
                Reading::Unread(why) => changes.push(unread("transfer by cable", why)),
            }
        }
        if desired.encrypted {
            match &observed.unencrypted {
                Reading::Seen(paths) => changes.extend(
                    paths
                        .iter()
                        .cloned()
                        .map(|path| StorageChange::Encrypt { path }),
                ),
                Reading::Unread(why) => {
                    changes.push(unread(wording::WHETHER_ENCRYPTED, why));
                }
            }
        }
        if !desired.media_blocked && observed.rules == Reading::Seen(true) {
            changes.push(StorageChange::AllowMedia);
        }
        changes
    }

    fn unread(change: &StorageChange) -> Option<&Unread> {
        match change {
            StorageChange::Unread { unread, .. } => Some(unread),
            StorageChange::BlockMedia
            | StorageChange::Unmount { .. }
            | StorageChange::EndTransfer
            | StorageChange::Encrypt { .. }
            | StorageChange::AllowMedia => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::control::testing::reading;
    use crate::testing::situation;
    use nestwarden_policy_schema::policy::{Allowed, StoragePolicy};
    use proptest::prelude::*;

    #[test]
    fn media_allowed_out_of_contact_hours_are_blocked_within_them() {
        let mut now = situation();
        now.policy.storage = Some(StoragePolicy {
            removable_media: Allowed::OutsideContactHours,
            usb_transfer: Allowed::Never,
            ..StoragePolicy::default()
        });
        now.in_contact_hours = true;
        assert!(Storage::desired(&now).unwrap().media_blocked);
        now.in_contact_hours = false;
        let wish = Storage::desired(&now).unwrap();
        assert!(!wish.media_blocked && wish.transfer_blocked && !wish.encrypted);
    }

    fn apply(observed: &mut StorageObserved, change: &StorageChange) {
        let without = |reading: &mut Reading<Vec<String>>, gone: &str| {
            if let Reading::Seen(paths) = reading {
                paths.retain(|p| p != gone);
            }
        };
        match change {
            StorageChange::BlockMedia => observed.rules = Reading::Seen(true),
            StorageChange::AllowMedia => observed.rules = Reading::Seen(false),
            StorageChange::EndTransfer => observed.transfer = Reading::Seen(TransferSeen::Off),
            StorageChange::Unmount { path } => without(&mut observed.mounted, path),
            StorageChange::Encrypt { path } => without(&mut observed.unencrypted, path),
            StorageChange::Unread { rule, .. } => match *rule {
                "transfer by cable" => observed.transfer = Reading::Seen(TransferSeen::Absent),
                "whether the disk is encrypted" => observed.unencrypted = Reading::Seen(vec![]),
                "whether removable media are in use" => observed.mounted = Reading::Seen(vec![]),
                _ => observed.rules = Reading::Seen(true),
            },
        }
    }

    proptest! {
        #[test]
        fn nothing_is_left_after_every_change(
            (media_blocked, transfer_blocked, encrypted) in any::<(bool, bool, bool)>(),
            rules in reading(any::<bool>()),
            mounted in reading(prop::collection::vec("/media/[a-c]", 0..3)),
            transfer in reading(prop::sample::select(vec![TransferSeen::Absent, TransferSeen::Off, TransferSeen::On])),
            unencrypted in reading(prop::collection::vec("/[a-c]", 0..3)),
        ) {
            let desired = StorageWish { media_blocked, transfer_blocked, encrypted };
            let mut observed = StorageObserved { rules, mounted, transfer, unencrypted };
            let changes = Storage::diff(&desired, &observed);
            if let Some(at) = changes.iter().position(|c| *c == StorageChange::AllowMedia) {
                prop_assert_eq!(at, changes.len() - 1, "loosening comes last");
            }
            for change in &changes {
                apply(&mut observed, change);
            }
            prop_assert_eq!(Storage::diff(&desired, &observed), vec![]);
        }
    }
}
