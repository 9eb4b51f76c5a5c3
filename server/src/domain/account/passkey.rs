//! Passkeys and security keys as a second factor: adding one, signing with one, and removing one.
//!
//! A key is asked to verify its person where it can (a fingerprint, a PIN), and need not: the password came before it. What it
//! is made of is not asked (no attestation): any that a browser knows is taken.

use super::ceremony::{Ceremonies, CeremonyError, Owner, user_handle};
use super::{audit, session};
use crate::domain::fresh;
use crate::storage::{
    Factor, Operator, Passkey, PasskeyAdded, PasskeyRemoved, Storage, StorageError,
};
use jiff::Timestamp;
use nestwarden_policy_schema::id::{OperatorId, PasskeyId};
use nestwarden_policy_schema::text::is_unseen;
use serde_json::json;
use webauthn_rp::bin::{Decode as _, Encode as _};
use webauthn_rp::request::auth::AuthenticationVerificationOptions;
use webauthn_rp::request::register::RegistrationVerificationOptions;
use webauthn_rp::response::auth::error::AuthCeremonyErr;
use webauthn_rp::response::register::{CompressedPubKey, DynamicState, StaticState};
use webauthn_rp::response::{CredentialId, auth::DiscoverableAuthentication};
use webauthn_rp::{AuthenticatedCredential, Registration};

/// Of one person.
pub const MOST: usize = 10;
pub const NAME_CHARS: usize = 40;

type PublicKey = CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>;

/// What a browser brought back from an authenticator, as the console's script writes it, and for which ceremony.
#[derive(Clone, Copy)]
pub struct Offered<'a> {
    pub ceremonies: &'a Ceremonies,
    pub owner: Owner,
    pub answer: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    #[error(
        "Give the key a name by which you know it again, 1 to {NAME_CHARS} characters on one line."
    )]
    Name,
    #[error(
        "The key was not added: its answer took longer than five minutes, or was not the one this page asked for. Try again."
    )]
    Answer,
    #[error(
        "No key was asked yet. Press \u{201c}Add a passkey or security key\u{201d}, then touch the key."
    )]
    NotAsked,
    #[error("This key was added before.")]
    Known,
    #[error("Nobody has more than {MOST} keys. Remove one that you no longer have.")]
    TooMany,
    #[error(
        "Nothing was changed: you signed in more than a quarter of an hour ago. Sign in afresh, so that nobody at a machine you left does this."
    )]
    NotFresh,
    #[error("Nothing was changed: it is your only second factor. Add another key first.")]
    LastFactor,
    #[error("There is no such key of yours; it may have been removed already.")]
    Missing,
    #[error("{0}")]
    Ceremony(#[from] CeremonyError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Wrong,
    /// All is right but its counter, which went back: somebody has a copy.
    Copied(PasskeyId),
}

/// What the owner calls it, without what surrounds it.
pub(super) fn named(name: &str) -> Result<&str, PasskeyError> {
    let name = name.trim();
    let fits = (1..=NAME_CHARS).contains(&name.chars().count());
    if fits && !name.chars().any(is_unseen) {
        Ok(name)
    } else {
        Err(PasskeyError::Name)
    }
}

/// The key that answered, by a name that [`named`] gave. Uses the ceremony up.
pub(super) fn registered(
    offered: Offered<'_>,
    operator: OperatorId,
    name: &str,
    now: Timestamp,
) -> Result<Passkey, PasskeyError> {
    let party = offered.ceremonies.party()?;
    let state = offered.ceremonies.take_adding(offered.owner, operator, now);
    let state = state.ok_or(PasskeyError::Answer)?;
    let answer = Registration::from_json_custom(offered.answer.as_bytes());
    let answer = answer.map_err(|_| PasskeyError::Answer)?;
    let wanted = RegistrationVerificationOptions::<&str, &str> {
        allowed_origins: &[party.origin.as_str()],
        error_on_unsolicited_extensions: false,
        ..RegistrationVerificationOptions::default()
    };
    let verified = state.verify(&party.id, &answer, &wanted).map_err(|error| {
        tracing::info!(operator.id = %operator, %error, "a passkey was not added");
        PasskeyError::Answer
    })?;
    let (Ok(public_key), Ok(state)) = (
        verified.static_state().encode(),
        verified.dynamic_state().encode(),
    );
    Ok(Passkey {
        id: PasskeyId::from_uuid(fresh::ordered(now)),
        operator,
        name: name.to_owned(),
        credential: verified.id().as_ref().to_vec(),
        public_key,
        state,
        added_at: now,
        last_used_at: None,
        copied_at: None,
    })
}

