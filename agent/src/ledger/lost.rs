//! A start that finds the record of an enrolled tablet gone or unreadable: it begins a new one, says so, and never takes
//! the photos for ones that were there before the tablet was enrolled.

use super::{Enrolment, Ledger, LedgerError, meta};
use crate::paths::Paths;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::id::DeviceId;
use rusqlite::{Connection, ErrorCode};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Present in a ledger that was begun because the one before was lost; when, by the machine's word.
const LOST_KEY: &str = "record_lost";
/// Largest copy of a bundle that is read back.
const MAX_COPY_BYTES: u64 = 4 * 1024 * 1024;

/// What a start goes on with.
pub struct TakenUp {
    pub ledger: Ledger,
    /// Whether this is the first start after enrolling, or after a loss.
    pub is_new: bool,
}

/// Opens the record of the tablet that `enrolment` says this is. One that cannot be read is set aside as it is.
pub fn take_up(paths: &Paths, enrolment: &Enrolment) -> Result<TakenUp, LedgerError> {
    let (ledger, damage) = match Ledger::open(paths) {
        Ok(ledger) => (ledger, None),
        Err(error) if is_damage(&error) => {
            let aside = set_aside(&paths.ledger_path()).map_err(|source| LedgerError::Folder {
                path: paths.state_dir(),
                source,
            })?;
            let what = format!(
                "it could not be read ({}) and is kept as `{}`",
                crate::whole_text(&error),
                aside.display()
            );
            (Ledger::open(paths)?, Some(what))
        }
        Err(error) => return Err(error),
    };
    let is_new = ledger.adopt(enrolment)?;
    let begun = begun(paths) == Some(enrolment.device);
    let gone = (is_new && begun).then(|| "its file is gone".to_owned());
    if let Some(how) = damage.or(gone) {
        ledger.begin_after_loss(paths, &how)?;
    }
    if !begun {
        note_begun(paths, enrolment.device).map_err(|source| LedgerError::Folder {
            path: paths.record_begun_path(),
            source,
        })?;
    }
    Ok(TakenUp { ledger, is_new })
}

/// Whether the record before this one was lost, so that nothing may be taken for older than the enrolment.
pub(crate) fn was_lost(sql: &Connection) -> Result<bool, LedgerError> {
    Ok(meta(sql, LOST_KEY)?.is_some())
}

impl Ledger {
    fn begin_after_loss(&self, paths: &Paths, how: &str) -> Result<(), LedgerError> {
        self.transaction(|tx| tx.set_meta(LOST_KEY, how))?;
        super::lock(&self.shared.problems).push(format!(
            "the record of this tablet was lost: {how}. A new one begins: photos in the capture roots count as ones nobody accounts for, and those in the vault must be looked through by hand"
        ));
        if let Some(copy) = read_copy(&paths.last_bundle_path())
            && let Err(error) = self.accept_bundle(copy)
        {
            tracing::warn!(error = %crate::whole_text(&error), "the copy of the last policy was not taken up");
        }
        Ok(())
    }

    /// Keeps a copy of what is enforced, for a start that finds the record gone. Nothing depends on it otherwise.
    pub(super) fn copy_bundle(&self, signed: &Signed) {
        let path = self.path().with_file_name(crate::paths::LAST_BUNDLE);
        let text = serde_json::to_vec(signed).unwrap_or_default();
        if let Err(error) = replace(&path, &text) {
            tracing::warn!(%error, "no copy of the policy could be kept");
        }
    }
}

fn is_damage(error: &LedgerError) -> bool {
    match error {
        LedgerError::Database(rusqlite::Error::SqliteFailure(failure, _)) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
        ),
        LedgerError::Damaged { .. } => true,
        LedgerError::Database(_)
        | LedgerError::Folder { .. }
        | LedgerError::NewerSchema { .. }
        | LedgerError::NotEnrolled
        | LedgerError::OtherDevice { .. }
        | LedgerError::EventTooLarge { .. }
        | LedgerError::NoRandomness
        | LedgerError::Unwritable(_)
        | LedgerError::NotNewer { .. }
        | LedgerError::Anchors(_) => false,
    }
}

