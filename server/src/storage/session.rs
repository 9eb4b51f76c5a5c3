//! Sessions of people who signed in. Only a digest of what their browser holds is kept.

use super::{Answer, AuditEntry, Operator, PasskeyState};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::{OperatorId, PasskeyId};

/// What came beside the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// A code of the authenticator, of this time step.
    Totp { step: u64 },
    /// A printed code, by its digest.
    Recovery { hash: Digest },
    /// A passkey, and what its use changed.
    Passkey {
        id: PasskeyId,
        before: PasskeyState,
        after: PasskeyState,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub operator: Operator,
    pub begun_at: Timestamp,
    /// To the minute.
    pub seen_at: Timestamp,
    /// Whatever happens in between.
    pub ends_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSession {
    pub hash: Digest,
    pub operator: OperatorId,
    pub begun_at: Timestamp,
    pub ends_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Done,
    /// The code was taken before or is not one of this account, the passkey was used or removed meanwhile, or the account is
    /// locked or gone.
    Refused,
}

pub trait SessionStore: Send + Sync {
    /// Uses the factor up, so that nobody who saw it can use it too, and forgets refused tries.
    fn session_begin<'a>(
        &'a self,
        session: &'a NewSession,
        factor: Factor,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Begun>;

    /// `None`: there is none, or it was ended. Whether it is over by the clock is not judged here.
    fn session_find(&self, hash: Digest) -> Answer<'_, Option<Session>>;

    fn session_seen(&self, hash: Digest, at: Timestamp) -> Answer<'_, ()>;

    /// Harmless to repeat: only the first writes the entry.
    fn session_end<'a>(&'a self, hash: Digest, audit: &'a AuditEntry) -> Answer<'a, ()>;

    /// Every session of an operator; how many there were.
    fn session_end_all<'a>(
        &'a self,
        operator: OperatorId,
        audit: &'a AuditEntry,
    ) -> Answer<'a, u64>;
}
