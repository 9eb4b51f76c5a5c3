//! What is on a tablet's disk, whatever its agent says.

use anyhow::Result;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// How every sealed photo begins (the age format, version 1).
const SEALED: &[u8] = b"age-encryption.org/v1\n";

/// Every file beneath `root` with exactly this content.
pub fn copies(root: &Path, content: &[u8]) -> Vec<PathBuf> {
    files(root)
        .into_iter()
        .filter(|path| {
            fs::metadata(path).is_ok_and(|found| found.len() == content.len() as u64)
                && fs::read(path).is_ok_and(|bytes| bytes == content)
        })
        .collect()
}

/// Every sealed photo beneath `root`.
pub fn sealed(root: &Path) -> Vec<PathBuf> {
    files(root)
        .into_iter()
        .filter(|path| begins_with(path, SEALED).unwrap_or(false))
        .collect()
}

/// Whether only its owner can get to `path`: some directory above it, up to `root`, is closed to all others.
pub fn is_closed_to_staff(root: &Path, path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .take_while(|dir| dir.starts_with(root))
        .filter_map(|dir| fs::metadata(dir).ok())
        .any(|dir| dir.permissions().mode() & 0o777 == 0o700)
}

fn begins_with(path: &Path, wanted: &[u8]) -> Result<bool> {
    let mut begin = vec![0; wanted.len()];
    fs::File::open(path)?.read_exact(&mut begin)?;
    Ok(begin == wanted)
}

/// Every regular file beneath `dir` that can be seen, links not followed.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    found
}
