//! Nothing that was tampered with verifies, and nothing older or other replaces what a tablet has.

use crate::nursery::{cases, device};
use crate::papers::{
    APPROVER_A, RECOVERY, SIGNING, STRANGER, anchors, approver, bundle, key, public, setting,
    time_statement,
};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::{Bundle, TimeStatement};
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::command::Command;
use nestwarden_policy_schema::envelope::{
    BundleError, Newest, Signed, SignedError, sign, verify_bundle, verify_ed25519,
};
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use nestwarden_policy_schema::trust::{Anchors, AnchorsError, MAX_VERSION_STEP};
use proptest::prelude::*;
use uuid::Uuid;

fn signed_bundle(generation: u64) -> Signed {
    sign(&bundle(generation), &key(SIGNING)).unwrap()
}

fn checked(signed: &Signed, newest: Option<Newest>) -> Result<Generation, BundleError> {
    verify_bundle(signed.clone(), &anchors(), device(), newest)
        .map(|verified| verified.generation())
}

fn newest(generation: u64) -> Newest {
    Newest {
        generation: Generation::new(generation),
        digest: Digest::sha256(signed_bundle(generation).payload.as_bytes()),
    }
}

#[test]
fn a_bundle_verifies_as_it_was_signed() {
    let signed = signed_bundle(7);
    let verified = verify_bundle(signed.clone(), &anchors(), device(), None).unwrap();
    assert_eq!(verified.bundle(), &bundle(7));
    assert_eq!(verified.signed(), &signed);
    assert_eq!(verified.digest(), Digest::sha256(signed.payload.as_bytes()));
}

#[test]
fn a_lower_generation_or_another_bundle_of_the_same_is_refused() {
    assert_eq!(
        checked(&signed_bundle(8), Some(newest(7))),
        Ok(Generation::new(8))
    );
    assert_eq!(
        checked(&signed_bundle(7), Some(newest(7))),
        Ok(Generation::new(7))
    );
    let lower = BundleError::LowerGeneration {
        ours: Generation::new(8),
        theirs: Generation::new(7),
    };
    assert_eq!(checked(&signed_bundle(7), Some(newest(8))), Err(lower));
    let other = Bundle {
        device_name: "Ladybirds 2".to_owned(),
        ..bundle(7)
    };
    let other = sign(&other, &key(SIGNING)).unwrap();
    assert_eq!(
        checked(&other, Some(newest(7))),
        Err(BundleError::SameGenerationOtherContent(Generation::new(7)))
    );
    assert_eq!(checked(&other, Some(newest(6))), Ok(Generation::new(7)));
}

#[test]
fn a_bundle_of_another_tablet_setting_or_key_is_refused() {
    let other_device = DeviceId::from_uuid(Uuid::from_u128(1));
    let elsewhere = verify_bundle(signed_bundle(7), &anchors(), other_device, None);
    assert_eq!(
        elsewhere,
        Err(BundleError::OtherDevice {
            ours: other_device,
            theirs: device()
        })
    );
    let ours = SettingId::from_uuid(Uuid::from_u128(1));
    let anchors_elsewhere = Anchors {
        setting: ours,
        ..anchors()
    };
    let elsewhere = verify_bundle(signed_bundle(7), &anchors_elsewhere, device(), None);
    assert_eq!(
        elsewhere,
        Err(BundleError::OtherSetting {
            ours,
            theirs: setting()
        })
    );
    for stranger in [STRANGER, RECOVERY, APPROVER_A] {
        let signed = sign(&bundle(7), &key(stranger)).unwrap();
        assert_eq!(
            checked(&signed, None),
            Err(BundleError::Signature(SignedError::UnknownKey(
                public(stranger).key_id()
            )))
        );
        let forged = Signed {
            key_id: public(SIGNING).key_id(),
            ..signed
        };
        assert_eq!(
            checked(&forged, None),
            Err(BundleError::Signature(SignedError::BadSignature))
        );
    }
}

#[test]
fn a_bundle_that_would_lock_a_tablet_out_is_refused_however_well_signed() {
    let mut lockout = bundle(7);
    lockout.policy.apps.as_mut().unwrap().allowed.clear();
    let refused = checked(&sign(&lockout, &key(SIGNING)).unwrap(), None);
    assert!(
        matches!(refused, Err(BundleError::Unsound(_))),
        "{refused:?}"
    );
    let mut never_open = bundle(7);
    never_open.calendar.contact_hours.clear();
    let refused = checked(&sign(&never_open, &key(SIGNING)).unwrap(), None);
    assert!(
        matches!(refused, Err(BundleError::Unsound(_))),
        "{refused:?}"
    );
}

#[test]
fn a_statement_of_one_kind_is_no_statement_of_another() {
    let time = sign(&time_statement(), &key(SIGNING)).unwrap();
    assert_eq!(
        verify_ed25519::<TimeStatement>(&time, &[&public(SIGNING)]),
        Ok(time_statement())
    );
    assert_eq!(
        verify_ed25519::<Command>(&time, &[&public(SIGNING)]),
        Err(SignedError::BadSignature)
    );
    assert_eq!(
        verify_ed25519::<Bundle>(&time, &[&public(SIGNING)]),
        Err(SignedError::BadSignature)
    );
}

