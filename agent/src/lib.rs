//! Holds one tablet to its policy bundle and tells the setting's server what it saw.

pub mod control;
pub mod decision;
pub mod door;
pub mod paths;
pub mod platform;
