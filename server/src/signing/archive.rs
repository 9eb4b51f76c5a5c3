//! What an archive holds, so that it can be signed and checked member by member.

use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::Signable;
use nestwarden_policy_schema::id::{ChildId, SettingId};
use serde::{Deserialize, Serialize};

/// The signed list of an archive's members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveManifest {
    pub version: u32,
    pub setting: SettingId,
    /// Whose records they are.
    pub child: ChildId,
    pub made_at: Timestamp,
    /// In the archive's own order; names are plain, without folders.
    pub members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    pub bytes: u64,
    pub sha256: Digest,
}

impl Signable for ArchiveManifest {
    const DOMAIN: &'static str = "nestwarden/archive/v1";
}
