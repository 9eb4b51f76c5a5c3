//! Passcodes that are set here and told to staff in person: which are taken, how long one is kept, and how far it got.
//!
//! Between the moment it is set and the tablet's word a passcode lies here sealed to this server's own release key, in
//! another file than that key. Nothing else ever holds it: commands, bundles and the log hold a commitment at most.

use super::local_time::LocalTime;
use super::rollout::InForce;
use super::{command, fresh};
use crate::signing::ReleaseKey;
use crate::signing::release::seal;
use crate::storage::command::DONE;
use crate::storage::{
    AuditEntry, CommandAdded, CommandRow, Device, HourlyLimit, Storage, StorageError,
};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::code::{
    Code, CodeReason, CodeRefused, LONGEST, NONCE_BYTES, SHORTEST, check, commitment,
};
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::device_api::PasscodeAnswer;
use nestwarden_policy_schema::id::{CommandId, DeviceId};
use nestwarden_policy_schema::policy::{Mode, PasscodePolicy, SetBy};
use nestwarden_policy_schema::profile::PolicyProfile;
use nestwarden_policy_schema::text::visible;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use zeroize::Zeroizing;

/// A tablet that does not come by within this time does not get it, and it is erased here.
pub const SET_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Nonce, length, and the code with zeros up to its greatest length: what is sealed says nothing by its size.
const KEPT_BYTES: usize = NONCE_BYTES + 1 + LONGEST;
const SUGGESTED_CHARS: u8 = 8;
const DIGITS: &[u8] = b"0123456789";
/// Without what is taken for something else when it is read out.
const LETTERS_AND_DIGITS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Far more than are ever needed: most fit.
const MOST_TRIES: u32 = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum PasscodeError {
    #[error("{0}; nothing was changed, think of another one")]
    Code(#[from] CodeRefused),
    #[error(
        "the profile of \"{0}\" leaves its passcode to staff (`set_by = \"user\"`), and nothing was changed; they change it on the tablet"
    )]
    NotManagers(String),
    #[error(
        "the profile of \"{0}\" only watches passcodes so far, and nothing was changed; set `mode = \"enforce\"` for them first"
    )]
    OnlyWatched(String),
    #[error("the profile of \"{0}\" cannot be read, and nothing was changed; apply it again")]
    Profile(String),
    #[error("\"{0}\" is shut out already, and hears nothing any more")]
    Revoked(String),
    #[error(
        "a hold for illegal content is open, and nothing on \"{0}\" may change; two people release the hold first"
    )]
    Frozen(String),
    #[error(
        "the setting's limit of commands that keep tablets from use is reached for this hour, and nothing was set for \"{name}\"; one more is taken in {minutes} minutes (`commands.disruptive_per_hour` in server.toml)"
    )]
    TooMany { name: String, minutes: i64 },
    #[error("the system gave no random bits")]
    Random,
    #[error("this setting's release key cannot be used; restore `keys` from a backup")]
    Seal,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How a passcode is chosen.
pub enum Chosen {
    By(Zeroizing<String>),
    Suggested,
}

/// What was set. The code is shown to whoever set it, this once.
pub struct PasscodeSet {
    pub command: Command,
    pub code: Code,
}

/// Sets the passcode of a tablet's staff. It takes effect when the tablet comes by, by default outside contact hours. One
/// that waits already is replaced.
pub async fn set(
    storage: &Storage,
    recipient: &str,
    device: &Device,
    (chosen, reason): (Chosen, CodeReason),
    limit: HourlyLimit,
    who: &str,
    now: Timestamp,
) -> Result<PasscodeSet, PasscodeError> {
    let policy = settable(storage, device).await?;
    let code = match chosen {
        Chosen::By(text) => Code::new(text)?,
        Chosen::Suggested => suggest(&policy)?,
    };
    check(&policy, &code)?;
    let mut nonce = [0; NONCE_BYTES];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| PasscodeError::Random)?;
    let sealed = seal(recipient, &kept(&nonce, &code)).ok_or(PasscodeError::Seal)?;
    let command = Command {
        id: CommandId::from_uuid(fresh::ordered(now)),
        device: device.id,
        kind: CommandKind::SetPasscode {
            reason,
            commitment: commitment(&nonce, &code),
        },
        issued_at: now,
        expires_at: now.checked_add(SET_WITHIN).unwrap_or(Timestamp::MAX),
    };
    let approved = ApprovedCommand {
        command,
        approvals: Vec::new(),
    };
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "device.set_passcode".to_owned(),
        subject: device.id.to_string(),
        detail: json!({ "reason": reason.as_str(), "command": approved.command.id }),
    };
    let added = storage.passcode_add(&approved, &sealed, limit, &audit);
    match added.await? {
        CommandAdded::Yes | CommandAdded::Already => Ok(PasscodeSet {
            command: approved.command,
            code,
        }),
        CommandAdded::Missing => Err(PasscodeError::Revoked(device.name.clone())),
        CommandAdded::TooMany { until } => Err(PasscodeError::TooMany {
            name: device.name.clone(),
            minutes: command::minutes_until(until, now),
        }),
    }
}

