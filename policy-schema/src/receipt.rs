//! Deletion receipts: what went, why, and what a second look found. Random ids only.

use crate::bytes::Digest;
use crate::consent::Cause;
use crate::generation::Generation;
use crate::id::{ChildId, ConsentId, PhotoId, ReceiptId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of one file that belonged to a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtefactResult {
    /// Unlinked and its storage offered back to the device; not "erased".
    DiscardRequested,
    /// Had gone already.
    NotFound,
    /// Out of our reach: reported as *not deleted by us*.
    NotDeletedByUs,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtefactKind {
    Original,
    Copy,
    HardLink,
    Thumbnail,
    Sidecar,
    Trash,
    EditorBackup,
    Sealed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    pub kind: ArtefactKind,
    pub result: ArtefactResult,
}

/// The second look, after everything had gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescan {
    pub at: Timestamp,
    /// Files whose content was compared.
    pub files_read: u64,
    /// Files with the same content that were still there. A receipt with any is not a proof of deletion.
    pub found: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub id: ReceiptId,
    pub photo: PhotoId,
    /// HMAC-SHA-256 of the content under the setting's photo hash key.
    pub keyed_hash: Digest,
    pub cause: Cause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<ChildId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentId>,
    pub withheld_at: Option<Timestamp>,
    pub sealed_at: Option<Timestamp>,
    pub destroyed_at: Timestamp,
    pub artefacts: Vec<Artefact>,
    pub rescan: Rescan,
    pub policy_generation: Generation,
    pub agent_version: String,
}
