//! Holds every control to the bundle, and keeps the board of what was last measured.

pub mod board;
