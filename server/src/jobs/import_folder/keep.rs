//! How long files that were imported or refused are kept: they hold names.

use super::{FolderError, ImportFolderJob, WHO, failed};
use crate::storage::AuditEntry;
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files looked at in one round; the next takes up the rest.
const MOST_AT_ONCE: usize = 1_000;

/// Days from the moment a file was put away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub done_days: u16,
    pub refused_days: u16,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            done_days: 30,
            refused_days: 90,
        }
    }
}

impl ImportFolderJob {
    /// Deletes what was kept for long enough. Each is in the audit log before it goes.
    pub(super) async fn clear(&self) -> Result<(), FolderError> {
        for (dir, days) in [
            ("done", self.keep.done_days),
            ("refused", self.keep.refused_days),
        ] {
            let now = self.clock.now();
            for path in older_than(&self.folder.join(dir), days, now)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let audit = AuditEntry {
                    at: now,
                    who: WHO.to_owned(),
                    act: "import.file_deleted".to_owned(),
                    subject: format!("{dir}/{name}"),
                    detail: serde_json::json!({ "kept_days": days }),
                };
                self.storage.audit_add(&audit).await?;
                fs::remove_file(&path).map_err(failed("delete", &path))?;
            }
        }
        Ok(())
    }
}

/// Files and links in a folder, not what lies deeper. Renaming a file into it changed its inode, whatever its own times say.
fn older_than(dir: &Path, days: u16, now: Timestamp) -> Result<Vec<PathBuf>, FolderError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("read", dir))?,
    };
    let kept = SignedDuration::from_hours(24 * i64::from(days));
    let mut old = Vec::new();
    for entry in entries.take(MOST_AT_ONCE) {
        let path = entry.map_err(failed("read", dir))?.path();
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        let put_away = Timestamp::from_second(metadata.ctime()).unwrap_or(now);
        if !metadata.is_dir() && now.duration_since(put_away) > kept {
            old.push(path);
        }
    }
    Ok(old)
}
