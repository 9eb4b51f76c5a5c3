//! What is signed of a report, so that whoever has the setting's public key can tell whether a report is as it was made.

use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::Signable;
use nestwarden_policy_schema::id::SettingId;
use serde::{Deserialize, Serialize};

/// The manifest of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportManifest {
    pub version: u32,
    pub setting: SettingId,
    /// The period, both days included.
    pub first: Date,
    pub last: Date,
    pub made_at: Timestamp,
    /// The version of the program that made it.
    pub program: String,
    /// Over the ranges of events used of every tablet, in the order of their ids.
    pub events_root: Digest,
    /// Of the exact text of the report, or of its PDF but for the signature.
    pub bytes: u64,
    pub sha256: Digest,
}

impl Signable for ReportManifest {
    const DOMAIN: &'static str = "nestwarden/report/v1";
}

/// Likewise of a report as it is printed. Under a domain of its own, so that neither passes for the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrintManifest(pub ReportManifest);

impl Signable for PrintManifest {
    const DOMAIN: &'static str = "nestwarden/report-print/v1";
}
