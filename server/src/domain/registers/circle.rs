//! Who may read one entry: people with certain roles, without some of them by name. Kept sealed, because the list itself
//! says whom something is said of.

use crate::storage::{Operator, Role};
use nestwarden_policy_schema::id::OperatorId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is sealed is padded to a multiple of this, so that its size says neither who is on it nor how many.
const PADDED_BYTES: usize = 1_024;

/// Nobody, until roles are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circle {
    roles: BTreeSet<Role>,
    without: BTreeSet<OperatorId>,
}

impl Circle {
    pub fn of(roles: impl IntoIterator<Item = Role>) -> Self {
        Self {
            roles: roles.into_iter().collect(),
            without: BTreeSet::new(),
        }
    }

    pub fn without(mut self, people: &BTreeSet<OperatorId>) -> Self {
        self.without.extend(people);
        self
    }

    pub fn with(mut self, role: Role) -> Self {
        self.roles.insert(role);
        self
    }

    pub fn admits(&self, person: &Operator) -> bool {
        !self.without.contains(&person.id)
            && self.roles.iter().any(|role| person.roles.contains(role))
    }

    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub const fn left_out(&self) -> &BTreeSet<OperatorId> {
        &self.without
    }

    /// Whether it is kept from them on purpose, and not only by their roles. One that nobody could read leaves out everybody.
    pub fn leaves_out(&self, person: &Operator) -> bool {
        self.roles.is_empty() || self.without.contains(&person.id)
    }

    /// Whose a task of it is that only these people see.
    pub fn owner(&self) -> Role {
        if self.has(Role::Manager) {
            Role::Manager
        } else {
            Role::Dsl
        }
    }

    /// JSON does not mind the spaces after it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        let whole = bytes.len().div_ceil(PADDED_BYTES).max(1) * PADDED_BYTES;
        bytes.resize(whole, b' ');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn how_many_people_are_left_out_does_not_show_in_its_size() {
        let sizes = [0, 1, 5].map(|count| {
            let people = (0..count).map(|_| OperatorId::from_uuid(Uuid::new_v4()));
            let circle = Circle::of([Role::Dsl]).without(&people.collect());
            circle.to_bytes().len()
        });
        assert_eq!(sizes, [PADDED_BYTES; 3]);
    }
}
