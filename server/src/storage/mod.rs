//! What the server remembers, by capability. Everything else speaks to these traits; only [`sql`] knows a database.
//!
//! A [`Storage`] belongs to one setting: no method can reach another setting's rows.

pub mod access;
pub mod account;
pub mod alert;
pub mod api_token;
pub mod audit;
pub mod bundle;
pub mod command;
#[cfg(test)]
mod conformance;
pub mod consent;
pub mod decision;
pub mod device;
pub mod entry;
pub mod event;
pub mod fleet;
pub mod hold;
pub mod import;
pub mod inventory;
pub mod nonce;
pub mod operator;
pub mod passcode;
pub mod passkey;
pub mod photo;
pub mod profile;
pub mod received;
pub mod report;
pub mod rollout;
pub mod session;
pub mod sql;
pub mod tally;
pub mod task;
#[cfg(test)]
pub(crate) mod testing;
pub mod token;
pub mod told;
mod trouble;

pub use access::{AccessRow, AccessStore};
pub use account::{Account, AccountStore, Invitation, LockAfter, Made, NewAccount, NewFactor};
pub use alert::{Alert, AlertRound, AlertStore, Mail, MailState, NewMail};
pub use api_token::{ApiToken, ApiTokenStore, NewApiToken, Scope};
pub use audit::{AuditEntry, AuditStore};
pub use bundle::{BundleStore, IssuedBundle};
pub use command::{Cancelled, CommandAdded, CommandOutcome, CommandRow, CommandStore, HourlyLimit};
pub use consent::{Child, ConsentStore, FileSaid, RegisterChange, RegisterPut, SetHere};
pub use decision::{DecisionStore, UnsealDecision, Unsealing, UnsealingKept};
pub use device::{Device, DeviceKey, DeviceStore, Revocation};
pub use entry::{
    EntryBegun, EntryHead, EntryLine, EntryRow, EntryStore, EntryWords, EraseAsked, Leaves,
    NewLine, RegisterName, Which,
};
pub use event::{AppendOutcome, EventStore, NewBatch, StoredEvent, StoredHead};
pub use fleet::{FleetRow, FleetStore, NumberedInventory};
pub use hold::{HoldRow, HoldStore};
pub use import::{Acceptance, ImportKey, ImportStore, SavedMapping, WaitingFile};
pub use inventory::{InventoryStore, StoredInventory, ToldHour};
pub use nonce::NonceStore;
pub use operator::{Cover, Operator, OperatorStore, PeopleChange, PeoplePut, Role};
pub use passcode::{Erased, PasscodeStore, WaitingPasscode};
pub use passkey::{Passkey, PasskeyAdded, PasskeyRemoved, PasskeyState, PasskeyStore};
pub use photo::{PhotoRow, PhotoStore};
pub use profile::{ProfileStore, ProfileVersion};
pub use report::{BundleReport, PutBackRow, RecordConflict, ReportStore, Reported};
pub use rollout::{Ended, Joined, Rollout, RolloutStore, Stopped};
pub use session::{Begun, Factor, NewSession, Session, SessionStore};
pub use tally::{StoredTally, TallyStore};
pub use task::{
    Closing, PhotoUses, Task, TaskChanges, TaskDraft, TaskKind, TaskRound, TaskStore, TaskSubject,
    WithClosed,
};
pub use token::{EnrolOutcome, EnrolToken, TokenStore};
pub use told::{ToldCustody, ToldStore};
pub use trouble::{Trouble, trouble};

use nestwarden_policy_schema::id::SettingId;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a store answers with, in its own time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;

/// Every capability together, for one setting.
pub type Storage = Arc<dyn Store>;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("the database failed to {act}")]
    Database {
        act: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("the database could not be brought to this version's shape")]
    Migration(#[source] sqlx::migrate::MigrateError),
    #[error("the database holds {what} that cannot be read: {problem}")]
    Corrupt { what: &'static str, problem: String },
    #[error("the database holds no setting; run `nestwarden-server init` first")]
    NoSetting,
    #[error("others change the database all the time; try again")]
    Busy,
    #[error("the writer of events has stopped")]
    WriterStopped,
}

/// Whether a change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    Yes,
    /// It was so already; nothing was written.
    Already,
    /// There is no such row.
    Missing,
}

pub trait Store:
    DeviceStore
    + TokenStore
    + EventStore
    + TallyStore
    + BundleStore
    + CommandStore
    + PasscodeStore
    + InventoryStore
    + FleetStore
    + ReportStore
    + NonceStore
    + ProfileStore
    + RolloutStore
    + ConsentStore
    + ImportStore
    + HoldStore
    + PhotoStore
    + DecisionStore
    + AccessStore
    + TaskStore
    + OperatorStore
    + ApiTokenStore
    + AccountStore
    + PasskeyStore
    + SessionStore
    + AlertStore
    + AuditStore
    + EntryStore
    + ToldStore
{
    fn setting(&self) -> SettingId;

    /// Grows with every change that may show in a bundle, whoever made it.
    fn inputs_version(&self) -> Answer<'_, i64>;

    /// Whether a change can be made durable at this moment; changes nothing.
    fn check_writable(&self) -> Answer<'_, ()>;

    /// What the database itself finds wrong with its file; empty when nothing.
    fn problems(&self) -> Answer<'_, Vec<String>>;
}
