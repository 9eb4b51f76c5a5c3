//! The PIN by which somebody signs a tablet out and in: which are taken, and what a tablet is told of one.
//!
//! A tablet is told a verifier, in the format of the Password Hashing Competition: argon2id, with what it costs to check. A
//! tablet holds that cost to bounds before it checks anything, so that no server makes one run out of memory.

use crate::code::is_simple;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

pub const SHORTEST_PIN: usize = 6;
pub const LONGEST_PIN: usize = 8;

/// Longest verifier: salt and hash of twice the usual length fit.
const MOST_CHARS: usize = 200;
/// What checking one may cost: memory in KiB, passes, lanes.
const MOST_MEMORY_KIB: u32 = 64 * 1024;
const MOST_PASSES: u32 = 8;
const MOST_LANES: u32 = 4;

/// Six to eight digits. Never printed, and overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<String>);

/// Why a PIN is not taken. Says nothing of the PIN itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinRefused {
    #[error("A PIN has {SHORTEST_PIN} to {LONGEST_PIN} digits and nothing else.")]
    Digits,
    #[error(
        "This PIN is too easy to guess. Use no date, nothing like 1234 or 111, and five different digits or more."
    )]
    Simple,
}

impl Pin {
    /// One that somebody chooses.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PinRefused> {
        let pin = Self::typed(text).ok_or(PinRefused::Digits)?;
        if is_simple(&pin.0) {
            return Err(PinRefused::Simple);
        }
        Ok(pin)
    }

    /// One that somebody tries. `None`: it can be nobody's.
    pub fn typed(text: Zeroizing<String>) -> Option<Self> {
        let is_one = (SHORTEST_PIN..=LONGEST_PIN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit());
        is_one.then_some(Self(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// Against which a PIN is checked. Not printed: a PIN has few digits, and who has this can try them all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PinVerifier(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a PIN verifier is not argon2id within bounds (at most {MOST_CHARS} characters, m={MOST_MEMORY_KIB}, t={MOST_PASSES}, p={MOST_LANES}); set that PIN again on the server"
)]
pub struct VerifierRefused;

impl PinVerifier {
    pub fn new(phc: String) -> Result<Self, VerifierRefused> {
        let verifier = Self(phc);
        verifier.check()?;
        Ok(verifier)
    }

    /// Whether checking a PIN against it costs no more than a tablet affords.
    pub fn check(&self) -> Result<(), VerifierRefused> {
        if self.0.len() > MOST_CHARS || !self.0.is_ascii() {
            return Err(VerifierRefused);
        }
        let parts: Vec<&str> = self.0.split('$').collect();
        let ["", "argon2id", "v=19", costs, salt, hash] = parts[..] else {
            return Err(VerifierRefused);
        };
        let costs: Vec<&str> = costs.split(',').collect();
        let [memory, passes, lanes] = costs[..] else {
            return Err(VerifierRefused);
        };
        let is_within = |cost: &str, name: &str, most: u32| {
            let number = cost.strip_prefix(name).and_then(|n| n.strip_prefix('='));
            let number = number.filter(|n| n.bytes().all(|byte| byte.is_ascii_digit()));
            let number = number.and_then(|n| n.parse::<u32>().ok());
            number.is_some_and(|number| (1..=most).contains(&number))
        };
        let is_bounded = is_within(memory, "m", MOST_MEMORY_KIB)
            && is_within(passes, "t", MOST_PASSES)
            && is_within(lanes, "p", MOST_LANES);
        if is_bounded && !salt.is_empty() && !hash.is_empty() {
            Ok(())
        } else {
            Err(VerifierRefused)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinVerifier(…)")
    }
}
