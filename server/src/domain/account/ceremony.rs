//! Ceremonies of WebAuthn (Level 3) that have begun: what this server asked an authenticator, and of whom it may be answered.
//!
//! Each belongs to one browser and one purpose, is good once and for five minutes, and lies in memory only. What signs is asked
//! for by no name: a browser offers whatever it has for this console, so that asking says nothing about who has an account.

use crate::storage::Operator;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::OperatorId;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use webauthn_rp::bin::Decode as _;
use webauthn_rp::request::auth::DiscoverableCredentialRequestOptions;
use webauthn_rp::request::register::{
    CredProtect, PublicKeyCredentialCreationOptions, PublicKeyCredentialUserEntity, UserHandle16,
};
use webauthn_rp::request::{
    AsciiDomain, PublicKeyCredentialDescriptor, RpId, UserVerificationRequirement,
};
use webauthn_rp::response::{AuthTransports, CredentialId};
use webauthn_rp::{DiscoverableAuthenticationServerState, RegistrationServerState};

/// How long the answer may take.
pub const LIFE: SignedDuration = SignedDuration::from_mins(5);
/// Begun at once. Beyond, the oldest ends, of whoever has most: so that neither one address nor one network of them keeps
/// all others out.
const MOST: usize = if cfg!(test) { 40 } else { 2_000 };
const MOST_OF_ADDRESS: usize = if cfg!(test) { 20 } else { 100 };

pub(super) type SignInState = DiscoverableAuthenticationServerState;
pub(super) type AddState = RegistrationServerState<16>;

#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    #[error(
        "Passkeys need this console to have a name, and it goes by an address. Whoever runs the server writes a name as `address` under `[console]` in server.toml; until then, use codes."
    )]
    NoName,
    #[error("the options of a WebAuthn ceremony cannot be written: {0}")]
    Options(String),
}

/// This console, as authenticators know it.
#[derive(Debug)]
pub struct RelyingParty {
    pub(super) id: RpId,
    /// As browsers write it, of the page that asked.
    pub(super) origin: String,
}

impl RelyingParty {
    /// `origin`: `https://HOST:PORT`. `None`: authenticators know no such host, because it is an address or no name.
    pub fn new(origin: &str) -> Option<Self> {
        let origin = origin.to_ascii_lowercase();
        let authority = origin.strip_prefix("https://")?;
        let host = authority.split(':').next()?;
        let is_name = host.parse::<IpAddr>().is_err()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
            && !host.ends_with('.');
        let domain = is_name.then(|| AsciiDomain::try_from(host.to_owned()).ok())??;
        // Browsers leave out what goes without saying.
        let origin = origin.strip_suffix(":443").unwrap_or(&origin).to_owned();
        Some(Self {
            id: RpId::Domain(domain),
            origin,
        })
    }
}

/// Whose answer is waited for, and for what: the same browser, on the same page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(Digest);

impl Owner {
    /// `secret`: what the browser of somebody who is not signed in holds.
    pub fn signing_in(secret: &str) -> Self {
        Self::of(&[b"sign-in", secret.as_bytes()])
    }

    /// Likewise, with the link of an invitation.
    pub fn setting_up(secret: &str, link: &str) -> Self {
        Self::of(&[b"set-up", secret.as_bytes(), link.as_bytes()])
    }

    /// `secret`: of a session.
    pub fn signed_in(secret: &str) -> Self {
        Self::of(&[b"account", secret.as_bytes()])
    }

    fn of(parts: &[&[u8]]) -> Self {
        Self(Digest::of_parts("nestwarden/ceremony/v1", parts))
    }
}

enum State {
    SignIn(SignInState),
    Add(OperatorId, AddState),
}

struct Begun {
    at: Timestamp,
    /// See [`network_of`].
    from: Option<IpAddr>,
    state: State,
}

pub struct Ceremonies {
    party: Option<RelyingParty>,
    begun: Mutex<HashMap<Owner, Begun>>,
}

impl Ceremonies {
    /// `None`: none can begin.
    pub fn of(party: Option<RelyingParty>) -> Self {
        Self {
            party,
            begun: Mutex::default(),
        }
    }

