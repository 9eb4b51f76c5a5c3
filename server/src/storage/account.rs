//! How people come in: accounts, and the invitations they are made with. Of links and codes only digests are kept.

use super::{Answer, AuditEntry, Operator};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::{Digest, Secret};
use nestwarden_policy_schema::id::OperatorId;

#[derive(Clone)]
pub struct Account {
    pub operator: Operator,
    /// Argon2id, as a PHC string.
    pub password: String,
    pub totp: Secret,
    /// The newest time step a code was taken for.
    pub totp_step: u64,
    /// `None`: it is not locked.
    pub locked_until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub hash: Digest,
    pub operator: OperatorId,
    /// Not accepted from here on.
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

/// What an operator made of their invitation.
#[derive(Clone)]
pub struct NewAccount {
    pub operator: OperatorId,
    pub password: String,
    pub totp: Secret,
    /// Of the code that showed that the authenticator works.
    pub totp_step: u64,
    pub recovery: Vec<Digest>,
    pub made_at: Timestamp,
    /// Somebody else, who is asked to come in by the same act.
    pub second: Option<(Operator, Invitation)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Done,
    /// There is no such invitation, or it was used or replaced meanwhile.
    InvitationGone,
    /// Somebody has the second person's name already.
    NameTaken,
}

/// After how many refused tries in a row an account waits, and until when.
#[derive(Clone, Copy, Debug)]
pub struct LockAfter {
    pub failures: u64,
    pub until: Timestamp,
}

pub trait AccountStore: Send + Sync {
    /// `None`: this operator has not made an account, or there is no such operator.
    fn account_find(&self, operator: OperatorId) -> Answer<'_, Option<Account>>;

    /// Uses the invitation up. An account that was there before is replaced, with its codes, and its sessions end.
    fn account_make<'a>(
        &'a self,
        invitation: Digest,
        account: &'a NewAccount,
        audit: &'a [AuditEntry],
    ) -> Answer<'a, Made>;

    /// Counts a refused try. `true`: that locked the account, which `locked` then says beside `refused`.
    fn account_refuse<'a>(
        &'a self,
        operator: OperatorId,
        lock: LockAfter,
        refused: &'a AuditEntry,
        locked: &'a AuditEntry,
    ) -> Answer<'a, bool>;

    /// Replaces the invitation there was for this operator.
    fn invitation_put<'a>(
        &'a self,
        invitation: &'a Invitation,
        audit: &'a AuditEntry,
    ) -> Answer<'a, ()>;

    /// `None`: never made here, or replaced. Used and expired ones are found.
    fn invitation_find(&self, hash: Digest) -> Answer<'_, Option<(Invitation, Operator)>>;
}
