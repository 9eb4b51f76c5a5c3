//! What an operator's token may ask for.

pub(super) mod device;
pub(super) mod import;
