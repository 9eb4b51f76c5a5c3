//! The whole product against a small model of its rules that was written separately: the server's decisions, what it tells
//! a tablet, and what the tablet does with real files, over random histories of a nursery.
//!
//! Server and tablet run in this process, without a network between them; everything else is what runs in a setting.

#![expect(
    clippy::unwrap_used,
    reason = "a step that fails is a test that fails, and says where"
)]

mod house;
#[path = "../../../policy-schema/tests/rules/nursery.rs"]
#[expect(dead_code, reason = "only the parts the model rests on are asked here")]
mod nursery;
