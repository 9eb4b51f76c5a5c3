//! Holds one tablet to its policy bundle and tells the setting's server what it saw.

pub mod clock;
pub mod control;
pub mod decision;
pub mod door;
pub mod ledger;
pub mod paths;
pub mod photos;
pub mod platform;
pub mod reconcile;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod testing;
