//! What earlier versions wrote is read and verified for ever. The files are frozen: never edited, only added.

use crate::nursery::{at, device};
use crate::papers::{
    APPROVER_A, APPROVER_B, RECOVERY, SIGNING, STRANGER, access_events, access_request, anchors,
    bundle, bundle_with_custody, chain, command, custody_events, key, public, receipt,
    time_statement,
};
use nestwarden_policy_schema::access::ApprovedAccess;
use nestwarden_policy_schema::bundle::TimeStatement;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::consent::{Cause, Stage};
use nestwarden_policy_schema::enrol_link::EnrolLink;
use nestwarden_policy_schema::envelope::{
    Signable, Signed, message_of, sign, verify_bundle, verify_ed25519,
};
use nestwarden_policy_schema::event::{
    ChainHead, ChainPosition, Event, EventBody, verify_chain, verify_head,
};
use nestwarden_policy_schema::export::apple;
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::profile::PolicyProfile;
use nestwarden_policy_schema::receipt::Receipt;
use nestwarden_policy_schema::trust::{Anchors, KeyId};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use uuid::Uuid;

fn path_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/v1")
        .join(name)
}

fn text_of(name: &str) -> String {
    std::fs::read_to_string(path_of(name)).unwrap()
}

/// Reads a frozen file, and checks that nothing in it is lost or renamed by today's types.
fn frozen<T: Serialize + DeserializeOwned>(name: &str) -> T {
    let frozen: Value = serde_json::from_str(&text_of(name)).unwrap();
    let read: T = serde_json::from_value(frozen.clone()).unwrap();
    assert_keeps(&serde_json::to_value(&read).unwrap(), &frozen, name);
    read
}

/// Whether `now` still says everything that `frozen` says.
fn assert_keeps(now: &Value, frozen: &Value, place: &str) {
    match (now, frozen) {
        (Value::Object(now), Value::Object(frozen)) => {
            for (key, value) in frozen {
                let place = format!("{place}.{key}");
                // An optional value that is absent now was null then.
                assert_keeps(now.get(key).unwrap_or(&Value::Null), value, &place);
            }
        }
        (Value::Array(now), Value::Array(frozen)) => {
            assert_eq!(now.len(), frozen.len(), "{place}");
            for (index, (now, frozen)) in now.iter().zip(frozen).enumerate() {
                assert_keeps(now, frozen, &format!("{place}.{index}"));
            }
        }
        (now, frozen) => assert_eq!(now, frozen, "{place}"),
    }
}

#[derive(Serialize, Deserialize)]
struct Batch {
    /// Uncompressed P-256 point.
    public_key: Base64,
    events: Vec<Event>,
    head: Signed,
}

#[test]
fn a_frozen_bundle_verifies_and_says_what_it_said() {
    let signed: Signed = frozen("bundle.json");
    let verified = verify_bundle(signed.clone(), &anchors(), device(), None).unwrap();
    let read = verified.bundle();
    assert_eq!(
        (read.generation.get(), read.device_name.as_str()),
        (7, "Ladybirds 1")
    );
    assert_eq!(
        (read.holds.holds.len(), read.register.children.len()),
        (1, 1)
    );
    let payload: Value = serde_json::from_str(&signed.payload).unwrap();
    assert_keeps(
        &serde_json::to_value(verified.bundle()).unwrap(),
        &payload,
        "bundle",
    );
}

#[test]
fn a_frozen_roster_and_what_a_tablet_tells_of_it_read_as_they_were_meant() {
    let signed: Signed = frozen("bundle_with_custody.json");
    let verified = verify_bundle(signed, &anchors(), device(), None).unwrap();
    assert_eq!(verified.bundle(), &bundle_with_custody());
    let told: Vec<EventBody> = frozen("custody_events.json");
    assert_eq!(told, custody_events());
}

#[test]
fn a_frozen_statement_of_time_verifies() {
    let signed: Signed = frozen("time_statement.json");
    let statement: TimeStatement = verify_ed25519(&signed, &[&public(SIGNING)]).unwrap();
    assert_eq!(statement, time_statement());
}

#[test]
fn frozen_anchors_take_over_from_frozen_anchors() {
    let trusted: Anchors = frozen("anchors.json");
    assert_eq!(trusted, anchors());
    let by_signing: Signed = frozen("anchors_by_signing.json");
    let rotated = trusted.updated(&by_signing).unwrap();
    assert_eq!(
        (rotated.version, &rotated.signing),
        (2, &vec![public(STRANGER)])
    );
    let by_recovery: Signed = frozen("anchors_by_recovery.json");
    let recovered = rotated.updated(&by_recovery).unwrap();
    assert_eq!((recovered.version, recovered.approvers.len()), (3, 1));
}

#[test]
fn frozen_commands_of_every_kind_are_read_as_they_were_meant() {
    let frozen: Vec<Command> = frozen("commands.json");
    let meant = crate::commands::kinds().map(command);
    assert_eq!(frozen, meant);
}

#[test]
fn a_photo_withheld_because_its_tablet_is_lost_is_told_as_it_was() {
    let told: EventBody = frozen("lost_photo_event.json");
    assert_eq!(told, lost_photo());
}

fn lost_photo() -> EventBody {
    EventBody::PhotoStage {
        photo: PhotoId::from_uuid(Uuid::from_u128(0xa000)),
        from: Stage::Live,
        to: Stage::Withheld,
        cause: Some(Cause::Lost),
        observed_only: false,
    }
}

