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
mod block;
mod bluez;
mod bus;
mod camera;
mod clock;
mod dconf;
mod disk;
mod drift;
mod faillock;
mod fanotify;
pub mod guard;
mod guard_decide;
mod guard_facts;
mod guard_handover;
mod guard_shared;
pub mod guard_wire;
mod guard_worker;
mod hours;
pub(crate) mod keystore;
pub(crate) mod memory;
mod network;
pub(crate) mod notify;
mod pam;
mod passcode;
mod passcode_ages;
mod passcode_code;
mod passcode_rules;
mod peers;
mod pin_dictionary;
mod previous;
mod processes;
mod radios;
mod rfkill;
mod shadow;
mod sharing;
mod storage;
mod tablet;

pub use apps::AppsEnforcer;
pub use camera::CameraEnforcer;
pub use clock::SystemClock;
pub use disk::disk_free_bytes;
pub use drift::drift_signals;
pub use hours::HoursEnforcer;
pub use passcode::PasscodeEnforcer;
pub use passcode_code::PasscodeSetter;
pub use peers::loopback_peer_uid;
pub use radios::RadiosEnforcer;
pub use storage::StorageEnforcer;

use crate::paths::Paths;

/// One enforcer for every control.
pub struct Enforcers {
    pub passcode: PasscodeEnforcer,
    pub apps: AppsEnforcer,
    pub radios: RadiosEnforcer,
    pub storage: StorageEnforcer,
    pub camera: CameraEnforcer,
    pub hours: HoursEnforcer,
}

/// The enforcers of the tablet at `paths`. Touches nothing yet.
pub fn enforcers(paths: &Paths) -> Enforcers {
    Enforcers {
        passcode: PasscodeEnforcer::new(paths),
        apps: AppsEnforcer::new(paths),
        radios: RadiosEnforcer::new(paths),
        storage: StorageEnforcer::new(paths),
        camera: CameraEnforcer::new(paths),
        hours: HoursEnforcer::new(paths),
    }
}
