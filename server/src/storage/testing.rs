//! A database in a directory of its own, with what tests put into it.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::token::token_hash;
use super::{AuditEntry, Device, DeviceKey, EnrolOutcome, EnrolToken, Storage, StoredInventory};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::consent::{
    Cause, ChildEntry, ConsentRecord, ConsentSource, ConsentState, GivenBy, Method, PhotoFacts,
    Purpose, Subjects, Tagging,
};
use nestwarden_policy_schema::control::ControlReport;
use nestwarden_policy_schema::device_api::Inventory;
use nestwarden_policy_schema::envelope::{Signable as _, Signed, message_of};
use nestwarden_policy_schema::event::{ChainHead, ChainPosition, Event, EventBody};
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::{ChildId, ConsentId, DeviceId, PhotoId, ReceiptId, SettingId};
use nestwarden_policy_schema::receipt::{Artefact, ArtefactKind, ArtefactResult, Receipt, Rescan};
use nestwarden_policy_schema::trust::KeyId;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(crate) struct TestStorage {
    pub(crate) storage: Storage,
    pub(crate) dir: tempfile::TempDir,
}

impl TestStorage {
    pub(crate) async fn create() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nestwarden.db");
        let setting = SettingId::from_uuid(Uuid::from_u128(1));
        let storage = super::sql::create(&path, setting, "Little Acorns", now())
            .await
            .unwrap();
        Self { storage, dir }
    }
}

pub(crate) fn now() -> Timestamp {
    "2026-03-10T12:00:00Z".parse().unwrap()
}

pub(crate) fn audit(act: &str) -> AuditEntry {
    AuditEntry {
        at: now(),
        who: "os:test".to_owned(),
        act: act.to_owned(),
        subject: "subject".to_owned(),
        detail: serde_json::json!({}),
    }
}

/// That a tablet told `at` what it had found of `controls`.
pub(crate) fn told(at: Timestamp, controls: Vec<ControlReport>) -> StoredInventory {
    StoredInventory {
        received_at: at,
        inventory: Inventory {
            at,
            generation: Generation::new(1),
            agent_version: "0.1.0".to_owned(),
            time_zone_data: "2026a".to_owned(),
            controls,
            photos: BTreeMap::new(),
            found_at_enrolment: BTreeMap::new(),
            events_waiting: 0,
            clock_doubtful: false,
            disk_free_bytes: None,
            locked_out: None,
        },
    }
}

pub(crate) fn device(profile: &str) -> Device {
    Device {
        id: DeviceId::from_uuid(Uuid::new_v4()),
        name: "Robins 1".to_owned(),
        profile: profile.to_owned(),
        rooms: BTreeSet::new(),
        overrides: Vec::new(),
        platform: "linux/debian 12".to_owned(),
        agent_version: "0.1.0".to_owned(),
        time_zone_data: "2026a".to_owned(),
        enrolled_at: now(),
        last_seen_at: None,
        revoked: None,
    }
}

pub(crate) fn token(text: &str) -> EnrolToken {
    EnrolToken {
        hash: token_hash(text),
        name: "Robins 1".to_owned(),
        profile: "early-years".to_owned(),
        rooms: BTreeSet::new(),
        created_at: now(),
        expires_at: now() + SignedDuration::from_hours(24),
        used_at: None,
        used_by: None,
    }
}

pub(crate) fn key_of(device: DeviceId, public_key: &[u8]) -> DeviceKey {
    DeviceKey {
        device,
        public_key: public_key.to_vec(),
        certificate: b"certificate".to_vec(),
        issued_at: now(),
        expires_at: now() + SignedDuration::from_hours(24 * 180),
    }
}

/// Enrols a tablet without a key it could sign with.
pub(crate) async fn enrol(storage: &Storage, profile: &str) -> DeviceId {
    enrol_with_key(storage, device(profile), b"public key").await
}

async fn enrol_with_key(storage: &Storage, device: Device, public_key: &[u8]) -> DeviceId {
    let token = token(&device.id.to_string());
    storage
        .token_create(&token, &audit("enrol_token.create"))
        .await
        .unwrap();
    let key = key_of(device.id, public_key);
    let outcome = storage
        .token_redeem(token.hash, &device, &key)
        .await
        .unwrap();
    assert_eq!(outcome, EnrolOutcome::Enrolled);
    device.id
}

/// A tablet as far as its chain is concerned.
pub(crate) struct TestTablet {
    pub(crate) id: DeviceId,
    key: EcdsaKeyPair,
    position: ChainPosition,
}

impl TestTablet {
    pub(crate) async fn enrol(storage: &Storage) -> Self {
        Self::enrol_as(storage, device("early-years")).await
    }

