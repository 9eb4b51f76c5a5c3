//! Linux: PAM and shadow, rfkill, D-Bus services, udev and polkit rules, dconf.
//!
//! Beneath a confined root only files are read and written; whatever belongs to the machine itself (its services, its
//! radios, its mounts, its sessions) reads as unsupported there.

mod clock;
pub(crate) mod keystore;
mod previous;
mod tablet;

pub use clock::SystemClock;