#[test]
fn a_frozen_command_carries_two_approvals() {
    let wipe: ApprovedCommand = frozen("command.json");
    let verified = wipe
        .verified(&anchors(), device(), at("2026-03-02T09:30:00Z"))
        .unwrap();
    assert_eq!(verified, &command(CommandKind::Wipe));
}

#[test]
fn a_frozen_request_for_photos_carries_two_approvals() {
    let access: ApprovedAccess = frozen("access_request.json");
    let verified = access.verified(&anchors(), at("2026-03-10T09:30:00Z"));
    assert_eq!(verified.unwrap(), &access_request());
    let told: Vec<EventBody> = frozen("access_events.json");
    assert_eq!(told, access_events());
}

#[test]
fn a_frozen_chain_and_its_head_verify() {
    let batch: Batch = frozen("events.json");
    let end = verify_chain(device(), ChainPosition::START, &batch.events).unwrap();
    verify_head(&batch.head, device(), &batch.public_key.0, end).unwrap();
    assert_eq!(batch.events, chain());
    for event in &batch.events {
        let body = event.body.as_ref().unwrap();
        let read: EventBody = serde_json::from_str(body).unwrap();
        let frozen: Value = serde_json::from_str(body).unwrap();
        assert_keeps(&serde_json::to_value(&read).unwrap(), &frozen, "event");
    }
}

#[test]
fn a_frozen_receipt_and_link_read_as_they_were_written() {
    assert_eq!(frozen::<Receipt>("receipt.json"), receipt());
    let link: EnrolLink = text_of("enrol_link.txt").parse().unwrap();
    assert_eq!(link.to_string(), text_of("enrol_link.txt").trim());
    assert_eq!(link.server, "box.local:8443");
}

#[test]
fn a_frozen_profile_gives_the_frozen_configuration_profile() {
    let profile = PolicyProfile::from_toml(&text_of("profile.toml")).unwrap();
    let export = apple::export(&profile).unwrap();
    assert_eq!(export.mobileconfig, text_of("profile.mobileconfig"));
    let notes: Value = serde_json::from_str(&text_of("profile.notes.json")).unwrap();
    assert_eq!(serde_json::to_value(&export.notes).unwrap(), notes);
}

/// The door through which a new golden file comes: with `NESTWARDEN_WRITE_GOLDEN=1` in the environment what is missing
/// is written. A file that exists stays as it is.
#[test]
fn every_golden_file_is_there() {
    let may_write = std::env::var_os("NESTWARDEN_WRITE_GOLDEN").is_some();
    let rotated = Anchors {
        version: 2,
        signing: vec![public(STRANGER)],
        ..anchors()
    };
    let mut recovered = Anchors {
        version: 3,
        ..anchors()
    };
    recovered.approvers.pop();
    let wipe = command(CommandKind::Wipe);
    let approvals = [APPROVER_A, APPROVER_B]
        .map(|by| sign(&wipe, &key(by)).unwrap())
        .to_vec();
    let profile = PolicyProfile::from_toml(&text_of("profile.toml")).unwrap();
    let export = apple::export(&profile).unwrap();
    let link = format!(
        "nestwarden://enrol?server=box.local:8443&pin={}&token=0123456789ABCDEFGHJKMNPQRS\n",
        Digest([7; 32])
    );
    for (name, text) in [
        (
            "bundle.json",
            json(&sign(&bundle(7), &key(SIGNING)).unwrap()),
        ),
        (
            "bundle_with_custody.json",
            json(&sign(&bundle_with_custody(), &key(SIGNING)).unwrap()),
        ),
        ("custody_events.json", json(&custody_events())),
        (
            "time_statement.json",
            json(&sign(&time_statement(), &key(SIGNING)).unwrap()),
        ),
        ("anchors.json", json(&anchors())),
        (
            "anchors_by_signing.json",
            json(&sign(&rotated, &key(SIGNING)).unwrap()),
        ),
        (
            "anchors_by_recovery.json",
            json(&sign(&recovered, &key(RECOVERY)).unwrap()),
        ),
        (
            "command.json",
            json(&ApprovedCommand {
                command: wipe,
                approvals,
            }),
        ),
        (
            "commands.json",
            json(&crate::commands::kinds().map(command)),
        ),
        ("lost_photo_event.json", json(&lost_photo())),
        (
            "access_request.json",
            json(&ApprovedAccess {
                request: access_request(),
                approvals: [APPROVER_A, APPROVER_B]
                    .map(|by| sign(&access_request(), &key(by)).unwrap())
                    .to_vec(),
            }),
        ),
        ("access_events.json", json(&access_events())),
        ("events.json", json(&batch())),
        ("receipt.json", json(&receipt())),
        ("enrol_link.txt", link),
        ("profile.mobileconfig", export.mobileconfig),
        ("profile.notes.json", json(&export.notes)),
    ] {
        if !path_of(name).exists() && may_write {
            std::fs::write(path_of(name), text).unwrap();
        }
        assert!(path_of(name).exists(), "{name} is missing");
    }
}

fn json(value: &impl Serialize) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

fn batch() -> Batch {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let events = chain();
    let head = ChainHead {
        device: device(),
        position: events[3].position(),
    };
    let payload = serde_json::to_string(&head).unwrap();
    let signature = key
        .sign(&random, &message_of(ChainHead::DOMAIN, &payload))
        .unwrap();
    let public_key = key.public_key().as_ref().to_vec();
    Batch {
        head: Signed {
            payload,
            key_id: KeyId(Digest::sha256(&public_key)),
            signature: Base64(signature.as_ref().to_vec()),
        },
        public_key: Base64(public_key),
        events,
    }
}
