//! App control on file systems of the tests' own, with the real kernel. Needs root; elsewhere every test says so.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

mod guard;
mod programs;
mod support;
