//! Files in the vaults that the record does not have: left there when a record was lost, or put there by root. Only a
//! person can say what they are, and only root can open them: they are told of, and left as they are.

use super::catalogue;
use super::engine::is_absent;
use super::error::PhotosError;
use super::roots::Roots;
use super::tree::{self, RelPath, Tree};
use super::vault::{Vaults, is_own};
use crate::ledger::Ledger;
use crate::paths::Paths;
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;

/// In the vaults that the record has, and where those of today's roots would be.
pub fn strays(ledger: &Ledger, paths: &Paths) -> Result<Vec<RelPath>, PhotosError> {
    let tree = Arc::new(Tree::open(paths.root_dir())?);
    let mut vaults = ledger.read(catalogue::vaults)?;
    if let Some(own) = tree.relative(&paths.state_dir().join("vault")) {
        let bundle = ledger.bundle();
        let policy = bundle
            .as_ref()
            .and_then(|b| b.bundle().policy.photos.as_ref());
        let patterns = policy.map(|policy| policy.capture_roots.clone());
        let places = Vaults::new(Arc::clone(&tree), own.clone());
        for root in Roots::resolve(&tree, &patterns.unwrap_or_default()).roots {
            if let Ok(stat) = tree.stat(&root.path) {
                vaults.extend(places.candidates(&root.path, stat.identity.dev));
            }
        }
        vaults.insert(own);
    }
    let mut found = Vec::new();
    for vault in &vaults {
        let dir = match tree.dir(vault) {
            Ok(dir) => dir,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let names = tree::names(&dir)?;
        let strange = names.iter().filter(|name| !is_own(name));
        found.extend(strange.filter_map(|name| vault.join(name)));
    }
    // After the vaults: what goes into one is in the record before.
    let known = ledger.read(names)?;
    found.retain(|path| !known.contains(path.name()));
    Ok(found)
}

fn names(sql: &rusqlite::Connection) -> Result<HashSet<OsString>, PhotosError> {
    let mut statement = sql.prepare(
        "SELECT vault_name FROM photo_file WHERE vault_name IS NOT NULL AND state <> 'dropped'
         UNION SELECT sealed_name FROM photo WHERE sealed_name IS NOT NULL
         UNION SELECT name FROM photo_journal WHERE vault IS NOT NULL
         UNION SELECT CAST(photo || '.' || id AS BLOB) FROM photo_file JOIN photo_withholding ON file = id",
    )?;
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    rows.map(|name| Ok(OsString::from_vec(name?))).collect()
}
