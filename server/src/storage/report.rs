//! What tablets enforce by their own word, and where they and this server remember different things.

use super::{Answer, AuditEntry};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::put_back::PutBack;
use serde::Serialize;

/// The bundle a tablet had in force when it last asked for a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleReport {
    pub generation: Generation,
    /// `None` from an agent that does not say.
    pub digest: Option<Digest>,
    pub reported_at: Timestamp,
}

/// What a report shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// Issued by this server, or nothing yet.
    Known,
    /// Never issued by this server, and nobody settled that.
    NeverIssued(PutBack),
}

/// A bundle that a tablet enforced and this server never issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PutBackRow {
    pub device: DeviceId,
    #[serde(flatten)]
    pub bundle: PutBack,
    pub noticed_at: Timestamp,
    /// When a person said that what had been forgotten is entered again; `None`: not yet.
    pub settled_at: Option<Timestamp>,
}

/// That the events of a tablet do not continue what this server has of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordConflict {
    pub since: Timestamp,
    pub last_at: Timestamp,
    pub times: u64,
    pub problem: String,
    /// When its events were taken again; `None`: they are refused still.
    pub over_at: Option<Timestamp>,
}

pub trait ReportStore: Send + Sync {
    /// Keeps what a tablet says it enforces, and notices a bundle that was never issued here.
    fn bundle_report<'a>(
        &'a self,
        device: DeviceId,
        report: &'a BundleReport,
    ) -> Answer<'a, Reported>;

    /// `None`: it never asked for a bundle.
    fn bundle_reported(&self, device: DeviceId) -> Answer<'_, Option<BundleReport>>;

    /// The settled ones too; at most one of each tablet.
    fn put_back_list(&self) -> Answer<'_, Vec<PutBackRow>>;

    /// Settles every one that is open; how many.
    fn put_back_settle<'a>(&'a self, audit: &'a AuditEntry) -> Answer<'a, u64>;

    /// Notes that events were refused. A conflict that was over begins again.
    fn conflict_note<'a>(
        &'a self,
        device: DeviceId,
        problem: &'a str,
        at: Timestamp,
    ) -> Answer<'a, ()>;

    /// Notes that events are taken again; nothing where none were refused.
    fn conflict_over(&self, device: DeviceId, at: Timestamp) -> Answer<'_, ()>;

    /// `None`: its events were never refused.
    fn conflict_find(&self, device: DeviceId) -> Answer<'_, Option<RecordConflict>>;
}
