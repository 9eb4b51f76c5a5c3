//! Signing in: name, password and a second factor, all judged at once, so that an answer does not say which was wrong, nor
//! whether there is such a person.

use super::passkey::{self, Offered, Refusal};
use super::session::{self, LIFE};
use super::{audit, password, recovery_hash, sealed, totp};
use crate::signing::ReleaseKey;
use crate::storage::{
    Account, Begun, Factor, LockAfter, NewSession, Operator, Storage, StorageError,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use zeroize::Zeroizing;

/// Refused tries in a row after which an account waits.
pub const TRIES: u64 = 10;
const WAIT: SignedDuration = SignedDuration::from_mins(15);
const TOTP_CHARS: usize = 6;

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error(
        "That is not right. Check name, password and code or key; a code is good once, and for a minute; where none fits, a clock is wrong, and a printed code helps, as it does where a key is refused: then look under your name why. After {TRIES} wrong tries in a row an account waits for a quarter of an hour."
    )]
    Refused,
    #[error("the system gave no random bits")]
    Random,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the browser keeps, and who it is.
#[derive(Clone)]
pub struct SignedIn {
    pub secret: String,
    pub operator: Operator,
}

/// What is shown beside the password.
#[derive(Clone, Copy)]
pub enum Shown<'a> {
    /// The authenticator's, or a printed one.
    Code(&'a str),
    Passkey(Offered<'a>),
}

/// Begins a session for who knows the password and shows the second factor, and uses the factor up. Takes as long whatever
/// was wrong; a refused try is written down and counts towards the account's waiting.
///
/// # Errors
/// [`SignInError::Refused`] for whatever was wrong.
pub async fn sign_in(
    storage: &Storage,
    release: &ReleaseKey,
    name: &str,
    password: Zeroizing<String>,
    shown: Shown<'_>,
    now: Timestamp,
) -> Result<SignedIn, SignInError> {
    let account = match storage.operator_by_name(name.trim()).await? {
        Some(operator) => storage.account_find(operator.id).await?,
        None => None,
    };
    let hash = account.as_ref().map(|account| account.password.clone());
    // Also while it waits: how long an answer takes says nothing.
    let is_right = password::is_right(password, hash).await;
    let is_open = |account: &Account| account.locked_until.is_none_or(|until| until <= now);
    let Some(account) = account.filter(is_open) else {
        // What was asked of a key is over for everybody alike.
        match shown {
            Shown::Passkey(offered) => {
                let _ = offered.ceremonies.take_sign_in(offered.owner, now);
            }
            Shown::Code(code) if is_totp(&typed(code)) => sealed::take_as_long(release),
            Shown::Code(_) => {}
        }
        // A refused try at an account is written down; this one takes as long.
        storage.check_writable().await?;
        return Err(SignInError::Refused);
    };
    let factor = match shown {
        Shown::Code(code) => of_code(release, &account, code, now),
        Shown::Passkey(offered) => of_passkey(storage, &account.operator, offered, now).await?,
    };
    if let (true, Some(factor)) = (is_right, factor)
        && let Some(signed_in) = begin(storage, &account.operator, factor, now).await?
    {
        return Ok(signed_in);
    }
    refuse(storage, &account.operator, now).await?;
    Err(SignInError::Refused)
}

fn typed(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace()).collect()
}

fn is_totp(code: &str) -> bool {
    code.len() == TOTP_CHARS && code.bytes().all(|b| b.is_ascii_digit())
}

/// `None`: neither is right. Whether a printed code is one of this account shows when it is used up.
fn of_code(release: &ReleaseKey, account: &Account, code: &str, now: Timestamp) -> Option<Factor> {
    let typed = typed(code);
    if is_totp(&typed) {
        let Some(sealed) = &account.totp else {
            sealed::take_as_long(release);
            return None;
        };
        let Some(secret) = sealed::open(release, account.operator.id, sealed) else {
            tracing::error!(operator.id = %account.operator.id, "what an authenticator shares cannot be opened with this server's release key; restore database and `keys` from the same backup, or invite the person anew");
            return None;
        };
        let step = totp::step_of(&secret, &typed, now)?;
        return (step > account.totp_step).then_some(Factor::Totp { step });
    }
    Some(Factor::Recovery {
        hash: recovery_hash(&typed),
    })
}

/// `None`: it is not right.
async fn of_passkey(
    storage: &Storage,
    operator: &Operator,
    offered: Offered<'_>,
    now: Timestamp,
) -> Result<Option<Factor>, StorageError> {
    let known = storage.passkey_list(operator.id).await?;
    match passkey::asserted(offered, operator.id, &known, now) {
        Ok(factor) => Ok(Some(factor)),
        Err(Refusal::Wrong) => Ok(None),
        Err(Refusal::Copied(id)) => {
            passkey::copied(storage, operator, id, now).await?;
            Ok(None)
        }
    }
}

async fn begin(
    storage: &Storage,
    operator: &Operator,
    factor: Factor,
    now: Timestamp,
) -> Result<Option<SignedIn>, SignInError> {
    let secret = session::new_secret().ok_or(SignInError::Random)?;
    let new = NewSession {
        hash: session::hash(&secret),
        operator: operator.id,
        begun_at: now,
        ends_at: now.checked_add(LIFE).unwrap_or(Timestamp::MAX),
    };
    let with = match factor {
        Factor::Totp { .. } => json!({ "with": "authenticator" }),
        Factor::Recovery { .. } => json!({ "with": "recovery code" }),
        Factor::Passkey { id, .. } => json!({ "with": "passkey", "passkey": id }),
    };
    let entry = audit(operator, "account.sign_in", with, now);
    Ok(match storage.session_begin(&new, factor, &entry).await? {
        Begun::Done => Some(SignedIn {
            secret,
            operator: operator.clone(),
        }),
        Begun::Refused => None,
    })
}

async fn refuse(
    storage: &Storage,
    operator: &Operator,
    now: Timestamp,
) -> Result<(), StorageError> {
    let lock = LockAfter {
        failures: TRIES,
        until: now.checked_add(WAIT).unwrap_or(Timestamp::MAX),
    };
    let refused = audit(operator, "account.refused", json!({}), now);
    let locked = audit(
        operator,
        "account.locked",
        json!({ "until": lock.until }),
        now,
    );
    if storage
        .account_refuse(operator.id, lock, &refused, &locked)
        .await?
    {
        tracing::warn!(operator.id = %operator.id, until = %lock.until, "an account was locked after too many wrong tries");
    }
    Ok(())
}
