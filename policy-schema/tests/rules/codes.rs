//! Passcodes that are set in the console: what is signed of them, and which are refused before they are sent.

use crate::papers::command;
use nestwarden_policy_schema::code::{
    Code, CodeReason, CodeRefused, LONGEST, NONCE_BYTES, check, commitment,
};
use nestwarden_policy_schema::command::{Command, CommandKind};
use nestwarden_policy_schema::policy::{Mode, PasscodePolicy, Rotation, SetBy};
use proptest::prelude::*;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

fn code(text: &str) -> Code {
    Code::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn policy() -> PasscodePolicy {
    PasscodePolicy {
        mode: Mode::Enforce,
        requirements: BTreeSet::new(),
        min_length: 6,
        alphanumeric: false,
        refuse_simple: true,
        history: 5,
        rotation: Rotation::Both,
        max_age_days: Some(91),
        max_failed_attempts: None,
        auto_lock_minutes: None,
        set_by: SetBy::Manager,
    }
}

#[test]
fn a_commitment_is_the_one_that_was_agreed() {
    let committed = commitment(&[7; NONCE_BYTES], &code("480735"));
    insta::assert_snapshot!(committed, @"7697b32e1ad04c55445d492216ab96ed08a2c35c1b5f63ae2556bddc194478a9");
    let kind = CommandKind::SetPasscode {
        reason: CodeReason::Suspicion,
        commitment: committed,
    };
    let json = serde_json::to_string(&command(kind.clone())).unwrap();
    assert!(json.contains("\"do\":\"set_passcode\",\"reason\":\"suspicion\",\"commitment\":\""));
    let read: Command = serde_json::from_str(&json).unwrap();
    assert_eq!(read.kind, kind);
}

#[test]
fn only_loss_and_suspicion_interrupt_and_only_what_is_due_was_good_until_now() {
    let interrupt = CodeReason::ALL.map(CodeReason::interrupts);
    assert_eq!(interrupt, [false, false, true, true]);
    let overdue = CodeReason::ALL.map(CodeReason::makes_overdue);
    assert_eq!(overdue, [false, true, true, true]);
    for reason in CodeReason::ALL {
        assert_eq!(reason.as_str().parse(), Ok(reason));
    }
    assert!("".parse::<CodeReason>().is_err());
}

#[test]
fn what_the_tablets_rules_would_refuse_is_refused_before_it_is_sent() {
    for simple in [
        "123456", "111222", "240589", "052489", "890524", "24051989", "19890524", "987650",
        "abcdef", "480480", "290200",
    ] {
        assert_eq!(
            check(&policy(), &code(simple)),
            Err(CodeRefused::Simple),
            "{simple}"
        );
    }
    for good in ["480735", "Quiet9-lantern", "1389-52", "49218573"] {
        assert_eq!(check(&policy(), &code(good)), Ok(()), "{good}");
    }
    let mut lax = policy();
    lax.refuse_simple = false;
    assert_eq!(check(&lax, &code("123456")), Ok(()));
}

#[test]
fn length_and_letters_are_the_policys_and_never_below_what_a_system_takes() {
    let with = |min_length, alphanumeric| PasscodePolicy {
        min_length,
        alphanumeric,
        ..policy()
    };
    let short = |n| Err(CodeRefused::TooShort(n));
    assert_eq!(check(&with(4, false), &code("48021")), short(6));
    assert_eq!(check(&with(9, false), &code("48073573")), short(9));
    let letters = Err(CodeRefused::LettersAndDigits);
    assert_eq!(check(&with(6, true), &code("480735")), letters);
    assert_eq!(check(&with(6, true), &code("QUIET9")), letters);
    assert_eq!(check(&with(6, true), &code("quiet9")), Ok(()));
}

#[test]
fn a_code_is_what_every_keyboard_can_type() {
    let made = |text: &str| Code::new(Zeroizing::new(text.to_owned())).map(drop);
    for wrong in ["", "4802 15", "480735\n", "4802é5", "4802\u{0}15"] {
        assert_eq!(made(wrong), Err(CodeRefused::Characters), "{wrong:?}");
    }
    assert_eq!(made(&"4".repeat(LONGEST)), Ok(()));
    assert_eq!(made(&"4".repeat(LONGEST + 1)), Err(CodeRefused::TooLong));
    assert!(!format!("{:?}", code("480735")).contains("480735"));
}

proptest! {
    #[test]
    fn another_nonce_or_another_code_is_another_commitment(
        nonce in any::<[u8; NONCE_BYTES]>(),
        other in any::<[u8; NONCE_BYTES]>(),
        one in "[!-~]{1,32}",
        two in "[!-~]{1,32}",
    ) {
        let known = commitment(&nonce, &code(&one));
        prop_assert_eq!(known == commitment(&nonce, &code(&two)), one == two);
        prop_assert_eq!(known == commitment(&other, &code(&one)), nonce == other);
    }

    /// What is moved from the nonce's end to the code's beginning is not the same.
    #[test]
    fn a_commitment_knows_where_the_nonce_ends(nonce in "[!-~]{32}", text in "[!-~]{2,20}") {
        let (head, tail) = nonce.split_at(31);
        let moved = format!("{tail}{text}");
        prop_assert_ne!(
            commitment(nonce.as_bytes(), &code(&text)),
            commitment(head.as_bytes(), &code(&moved))
        );
    }
}
