//! What lies in a folder, whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(super) fn files_in(dir: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let found = walk(dir).into_iter();
    let name = |path: PathBuf| {
        path.strip_prefix(dir)
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    found.map(|(path, bytes)| (name(path), bytes)).collect()
}

pub(super) fn walk(dir: &std::path::Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(dir) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}
