//! Legal holds: opened by the DSL, outranking whatever would destroy.
//!
//! A hold keeps evidence, and a vault keeps it as well as a gallery does. So all but a freeze only pause destruction: what
//! may not be in use goes out of use and is sealed as ever, and comes back when consent does.

use crate::bytes::Digest;
use crate::id::{ChildId, DeviceId, HoldId, PhotoId, StaffId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum HoldScope {
    Photo {
        photo: PhotoId,
    },
    Child {
        child: ChildId,
    },
    Device {
        device: DeviceId,
    },
    Staff {
        staff: StaffId,
    },
    /// Everything captured from `from` (included) to `to` (excluded).
    Window {
        from: Timestamp,
        to: Timestamp,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCategory {
    Safeguarding,
    Complaint,
    SubjectAccess,
    Police,
    /// Freezes: nothing is sealed, scanned, thumbnailed or touched, and the police take the tablet.
    IllegalContent,
}

impl HoldCategory {
    pub const fn freezes(self) -> bool {
        matches!(self, Self::IllegalContent)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub id: HoldId,
    pub scope: HoldScope,
    pub category: HoldCategory,
    pub opened_at: Timestamp,
    pub review_by: Timestamp,
}

/// Every open hold of the setting. `digest` is what the server's signed answers repeat, so that a tablet knows its list
/// to be current without fetching it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldList {
    pub as_of: Timestamp,
    pub digest: Digest,
    pub holds: Vec<Hold>,
}

impl HoldList {
    pub fn new(as_of: Timestamp, mut holds: Vec<Hold>) -> Self {
        holds.sort_by_key(|hold| hold.id);
        let digest = digest(&holds);
        Self {
            as_of,
            digest,
            holds,
        }
    }
}

fn digest(holds: &[Hold]) -> Digest {
    let bodies: Vec<Vec<u8>> = holds
        .iter()
        .map(|hold| serde_json::to_vec(hold).unwrap_or_default())
        .collect();
    let parts: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    Digest::of_parts("nestwarden/holds/v1", &parts)
}
