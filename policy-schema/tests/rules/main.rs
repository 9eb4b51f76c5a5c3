//! The rules that a tablet and its server must agree on, by example and by property.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its example may panic"
)]

mod calendar;
mod consent;
mod lifecycle;
mod merge;
mod nursery;
// mod refused;
// mod signed;
mod verdict;
