//! The server as others meet it: over its sockets, with real TLS.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod admin_api;
mod bundle;
mod console;
mod enrol;
mod events;
mod exports;
mod imports;
mod nursery;
mod passcodes;
mod people;
mod renew;
mod report_command;
mod routes;
mod signer;
mod slow;
mod support;
