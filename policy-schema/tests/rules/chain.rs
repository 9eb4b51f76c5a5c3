//! The event chain: no event can be changed, dropped, repeated or moved without it showing.

use crate::nursery::{cases, device};
use crate::papers::chain;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::envelope::{Signable, Signed, message_of};
use nestwarden_policy_schema::event::{
    ChainError, ChainHead, ChainPosition, Event, EventBody, HeadError, verify_chain, verify_head,
};
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::trust::KeyId;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use std::sync::LazyLock;
use uuid::Uuid;

fn verified(events: &[Event]) -> Result<ChainPosition, ChainError> {
    verify_chain(device(), ChainPosition::START, events)
}

#[test]
fn a_chain_verifies_as_it_was_written_in_one_piece_or_in_several() {
    let events = chain();
    let end = verified(&events).unwrap();
    assert_eq!(end, events[3].position());
    assert_eq!(end.seq, 4);
    let middle = verified(&events[..2]).unwrap();
    assert_eq!(verify_chain(device(), middle, &events[2..]), Ok(end));
    assert_eq!(verified(&[]), Ok(ChainPosition::START));
}

#[test]
fn an_erased_body_leaves_a_chain_that_verifies() {
    let mut events = chain();
    (events[1].body, events[1].salt) = (None, None);
    assert!(verified(&events).is_ok());
    events[2].salt = None;
    assert_eq!(verified(&events), Err(ChainError::HalfErased { seq: 3 }));
    let mut events = chain();
    events[2].body = None;
    assert_eq!(verified(&events), Err(ChainError::HalfErased { seq: 3 }));
}

#[test]
fn a_chain_of_another_tablet_does_not_verify() {
    let other = DeviceId::from_uuid(Uuid::from_u128(1));
    assert_eq!(
        verify_chain(other, ChainPosition::START, &chain()),
        Err(ChainError::Hash { seq: 1 })
    );
}

#[test]
fn an_event_after_the_last_possible_number_is_a_gap() {
    let last = ChainPosition {
        seq: u64::MAX,
        hash: Digest::ZERO,
    };
    let gap = ChainError::Gap {
        seq: 1,
        expected: u64::MAX,
    };
    assert_eq!(chain()[0].verify(device(), last), Err(gap));
}

#[test]
fn only_receipts_stages_and_alarms_outlast_a_full_disk() {
    let kept: Vec<bool> = chain()
        .iter()
        .map(|event| {
            serde_json::from_str::<EventBody>(event.body.as_ref().unwrap())
                .unwrap()
                .is_evidence()
        })
        .collect();
    assert_eq!(kept, [false, false, true, true]);
}

static KEY: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap()
});

fn head(device: DeviceId, position: ChainPosition) -> Signed {
    let payload = serde_json::to_string(&ChainHead { device, position }).unwrap();
    let message = message_of(ChainHead::DOMAIN, &payload);
    let signature = KEY.sign(&SystemRandom::new(), &message).unwrap();
    Signed {
        payload,
        key_id: KeyId(Digest::sha256(KEY.public_key().as_ref())),
        signature: Base64(signature.as_ref().to_vec()),
    }
}

fn head_checked(head: &Signed, end: ChainPosition) -> Result<(), HeadError> {
    verify_head(head, device(), KEY.public_key().as_ref(), end)
}

#[test]
fn a_head_is_signed_by_the_tablet_for_the_last_event() {
    let end = chain()[3].position();
    assert_eq!(head_checked(&head(device(), end), end), Ok(()));
    // Events cut off at the end.
    let earlier = chain()[2].position();
    let cut = HeadError::OtherPosition {
        signed: 4,
        batch: 3,
    };
    assert_eq!(head_checked(&head(device(), end), earlier), Err(cut));
    let forked = ChainPosition {
        hash: Digest::ZERO,
        ..end
    };
    let fork = HeadError::OtherPosition {
        signed: 4,
        batch: 4,
    };
    assert_eq!(
        head_checked(&head(device(), forked), end),
        Err(HeadError::OtherPosition {
            signed: 4,
            batch: 4
        })
    );
    let elsewhere = head(DeviceId::from_uuid(Uuid::from_u128(1)), end);
    assert_eq!(head_checked(&elsewhere, end), Err(fork));
}

/// Every way to change one event without being able to hash again.
fn changed(event: &mut Event, field: u8, byte: usize, flip: u8) {
    let text = |text: &mut String| {
        let mut bytes = std::mem::take(text).into_bytes();
        let at = byte % bytes.len();
        // Stays text: swaps one ASCII character for another.
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        *text = String::from_utf8(bytes).unwrap();
    };
    match field {
        0 => event.seq ^= u64::from(flip),
        1 => event.at += jiff::SignedDuration::from_nanos(i64::from(flip)),
        2 => text(event.body.as_mut().unwrap()),
        3 => event.salt.as_mut().unwrap().0[byte % 16] ^= flip,
        4 => event.body_digest.0[byte % 32] ^= flip,
        5 => event.previous.0[byte % 32] ^= flip,
        _ => event.hash.0[byte % 32] ^= flip,
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_chain_with_any_part_of_any_event_changed_never_verifies(
        which in 0usize..4, field in 0u8..7, byte in 0usize..400, flip in 1u8..=255,
    ) {
        let mut events = chain();
        changed(&mut events[which], field, byte, flip);
        prop_assert!(verified(&events).is_err());
        // Erasing the body does not hide a change of anything that remains.
        if field != 2 && field != 3 {
            (events[which].body, events[which].salt) = (None, None);
            prop_assert!(verified(&events).is_err());
        }
    }

    #[test]
    fn a_chain_with_events_dropped_repeated_or_moved_never_verifies(a in 0usize..4, b in 0usize..4) {
        let mut dropped = chain();
        dropped.remove(a);
        let end = chain()[3].position();
        prop_assert!(verified(&dropped).is_err() || verified(&dropped) != Ok(end));
        let mut repeated = chain();
        repeated.insert(b, repeated[a].clone());
        prop_assert!(verified(&repeated).is_err());
        if a != b {
            let mut moved = chain();
            moved.swap(a, b);
            prop_assert!(verified(&moved).is_err());
        }
    }

    #[test]
    fn a_head_with_any_byte_changed_never_verifies(place in any::<prop::sample::Index>(), flip in 1u8..128) {
        let end = chain()[3].position();
        let mut changed = head(device(), end);
        let mut bytes = changed.payload.into_bytes();
        let at = place.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(payload) = String::from_utf8(bytes) {
            changed.payload = payload;
            prop_assert_eq!(head_checked(&changed, end), Err(HeadError::BadSignature));
        }
        let mut changed = head(device(), end);
        let at = place.index(changed.signature.0.len());
        changed.signature.0[at] ^= flip;
        prop_assert_eq!(head_checked(&changed, end), Err(HeadError::BadSignature));
    }
}
