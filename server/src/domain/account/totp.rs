//! Codes of an authenticator: TOTP as RFC 6238 has it, six digits, SHA-1, thirty seconds, which every authenticator knows.

use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Secret;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;
/// As long as the hash, which RFC 4226 asks for.
pub(super) const SECRET_BYTES: usize = 20;
/// RFC 4648, as authenticators read it.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `None`: the system gave no random bits.
pub(super) fn new_secret() -> Option<Secret> {
    let mut bytes = vec![0; SECRET_BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(Secret::new(bytes))
}

/// The step in which `code` is right: this one, the one before or the next, for a clock that is a little off.
pub(super) fn step_of(secret: &Secret, code: &str, now: Timestamp) -> Option<u64> {
    let current = u64::try_from(now.as_second().div_euclid(STEP_SECONDS)).ok()?;
    let (mut found, mut step) = (Choice::from(0), 0);
    for candidate in current.saturating_sub(1)..=current + 1 {
        let is_it = code_at(secret, candidate).as_bytes().ct_eq(code.as_bytes());
        step = u64::conditional_select(&step, &candidate, is_it);
        found |= is_it;
    }
    bool::from(found).then_some(step)
}

/// RFC 4226, with the step as its counter.
fn code_at(secret: &Secret, step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose());
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes[bytes.len() - 1] & 15);
    let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    let number = (u32::from_be_bytes(word) & 0x7fff_ffff) % 10_u32.pow(6);
    format!("{number:0DIGITS$}")
}

/// As it is typed into an authenticator.
pub fn to_base32(secret: &Secret) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0);
    for byte in secret.expose() {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            let letter = usize::try_from(bits >> held & 31).unwrap_or_default();
            text.push(char::from(ALPHABET[letter]));
        }
    }
    text
}

/// `None`: not a secret of ours.
pub(super) fn from_base32(text: &str) -> Option<Secret> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for c in text.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == c)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 255).ok()?);
        }
    }
    (held == 0 && bytes.len() == SECRET_BYTES).then(|| Secret::new(bytes))
}

/// What a QR code for authenticators holds.
pub fn link(secret: &Secret, setting: &str, name: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("secret", &to_base32(secret));
    query.append_pair("issuer", "Nestwarden");
    // Authenticators read a plus as it stands.
    let query = query.finish().replace('+', "%20");
    let label: String =
        form_urlencoded::byte_serialize(format!("{setting} {name}").as_bytes()).collect();
    let label = label.replace('+', "%20");
    format!("otpauth://totp/Nestwarden:{label}?{query}")
}

/// The code an authenticator shows at `now`; for tests and the demo, which have no authenticator.
pub fn code_now(secret_base32: &str, now: Timestamp) -> Option<String> {
    let step = u64::try_from(now.as_second().div_euclid(STEP_SECONDS)).ok()?;
    Some(code_at(&from_base32(secret_base32)?, step))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six of eight digits.
        let secret = Secret::new(b"12345678901234567890".to_vec());
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(second / STEP_SECONDS).unwrap();
            assert_eq!(code_at(&secret, step), code);
            assert_eq!(step_of(&secret, code, at(second)), Some(step));
        }
    }

    #[test]
    fn a_code_is_right_for_one_step_before_and_after_and_no_longer() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        for (second, wanted) in [(29, Some(1)), (30, Some(1)), (89, Some(1)), (90, None)] {
            assert_eq!(step_of(&secret, "287082", at(second)), wanted, "{second}");
        }
        assert_eq!(step_of(&secret, "28708", at(59)), None);
    }

    #[test]
    fn a_secret_survives_being_typed() {
        let secret = new_secret().unwrap();
        let typed = to_base32(&secret);
        assert_eq!(typed.len(), 32);
        assert_eq!(from_base32(&typed), Some(secret));
        for wrong in ["", "AAAA", &typed.to_lowercase(), &format!("{typed}A")] {
            assert_eq!(from_base32(wrong), None, "{wrong}");
        }
        let known = Secret::new(b"12345678901234567890".to_vec());
        assert_eq!(to_base32(&known), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }
}
