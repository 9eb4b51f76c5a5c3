//! The register as it stands: every child with what the answers about them come to.

use crate::storage::{Child, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::record::resolve;
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentRecord, ConsentSource, ConsentStanding, Purpose, RegisterSnapshot,
};
use nestwarden_policy_schema::id::ChildId;
use std::collections::BTreeMap;

/// Children and the records about them, as one reading.
#[derive(Clone, Debug, Default)]
pub struct Register {
    pub children: Vec<Child>,
    pub records: BTreeMap<ChildId, Vec<ConsentRecord>>,
}

impl Register {
    pub async fn load(storage: &Storage) -> Result<Self, StorageError> {
        // Records first: a record always has its child, never the other way round.
        let records = storage.consent_list().await?;
        let children = storage.child_list().await?;
        let mut by_child: BTreeMap<ChildId, Vec<ConsentRecord>> = BTreeMap::new();
        for record in records {
            by_child.entry(record.child).or_default().push(record);
        }
        Ok(Self {
            children,
            records: by_child,
        })
    }

    pub fn records_of(&self, child: ChildId) -> &[ConsentRecord] {
        self.records.get(&child).map_or(&[], Vec::as_slice)
    }

    pub fn standings(&self, child: ChildId) -> BTreeMap<Purpose, ConsentStanding> {
        resolve(self.records_of(child))
    }

    /// What the last import that said anything new about this purpose said.
    pub fn last_imported(&self, child: ChildId, purpose: Purpose) -> Option<&ConsentRecord> {
        self.records_of(child)
            .iter()
            .filter(|r| r.purpose == purpose && r.source == ConsentSource::Import)
            .max_by_key(|r| (r.recorded_at, r.id))
    }

    /// As tablets are told of it.
    pub fn snapshot(&self, as_of: Timestamp) -> RegisterSnapshot {
        let children = self
            .children
            .iter()
            .map(|child| (child.id, self.entry(child)))
            .collect();
        RegisterSnapshot { as_of, children }
    }

    /// The child and purpose pairs that are permitted at `now`.
    pub fn permitted(&self, calendar: &Calendar, now: Timestamp) -> Vec<(ChildId, Purpose)> {
        self.children
            .iter()
            .flat_map(|child| {
                let entry = self.entry(child);
                Purpose::ALL
                    .into_iter()
                    .filter(move |purpose| entry.permits(*purpose, calendar, now))
                    .map(|purpose| (child.id, purpose))
            })
            .collect()
    }

    fn entry(&self, child: &Child) -> ChildEntry {
        ChildEntry {
            purposes: self.standings(child.id),
            ..child.entry.clone()
        }
    }
}