/// Renames the database with its log, which belong together, to the first number that is free.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let beside = |suffix: &str, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name.push(suffix);
        PathBuf::from(name)
    };
    for number in 1..u32::MAX {
        let suffix = format!(".damaged-{number}");
        let aside = beside(&suffix, "");
        if aside.try_exists()? {
            continue;
        }
        for end in ["-wal", "-shm"] {
            match fs::rename(beside("", end), beside(&suffix, end)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(path, &aside)?;
        return Ok(aside);
    }
    Err(std::io::Error::other("too many damaged records"))
}

/// Whose record was begun here; `None`: nobody's, or nobody knows.
fn begun(paths: &Paths) -> Option<DeviceId> {
    let text = fs::read_to_string(paths.record_begun_path()).ok()?;
    text.trim().parse().ok()
}

fn note_begun(paths: &Paths, device: DeviceId) -> std::io::Result<()> {
    replace(&paths.record_begun_path(), device.to_string().as_bytes())
}

fn read_copy(path: &Path) -> Option<Signed> {
    let mut text = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MAX_COPY_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whole or not at all, and durable.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let next = path.with_extension("next");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::testing::{Signer, enrolled};

    struct Bench {
        _dir: tempfile::TempDir,
        paths: Paths,
        enrolment: Enrolment,
    }

    /// A tablet that has a bundle and a record, and is switched off.
    fn bench() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        let signer = Signer::new();
        let ledger = enrolled(&paths, &signer);
        let enrolment = ledger.enrolment().unwrap().unwrap();
        drop(ledger);
        let first = take_up(&paths, &enrolment).unwrap();
        let bundle = signer.sign_bundle(&signer.content(7));
        assert!(first.ledger.accept_bundle(bundle).unwrap());
        Bench {
            _dir: dir,
            paths,
            enrolment,
        }
    }

    fn is_lost(ledger: &Ledger) -> bool {
        ledger.read(was_lost).unwrap()
    }

    #[test]
    fn a_record_that_is_there_is_taken_up_without_a_word() {
        let bench = bench();
        let taken = take_up(&bench.paths, &bench.enrolment).unwrap();
        assert!(!taken.is_new && !is_lost(&taken.ledger));
        assert_eq!(taken.ledger.take_problems(), Vec::<String>::new());
    }

    #[test]
    fn a_record_that_is_gone_is_said_so_and_the_last_policy_stays_enforced() {
        let bench = bench();
        for end in ["", "-wal", "-shm"] {
            let file = format!("{}{end}", bench.paths.ledger_path().display());
            let _ = fs::remove_file(file);
        }
        let taken = take_up(&bench.paths, &bench.enrolment).unwrap();
        assert!(taken.is_new && is_lost(&taken.ledger));
        assert!(taken.ledger.take_problems()[0].contains("its file is gone"));
        assert_eq!(taken.ledger.newest_generation().unwrap().get(), 7);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_set_aside_whole() {
        let bench = bench();
        let path = bench.paths.ledger_path();
        fs::remove_file(format!("{}-wal", path.display())).unwrap();
        fs::write(&path, vec![7; 5000]).unwrap();
        let taken = take_up(&bench.paths, &bench.enrolment).unwrap();
        assert!(is_lost(&taken.ledger));
        assert!(taken.ledger.take_problems()[0].contains("damaged-1"));
        let kept = fs::read(format!("{}.damaged-1", path.display())).unwrap();
        assert_eq!(kept, vec![7; 5000]);
        assert_eq!(taken.ledger.newest_generation().unwrap().get(), 7);
    }

    #[test]
    fn another_enrolment_is_no_loss() {
        let bench = bench();
        let other = Paths::new(bench.paths.root_dir().join("other"));
        fs::create_dir_all(other.state_dir()).unwrap();
        fs::copy(bench.paths.record_begun_path(), other.record_begun_path()).unwrap();
        let enrolment = Enrolment {
            device: DeviceId::from_uuid(uuid::Uuid::from_u128(99)),
            ..bench.enrolment.clone()
        };
        let taken = take_up(&other, &enrolment).unwrap();
        assert!(taken.is_new && !is_lost(&taken.ledger));
    }
}
