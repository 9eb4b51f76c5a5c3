//! Holds every control to the bundle, and keeps the board of what was last measured.

pub mod board;
mod commands;
pub mod handback;
mod hold;
mod limit;
mod lock;
mod loss;
pub mod messages;
pub mod new_code;
pub mod pass;
pub mod pulse;
pub mod situation;
pub mod space;
pub mod task;

pub use hold::hold;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod loss_tests;
