//! The register as it stands: every child with what the answers about them come to.

use crate::storage::{AuditEntry, Child, RegisterChange, RegisterPut, Storage, StorageError};
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
    /// Of the inputs, before they were read: what is written on the strength of this reading is written only while
    /// nothing else was.
    pub version: i64,
}

/// There is no child with this reference.
#[derive(Debug, thiserror::Error)]
#[error("there is no child with reference \"{0}\"; `child list` shows those there are")]
pub struct NoChild(pub String);

/// What an act wants written, and its answer.
pub struct Act<T> {
    pub change: RegisterChange,
    /// `None`: it was so already, and nothing is written.
    pub audit: Option<AuditEntry>,
    pub answer: T,
}

/// How often an act is thought over again because somebody else was faster.
const TRIES: usize = 20;

/// Makes one act of the register: read, decided and written as if nobody else were there.
pub async fn act<T, E: From<StorageError>>(
    storage: &Storage,
    decide: impl Fn(&Register) -> Result<Act<T>, E>,
) -> Result<T, E> {
    for _ in 0..TRIES {
        let register = Register::load(storage).await?;
        let act = decide(&register)?;
        let Some(audit) = &act.audit else {
            return Ok(act.answer);
        };
        match storage
            .register_change(&act.change, register.version, audit)
            .await?
        {
            RegisterPut::Done => return Ok(act.answer),
            RegisterPut::ChangedMeanwhile => {}
        }
    }
    Err(StorageError::Busy.into())
}

impl Register {
    pub async fn load(storage: &Storage) -> Result<Self, StorageError> {
        let version = storage.inputs_version().await?;
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
            version,
        })
    }

    pub fn child(&self, reference: &str) -> Result<&Child, NoChild> {
        self.children
            .iter()
            .find(|c| c.reference == reference)
            .ok_or_else(|| NoChild(reference.chars().take(80).collect()))
    }

    /// The other children of the same family.
    pub fn siblings<'a>(&'a self, child: &'a Child) -> impl Iterator<Item = &'a Child> {
        self.children
            .iter()
            .filter(|c| c.id != child.id && c.family.is_some() && c.family == child.family)
    }

    /// The register as it would be.
    #[must_use]
    pub fn with(&self, change: &RegisterChange) -> Self {
        let mut after = self.clone();
        for child in &change.children {
            match after.children.iter_mut().find(|c| c.id == child.id) {
                Some(known) => known.clone_from(child),
                None => after.children.push(child.clone()),
            }
        }
        for record in &change.records {
            let records = after.records.entry(record.child).or_default();
            records.push(record.clone());
        }
        after
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