    pub(crate) async fn enrol_as(storage: &Storage, device: Device) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        Self {
            id: enrol_with_key(storage, device, key.public_key().as_ref()).await,
            key,
            position: ChainPosition::START,
        }
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// The next `count` events, with their head.
    pub(crate) fn batch(&mut self, count: usize) -> super::NewBatch {
        let bodies = vec![
            EventBody::Alarm {
                what: "disk full".to_owned()
            };
            count
        ];
        self.batch_of(&bodies)
    }

    pub(crate) fn batch_of(&mut self, bodies: &[EventBody]) -> super::NewBatch {
        let told: Vec<_> = bodies.iter().map(|body| (now(), body.clone())).collect();
        self.batch_at(&told, now())
    }

    /// The next events, each at its time by the tablet's clock.
    pub(crate) fn batch_at(
        &mut self,
        told: &[(Timestamp, EventBody)],
        received_at: Timestamp,
    ) -> super::NewBatch {
        let events: Vec<Event> = told
            .iter()
            .map(|(at, body)| {
                let salt = *Uuid::new_v4().as_bytes();
                let event = Event::following(self.position, self.id, *at, body, salt).unwrap();
                self.position = event.position();
                event
            })
            .collect();
        super::NewBatch {
            device: self.id,
            head: self.head(self.position),
            public_key: self.public_key().to_vec(),
            events,
            received_at,
        }
    }

    pub(crate) fn head(&self, position: ChainPosition) -> Signed {
        let head = ChainHead {
            device: self.id,
            position,
        };
        let payload = serde_json::to_string(&head).unwrap();
        let message = message_of(ChainHead::DOMAIN, &payload);
        let signature = self.key.sign(&SystemRandom::new(), &message).unwrap();
        Signed {
            payload,
            key_id: KeyId(Digest::sha256(self.public_key())),
            signature: Base64(signature.as_ref().to_vec()),
        }
    }
}

pub(crate) fn photo_id(number: u128) -> PhotoId {
    PhotoId::from_uuid(Uuid::from_u128(0xf0_0000 + number))
}

/// A child of the room "Robins", reference `A1`, `A2` ….
pub(crate) fn child(number: u128) -> super::Child {
    super::Child {
        id: ChildId::from_uuid(Uuid::from_u128(0xc0_0000 + number)),
        reference: format!("A{number}"),
        first_name: format!("First{number}"),
        last_name: format!("Last{number}"),
        family: None,
        entry: ChildEntry {
            rooms: BTreeSet::from(["Robins".parse().unwrap()]),
            ..ChildEntry::default()
        },
        set_here: super::SetHere::default(),
    }
}

pub(crate) fn given(number: u128, purpose: Purpose, at: Timestamp) -> ConsentRecord {
    ConsentRecord {
        id: ConsentId::from_uuid(Uuid::new_v4()),
        child: child(number).id,
        purpose,
        state: ConsentState::Given,
        given_by: GivenBy::Parent,
        has_parental_responsibility: None,
        method: Method::InPerson,
        wording_version: None,
        answered_at: Some(at),
        recorded_at: at,
        valid_from: None,
        valid_until: None,
        withdrawn_at: None,
        source: ConsentSource::Recorded,
    }
}

/// What a tablet tells of a photo taken at `now` that shows these children.
pub(crate) fn known(
    device: DeviceId,
    photo: u128,
    children: &[u128],
    tagging: Tagging,
) -> EventBody {
    let facts = PhotoFacts {
        photo: photo_id(photo),
        device,
        captured_at: now(),
        subjects: Subjects {
            tagging,
            confirmed: children.iter().map(|number| child(*number).id).collect(),
            ..Subjects::default()
        },
        staff: None,
        care_record: false,
        found_at_enrolment: false,
        uploaded_at: None,
        sealed_at: None,
        tagged_at: None,
    };
    EventBody::PhotoKnown {
        media: "image/jpeg".to_owned(),
        facts: Box::new(facts),
    }
}

pub(crate) fn destroyed(photo: PhotoId, child: ChildId) -> EventBody {
    EventBody::Destroyed {
        receipt: Receipt {
            id: ReceiptId::from_uuid(Uuid::new_v4()),
            photo,
            keyed_hash: Digest::sha256(b"content"),
            cause: Cause::Withdrawn,
            child: Some(child),
            consent: None,
            withheld_at: Some(now()),
            sealed_at: Some(now()),
            destroyed_at: now(),
            artefacts: vec![Artefact {
                kind: ArtefactKind::Sealed,
                result: ArtefactResult::DiscardRequested,
            }],
            rescan: Rescan {
                at: now(),
                files_read: 3,
                found: 0,
            },
            policy_generation: Generation::new(1),
            agent_version: "0.1.0".to_owned(),
        },
    }
}
