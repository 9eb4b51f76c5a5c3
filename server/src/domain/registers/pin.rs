//! PINs by which staff sign tablets out themselves. Only a verifier is kept, among the words of a line: sealed, and erased as
//! those are. Tablets are told it, and there it is as good as the PIN to whoever has root and a night to try them all.

use super::staff::{self, Act, Staff};
use super::words::{Read, Words};
use super::{Hand, Kept, Refused, RegisterError, Registers, every};
use crate::domain::account::password;
use crate::storage::Which;
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::pin::{Pin, PinVerifier};
use nestwarden_policy_schema::roster::NAME_CHARS;
use zeroize::Zeroizing;

/// How tablets name them.
pub const SHOWN: &str = "shown";
const PIN: &str = "pin";

/// What somebody types to set one.
pub struct Typed<'a> {
    /// How tablets name them.
    pub shown: &'a str,
    pub pin: Zeroizing<String>,
    pub again: Zeroizing<String>,
}

/// Sets the PIN of somebody on the register, in the place of the one before.
pub async fn set(
    registers: &Registers<'_>,
    id: EntryId,
    typed: Typed<'_>,
    hand: Hand<'_>,
) -> Result<(), RegisterError> {
    let words = Words::default().line(SHOWN, typed.shown)?;
    if words.of(SHOWN).chars().count() > NAME_CHARS {
        let says = format!("Shorten this to {NAME_CHARS} characters.");
        return Err(Refused::at(SHOWN, says).into());
    }
    if is_taken(registers, id, words.of(SHOWN)).await? {
        let says = "Somebody else is named so on tablets. Add a letter or two, so that people pick themselves.";
        return Err(Refused::at(SHOWN, says).into());
    }
    if typed.pin != typed.again {
        return Err(Refused::at("again", "The two were not the same. Type both anew.").into());
    }
    let pin = Pin::new(typed.pin).map_err(|why| Refused::at(PIN, why.to_string()))?;
    let verifier = verifier(&pin).await.ok_or(RegisterError::Seal)?;
    let words = words.line(PIN, verifier.as_str())?;
    staff::write(registers, id, &Act::SetPin, &words, hand).await
}

/// Whether tablets name somebody else so who has a PIN.
async fn is_taken(
    registers: &Registers<'_>,
    id: EntryId,
    shown: &str,
) -> Result<bool, RegisterError> {
    let staff = every::<Staff>(registers.storage, Which::All).await?;
    let others = staff.iter().filter(|one| one.id != id && one.now.has_pin);
    let shown = shown.trim().to_lowercase();
    let mut named = others.map(|one| on_tablets(registers, one).name.to_lowercase());
    Ok(!shown.is_empty() && named.any(|name| name == shown))
}

async fn verifier(pin: &Pin) -> Option<PinVerifier> {
    let phc = password::hash(Zeroizing::new(pin.expose().to_owned())).await?;
    PinVerifier::new(phc).ok()
}

/// How tablets name somebody, and by what they know their PIN.
pub struct OnTablets {
    pub name: String,
    /// `None`: they have none, or its words were erased or cannot be opened.
    pub pin: Option<PinVerifier>,
}

pub fn on_tablets(registers: &Registers<'_>, kept: &Kept<Staff>) -> OnTablets {
    let set = kept.lines.iter().rev();
    let set = set.clone().find(|line| line.act == Act::SetPin);
    let words = set.map(|line| registers.read(line));
    let shown = words.as_ref().map_or("", |read| read.of(SHOWN));
    let name = if shown.is_empty() {
        short(&full_name(registers, kept))
    } else {
        shown.to_owned()
    };
    let verifier = words.as_ref().map(|read| read.of(PIN).to_owned());
    let verifier = verifier.filter(|phc| kept.now.has_pin && !phc.is_empty());
    OnTablets {
        name: name.chars().take(NAME_CHARS).collect(),
        pin: verifier.and_then(|phc| PinVerifier::new(phc).ok()),
    }
}

/// As it was written last; empty where it cannot be read.
fn full_name(registers: &Registers<'_>, kept: &Kept<Staff>) -> String {
    let mut named = kept.lines.iter().rev().filter(|l| l.act.post().is_some());
    let read = named.next().map(|line| registers.read(line));
    match read {
        Some(Read::Words(words)) => words.of("name").to_owned(),
        Some(Read::Erased { .. } | Read::Unreadable) | None => String::new(),
    }
}

/// "Kim M." of "Kim Manager".
pub fn short(full: &str) -> String {
    let mut parts = full.split_whitespace();
    let Some(first) = parts.next() else {
        return "Somebody without a name here".to_owned();
    };
    let last = parts.next_back().and_then(|last| last.chars().next());
    last.map_or_else(
        || first.to_owned(),
        |initial| format!("{first} {}.", initial.to_uppercase()),
    )
}

#[cfg(test)]
#[path = "pin_tests.rs"]
mod tests;
