//! Photos: which there are, who may be in them, and what becomes of them.
//!
//! Withheld, then sealed, then destroyed; each stage slower to come and harder to undo than the one before. What decides
//! is `policy_schema::consent::verdict` and nothing here; this module carries it out so that no instant at which the
//! power may go leaves a photo half there.

mod absorb;
mod alike;
mod answers;
mod burst;
pub mod catalogue;
mod companion;
mod decision;
mod destroy;
pub mod engine;
pub mod error;
mod facts;
mod fault;
mod finish;
mod found;
mod hand_out;
mod handle;
pub mod hash;
mod ignored;
pub mod jobs;
mod judgement;
pub mod known;
pub mod listing;
mod looking;
pub(crate) mod mark;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod mark_tests;
pub mod media;
mod mover;
mod only_loss;
pub mod outbox;
mod outlet;
mod pages;
mod record;
mod replay;
mod replay_withholding;
mod reread;
pub mod review;
pub mod roll;
mod room;
pub mod roots;
pub mod scan;
pub mod seal;
mod search;
pub mod sending;
pub mod session;
mod shut;
mod sidecar;
mod strays;
mod sweep;
pub mod task;
pub mod thumbnail;
pub mod tree;
pub mod unseal;
pub mod vault;
pub mod viewing;
mod walk;
mod watch;
mod withhold;

pub use error::PhotosError;
pub use handle::PhotosHandle;
pub use strays::strays;
pub use task::{PhotosContext, PhotosTask};
pub use unseal::{UnsealRefusal, Unsealer};

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod attack_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod belongings_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod decision_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod destroy_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod disk_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod engine_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod fault_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod found_tests;
#[cfg(test)]
mod freeze_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod judgement_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod long_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod loss_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod model_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod plan_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod replay_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod restore_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod review_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod roll_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod scan_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod seal_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod shut_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod soundness;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod strays_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod sweep_tests;
#[cfg(test)]
mod tagging_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod task_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
pub(crate) mod testing;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod testing_files;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod unseal_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod written_tests;
