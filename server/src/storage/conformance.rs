//! One behaviour suite for every backend.
