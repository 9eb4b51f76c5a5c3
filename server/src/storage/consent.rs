//! The register: children with their names, and every answer about them.

use super::import::ImportKey;
use super::{Answer, AuditEntry};
use jiff::civil::Date;
use nestwarden_policy_schema::consent::{ChildEntry, ConsentRecord, RoomName};
use nestwarden_policy_schema::id::{ChildId, FamilyId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    pub id: ChildId,
    /// The booking system's own key; the only thing children are matched on.
    pub reference: String,
    pub first_name: String,
    pub last_name: String,
    pub family: Option<FamilyId>,
    /// Without standings: those are resolved from the records.
    pub entry: ChildEntry,
    pub set_here: SetHere,
}

/// The fields that were set here and not by the booking system's file. Each stands until the file says something else
/// than it said when the field was set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetHere {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<FileSaid<BTreeSet<RoomName>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<FileSaid<Option<Date>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<FileSaid<Option<FamilyId>>>,
}

/// What the file said last when a field was set here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSaid<T> {
    pub file_said: T,
}

/// What one act changes in the register; all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct RegisterChange {
    /// New children, and known ones as they are now.
    pub children: Vec<Child>,
    pub records: Vec<ConsentRecord>,
    /// Remembered with the change, so that the same import is not made twice.
    pub import_key: Option<ImportKey>,
}

impl RegisterChange {
    pub fn is_empty(&self) -> bool {
        self.children.is_empty() && self.records.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterPut {
    Done,
    /// Somebody changed something since the version it rests on; nothing was written.
    ChangedMeanwhile,
}

pub trait ConsentStore: Send + Sync {
    /// By reference, those that left too.
    fn child_list(&self) -> Answer<'_, Vec<Child>>;

    /// `None`: no import listed this reference yet.
    fn child_by_reference<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<Child>>;

    /// Every record of the setting, as recorded.
    fn consent_list(&self) -> Answer<'_, Vec<ConsentRecord>>;

    /// Empty: nobody answered anything for this child.
    fn consent_of_child(&self, child: ChildId) -> Answer<'_, Vec<ConsentRecord>>;

    /// Writes only while [`Store::inputs_version`](super::Store::inputs_version) is `based_on`.
    fn register_change<'a>(
        &'a self,
        change: &'a RegisterChange,
        based_on: i64,
        audit: &'a AuditEntry,
    ) -> Answer<'a, RegisterPut>;
}