#[test]
fn fields_this_version_does_not_know_are_read_over() {
    let signed = signed_bundle(7);
    let payload = signed
        .payload
        .replacen('{', "{\"from_the_future\":{\"x\":1},", 1);
    let message = nestwarden_policy_schema::envelope::message_of("nestwarden/bundle/v1", &payload);
    let signature = Base64(key(SIGNING).sign(&message).as_ref().to_vec());
    let signed = Signed {
        payload,
        signature,
        ..signed
    };
    assert_eq!(checked(&signed, None), Ok(Generation::new(7)));
}

fn updated(new: &Anchors, by: u8) -> Result<Anchors, AnchorsError> {
    anchors().updated(&sign(new, &key(by)).unwrap())
}

fn next() -> Anchors {
    Anchors {
        version: 2,
        ..anchors()
    }
}

#[test]
fn the_old_signing_key_may_rotate_signing_keys_and_pins_and_nothing_else() {
    let rotated = Anchors {
        signing: vec![public(STRANGER)],
        server_pins: anchors().server_pins.repeat(2),
        ..next()
    };
    assert_eq!(updated(&rotated, SIGNING), Ok(rotated.clone()));
    let approvers = Anchors {
        approvers: vec![approver(1, STRANGER), approver(2, SIGNING)],
        ..next()
    };
    assert_eq!(
        updated(&approvers, SIGNING),
        Err(AnchorsError::NotByRecovery)
    );
    assert_eq!(updated(&approvers, RECOVERY), Ok(approvers));
    let recovery = Anchors {
        recovery: public(STRANGER),
        ..next()
    };
    assert_eq!(
        updated(&recovery, SIGNING),
        Err(AnchorsError::NotByRecovery)
    );
    assert_eq!(updated(&recovery, RECOVERY), Ok(recovery));
    for stranger in [STRANGER, APPROVER_A] {
        let refused = AnchorsError::Signature(SignedError::UnknownKey(public(stranger).key_id()));
        assert_eq!(updated(&rotated, stranger), Err(refused));
    }
}

#[test]
fn anchors_that_are_not_newer_or_could_not_be_lived_with_are_refused() {
    let same = anchors();
    assert_eq!(
        updated(&same, RECOVERY),
        Err(AnchorsError::NotNewer { ours: 1, theirs: 1 })
    );
    let elsewhere = Anchors {
        setting: SettingId::from_uuid(Uuid::from_u128(1)),
        ..next()
    };
    assert!(matches!(
        updated(&elsewhere, RECOVERY),
        Err(AnchorsError::OtherSetting { .. })
    ));
    let deaf = Anchors {
        signing: Vec::new(),
        ..next()
    };
    assert_eq!(updated(&deaf, RECOVERY), Err(AnchorsError::NoSigningKey));
    let lost = Anchors {
        server_pins: Vec::new(),
        ..next()
    };
    assert_eq!(updated(&lost, RECOVERY), Err(AnchorsError::NoServerPin));
    let mut broken = [next(), next(), next()];
    broken[0].signing[0].0.0.pop();
    broken[1].recovery.0.0.push(0);
    broken[2].approvers[1].key.0.0.clear();
    for broken in broken {
        assert!(matches!(
            updated(&broken, RECOVERY),
            Err(AnchorsError::NotAKey(_))
        ));
    }
}

#[test]
fn a_thief_of_the_signing_key_cannot_use_up_the_versions() {
    let furthest = Anchors {
        version: 1 + MAX_VERSION_STEP,
        ..next()
    };
    assert_eq!(updated(&furthest, SIGNING), Ok(furthest.clone()));
    let leap = Anchors {
        version: 2 + MAX_VERSION_STEP,
        ..next()
    };
    let refused = AnchorsError::VersionLeap {
        ours: 1,
        theirs: leap.version,
    };
    assert_eq!(updated(&leap, SIGNING), Err(refused));
    assert_eq!(updated(&leap, RECOVERY), Ok(leap));
}

#[test]
fn a_signing_key_is_found_by_its_id() {
    assert_eq!(
        anchors().signing_key(public(SIGNING).key_id()),
        Some(&public(SIGNING))
    );
    assert_eq!(anchors().signing_key(public(RECOVERY).key_id()), None);
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_bundle_with_any_byte_changed_never_verifies(place in any::<prop::sample::Index>(), flip in 1u8..128) {
        let whole = signed_bundle(7);
        let mut changed = whole.clone();
        let mut bytes = std::mem::take(&mut changed.payload).into_bytes();
        let at = place.index(bytes.len());
        bytes[at] ^= flip;
        // What is not text cannot even be sent.
        if let Ok(payload) = String::from_utf8(bytes) {
            changed.payload = payload;
            prop_assert_eq!(checked(&changed, None), Err(BundleError::Signature(SignedError::BadSignature)));
        }
        let mut changed = whole.clone();
        let at = place.index(changed.signature.0.len());
        changed.signature.0[at] ^= flip;
        prop_assert_eq!(checked(&changed, None), Err(BundleError::Signature(SignedError::BadSignature)));
        changed.signature.0.truncate(at);
        prop_assert_eq!(checked(&changed, None), Err(BundleError::Signature(SignedError::BadSignature)));
        let mut changed = whole.clone();
        let at = place.index(32);
        changed.key_id.0.0[at] ^= flip;
        let unknown = SignedError::UnknownKey(changed.key_id);
        prop_assert_eq!(checked(&changed, None), Err(BundleError::Signature(unknown)));
    }
}
