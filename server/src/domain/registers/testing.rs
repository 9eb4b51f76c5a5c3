//! A setting with a key of its own and people who run it.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::{Hand, Registers};
use crate::signing::ReleaseKey;
use crate::storage::testing::{TestStorage, audit, now};
use crate::storage::{Operator, Role, Storage};
use age::secrecy::ExposeSecret as _;
use jiff::Timestamp;
use nestwarden_policy_schema::id::OperatorId;
use std::path::Path;
use uuid::Uuid;

pub(crate) struct House {
    pub(crate) test: TestStorage,
    release: ReleaseKey,
    recipient: String,
}

impl House {
    pub(crate) async fn new() -> Self {
        let test = TestStorage::create().await;
        let keys = test.dir.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let identity = age::x25519::Identity::generate();
        let secret = identity.to_string();
        std::fs::write(keys.join("release.age"), secret.expose_secret()).unwrap();
        Self {
            release: ReleaseKey::load(&keys).unwrap(),
            recipient: identity.to_public().to_string(),
            test,
        }
    }

    pub(crate) const fn storage(&self) -> &Storage {
        &self.test.storage
    }

    pub(crate) fn registers(&self) -> Registers<'_> {
        Registers {
            storage: &self.test.storage,
            release: &self.release,
            recipient: &self.recipient,
        }
    }

    pub(crate) async fn person(&self, name: &str, roles: &[Role]) -> Operator {
        let person = Operator {
            id: OperatorId::from_uuid(Uuid::new_v4()),
            name: name.to_owned(),
            roles: roles.iter().copied().collect(),
            created_at: now(),
        };
        let log = audit("operator.add");
        let added = self.storage().operator_add(&person, &log);
        added.await.unwrap();
        person
    }

    /// Whether any file of the database has these bytes.
    pub(crate) fn database_has(&self, needle: &str) -> bool {
        files(self.test.dir.path()).iter().any(|bytes| {
            bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
        })
    }
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

pub(crate) const fn hand(by: &Operator, now: Timestamp) -> Hand<'_> {
    Hand { by, now }
}
