//! Passkeys and security keys of people: the public half, and what changes with each use.

use super::{Answer, AuditEntry};
use jiff::Timestamp;
use nestwarden_policy_schema::id::{OperatorId, PasskeyId};

/// What changes with each use of a passkey: its counter above all. As its verifier writes it.
pub type PasskeyState = [u8; 7];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    pub id: PasskeyId,
    pub operator: OperatorId,
    /// As its owner calls it.
    pub name: String,
    /// The authenticator's own id of it.
    pub credential: Vec<u8>,
    /// Public key and what was agreed when it was added, as its verifier writes it.
    pub public_key: Vec<u8>,
    pub state: PasskeyState,
    pub added_at: Timestamp,
    /// `None`: never yet.
    pub last_used_at: Option<Timestamp>,
    /// When its counter went back, which says that there may be a copy; it opens nothing from then on. `None`: never.
    pub copied_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyAdded {
    Done,
    /// It is somebody's already.
    Known,
    /// This person has as many as anybody may have.
    TooMany,
    /// This person has no account.
    NoAccount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyRemoved {
    Done,
    Missing,
    /// Nothing would be left to sign in with but printed codes.
    LastFactor,
}

pub trait PasskeyStore: Send + Sync {
    /// By when they were added.
    fn passkey_list(&self, operator: OperatorId) -> Answer<'_, Vec<Passkey>>;

    fn passkey_add<'a>(
        &'a self,
        passkey: &'a Passkey,
        most: usize,
        audit: &'a AuditEntry,
    ) -> Answer<'a, PasskeyAdded>;

    /// One that may have been copied counts as no factor that is left.
    fn passkey_remove<'a>(
        &'a self,
        operator: OperatorId,
        passkey: PasskeyId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, PasskeyRemoved>;

    /// Notes that there may be a copy of it. The first time stays.
    fn passkey_copied<'a>(
        &'a self,
        operator: OperatorId,
        passkey: PasskeyId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()>;
}
