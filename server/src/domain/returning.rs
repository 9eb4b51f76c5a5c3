//! Photos of children whose consent comes back: before they were destroyed, or after.

use super::photo;
use super::register::Register;
use crate::storage::{Storage, StorageError};
use nestwarden_policy_schema::consent::{ConsentState, Purpose, Stage};
use nestwarden_policy_schema::id::ChildId;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is left of the photos that somebody said this child is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Returning {
    pub reference: String,
    pub purposes: Vec<Purpose>,
    /// Withheld or sealed: they come back where nothing else speaks against it.
    pub kept: usize,
    /// Gone for good.
    pub destroyed: usize,
}

impl std::fmt::Display for Returning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let purposes: Vec<&str> = self.purposes.iter().map(|p| p.as_str()).collect();
        write!(
            f,
            "{}: consent comes back for {}",
            self.reference,
            purposes.join(", ")
        )?;
        match (self.kept, self.destroyed) {
            (0, 0) => f.write_str("; no photo had gone"),
            (kept, 0) => write!(
                f,
                ", before anything was destroyed; {kept} photos can be used again where nothing else speaks against it"
            ),
            (kept, destroyed) => write!(
                f,
                "; {kept} photos can be used again where nothing else speaks against it, {destroyed} were destroyed and are gone"
            ),
        }
    }
}

/// Children who get a consent back that they had lost, with their photos.
pub async fn returning(
    storage: &Storage,
    before: &Register,
    after: &Register,
) -> Result<Vec<Returning>, StorageError> {
    let mut found: BTreeMap<ChildId, Returning> = BTreeMap::new();
    for child in &before.children {
        let was = before.standings(child.id);
        let purposes: Vec<Purpose> = after
            .standings(child.id)
            .into_iter()
            .filter(|(_, standing)| standing.state == ConsentState::Given)
            .filter(|(purpose, _)| {
                was.get(purpose)
                    .is_some_and(|s| s.state != ConsentState::Given)
            })
            .map(|(purpose, _)| purpose)
            .collect();
        if !purposes.is_empty() {
            let returning = Returning {
                reference: child.reference.clone(),
                purposes,
                kept: 0,
                destroyed: 0,
            };
            found.insert(child.id, returning);
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    photo::each(storage, |row| {
        let Some(facts) = row.facts else { return };
        for child in &facts.subjects.confirmed {
            if let Some(returning) = found.get_mut(child) {
                match row.stage {
                    Stage::Live => {}
                    Stage::Withheld | Stage::Sealed => returning.kept += 1,
                    Stage::Destroyed => returning.destroyed += 1,
                }
            }
        }
    })
    .await?;
    Ok(found.into_values().collect())
}
