//! Passwords: argon2id at the cost OWASP asks for (19 MiB, two passes), two at a time so that many tries at once cannot take
//! the machine's memory.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

pub const LEAST_CHARS: usize = 12;
const MOST_CHARS: usize = 200;
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Checked where there is no account, so that an answer takes as long with a name that does not exist. Nobody's password.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bmVzdHdhcmRlbi1ub2JvZHk$9VYUpdfM3Bu0R2Ot2fyNRmJd8RKdlF0Ikc9JnzQ8N7g";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error(
        "The password has fewer than {LEAST_CHARS} characters. Three random words make a good one."
    )]
    Short,
    #[error("The password has more than {MOST_CHARS} characters.")]
    Long,
    #[error("The password holds your name or the setting's. Choose something nobody can guess.")]
    Named,
    #[error("The password repeats a few characters. Three random words make a good one.")]
    Repeats,
    #[error("The two passwords differ. Type it again.")]
    Differ,
}

pub(super) fn check(password: &str, names: [&str; 2]) -> Result<(), PasswordError> {
    let chars = password.chars().count();
    if chars < LEAST_CHARS {
        return Err(PasswordError::Short);
    }
    if chars > MOST_CHARS {
        return Err(PasswordError::Long);
    }
    let lower = password.to_lowercase();
    let is_named = |name: &&str| name.chars().count() > 3 && lower.contains(&name.to_lowercase());
    if names.iter().any(is_named) {
        return Err(PasswordError::Named);
    }
    let mut seen: Vec<char> = lower.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() < 5 {
        return Err(PasswordError::Repeats);
    }
    Ok(())
}

/// `None`: no random bits, or no memory.
pub(in crate::domain) async fn hash(password: Zeroizing<String>) -> Option<String> {
    at_leisure(move || {
        let mut salt = [0; 16];
        SystemRandom::new().fill(&mut salt).ok()?;
        let hash: PasswordHash = Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .ok()?;
        Some(hash.to_string())
    })
    .await
    .flatten()
}

/// `None` for an account that does not exist: never right, and as slow.
pub(super) async fn is_right(password: Zeroizing<String>, hash: Option<String>) -> bool {
    let exists = hash.is_some();
    let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
    let right = at_leisure(move || {
        // Nothing that long was ever taken for a password.
        let fits = password.chars().count() <= MOST_CHARS;
        let right = PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        });
        fits && right
    })
    .await
    .unwrap_or(false);
    right && exists
}

async fn at_leisure<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let _place = AT_ONCE.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let hash = hash(secret("correct horse battery")).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(is_right(secret("correct horse battery"), Some(hash.clone())).await);
        assert!(!is_right(secret("correct horse batterz"), Some(hash)).await);
        assert!(!is_right(secret("correct horse battery"), None).await);
        assert!(!is_right(secret("correct horse battery"), Some("broken".to_owned())).await);
    }

    #[test]
    fn nobodys_password_costs_as_much_as_anybodys() {
        let hash = PasswordHash::new(NOBODYS).unwrap();
        let ours = argon2::Params::default();
        let theirs = argon2::Params::try_from(&hash).unwrap();
        assert_eq!(
            (theirs.m_cost(), theirs.t_cost(), theirs.p_cost()),
            (ours.m_cost(), ours.t_cost(), ours.p_cost())
        );
        assert!(hash.hash.is_some() && hash.salt.is_some());
    }

    #[test]
    fn what_is_easily_guessed_is_refused_with_a_reason() {
        let names = ["Dana Lead", "Little Acorns"];
        for (password, wanted) in [
            ("short", Err(PasswordError::Short)),
            ("dana lead 2026!", Err(PasswordError::Named)),
            ("LITTLE ACORNS rule", Err(PasswordError::Named)),
            ("abcabcabcabc", Err(PasswordError::Repeats)),
            ("kettle-moss-harbour", Ok(())),
        ] {
            assert_eq!(check(password, names), wanted, "{password}");
        }
    }
}
