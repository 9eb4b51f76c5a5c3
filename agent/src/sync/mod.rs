//! Talks to the setting's server: first trust and clock, then the bundle and the events side by side, then the
//! inventory. What it brings goes into the ledger; whoever enforces watches that, and never waits for this.

mod connection;
mod export;
mod fetch;
mod names;
mod passcode;
mod record;
mod renewal;
pub mod schedule;
pub mod server;
mod unseal;
mod upload;

pub use connection::{Connected, Connection};
pub use export::{Ciphertext, export};
pub use names::ServerNames;
pub use passcode::passcode;
pub use record::difference;
pub use unseal::unseal;

use crate::clock::TrustedClock;
use crate::identity::{IdentityError, TlsError};
use crate::ledger::{BundleRefused, Ledger, LedgerError};
use jiff::Timestamp;
use nestwarden_policy_schema::device_api::Inventory;
use nestwarden_policy_schema::envelope::SignedError;
use nestwarden_policy_schema::event::EventBody;
use ring::rand::SecureRandom as _;
use server::ServerError;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};

/// Reads how the tablet stands.
pub type InventorySource =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Inventory, String>> + Send>> + Send + Sync>;

/// What synchronising needs; clones share it.
#[derive(Clone)]
pub struct SyncContext {
    pub ledger: Ledger,
    pub clock: TrustedClock,
    pub connection: Arc<Connection>,
    pub inventory: InventorySource,
    /// Changes when the inventory is worth sending again.
    pub inventory_changed: watch::Receiver<u64>,
    state: watch::Sender<SyncState>,
    /// The server answered after it had not.
    back: Arc<Notify>,
    told: Arc<Told>,
}

/// Problems that an alarm told of since the agent started.
#[derive(Default)]
struct Told(Mutex<BTreeSet<String>>);

impl Told {
    /// More than these are no longer told apart.
    const MOST: usize = 20;

    fn insert_if_absent(&self, problem: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < Self::MOST && told.insert(problem.to_owned())
    }
}

/// How synchronising goes, for status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    /// Trusted time of the last answer since the agent started.
    pub reached_at: Option<Timestamp>,
    /// Why the last attempt failed; `None` when it did not.
    pub problem: Option<String>,
    /// The server no longer accepts this tablet. Everything stays enforced.
    pub revoked: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the server's statement of the time does not hold: {0}")]
    Statement(#[from] SignedError),
    #[error("the server's statement of the time is {0}")]
    OtherStatement(&'static str),
    #[error("the server's bundle was refused: {0}")]
    Bundle(#[from] BundleRefused),
    #[error(
        "the server has events up to {server}, this tablet's record only reaches {ours}: the record was put back to an earlier state"
    )]
    RecordPutBack { server: u64, ours: u64 },
    #[error(
        "the server's event {seq} is not the one this tablet recorded: one of the two records was put back to an earlier state"
    )]
    RecordDiffers { seq: u64 },
    #[error(
        "the server only has events up to {server}, and this tablet has dropped what follows: the server's data was put back to an earlier copy"
    )]
    RecordForgotten { server: u64 },
    #[error("how the tablet stands could not be read: {0}")]
    Inventory(String),
    #[error("the system gave no random bytes for a request")]
    NoRandomness,
    #[error("a task of synchronising ended early")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl SyncContext {
    pub fn new(
        ledger: Ledger,
        clock: TrustedClock,
        connection: Arc<Connection>,
        inventory: InventorySource,
        inventory_changed: watch::Receiver<u64>,
    ) -> Self {
        Self {
            ledger,
            clock,
            connection,
            inventory,
            inventory_changed,
            state: watch::Sender::default(),
            back: Arc::default(),
            told: Arc::default(),
        }
    }

    pub fn state(&self) -> watch::Receiver<SyncState> {
        self.state.subscribe()
    }

    fn reached(&self) {
        let was_away = self.state.borrow().problem.is_some();
        self.state.send_replace(SyncState {
            reached_at: Some(self.clock.now().at),
            problem: None,
            revoked: false,
        });
        if was_away {
            self.back.notify_waiters();
        }
    }

    fn failed(&self, error: &SyncError) {
        let problem = crate::whole_text(error);
        let is_new = self.state.borrow().problem.as_ref() != Some(&problem);
        let revoked = is_revoked(error);
        let newly_revoked = revoked && !self.state.borrow().revoked;
        if newly_revoked {
            tracing::warn!("the server no longer accepts this tablet; everything stays enforced");
            self.alarm(
                "the server no longer accepts this tablet; what was last agreed stays enforced",
            );
        } else if is_new && breaks_the_record(error) && self.told.insert_if_absent(&problem) {
            tracing::error!(problem, "the server and this tablet disagree on the record");
            self.alarm(&problem);
        }
        self.state.send_modify(|state| {
            state.problem = Some(problem);
            state.revoked = revoked;
        });
    }

    fn alarm(&self, what: &str) {
        let body = EventBody::Alarm {
            what: what.to_owned(),
        };
        if let Err(error) = self.ledger.record(self.clock.now().at, &body) {
            tracing::error!(%error, what, "an alarm could not be recorded");
        }
    }
}

/// Synchronises until dropped. May be dropped at any moment: what the ledger took is whole.
pub async fn run(context: SyncContext) {
    tokio::join!(fetch::run(context.clone()), upload::run(context));
}

fn is_revoked(error: &SyncError) -> bool {
    matches!(error, SyncError::Server(error) if error.is_revoked())
}

/// Whether somebody has to look: one of the two records was put back or changed.
fn breaks_the_record(error: &SyncError) -> bool {
    use nestwarden_policy_schema::device_api::code;
    match error {
        SyncError::RecordPutBack { .. }
        | SyncError::RecordDiffers { .. }
        | SyncError::RecordForgotten { .. } => true,
        SyncError::Server(error) => [
            code::EVENT_GAP,
            code::EVENT_CHAIN,
            code::EVENT_CONFLICT,
            code::EVENT_HEAD,
        ]
        .iter()
        .any(|broken| error.is_code(broken)),
        SyncError::Identity(_)
        | SyncError::Tls(_)
        | SyncError::Ledger(_)
        | SyncError::Statement(_)
        | SyncError::OtherStatement(_)
        | SyncError::Bundle(_)
        | SyncError::Inventory(_)
        | SyncError::NoRandomness
        | SyncError::Interrupted(_) => false,
    }
}

/// 0 to 1.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    match ring::rand::SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

fn nonce() -> Result<String, SyncError> {
    let mut bytes = [0_u8; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| SyncError::NoRandomness)?;
    Ok(u128::from_be_bytes(bytes).to_string())
}

/// Runs what blocks off the event loop.
async fn blocking<T: Send + 'static, E: From<tokio::task::JoinError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::task::spawn_blocking(work).await?
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests_server;
