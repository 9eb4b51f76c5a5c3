//! Room on a file system.

use std::path::Path;

/// Bytes an ordinary process may still write where `path` is; `None` when that cannot be read.
pub fn disk_free_bytes(path: &Path) -> Option<u64> {
    let read = rustix::fs::statvfs(path).ok()?;
    read.f_bavail.checked_mul(read.f_frsize)
}
