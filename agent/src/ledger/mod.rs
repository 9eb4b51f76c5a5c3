//! What must survive: the last verified bundle, the anchors, and every event until the server has it and 35 days more.
//!
//! One SQLite file, because the bundle, the events and the photo journal have to change in one transaction. SQLite's
//! write-ahead log with full synchronisation makes a transaction durable when it returns, and a process that is killed
//! at any instruction leaves the file as after the last one that did. Calls block.

mod bundles;
mod continuation;
mod enrolment;
mod loss;
mod lost;
mod migrations;
mod put_back;
mod repeats;
mod reserve;
mod spool;

pub use bundles::BundleRefused;
pub use enrolment::Enrolment;
pub use loss::LossWord;
pub(crate) use lost::was_lost;
pub use lost::{TakenUp, take_up};
pub use repeats::REPEAT_WINDOW;
pub use spool::{MAX_BODY_BYTES, MAX_WAITING};

use crate::paths::Paths;
use jiff::Timestamp;
use nestwarden_policy_schema::envelope::VerifiedBundle;
use nestwarden_policy_schema::event::{ChainPosition, EventBody};
use nestwarden_policy_schema::id::DeviceId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Of each connection. What it does not keep is in the kernel's memory as long as there is room.
const CACHE_KIB: i64 = 1024;

/// Statements kept ready.
const STATEMENTS: usize = 64;

const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A handle on the ledger; clones share it.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    bundle: watch::Sender<Option<Arc<VerifiedBundle>>>,
    recorded: watch::Sender<u64>,
    acknowledged: watch::Sender<u64>,
    problems: Mutex<Vec<String>>,
    obstacle: watch::Sender<Option<String>>,
    loss: watch::Sender<Option<Arc<LossWord>>>,
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("failed to prepare the folder of the ledger `{path}`")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to read or write the ledger")]
    Database(#[from] rusqlite::Error),
    #[error(
        "the ledger was written by a newer version of the agent (schema {found}, this version knows {known}); install that version again"
    )]
    NewerSchema { found: i64, known: usize },
    #[error("the ledger's {what} is damaged: {problem}")]
    Damaged { what: String, problem: String },
    #[error(
        "this tablet is not enrolled; run `nestwarden-agent enrol LINK` with the link from the server"
    )]
    NotEnrolled,
    #[error(
        "the ledger belongs to device {ledger}, the certificate to device {identity}; restore the certificate, or have this tablet set up afresh"
    )]
    OtherDevice {
        ledger: DeviceId,
        identity: DeviceId,
    },
    #[error("an event of {bytes} bytes is larger than the {MAX_BODY_BYTES} a ledger takes")]
    EventTooLarge { bytes: usize },
    #[error("the system gave no random bytes for an event's salt")]
    NoRandomness,
    #[error("failed to write a ledger entry as JSON")]
    Unwritable(#[source] serde_json::Error),
    #[error("generation {theirs} is not newer than {ours}, which this tablet has already had")]
    NotNewer { ours: u64, theirs: u64 },
    #[error(transparent)]
    Anchors(#[from] nestwarden_policy_schema::trust::AnchorsError),
}

/// One durable transaction.
pub struct LedgerTx<'a> {
    sql: &'a rusqlite::Transaction<'a>,
    recorded: Cell<Option<u64>>,
    /// Whose chain it is, once it was looked up.
    device: Cell<Option<DeviceId>>,
    /// Where the chain has got to, and what of it the server has, likewise: thousands of events may be recorded at once.
    head: Cell<Option<ChainPosition>>,
    acked: Cell<Option<u64>>,
    /// What is newly said of the tablet's being lost.
    loss: Cell<Option<LossWord>>,
}

