//! App control as pure rules: what may run and for whom, which verdicts the kernel may keep, and what happens when
//! deciding itself fails. Reading files and answering the kernel is done elsewhere.

pub mod cache;
pub mod failure;
pub mod inventory;
pub mod rules;
pub mod ticket;
pub mod verdict;
