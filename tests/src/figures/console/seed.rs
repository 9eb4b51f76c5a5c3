//! A setting as it is after years: thousands of tablets, each with a signed record of its own, through the same store and
//! by the same rules as if they had told it.

use crate::fleet::ZONE;
use crate::profile;
use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::consent::{Cause, PhotoFacts, Stage, Subjects, Tagging};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::device_api::{Inventory, MAX_BATCH_EVENTS};
use nestwarden_policy_schema::envelope::{Signable as _, Signed, message_of};
use nestwarden_policy_schema::event::{ChainHead, ChainPosition, Event, EventBody};
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId, ReceiptId};
use nestwarden_policy_schema::receipt::{Artefact, ArtefactKind, ArtefactResult, Receipt, Rescan};
use nestwarden_policy_schema::trust::KeyId;
use nestwarden_server::storage::token::token_hash;
use nestwarden_server::storage::{
    AppendOutcome, AuditEntry, Device, DeviceKey, EnrolOutcome, EnrolToken, NewBatch, Storage,
    StoredInventory,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Batches on their way at a time: the store writes those that come together at once.
const AT_ONCE: usize = 16;

const DAYS_TOLD: i64 = 28;

/// A tablet as far as the server can tell.
pub(super) struct Told {
    id: DeviceId,
    number: usize,
    key: EcdsaKeyPair,
    position: ChainPosition,
}

/// Enrols tablets, each in one of twenty rooms.
pub(super) async fn enrol(storage: &Storage, tablets: usize, now: Timestamp) -> Result<Vec<Told>> {
    let random = SystemRandom::new();
    let mut enrolled = Vec::with_capacity(tablets);
    for number in 0..tablets {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .and_then(|pkcs8| {
                EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random)
                    .map_err(|_| ring::error::Unspecified)
            })
            .ok()
            .context("no key")?;
        let id = DeviceId::from_uuid(Uuid::new_v4());
        let device = Device {
            id,
            name: format!("Tablet-{number:05}"),
            profile: profile::NAME.to_owned(),
            rooms: BTreeSet::from([format!("Room {}", number % 20).parse()?]),
            overrides: vec![],
            platform: "linux".to_owned(),
            agent_version: "0.1.0".to_owned(),
            time_zone_data: "2026a".to_owned(),
            enrolled_at: now - SignedDuration::from_hours(24 * DAYS_TOLD),
            last_seen_at: None,
            revoked: None,
        };
        enrol_one(storage, &device, key.public_key().as_ref()).await?;
        enrolled.push(Told {
            id,
            number,
            key,
            position: ChainPosition::START,
        });
    }
    Ok(enrolled)
}

async fn enrol_one(storage: &Storage, device: &Device, public_key: &[u8]) -> Result<()> {
    let at = device.enrolled_at;
    let token = EnrolToken {
        hash: token_hash(&device.id.to_string()),
        name: device.name.clone(),
        profile: device.profile.clone(),
        rooms: device.rooms.clone(),
        created_at: at,
        expires_at: at + SignedDuration::from_hours(24),
        used_at: None,
        used_by: None,
    };
    let audit = AuditEntry {
        at,
        who: "Dana Lead".to_owned(),
        act: "enrol_token.create".to_owned(),
        subject: device.name.clone(),
        detail: serde_json::json!({}),
    };
    storage.token_create(&token, &audit).await?;
    let key = DeviceKey {
        device: device.id,
        public_key: public_key.to_vec(),
        certificate: b"none is asked for here".to_vec(),
        issued_at: at,
        expires_at: at + SignedDuration::from_hours(24 * 180),
    };
    let outcome = storage.token_redeem(token.hash, device, &key).await?;
    ensure!(outcome == EnrolOutcome::Enrolled, "{outcome:?}");
    Ok(())
}

/// Has each report how it stands at `now`: most are ready, some silent, some drifted.
pub(super) async fn report(storage: &Storage, tablets: &[Told], now: Timestamp) -> Result<()> {
    for tablet in tablets {
        let stands = stands(tablet.number, now);
        storage.inventory_put(tablet.id, &stands).await?;
    }
    Ok(())
}

fn stands(number: usize, now: Timestamp) -> StoredInventory {
    let is_silent = number % 10 == 3;
    let at = now - SignedDuration::from_mins(if is_silent { 300 } else { 0 });
    let controls = ControlName::ALL.map(|control| ControlReport {
        control,
        outcome: match (control, number % 50) {
            (ControlName::Radios, 7) => Outcome::Drifted {
                remaining: vec!["Bluetooth is on".to_owned()],
                error: Some("rfkill: input/output error".to_owned()),
            },
            (ControlName::Radios, _) => Outcome::Corrected {
                changed: vec!["Bluetooth off".to_owned()],
            },
            _ => Outcome::Compliant,
        },
        measured_at: at,
    });
    StoredInventory {
        received_at: at,
        inventory: Inventory {
            at,
            generation: Generation::new(1),
            agent_version: "0.1.0".to_owned(),
            time_zone_data: "2026a".to_owned(),
            controls: controls.to_vec(),
            photos: BTreeMap::from([(Stage::Live, 12)]),
            found_at_enrolment: BTreeMap::new(),
            events_waiting: 0,
            clock_doubtful: false,
            disk_free_bytes: Some(20_000_000_000),
            locked_out: None,
        },
    }
}

