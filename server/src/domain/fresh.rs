//! New ids.

use jiff::Timestamp;
use uuid::{NoContext, Uuid};

/// For rows: sorts by the server's time.
pub fn ordered(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
}

/// For children and devices: says nothing about when.
pub fn random() -> Uuid {
    Uuid::new_v4()
}
