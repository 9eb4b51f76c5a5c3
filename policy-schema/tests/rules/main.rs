//! The rules that a tablet and its server must agree on, by example and by property.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its example may panic"
)]

mod access;
mod calendar;
mod chain;
mod codes;
mod commands;
mod consent;
mod death;
mod exported;
mod golden;
mod lapses;
mod late;
mod lifecycle;
mod merge;
mod model;
mod nursery;
mod papers;
mod policies;
mod presence;
mod put_back;
mod ranges;
mod reasons;
mod rosters;
mod signed;
mod texts;
mod verdict;
mod waiting;
