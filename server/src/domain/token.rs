//! Enrolment tokens: 128 random bits as 26 characters of Crockford's base32, good once, for a day.

use crate::storage::token::token_hash;
use crate::storage::{AuditEntry, EnrolToken, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::consent::RoomName;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeSet;

const LIFE: SignedDuration = SignedDuration::from_hours(24);
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const NAME_CHARS: usize = 60;

/// What a tablet will be once it enrolls.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    pub name: String,
    pub profile: String,
    pub rooms: BTreeSet<RoomName>,
}

/// The only time the token itself is seen.
#[derive(Clone)]
pub struct NewToken {
    pub text: String,
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(
        "`--name` is \"{0}\"; write what staff call the tablet, 1 to 60 characters on one line"
    )]
    Name(String),
    #[error(
        "there is no profile \"{name}\"; there {}",
        match known.as_slice() {
            [] => "is none yet: apply one with `profile apply FILE`".to_owned(),
            known => format!("is {}", known.join(", ")),
        }
    )]
    Profile { name: String, known: Vec<String> },
    #[error("the system gave no random bits")]
    Random,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

pub async fn create(
    storage: &Storage,
    request: &TokenRequest,
    who: &str,
    now: Timestamp,
) -> Result<NewToken, TokenError> {
    let name = request.name.trim();
    if name.is_empty()
        || name.chars().count() > NAME_CHARS
        || name.chars().any(nestwarden_policy_schema::text::is_unseen)
    {
        return Err(TokenError::Name(name.chars().take(80).collect()));
    }
    let known: Vec<String> = storage
        .profile_list()
        .await?
        .into_iter()
        .map(|p| p.name)
        .collect();
    if !known.contains(&request.profile) {
        return Err(TokenError::Profile {
            name: request.profile.clone(),
            known,
        });
    }
    let text = random_text()?;
    let expires_at = now.checked_add(LIFE).unwrap_or(Timestamp::MAX);
    let token = EnrolToken {
        hash: token_hash(&text),
        name: name.to_owned(),
        profile: request.profile.clone(),
        rooms: request.rooms.clone(),
        created_at: now,
        expires_at,
        used_at: None,
        used_by: None,
    };
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "enrol_token.create".to_owned(),
        subject: name.to_owned(),
        detail: serde_json::json!({ "profile": request.profile, "rooms": request.rooms }),
    };
    storage.token_create(&token, &audit).await?;
    Ok(NewToken { text, expires_at })
}

/// 128 random bits as 26 characters; for operators' tokens too.
pub fn random_text() -> Result<String, TokenError> {
    let mut random = [0; 16];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| TokenError::Random)?;
    Ok(base32(u128::from_be_bytes(random)))
}

fn base32(bits: u128) -> String {
    (0..26)
        .rev()
        .map(|place| {
            let index = usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0);
            char::from(ALPHABET[index])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nestwarden_policy_schema::enrol_link::is_token;

    #[test]
    fn every_token_has_the_shape_a_link_wants() {
        for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            assert!(is_token(&base32(bits)), "{}", base32(bits));
        }
        assert_ne!(base32(1), base32(1 << 127));
    }
}
