//! Making an account with an invitation. While a setting has only one person who answers for children, it does not finish
//! without the name of a second: what must not be one person's act would otherwise wait for nobody.

use super::invitation::{self, NewInvitation};
use super::passkey::{self, Offered, PasskeyError};
use super::password::{self, PasswordError};
use super::{audit, recovery_codes, recovery_hash, sealed, totp};
use crate::domain::fresh;
use crate::storage::{Made, NewAccount, NewFactor, Operator, Role, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::id::OperatorId;
use nestwarden_policy_schema::text::is_unseen;
use serde_json::json;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

pub const NAME_CHARS: usize = 80;

/// What the second person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondAs {
    Owner,
    Deputy,
}

/// What was filled in.
pub struct Wanted<'a> {
    pub token: &'a str,
    pub password: Zeroizing<String>,
    pub repeated: Zeroizing<String>,
    pub factor: WantedFactor<'a>,
    pub second: Option<(&'a str, SecondAs)>,
}

/// The second factor beside printed codes.
#[derive(Clone, Copy)]
pub enum WantedFactor<'a> {
    Totp {
        /// As the page showed it.
        base32: &'a str,
        code: &'a str,
    },
    Passkey {
        name: &'a str,
        offered: Offered<'a>,
    },
}

/// Where an account is made.
#[derive(Clone, Copy)]
pub struct House<'a> {
    pub setting_name: &'a str,
    /// Of the release key, to which is sealed what an authenticator shares.
    pub recipient: &'a str,
}

/// Shown once.
#[derive(Clone)]
pub struct Ready {
    pub operator: Operator,
    pub recovery_codes: Vec<String>,
    /// The link's token for whoever was named.
    pub second: Option<(String, NewInvitation)>,
}

#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error(
        "This link was used, or is too old, or was replaced by a newer one. Ask for another: `nestwarden-server operator invite NAME` makes one."
    )]
    Link,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(
        "The code is not the one the authenticator shows. If it never fits, the clock of this machine or of the authenticator is wrong."
    )]
    Code,
    #[error("{0}")]
    Passkey(#[from] PasskeyError),
    #[error(
        "Name a second person: an owner of the nursery, or a deputy. They get a link of their own."
    )]
    NoSecond,
    #[error("The second person's name has to be 1 to {NAME_CHARS} characters on one line.")]
    SecondName,
    #[error("There is somebody called \"{0}\" already. The second person has to be another one.")]
    SecondTaken(String),
    #[error("the system gave no random bits")]
    Random,
    #[error("this setting's release key cannot be used; restore `keys` from a backup")]
    Seal,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A new one for the page to show; `None`: no random bits.
pub fn new_totp() -> Option<Secret> {
    totp::new_secret()
}

/// The secret a page carried back; a new one where it is none of ours.
pub fn carried_totp(base32: &str) -> Option<Secret> {
    totp::from_base32(base32).or_else(totp::new_secret)
}

/// Whether nobody else of the setting could be the second of two people.
pub async fn needs_second(storage: &Storage, operator: OperatorId) -> Result<bool, StorageError> {
    let answers = |role| matches!(role, &Role::Manager | &Role::Dsl | &Role::Deputy);
    let all = storage.operator_list().await?;
    Ok(!all
        .iter()
        .any(|other| other.id != operator && other.roles.iter().any(answers)))
}