/// The rules for this tablet's passcode, where it is the manager's to set.
pub async fn settable(storage: &Storage, device: &Device) -> Result<PasscodePolicy, PasscodeError> {
    let name = || device.name.clone();
    if device.revoked.is_some() {
        return Err(PasscodeError::Revoked(name()));
    }
    let Some(profile) = profile_of(storage, device).await? else {
        return Err(PasscodeError::Profile(name()));
    };
    let policy = profile.policy_with(&device.overrides).passcode;
    let Some(policy) = policy.filter(|policy| policy.set_by == SetBy::Manager) else {
        return Err(PasscodeError::NotManagers(name()));
    };
    if policy.mode != Mode::Enforce {
        return Err(PasscodeError::OnlyWatched(name()));
    }
    if command::is_frozen(storage, device).await? {
        return Err(PasscodeError::Frozen(name()));
    }
    Ok(policy)
}

/// Whether the passcode of this tablet is the manager's to set, as its profile has it.
pub fn is_managers(profile: &PolicyProfile, device: &Device) -> Option<PasscodePolicy> {
    let policy = profile.policy_with(&device.overrides).passcode;
    policy.filter(|policy| policy.set_by == SetBy::Manager && policy.mode == Mode::Enforce)
}

/// `None`: it is not there, or cannot be read.
pub async fn profile_of(
    storage: &Storage,
    device: &Device,
) -> Result<Option<PolicyProfile>, StorageError> {
    Ok(InForce::load(storage).await?.of(device).cloned())
}