/// Has each tablet tell its next `count` events, spread over the four weeks before `now`.
pub(super) async fn tell(
    storage: &Storage,
    tablets: &mut [Told],
    count: usize,
    children: &[ChildId],
    now: Timestamp,
) -> Result<()> {
    let mut on_its_way = JoinSet::new();
    for tablet in tablets {
        let mut left = count;
        while left > 0 {
            let some = left.min(MAX_BATCH_EVENTS);
            left -= some;
            let batch = tablet.batch(some, children, now)?;
            let last = tablet.position.seq;
            let storage = storage.clone();
            on_its_way.spawn(async move { (storage.event_append(batch).await, last) });
            while on_its_way.len() >= AT_ONCE {
                arrived(on_its_way.join_next().await)?;
            }
        }
    }
    while let Some(outcome) = on_its_way.join_next().await {
        arrived(Some(outcome))?;
    }
    Ok(())
}

type Arrival = (
    Result<AppendOutcome, nestwarden_server::storage::StorageError>,
    u64,
);

fn arrived(outcome: Option<Result<Arrival, tokio::task::JoinError>>) -> Result<()> {
    if let Some(outcome) = outcome {
        let (outcome, last) = outcome?;
        let outcome = outcome?;
        ensure!(outcome == AppendOutcome::OnDisk(last), "{outcome:?}");
    }
    Ok(())
}

impl Told {
    fn batch(&mut self, count: usize, children: &[ChildId], now: Timestamp) -> Result<NewBatch> {
        let mut events = Vec::with_capacity(count);
        let whole = SignedDuration::from_hours(24 * DAYS_TOLD);
        let begun = now - whole;
        let each = whole / i32::try_from(count + 1)?;
        for place in 0..count {
            let at = begun + each * i32::try_from(place + 1)?;
            let body = self.body(self.position.seq, at, children);
            let salt = *Uuid::new_v4().as_bytes();
            let event = Event::following(self.position, self.id, at, &body, salt)?;
            self.position = event.position();
            events.push(event);
        }
        let head = ChainHead {
            device: self.id,
            position: self.position,
        };
        let payload = serde_json::to_string(&head)?;
        let message = message_of(ChainHead::DOMAIN, &payload);
        let signature = self.key.sign(&SystemRandom::new(), &message).ok();
        let public_key = self.key.public_key().as_ref().to_vec();
        Ok(NewBatch {
            device: self.id,
            events,
            head: Signed {
                payload,
                key_id: KeyId(Digest::sha256(&public_key)),
                signature: Base64(signature.context("no signature")?.as_ref().to_vec()),
            },
            public_key,
            received_at: now,
        })
    }

    /// Of fifty events two speak of a photo that was taken, and one of one that was destroyed.
    fn body(&self, before: u64, at: Timestamp, children: &[ChildId]) -> EventBody {
        let photo = |of: u64| {
            let number = (self.number as u128) << 64 | u128::from(of);
            PhotoId::from_uuid(Uuid::from_u128(number))
        };
        let turn = usize::try_from(before).unwrap_or_default() + self.number;
        let child = children.get(turn % children.len().max(1)).copied();
        match before % 50 {
            0 => EventBody::AgentStarted {
                agent_version: "0.1.0".to_owned(),
                time_zone_data: "2026a".to_owned(),
            },
            10 | 20 => EventBody::PhotoKnown {
                media: "image/jpeg".to_owned(),
                facts: Box::new(PhotoFacts {
                    photo: photo(before),
                    device: self.id,
                    captured_at: at,
                    subjects: Subjects {
                        tagging: Tagging::Complete,
                        confirmed: child.into_iter().collect(),
                        ..Subjects::default()
                    },
                    staff: None,
                    care_record: false,
                    found_at_enrolment: false,
                    uploaded_at: None,
                    sealed_at: None,
                    tagged_at: None,
                }),
            },
            40 => EventBody::Destroyed {
                receipt: Receipt {
                    id: ReceiptId::from_uuid(Uuid::new_v4()),
                    photo: photo(before - 20),
                    keyed_hash: Digest::sha256(&before.to_be_bytes()),
                    cause: Cause::Withdrawn,
                    child,
                    consent: None,
                    withheld_at: Some(at),
                    sealed_at: Some(at),
                    destroyed_at: at,
                    artefacts: vec![Artefact {
                        kind: ArtefactKind::Sealed,
                        result: ArtefactResult::DiscardRequested,
                    }],
                    rescan: Rescan {
                        at,
                        files_read: 3,
                        found: 0,
                    },
                    policy_generation: Generation::new(1),
                    agent_version: "0.1.0".to_owned(),
                },
            },
            place if place % 2 == 0 => EventBody::DriftReverted {
                control: ControlName::Radios,
                what: "Bluetooth off".to_owned(),
                count: 1,
            },
            _ => EventBody::AppRefused {
                program: "/home/staff/game".to_owned(),
                observed_only: false,
                count: 3,
            },
        }
    }
}

/// Puts down that each told how it stands in every hour of contact of the last two weeks.
pub(super) fn hours(tablets_at: Timestamp) -> Result<String> {
    let today = tablets_at.in_tz(ZONE)?;
    let last = today.timestamp().as_second() / 3600;
    let first = last - 24 * 14;
    Ok(format!(
        "WITH RECURSIVE hours(hour) AS (SELECT {first} UNION ALL SELECT hour + 1 FROM hours \
         WHERE hour < {last}) INSERT OR IGNORE INTO device_hours \
         SELECT d.setting_id, d.device_id, hour, hour * 3600000000 + 1, hour * 3600000000 + 3000000000, \
         hour * 3600000000 + 2000000000 FROM devices d CROSS JOIN hours WHERE hour % 24 BETWEEN 8 AND 17"
    ))
}
