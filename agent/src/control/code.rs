//! A passcode that was set in the console, as the tablet takes it over.

use super::EnforceError;
use jiff::Timestamp;
use nestwarden_policy_schema::code::Code;
use nestwarden_policy_schema::id::CommandId;

/// The code that a command asks for, checked against what was signed.
#[derive(Debug)]
pub struct CodeOrder {
    pub command: CommandId,
    pub issued_at: Timestamp,
    /// Trusted time.
    pub now: Timestamp,
    pub code: Code,
}

/// Gives the accounts of the staff a passcode.
pub trait CodeSetter: Send + Sync + 'static {
    /// Every account that can sign in has it, and it was seen to open each of them. The same order again is harmless, also
    /// after a crash at any point of the one before. Blocks.
    fn set(&self, order: &CodeOrder) -> Result<(), CodeError>;
}

#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The same order would be refused again.
    #[error(transparent)]
    Refused(#[from] CodeRefusal),
    /// It could not be done this time.
    #[error(transparent)]
    NotYet(#[from] EnforceError),
}

/// Why a passcode is not set, as the manager reads it. Never in words that tell anything of the code.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeRefusal {
    #[error("it was used on this tablet before; set another one")]
    UsedBefore,
    #[error("it is too short or too easy to guess for this tablet; set another one")]
    TooWeak,
    #[error("no account of the staff can sign in on this tablet; have one made")]
    NoAccount,
    #[error(
        "the tablet's system did not take it; set another one, and if that stays, tell your IT admin"
    )]
    NotTaken,
    #[error("this tablet cannot do it: {0}")]
    Unsupported(String),
}