#[derive(Debug, thiserror::Error)]
pub enum GiveError {
    #[error("there is no such command to this tablet")]
    Missing,
    #[error("this passcode was set, taken back or replaced, or its time is over")]
    Over,
    #[error("the passcode that waits cannot be opened; have it set again")]
    Unreadable,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a command of this tablet's commits to, for this tablet. In the log.
pub async fn give(
    storage: &Storage,
    release: &ReleaseKey,
    device: DeviceId,
    command: CommandId,
    now: Timestamp,
) -> Result<PasscodeAnswer, GiveError> {
    let found = storage.passcode_find(device, command).await?;
    let found = found.ok_or(GiveError::Missing)?;
    let sealed = found
        .sealed
        .filter(|_| waits(&found.row, now))
        .ok_or(GiveError::Over)?;
    let kept = release.unseal(&sealed).ok_or(GiveError::Unreadable)?;
    let answer = answer(&kept).ok_or(GiveError::Unreadable)?;
    let audit = AuditEntry {
        at: now,
        who: format!("tablet:{device}"),
        act: "device.passcode_given".to_owned(),
        subject: device.to_string(),
        detail: json!({ "command": command }),
    };
    storage.audit_add(&audit).await?;
    Ok(answer)
}

fn kept(nonce: &[u8], code: &Code) -> Zeroizing<Vec<u8>> {
    let text = code.expose().as_bytes();
    let mut kept = Zeroizing::new(Vec::with_capacity(KEPT_BYTES));
    kept.extend_from_slice(nonce);
    kept.push(u8::try_from(text.len()).unwrap_or(0));
    kept.extend_from_slice(text);
    kept.resize(KEPT_BYTES, 0);
    kept
}

fn answer(kept: &[u8]) -> Option<PasscodeAnswer> {
    let (nonce, rest) = kept.split_at_checked(NONCE_BYTES)?;
    let (length, text) = rest.split_first()?;
    Some(PasscodeAnswer {
        nonce: Secret::new(nonce.to_vec()),
        code: Secret::new(text.get(..usize::from(*length))?.to_vec()),
    })
}

/// Random, and such that the tablet's own rules take it.
fn suggest(policy: &PasscodePolicy) -> Result<Code, PasscodeError> {
    let alphabet = if policy.alphanumeric {
        LETTERS_AND_DIGITS
    } else {
        DIGITS
    };
    let length = policy.min_length.max(SHORTEST).max(SUGGESTED_CHARS);
    for _ in 0..MOST_TRIES {
        let mut text = Zeroizing::new(String::with_capacity(usize::from(length)));
        for _ in 0..length {
            text.push(char::from(pick(alphabet)?));
        }
        let code = Code::new(text)?;
        // Stricter than the profile may be: a suggestion is never one that is easy to guess.
        let careful = PasscodePolicy {
            refuse_simple: true,
            ..policy.clone()
        };
        if check(&careful, &code).is_ok() {
            return Ok(code);
        }
    }
    Err(PasscodeError::Random)
}

/// Each as likely as any other.
fn pick(alphabet: &[u8]) -> Result<u8, PasscodeError> {
    let fair = 256 - 256 % alphabet.len();
    loop {
        let mut byte = [0];
        SystemRandom::new()
            .fill(&mut byte)
            .map_err(|_| PasscodeError::Random)?;
        let number = usize::from(byte[0]);
        if number < fair {
            return Ok(alphabet[number % alphabet.len()]);
        }
    }
}

pub const fn is_passcode(row: &CommandRow) -> bool {
    row.command.command.kind.passcode_reason().is_some()
}

/// Whether the tablet may still set it.
pub fn waits(row: &CommandRow, now: Timestamp) -> bool {
    command::waits(row, now)
}

/// Whether the tablet says that it set this one.
pub fn is_done(row: &CommandRow) -> bool {
    let outcome = row.outcome.as_ref();
    is_passcode(row) && outcome.is_some_and(|outcome| outcome.said.starts_with(DONE))
}

/// When a passcode that was set here last took effect, by the tablet's word; `None`: none ever did.
pub fn last_set(rows: &[CommandRow]) -> Option<(CommandId, Timestamp)> {
    rows.iter()
        .filter(|row| is_done(row))
        .filter_map(|row| Some((row.command.command.id, row.outcome.as_ref()?.at)))
        .max_by_key(|(_, at)| *at)
}

/// How far a passcode got, and what is to be done. As it goes on after who set it and when.
pub fn progress(
    row: &CommandRow,
    local: &LocalTime,
    calendar: Option<&Calendar>,
    now: Timestamp,
) -> String {
    let command = &row.command.command;
    if let Some(outcome) = &row.outcome {
        let at = local.at(outcome.at);
        return if outcome.said.starts_with(DONE) {
            format!("the tablet took it at {at}")
        } else {
            let said = visible(&outcome.said);
            format!("the tablet did not take it, at {at}: {said}. The one before is still in use")
        };
    }
    if let Some(cancelled) = &row.cancelled {
        return format!(
            "taken back or replaced by {} at {}; if the tablet had it already, what came of it is said here",
            cancelled.by,
            local.at(cancelled.at)
        );
    }
    let until = local.at(command.expires_at);
    if command.expires_at <= now {
        return format!("expired at {until}: the tablet did not take it in time; set another one");
    }
    let reason = command.kind.passcode_reason();
    let interrupts = reason.is_some_and(CodeReason::interrupts);
    let hours = calendar.filter(|calendar| !interrupts && calendar.in_contact_hours(now));
    match hours.map(|calendar| calendar.next_contact_change(now)) {
        Some(Some(end)) => format!(
            "waits until contact hours end at {}, and then for the tablet, until {until}",
            local.at(end)
        ),
        Some(None) => {
            format!("waits until contact hours end, and then for the tablet, until {until}")
        }
        None => format!("waits for the tablet's next contact, until {until}"),
    }
}

#[cfg(test)]
mod tests;
