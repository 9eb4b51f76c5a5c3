//! Linux: PAM and shadow, rfkill, D-Bus services, udev and polkit rules, dconf.
//!
//! Beneath a confined root only files are read and written; whatever belongs to the machine itself (its services, its
//! radios, its mounts, its sessions) reads as unsupported there.

mod apps;
mod apps_entries;
mod apps_inventory;
mod apps_keeper;
mod apps_mounts;
mod apps_switches;
mod clock;
mod fanotify;
pub mod guard;
mod guard_decide;
mod guard_facts;
mod guard_handover;
mod guard_shared;
pub mod guard_wire;
mod guard_worker;
pub(crate) mod keystore;
mod previous;
mod tablet;

pub use apps::AppsEnforcer;
pub use clock::SystemClock;