impl Ledger {
    /// Opens the ledger, makes it if there is none, and takes up the last bundle that still verifies. What was found
    /// wrong is in [`Self::take_problems`].
    pub fn open(paths: &Paths) -> Result<Self, LedgerError> {
        let path = paths.ledger_path();
        make_private_dir(&paths.state_dir())?;
        let mut writer = connect(&path, OpenFlags::default())?;
        migrations::run(&mut writer)?;
        make_private_file(&path)?;
        let reader = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let ledger = Self {
            shared: Arc::new(Shared {
                path,
                writer: Mutex::new(writer),
                reader: Mutex::new(reader),
                bundle: watch::Sender::new(None),
                recorded: watch::Sender::new(0),
                acknowledged: watch::Sender::new(0),
                problems: Mutex::default(),
                obstacle: watch::Sender::new(None),
                loss: watch::Sender::new(None),
            }),
        };
        ledger.take_up()?;
        Ok(ledger)
    }

    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Runs `work` in one transaction, durable when this returns `Ok` and without a trace otherwise.
    pub fn transaction<T, E: From<LedgerError>>(
        &self,
        work: impl FnOnce(&LedgerTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = lock(&self.shared.writer);
        let sql = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(LedgerError::from)?;
        let tx = LedgerTx {
            sql: &sql,
            recorded: Cell::new(None),
            device: Cell::new(None),
            head: Cell::new(None),
            acked: Cell::new(None),
            loss: Cell::new(None),
        };
        let done = work(&tx)?;
        let (recorded, loss) = (tx.recorded.get(), tx.loss.take());
        sql.commit().map_err(LedgerError::from)?;
        if let Some(seq) = recorded {
            self.shared.recorded.send_replace(seq);
        }
        if let Some(word) = loss {
            self.shared.loss.send_replace(Some(Arc::new(word)));
        }
        Ok(done)
    }

    /// Reads as of the last commit, beside any transaction that is under way.
    pub fn read<T, E: From<LedgerError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        work(&lock(&self.shared.reader))
    }

    /// Appends one event; see [`LedgerTx::record`].
    pub fn record(&self, at: Timestamp, body: &EventBody) -> Result<u64, LedgerError> {
        self.transaction(|tx| tx.record(at, body))
    }

    /// The bundle to enforce; `None` before the first.
    pub fn bundle(&self) -> Option<Arc<VerifiedBundle>> {
        self.shared.bundle.borrow().clone()
    }

    pub fn watch_bundle(&self) -> watch::Receiver<Option<Arc<VerifiedBundle>>> {
        self.shared.bundle.subscribe()
    }

    /// The number of the newest event, as it grows.
    pub fn event_recorded(&self) -> watch::Receiver<u64> {
        self.shared.recorded.subscribe()
    }

    /// Why what the server last sent could not be stored; while it says so, nothing is known to be as the policy wants it.
    pub fn obstacle(&self) -> watch::Receiver<Option<String>> {
        self.shared.obstacle.subscribe()
    }

    /// The number of the newest event that the server has on disk, as it grows.
    pub fn event_acknowledged(&self) -> watch::Receiver<u64> {
        self.shared.acknowledged.subscribe()
    }

    /// What was found wrong when the ledger was opened, once, for an alarm as soon as there is a trusted time.
    pub fn take_problems(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.problems))
    }

    /// SQLite's own check of the file; the problems it found.
    pub fn integrity(&self) -> Result<Vec<String>, LedgerError> {
        self.read(|sql| {
            let mut check = sql.prepare("PRAGMA integrity_check(20)")?;
            let lines = check.query_map([], |row| row.get::<_, String>(0))?;
            let lines: Vec<String> = lines.collect::<Result<_, _>>()?;
            Ok(lines.into_iter().filter(|line| line != "ok").collect())
        })
    }

    fn take_up(&self) -> Result<(), LedgerError> {
        let head = self.read(spool::head)?;
        self.shared.recorded.send_replace(head.seq);
        self.shared.acknowledged.send_replace(self.acked_through()?);
        let (bundle, problems) = self.read(bundles::last_good)?;
        self.shared.bundle.send_replace(bundle.map(Arc::new));
        *lock(&self.shared.problems) = problems;
        self.take_up_loss()
    }
}

impl<'a> LedgerTx<'a> {
    pub fn sql(&self) -> &rusqlite::Transaction<'a> {
        self.sql
    }

    /// A fact under `key`, as written by [`Self::set_meta`].
    pub fn meta(&self, key: &str) -> Result<Option<String>, LedgerError> {
        meta(self.sql, key)
    }

    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.sql.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )?;
        Ok(())
    }

    pub fn remove_meta(&self, key: &str) -> Result<(), LedgerError> {
        self.sql.execute("DELETE FROM meta WHERE key = ?1", [key])?;
        Ok(())
    }
}

pub(crate) fn meta(sql: &Connection, key: &str) -> Result<Option<String>, LedgerError> {
    Ok(sql
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, LedgerError> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // The log keeps its length for the next run, which may find the disk full.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", true)?;
    }
    Ok(connection)
}

fn make_private_dir(path: &Path) -> Result<(), LedgerError> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let failed = |source| LedgerError::Folder {
        path: path.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}

fn make_private_file(path: &Path) -> Result<(), LedgerError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|source| {
        LedgerError::Folder {
            path: path.to_owned(),
            source,
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in a transaction rolled it back; the connection itself is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests;
