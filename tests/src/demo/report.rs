//! What the demo found.

use serde::Serialize;
use std::collections::BTreeMap;

/// Printed as one JSON object.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// The server has the tablet, and the tablet says so too.
    pub(super) enrolled: bool,
    /// Of the bundle that the tablet enforces.
    pub(super) generation: u64,
    pub(super) photos: Photos,
    /// Receipts that `verify` read, in chains it checked.
    pub(super) receipts_verified: u64,
    pub(super) apps: Apps,
    /// As the server's database has them from the tablet.
    pub(super) controls: BTreeMap<String, String>,
    pub(super) seconds: f64,
    /// What could not be shown here, and why.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Photos {
    pub(super) taken: u64,
    /// In their place, as they were taken.
    pub(super) kept: u64,
    /// Out of reach of staff, and nothing destroyed.
    pub(super) withheld: u64,
    /// Seen sealed on the way.
    pub(super) sealed: u64,
    /// Gone, with a receipt.
    pub(super) destroyed: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Apps {
    pub(super) approved_ran: Seen,
    pub(super) unapproved_refused: Seen,
}

/// What was seen; `"unknown"` where nothing could be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    Yes,
    No,
    #[default]
    Unknown,
}

impl From<bool> for Seen {
    fn from(seen: bool) -> Self {
        if seen { Self::Yes } else { Self::No }
    }
}

impl Serialize for Seen {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Unknown => serializer.serialize_str("unknown"),
        }
    }
}
