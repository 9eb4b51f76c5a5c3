//! A passcode that is set in the console: what is signed of it, and what it is held to before it is sent.
//!
//! What is signed is a commitment: SHA-256 over a fresh nonce and the code. It tells nobody anything, because whoever wants
//! to try codes would have to try nonces as well, and it lets no other code be put in the place of the one that was signed
//! for. A bare digest of a few digits would give them away.

use crate::bytes::Digest;
use crate::policy::PasscodePolicy;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const DOMAIN: &str = "nestwarden/passcode/v1";
/// Of the nonce in a commitment.
pub const NONCE_BYTES: usize = 32;
/// No profile makes a system accept a shorter one.
pub const SHORTEST: u8 = 6;
/// Whoever is told it has to type it.
pub const LONGEST: usize = 32;

const MOST_ALIKE: usize = 2;
const MOST_IN_SEQUENCE: usize = 3;
const FEWEST_DIFFERENT: usize = 5;

/// Why a passcode is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeReason {
    /// Its time has come.
    Due,
    /// Somebody left who knows it.
    Leaver,
    /// The tablet was lost.
    Loss,
    /// Somebody may know it who should not.
    Suspicion,
}

impl CodeReason {
    pub const ALL: [Self; 4] = [Self::Due, Self::Leaver, Self::Loss, Self::Suspicion];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Leaver => "leaver",
            Self::Loss => "loss",
            Self::Suspicion => "suspicion",
        }
    }

    /// Whether it is set in contact hours too, when staff are with children.
    pub const fn interrupts(self) -> bool {
        matches!(self, Self::Loss | Self::Suspicion)
    }

    /// Whether the passcode in use is bad from the moment somebody says so.
    pub const fn makes_overdue(self) -> bool {
        !matches!(self, Self::Due)
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a reason; write one of due, leaver, loss, suspicion")]
pub struct ReasonParseError(String);

impl FromStr for CodeReason {
    type Err = ReasonParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| ReasonParseError(text.chars().take(80).collect()))
    }
}

/// What people type to open a tablet. Never printed, and overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<String>);

impl Code {
    /// Letters, digits and signs that every keyboard has, at most [`LONGEST`] of them.
    pub fn new(text: Zeroizing<String>) -> Result<Self, CodeRefused> {
        if text.chars().count() > LONGEST {
            return Err(CodeRefused::TooLong);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CodeRefused::Characters);
        }
        Ok(Self(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// What a command to set `code` says of it.
pub fn commitment(nonce: &[u8], code: &Code) -> Digest {
    Digest::of_parts(DOMAIN, &[nonce, code.expose().as_bytes()])
}

/// Why a code is not sent to a tablet. Says nothing of the code itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeRefused {
    #[error("a passcode has letters, digits and signs of a plain keyboard, without spaces")]
    Characters,
    #[error("a passcode has at most {LONGEST} characters")]
    TooLong,
    #[error("this tablet's passcode has to have {0} characters or more")]
    TooShort(u8),
    #[error("this tablet's passcode has to have a small letter and a digit")]
    LettersAndDigits,
    #[error(
        "this passcode is too easy to guess: no date, nothing like 1234 or 111, and {FEWEST_DIFFERENT} different characters or more"
    )]
    Simple,
}

/// Whether a tablet that is held to `policy` could take `code`. What only the tablet knows, earlier passcodes and its
/// dictionary, it says itself.
pub fn check(policy: &PasscodePolicy, code: &Code) -> Result<(), CodeRefused> {
    let text = code.expose();
    let shortest = policy.min_length.max(SHORTEST);
    if text.len() < usize::from(shortest) {
        return Err(CodeRefused::TooShort(shortest));
    }
    let has = |wanted: fn(&u8) -> bool| text.as_bytes().iter().any(wanted);
    if policy.alphanumeric && !(has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)) {
        return Err(CodeRefused::LettersAndDigits);
    }
    if policy.refuse_simple && is_simple(text) {
        return Err(CodeRefused::Simple);
    }
    Ok(())
}

pub(crate) fn is_simple(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut different = bytes.to_vec();
    different.sort_unstable();
    different.dedup();
    let is_poor = different.len() < FEWEST_DIFFERENT;
    different.fill(0);
    is_poor
        || longest_run(bytes, 0) > MOST_ALIKE
        || longest_run(bytes, 1) > MOST_IN_SEQUENCE
        || longest_run(bytes, -1) > MOST_IN_SEQUENCE
        || is_date(text)
}

/// Of neighbours that differ by `step`.
fn longest_run(bytes: &[u8], step: i16) -> usize {
    let (mut longest, mut run) = (1, 1);
    for pair in bytes.windows(2) {
        let follows = i16::from(pair[1]) - i16::from(pair[0]) == step;
        run = if follows { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    longest
}

/// In any order of day, month and year: birthdays are the first thing people make passcodes of.
fn is_date(text: &str) -> bool {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let number = |at: usize, digits: usize| -> i16 {
        text.get(at..at + digits)
            .and_then(|part| part.parse().ok())
            .unwrap_or(0)
    };
    let is_day = |day: i16, month: i16, year: i16| {
        let (Ok(day), Ok(month)) = (i8::try_from(day), i8::try_from(month)) else {
            return false;
        };
        Date::new(year, month, day).is_ok()
    };
    // A leap year, so that no day is missed for its year.
    let any = 2000;
    match text.len() {
        6 => {
            is_day(number(0, 2), number(2, 2), any)
                || is_day(number(2, 2), number(0, 2), any)
                || is_day(number(4, 2), number(2, 2), any)
        }
        8 => {
            let is_year = |year: i16| (1900..=2099).contains(&year);
            (is_year(number(4, 4))
                && (is_day(number(0, 2), number(2, 2), number(4, 4))
                    || is_day(number(2, 2), number(0, 2), number(4, 4))))
                || (is_year(number(0, 4)) && is_day(number(6, 2), number(4, 2), number(0, 4)))
        }
        _ => false,
    }
}
