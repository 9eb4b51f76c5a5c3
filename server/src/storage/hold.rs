//! Legal holds, open and released.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::hold::Hold;
use nestwarden_policy_schema::id::HoldId;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HoldRow {
    pub hold: Hold,
    pub opened_by: String,
    /// The first of the two people a release needs.
    pub release_requested: Option<HoldAct>,
    pub released: Option<HoldAct>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HoldAct {
    pub by: String,
    pub at: Timestamp,
}

pub trait HoldStore: Send + Sync {
    /// Open ones and released ones.
    fn hold_list(&self) -> Answer<'_, Vec<HoldRow>>;

    /// `None`: no such hold.
    fn hold_find(&self, hold: HoldId) -> Answer<'_, Option<HoldRow>>;

    fn hold_open<'a>(&'a self, hold: &'a HoldRow, audit: &'a AuditEntry) -> Answer<'a, ()>;

    /// Sets when it is looked at again. `Already`: it is released.
    fn hold_review<'a>(
        &'a self,
        hold: HoldId,
        review_by: Timestamp,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Notes the first person's wish. `Already`: somebody asked before, or it is released.
    fn hold_request_release<'a>(
        &'a self,
        hold: HoldId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Releases it, if somebody else asked before. `Already`: it is released, or nobody else asked.
    fn hold_release<'a>(
        &'a self,
        hold: HoldId,
        act: &'a HoldAct,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
