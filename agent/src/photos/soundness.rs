//! What must hold of a tablet's photos whenever everything is settled, whatever happened before.

use super::catalogue::{self, FileRow, FileState};
use super::hash::{ContentKey, Stop};
use super::testing::{Server, Tablet, walk};
use super::tree::RelPath;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::id::PhotoId;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

impl Tablet {
    pub(super) fn assert_sound(&self) {
        let engine = self.engine.as_ref().unwrap();
        let moment = self.moment();
        let rows = self.ledger.read(catalogue::photos).unwrap();
        let plain: BTreeMap<PathBuf, Vec<u8>> = walk(&self.path(""));
        let key = ContentKey::new(&self.bundle.photo_hash_key);
        let hash = |bytes: &[u8]| key.hash(&mut &*bytes, &Stop::default()).unwrap().0;
        let judge = |row| engine.verdict_on(&moment, moment.policy().unwrap(), row);
        // What lies under a name of a frozen photo is not opened, whatever was written there since, nor its file under
        // another name.
        let frozen: Vec<&FileRow> = rows
            .iter()
            .filter(|row| judge(row).frozen)
            .flat_map(|row| row.in_state(FileState::Present))
            .collect();
        let is_unopened = |path: &Path| {
            let inode = std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()));
            frozen.iter().any(|file| {
                let known = (file.identity.dev, file.identity.ino);
                self.absolute(&file.path) == path || inode.as_ref().is_ok_and(|i| *i == known)
            })
        };
        for row in rows.iter().filter(|row| !row.is_gone()) {
            let judged = judge(row);
            if judged.frozen {
                continue;
            }
            if judged.due >= Stage::Withheld {
                let readable = plain
                    .iter()
                    .find(|(path, bytes)| !is_unopened(path) && Some(hash(bytes)) == row.hash);
                assert!(readable.is_none(), "{row:?} is readable at {readable:?}");
            }
            if judged.due >= Stage::Sealed {
                assert_eq!(row.stage, Stage::Sealed, "{row:?} {judged:?}");
                let plain = self
                    .vault()
                    .into_values()
                    .any(|bytes| Some(hash(&bytes)) == row.hash);
                assert!(!plain, "plaintext of {row:?} is left in the vault");
            }
            if matches!(self.server, Server::Authorises) && judged.due == Stage::Live {
                assert_eq!(row.stage, Stage::Live, "{row:?} {judged:?}");
            }
            if row.stage == Stage::Sealed {
                let sealed = row.sealed.as_ref().unwrap();
                let ciphertext = &self.vault()[&sealed.name.to_string_lossy().into_owned()];
                let content = age::decrypt(&self.release, ciphertext).unwrap();
                assert_eq!(Some(hash(&content)), row.hash);
            } else {
                for file in row.photo_files().filter(|f| f.state == FileState::Present) {
                    let bytes = std::fs::read(self.absolute(&file.path)).unwrap();
                    assert!(
                        row.hash.is_none_or(|known| hash(&bytes) == known),
                        "{file:?}"
                    );
                }
                // What was written to just before it was withheld is read again when it is sealed or comes back.
                for file in row.in_state(FileState::Vaulted) {
                    let (vault, name) = file.vault.as_ref().unwrap();
                    let at = vault.join(name).unwrap();
                    assert!(!std::fs::read(self.absolute(&at)).unwrap().is_empty());
                }
            }
        }
        let mut receipts: Vec<PhotoId> = self.receipts().iter().map(|r| r.photo).collect();
        receipts.sort();
        let destroyed = self.stages().get(&Stage::Destroyed).copied().unwrap_or(0);
        assert_eq!(
            receipts.len() as u64,
            destroyed,
            "one receipt for each destroyed photo"
        );
        receipts.dedup();
        assert_eq!(
            receipts.len() as u64,
            destroyed,
            "never two receipts for one photo"
        );
        assert_eq!(self.open_journal(), 0, "the journal is settled");
        let names: BTreeSet<String> = rows
            .iter()
            .flat_map(|row| {
                let sealed = row.sealed.iter().map(|s| s.name.clone());
                let vaulted = row.files.iter().filter(|f| f.state != FileState::Dropped);
                sealed.chain(
                    vaulted
                        .filter_map(|f| f.vault.clone())
                        .map(|(_, name)| name),
                )
            })
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let found: BTreeSet<String> = self.vault().into_keys().collect();
        assert_eq!(
            found, names,
            "the vault holds what the catalogue says and nothing else"
        );
    }

    fn absolute(&self, path: &RelPath) -> PathBuf {
        self.temp.path().join(path.as_path())
    }
}