/// Makes the account of whom the link is for, and invites the second person where nobody else could be one. The link is used
/// up; nothing is kept where anything was wrong, so that it can be tried again.
///
/// # Errors
/// A link that is no good (any more), and whatever of password, factor or second person was wrong.
pub async fn set_up(
    storage: &Storage,
    house: House<'_>,
    wanted: Wanted<'_>,
    now: Timestamp,
) -> Result<Ready, SetUpError> {
    let operator = invitation::open(storage, wanted.token, now)
        .await?
        .ok_or(SetUpError::Link)?;
    password::check(&wanted.password, [&operator.name, house.setting_name])?;
    if *wanted.password != *wanted.repeated {
        return Err(PasswordError::Differ.into());
    }
    let second = if needs_second(storage, operator.id).await? {
        Some(second(wanted.second, &operator, now)?)
    } else {
        None
    };
    // After all that may have been mistyped: a key answers once.
    let factor = factor(house.recipient, wanted.factor, operator.id, now)?;
    let with = match factor {
        NewFactor::Totp { .. } => "authenticator",
        NewFactor::Passkey(_) => "passkey",
    };
    let codes = recovery_codes().ok_or(SetUpError::Random)?;
    let new = NewAccount {
        operator: operator.id,
        password: password::hash(wanted.password)
            .await
            .ok_or(SetUpError::Random)?,
        factor,
        recovery: codes.iter().map(|code| recovery_hash(code)).collect(),
        made_at: now,
        second: second
            .as_ref()
            .map(|(person, _, invitation)| (person.clone(), invitation.clone())),
    };
    let mut entries = vec![audit(
        &operator,
        "account.set_up",
        json!({ "with": with }),
        now,
    )];
    if let Some((person, _, _)) = &second {
        // Without e-mail somebody has to hand the link over, and could open it: that has to be readable afterwards.
        let detail = json!({
            "name": person.name, "roles": person.roles, "link_shown_to": operator.name,
        });
        let mut entry = audit(&operator, "operator.add", detail, now);
        entry.subject = person.id.to_string();
        entries.push(entry);
    }
    match storage
        .account_make(invitation::hash(wanted.token), &new, &entries)
        .await?
    {
        Made::Done => Ok(Ready {
            operator,
            recovery_codes: codes,
            second: second.map(|(person, link, _)| (person.name, link)),
        }),
        Made::PasskeyKnown => Err(PasskeyError::Known.into()),
        Made::InvitationGone => Err(SetUpError::Link),
        Made::NameTaken => Err(SetUpError::SecondTaken(
            second.map(|(person, _, _)| person.name).unwrap_or_default(),
        )),
    }
}

fn factor(
    recipient: &str,
    wanted: WantedFactor<'_>,
    operator: OperatorId,
    now: Timestamp,
) -> Result<NewFactor, SetUpError> {
    match wanted {
        WantedFactor::Totp { base32, code } => {
            let secret = totp::from_base32(base32).ok_or(SetUpError::Code)?;
            let code: String = code.split_whitespace().collect();
            let step = totp::step_of(&secret, &code, now).ok_or(SetUpError::Code)?;
            let sealed = sealed::seal(recipient, operator, &secret).ok_or(SetUpError::Seal)?;
            Ok(NewFactor::Totp { sealed, step })
        }
        WantedFactor::Passkey { name, offered } => {
            let name = passkey::named(name)?;
            let new = passkey::registered(offered, operator, name, now)?;
            Ok(NewFactor::Passkey(new))
        }
    }
}

type Second = (Operator, NewInvitation, crate::storage::Invitation);

fn second(
    named: Option<(&str, SecondAs)>,
    operator: &Operator,
    now: Timestamp,
) -> Result<Second, SetUpError> {
    let (name, role) = named.ok_or(SetUpError::NoSecond)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(SetUpError::NoSecond);
    }
    if name.chars().count() > NAME_CHARS || name.chars().any(is_unseen) {
        return Err(SetUpError::SecondName);
    }
    // Names that differ in capitals only are one person's to the eye.
    if name.to_lowercase() == operator.name.to_lowercase() {
        return Err(SetUpError::SecondTaken(name.to_owned()));
    }
    let role = match role {
        SecondAs::Owner => Role::Manager,
        SecondAs::Deputy => Role::Deputy,
    };
    let person = Operator {
        id: OperatorId::from_uuid(fresh::ordered(now)),
        name: name.to_owned(),
        roles: BTreeSet::from([role]),
        created_at: now,
    };
    let (link, invitation) = invitation::make(person.id, now).ok_or(SetUpError::Random)?;
    Ok((person, link, invitation))
}
