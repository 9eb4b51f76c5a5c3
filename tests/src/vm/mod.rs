//! A tablet in a box: Debian 12 with its own kernel, systemd, PAM, D-Bus and BlueZ on an emulated processor, the packages
//! installed, enrolled with a server in the same box. It has no network at all.

pub mod image;
pub mod machine;
pub mod nursery;
pub mod packages;
pub mod tablet;
