//! How people come in: accounts, and the invitations they are made with. Of links and codes only digests are kept.

use super::{Answer, AuditEntry, Erased, Operator, Passkey};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::{Digest, Secret};
use nestwarden_policy_schema::id::OperatorId;

#[derive(Clone)]
pub struct Account {
    pub operator: Operator,
    /// Argon2id, as a PHC string.
    pub password: String,
    /// What the person's authenticator shares, sealed to this server's release key. `None`: they have no authenticator.
    pub totp: Option<Vec<u8>>,
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
    pub factor: NewFactor,
    pub recovery: Vec<Digest>,
    pub made_at: Timestamp,
    /// Somebody else, who is asked to come in by the same act.
    pub second: Option<(Operator, Invitation)>,
}

/// The second factor of a new account, beside printed codes.
#[derive(Clone)]
pub enum NewFactor {
    /// An authenticator, by what it shares, sealed.
    Totp {
        sealed: Vec<u8>,
        /// Of the code that showed that it works.
        step: u64,
    },
    Passkey(Passkey),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Done,
    /// The passkey is somebody's already.
    PasskeyKnown,
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

    /// What authenticators share and lies here as it is, from before it was sealed.
    fn totp_unsealed(&self) -> Answer<'_, Vec<(OperatorId, Secret)>>;

    /// Takes over what was sealed, in place of what lay here as it is, and overwrites that, in the log too.
    fn totp_seal<'a>(
        &'a self,
        sealed: &'a [(OperatorId, Vec<u8>)],
        audit: &'a AuditEntry,
    ) -> Answer<'a, Erased>;

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
