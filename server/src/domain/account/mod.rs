//! How people come in: an invitation that is good once, a password, a second factor that needs no telephone, and sessions
//! that end.

pub mod ceremony;
pub mod invitation;
pub mod passkey;
pub(in crate::domain) mod password;
pub mod sealed;
pub mod session;
pub mod set_up;
pub mod sign_in;
pub mod totp;

pub use password::{LEAST_CHARS, PasswordError};

use super::token::random_text;
use crate::storage::{AuditEntry, Operator};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;

const RECOVERY_CODES: usize = 10;
/// 80 bits, in Crockford's base32.
const RECOVERY_CHARS: usize = 16;

fn audit(by: &Operator, act: &str, detail: serde_json::Value, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        who: by.name.clone(),
        act: act.to_owned(),
        subject: by.id.to_string(),
        detail,
    }
}

/// Codes to be printed, in groups of four.
fn recovery_codes() -> Option<Vec<String>> {
    (0..RECOVERY_CODES)
        .map(|_| {
            let text = random_text().ok()?;
            let code = &text[text.len() - RECOVERY_CHARS..];
            let groups: Vec<&str> = (0..4).map(|group| &code[group * 4..][..4]).collect();
            Some(groups.join("-"))
        })
        .collect()
}

/// By which a code is kept and found, however it was typed. It has 80 random bits, so a plain digest cannot be guessed back.
fn recovery_hash(code: &str) -> Digest {
    let code: String = code
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect();
    Digest::of_parts("nestwarden/recovery-code/v1", &[code.as_bytes()])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
pub(crate) mod authenticator;
#[cfg(test)]
mod passkey_tests;
#[cfg(test)]
mod tests;
