//! The register: children with their names, and every answer about them.

use super::{Answer, AuditEntry};
use nestwarden_policy_schema::consent::{ChildEntry, ConsentRecord};
use nestwarden_policy_schema::id::{ChildId, FamilyId};

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
}

/// What one act changes in the register; all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct RegisterChange {
    /// New children, and known ones as they are now.
    pub children: Vec<Child>,
    pub records: Vec<ConsentRecord>,
}

impl RegisterChange {
    pub fn is_empty(&self) -> bool {
        self.children.is_empty() && self.records.is_empty()
    }
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

    fn register_change<'a>(
        &'a self,
        change: &'a RegisterChange,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()>;
}
