//! What imports need to be remembered by: mappings, keys of imports made, and files that wait for a person.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use serde::Serialize;

/// A saved mapping, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SavedMapping {
    pub name: String,
    /// TOML.
    pub source: String,
    pub saved_at: Timestamp,
    pub saved_by: String,
    /// Absent: nobody agreed to what it says.
    pub accepted: Option<Acceptance>,
}

/// That a person agreed to a mapping for files with one header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Acceptance {
    /// Of the mapping together with the header.
    pub digest: Digest,
    pub at: Timestamp,
    pub by: String,
}

/// One import over the admin API, under the key its sender gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportKey {
    pub key: String,
    pub body: Digest,
    pub at: Timestamp,
    /// What was answered.
    pub answer: serde_json::Value,
}

/// A file in the watched folder that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitingFile {
    pub name: String,
    pub digest: Digest,
    pub since: Timestamp,
    pub why: String,
}

pub trait ImportStore: Send + Sync {
    /// By name.
    fn mapping_list(&self) -> Answer<'_, Vec<SavedMapping>>;

    /// `None`: no mapping of that name.
    fn mapping_find<'a>(&'a self, name: &'a str) -> Answer<'a, Option<SavedMapping>>;

    /// Replaces the one of that name, and with it what was accepted.
    fn mapping_put<'a>(
        &'a self,
        mapping: &'a SavedMapping,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()>;

    /// `Already`: the mapping says something else than `source` by now.
    fn mapping_accept<'a>(
        &'a self,
        name: &'a str,
        source: &'a str,
        acceptance: &'a Acceptance,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// `None`: nothing was imported under this key, or so long ago that it was forgotten.
    fn import_key_find<'a>(&'a self, key: &'a str) -> Answer<'a, Option<ImportKey>>;

    /// By name.
    fn waiting_list(&self) -> Answer<'_, Vec<WaitingFile>>;

    /// Replaces the one of that name.
    fn waiting_put<'a>(&'a self, file: &'a WaitingFile) -> Answer<'a, ()>;

    /// Whether there was one.
    fn waiting_remove<'a>(&'a self, name: &'a str) -> Answer<'a, bool>;
}
