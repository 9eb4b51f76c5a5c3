//! The budgets, measured.

pub mod sample;
