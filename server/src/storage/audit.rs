//! Who changed what. Entries are only ever added, in the transaction of the change itself.

use super::Answer;
use jiff::Timestamp;
use serde::Serialize;

/// Never holds a child's name: children appear by id, operators by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// An operator's name, or `os:NAME` where a command was run without one.
    pub who: String,
    /// `device.revoke`, `consent.import` …
    pub act: String,
    pub subject: String,
    pub detail: serde_json::Value,
}

pub trait AuditStore: Send + Sync {
    /// The newest first.
    fn audit_list(&self, limit: u32) -> Answer<'_, Vec<AuditEntry>>;

    /// Of one act, before `until`, the newest first.
    fn audit_of<'a>(
        &'a self,
        act: &'a str,
        until: Timestamp,
        limit: u32,
    ) -> Answer<'a, Vec<AuditEntry>>;

    /// For acts that change no other row.
    fn audit_add<'a>(&'a self, entry: &'a AuditEntry) -> Answer<'a, ()>;
}