    /// For whom browsers answer. An error where the console has no name of its own: keys belong to a name.
    pub fn party(&self) -> Result<&RelyingParty, CeremonyError> {
        self.party.as_ref().ok_or(CeremonyError::NoName)
    }

    /// What the browser hands to `navigator.credentials.get`. Ends what this owner had begun.
    pub fn begin_sign_in(
        &self,
        owner: Owner,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Value, CeremonyError> {
        let mut wanted = DiscoverableCredentialRequestOptions::passkey(&self.party()?.id);
        wanted.0.user_verification = UserVerificationRequirement::Preferred;
        let (state, client) = wanted.start_ceremony().map_err(|e| options(&e))?;
        let client = serde_json::to_value(&client).map_err(|e| options(&e))?;
        self.keep(owner, address, State::SignIn(state), now);
        Ok(client)
    }

    /// What the browser hands to `navigator.credentials.create`. `known`: what the authenticator is not to add again.
    pub fn begin_adding(
        &self,
        owner: Owner,
        operator: &Operator,
        known: Vec<Vec<u8>>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Value, CeremonyError> {
        let handle = user_handle(operator.id);
        let known = known.into_iter().filter_map(|id| {
            let id = CredentialId::<Vec<u8>>::decode(id).ok()?;
            let transports = AuthTransports::decode(0).ok()?;
            Some(PublicKeyCredentialDescriptor { id, transports })
        });
        let mut wanted = PublicKeyCredentialCreationOptions::passkey(
            &self.party()?.id,
            PublicKeyCredentialUserEntity::from(&handle),
            known.collect(),
        );
        wanted.authenticator_selection.user_verification = UserVerificationRequirement::Preferred;
        wanted.extensions.cred_protect = CredProtect::None;
        let (state, client) = wanted.start_ceremony().map_err(|e| options(&e))?;
        let mut client = serde_json::to_value(&client).map_err(|e| options(&e))?;
        client["rp"]["name"] = json!("Nestwarden");
        client["user"]["name"] = json!(operator.name);
        client["user"]["displayName"] = json!(operator.name);
        self.keep(owner, address, State::Add(operator.id, state), now);
        Ok(client)
    }

    /// `None`: none is under way, or it took too long. Ends it in any case.
    pub(super) fn take_sign_in(&self, owner: Owner, now: Timestamp) -> Option<SignInState> {
        match self.take(owner, now)? {
            State::SignIn(state) => Some(state),
            State::Add(..) => None,
        }
    }

    /// Likewise, and of this person only.
    pub(super) fn take_adding(
        &self,
        owner: Owner,
        operator: OperatorId,
        now: Timestamp,
    ) -> Option<AddState> {
        match self.take(owner, now)? {
            State::Add(of, state) => (of == operator).then_some(state),
            State::SignIn(_) => None,
        }
    }

    fn take(&self, owner: Owner, now: Timestamp) -> Option<State> {
        let begun = self.lock().remove(&owner)?;
        is_alive(&begun, now).then_some(begun.state)
    }

    fn keep(&self, owner: Owner, address: Option<IpAddr>, state: State, now: Timestamp) {
        let mut all = self.lock();
        all.retain(|_, begun| is_alive(begun, now));
        all.remove(&owner);
        let from = address.map(network_of);
        let of_address = all.values().filter(|begun| begun.from == from).count();
        if of_address >= MOST_OF_ADDRESS {
            end_oldest(&mut all, from);
        } else if all.len() >= MOST {
            let greedy = who_has_most(&all);
            end_oldest(&mut all, greedy);
        }
        let begun = Begun {
            at: now,
            from,
            state,
        };
        all.insert(owner, begun);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back must not make one last longer.
fn is_alive(begun: &Begun, now: Timestamp) -> bool {
    now >= begun.at && now.duration_since(begun.at) < LIFE
}

/// One machine has many addresses of the newer kind: what its network is told apart by.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

fn who_has_most(all: &HashMap<Owner, Begun>) -> Option<IpAddr> {
    let mut many: HashMap<Option<IpAddr>, usize> = HashMap::new();
    for begun in all.values() {
        *many.entry(begun.from).or_default() += 1;
    }
    let most = many.into_iter().max_by_key(|(_, count)| *count);
    most.and_then(|(from, _)| from)
}

fn end_oldest(all: &mut HashMap<Owner, Begun>, from: Option<IpAddr>) {
    let candidates = all.iter().filter(|(_, begun)| begun.from == from);
    let oldest = candidates.min_by_key(|(_, begun)| begun.at);
    if let Some(owner) = oldest.map(|(owner, _)| *owner) {
        all.remove(&owner);
    }
}

/// By which an authenticator tells people apart; says no more of them than their id.
pub(super) fn user_handle(operator: OperatorId) -> UserHandle16 {
    let Ok(handle) = UserHandle16::decode(*operator.as_uuid().as_bytes());
    handle
}

fn options(error: &impl ToString) -> CeremonyError {
    CeremonyError::Options(error.to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::storage::testing::now;

    #[test]
    fn a_console_with_a_name_is_known_to_authenticators_and_one_with_an_address_is_not() {
        for (origin, known) in [
            (
                "https://Nursery-Box.local:7444",
                Some("https://nursery-box.local:7444"),
            ),
            ("https://localhost:7444", Some("https://localhost:7444")),
            ("https://box.example:443", Some("https://box.example")),
            ("https://127.0.0.1:7444", None),
            ("https://[::1]:7444", None),
            ("https://box.example.:7444", None),
            ("https://kästchen.example:7444", None),
            ("http://localhost:7444", None),
        ] {
            let party = RelyingParty::new(origin);
            assert_eq!(
                party.map(|party| party.origin).as_deref(),
                known,
                "{origin}"
            );
        }
    }

    #[test]
    fn who_begins_too_many_ends_their_own_first() {
        let ceremonies = Ceremonies::of(RelyingParty::new("https://localhost:7444"));
        let at = |number: usize| now() + SignedDuration::from_millis(number.try_into().unwrap());
        let [greedy, patient] = [1, 2].map(|last| Some(IpAddr::from([10, 0, 0, last])));
        let waits = Owner::signing_in("waits");
        ceremonies.begin_sign_in(waits, patient, now()).unwrap();
        for number in 0..3 * MOST {
            let owner = Owner::signing_in(&number.to_string());
            ceremonies.begin_sign_in(owner, greedy, at(number)).unwrap();
        }
        assert_eq!(ceremonies.lock().len(), MOST_OF_ADDRESS + 1);
        assert!(ceremonies.take_sign_in(waits, at(3 * MOST)).is_some());

        for number in 0..3 * MOST {
            let address = Some(IpAddr::from(u32::try_from(number).unwrap().to_be_bytes()));
            let owner = Owner::signing_in(&number.to_string());
            ceremonies
                .begin_sign_in(owner, address, at(number))
                .unwrap();
        }
        assert_eq!(ceremonies.lock().len(), MOST);
    }

    #[test]
    fn one_machine_with_many_addresses_ends_its_own_and_nobody_elses() {
        let party = RelyingParty::new("https://nursery-box.local:7444");
        let ceremonies = Ceremonies::of(party);
        let at = |number: usize| now() + SignedDuration::from_millis(number.try_into().unwrap());
        let waits = Owner::signing_in("waits");
        let patient = Some("2001:db8:2::1".parse().unwrap());
        ceremonies.begin_sign_in(waits, patient, now()).unwrap();
        for number in 0..3 * MOST {
            // Of three networks, each with as many addresses as it likes.
            let address = format!("2001:db8:1:{}::{number:x}", number % 3)
                .parse()
                .unwrap();
            let owner = Owner::signing_in(&number.to_string());
            ceremonies
                .begin_sign_in(owner, Some(address), at(number))
                .unwrap();
        }
        assert!(ceremonies.lock().len() <= MOST);
        assert!(ceremonies.take_sign_in(waits, at(3 * MOST)).is_some());
    }
}