/// Whether a key of this person answered what their browser was asked. Uses the ceremony up.
pub(super) fn asserted(
    offered: Offered<'_>,
    operator: OperatorId,
    known: &[Passkey],
    now: Timestamp,
) -> Result<Factor, Refusal> {
    let state = offered.ceremonies.take_sign_in(offered.owner, now);
    let (Ok(party), Some(state)) = (offered.ceremonies.party(), state) else {
        return Err(Refusal::Wrong);
    };
    let answer = DiscoverableAuthentication::<16>::from_json_custom(offered.answer.as_bytes());
    let answer = answer.map_err(|_| Refusal::Wrong)?;
    let asked = answer.raw_id();
    let passkey = known
        .iter()
        .find(|passkey| passkey.credential == asked.as_ref() && passkey.copied_at.is_none())
        .ok_or(Refusal::Wrong)?;
    let handle = user_handle(operator);
    let mut credential = credential(passkey, &handle).ok_or(Refusal::Wrong)?;
    let wanted = AuthenticationVerificationOptions::<&str, &str> {
        allowed_origins: &[party.origin.as_str()],
        error_on_unsolicited_extensions: false,
        update_uv: true,
        ..AuthenticationVerificationOptions::default()
    };
    match state.verify(&party.id, &answer, &mut credential, &wanted) {
        Ok(_) => {
            let Ok(after) = credential.dynamic_state().encode();
            Ok(Factor::Passkey {
                id: passkey.id,
                before: passkey.state,
                after,
            })
        }
        Err(AuthCeremonyErr::SignatureCounter) => Err(Refusal::Copied(passkey.id)),
        Err(error) => {
            tracing::info!(operator.id = %operator, %error, "a passkey was refused");
            Err(Refusal::Wrong)
        }
    }
}

fn credential<'a>(
    passkey: &'a Passkey,
    handle: &'a webauthn_rp::request::register::UserHandle16,
) -> Option<AuthenticatedCredential<'a, 'a, 16, PublicKey>> {
    let id = CredentialId::<&[u8]>::decode(passkey.credential.as_slice()).ok()?;
    let public_key = StaticState::<PublicKey>::decode(passkey.public_key.as_slice()).ok()?;
    let state = DynamicState::decode(passkey.state).ok()?;
    AuthenticatedCredential::new(id, handle, public_key, state).ok()
}

/// Another key for somebody who signed in at `begun_at`.
pub async fn add(
    storage: &Storage,
    offered: Offered<'_>,
    (operator, begun_at): (&Operator, Timestamp),
    name: &str,
    now: Timestamp,
) -> Result<(), PasskeyError> {
    require_fresh(begun_at, now)?;
    let name = named(name)?;
    if offered.answer.is_empty() {
        return Err(PasskeyError::NotAsked);
    }
    let passkey = registered(offered, operator.id, name, now)?;
    let detail = json!({ "passkey": passkey.id, "name": name });
    let entry = audit(operator, "passkey.add", detail, now);
    match storage.passkey_add(&passkey, MOST, &entry).await? {
        PasskeyAdded::Done => Ok(()),
        PasskeyAdded::Known => Err(PasskeyError::Known),
        PasskeyAdded::TooMany => Err(PasskeyError::TooMany),
        PasskeyAdded::NoAccount => Err(PasskeyError::Missing),
    }
}

/// Ends a key of somebody who signed in at `begun_at`. The last second factor stays.
pub async fn remove(
    storage: &Storage,
    (operator, begun_at): (&Operator, Timestamp),
    passkey: PasskeyId,
    now: Timestamp,
) -> Result<(), PasskeyError> {
    require_fresh(begun_at, now)?;
    let all = storage.passkey_list(operator.id).await?;
    let found = all.iter().find(|known| known.id == passkey);
    let name = &found.ok_or(PasskeyError::Missing)?.name;
    let detail = json!({ "passkey": passkey, "name": name });
    let entry = audit(operator, "passkey.remove", detail, now);
    match storage.passkey_remove(operator.id, passkey, &entry).await? {
        PasskeyRemoved::Done => Ok(()),
        PasskeyRemoved::Missing => Err(PasskeyError::Missing),
        PasskeyRemoved::LastFactor => Err(PasskeyError::LastFactor),
    }
}

/// Notes that a key may have been copied: it opens nothing from then on.
pub(super) async fn copied(
    storage: &Storage,
    operator: &Operator,
    passkey: PasskeyId,
    now: Timestamp,
) -> Result<(), StorageError> {
    tracing::warn!(operator.id = %operator.id, passkey.id = %passkey, "a passkey may have been copied: its counter went back; it opens nothing any more");
    let entry = audit(
        operator,
        "passkey.copied",
        json!({ "passkey": passkey }),
        now,
    );
    storage.passkey_copied(operator.id, passkey, &entry).await
}

fn require_fresh(begun_at: Timestamp, now: Timestamp) -> Result<(), PasskeyError> {
    if session::is_fresh(begun_at, now) {
        Ok(())
    } else {
        Err(PasskeyError::NotFresh)
    }
}
