//! The language a tablet and its setting's server both speak, and the rules both must agree on.
//!
//! Everything here is a function of its arguments: no files, sockets, clocks, randomness, threads or operating
//! system. Time, salts and keys are passed in. That is what lets the tablet and the server reach the same verdict
//! about the same photo, and what lets property tests cover the rules.

pub mod access;
pub mod bundle;
pub mod bytes;
pub mod calendar;
pub mod code;
pub mod command;
pub mod consent;
pub mod control;
pub mod device_api;
pub mod enrol_link;
pub mod envelope;
pub mod event;
pub mod export;
pub mod generation;
pub mod hold;
pub mod id;
pub mod inventory;
pub mod pin;
pub mod policy;
pub mod profile;
pub mod put_back;
pub mod receipt;
pub mod roster;
pub mod support;
pub mod text;
pub mod trust;

pub use generation::Generation;
