//! Holds per-device profiles and consents for a nursery setting and produces what its safeguarding lead signs.

pub mod cli;
pub mod domain;
pub mod door;
pub mod http;
pub mod jobs;
pub mod mail;
pub mod paper;
pub mod settings;
pub mod signing;
pub mod storage;
pub mod tls;
mod wiring;
