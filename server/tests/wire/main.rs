//! The server as others meet it: over its sockets, with real TLS.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod signer;
mod support;
