//! Keys and signatures: making and loading the setting's keys, the device CA, and the signer process with its client.
//!
//! `serve` holds the CA and the TLS keys; the key that tablets believe is held by the signer alone, which keeps its own
//! record of what it signed. Whoever takes over `serve` can ask for signatures, within what the signer permits.

pub mod archive;
pub mod ca;
pub mod client;
pub mod high_water;
pub mod keys;
pub mod private_file;
pub mod protocol;
pub mod rate;
pub mod release;
pub mod report;
pub mod signer;

pub use ca::DeviceCa;
pub use client::{SignerClient, SignerClientError};
pub use keys::{Created, KeysError, RecoverySheet, ServerKeys};
pub use protocol::Refusal;
pub use release::ReleaseKey;
pub use signer::{Signer, SignerLimits, SignerSettings};
