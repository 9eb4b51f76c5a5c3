//! Keys and statements of the small nursery: what its server signs and what its tablet records.

use crate::nursery::{answers, at, calendar, child, device, given, hold};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::access::{AccessRequest, ReviewStep, Reviewed};
use nestwarden_policy_schema::bundle::{Bundle, TimeStatement};
use nestwarden_policy_schema::bytes::{Base64, Digest, Secret};
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::consent::{Cause, RegisterSnapshot};
use nestwarden_policy_schema::event::{ChainPosition, Event, EventBody};
use nestwarden_policy_schema::hold::{HoldList, HoldScope};
use nestwarden_policy_schema::id::{
    AccessRequestId, ApproverId, CommandId, ConsentId, CustodyId, EntryId, PhotoId, ReceiptId,
    SettingId, StaffId,
};
use nestwarden_policy_schema::pin::PinVerifier;
use nestwarden_policy_schema::profile::{EARLY_YEARS, PolicyProfile};
use nestwarden_policy_schema::receipt::{Artefact, ArtefactKind, ArtefactResult, Receipt, Rescan};
use nestwarden_policy_schema::roster::{AupNotice, CustodyWord, MayHave, OpenCustody, RosterEntry};
use nestwarden_policy_schema::trust::{Anchors, Approver, SigningPublicKey, SpkiPin};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use uuid::Uuid;

/// A key that everybody knows: for tests only.
pub(crate) fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub(crate) fn public(seed: u8) -> SigningPublicKey {
    SigningPublicKey(Base64(key(seed).public_key().as_ref().to_vec()))
}

pub(crate) const SIGNING: u8 = 1;
pub(crate) const RECOVERY: u8 = 2;
pub(crate) const APPROVER_A: u8 = 3;
pub(crate) const APPROVER_B: u8 = 4;
pub(crate) const STRANGER: u8 = 9;

/// Written as age writes one; nobody has its identity.
pub(crate) const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

pub(crate) fn setting() -> SettingId {
    SettingId::from_uuid(Uuid::from_u128(0x5000))
}

pub(crate) fn approver(number: u8, key: u8) -> Approver {
    Approver {
        id: ApproverId::from_uuid(Uuid::from_u128(u128::from(number))),
        key: public(key),
    }
}

pub(crate) fn anchors() -> Anchors {
    Anchors {
        setting: setting(),
        version: 1,
        signing: vec![public(SIGNING)],
        recovery: public(RECOVERY),
        approvers: vec![approver(1, APPROVER_A), approver(2, APPROVER_B)],
        server_pins: vec![SpkiPin(Digest([7; 32]))],
    }
}

pub(crate) fn bundle(generation: u64) -> Bundle {
    static PROFILE: LazyLock<PolicyProfile> =
        LazyLock::new(|| PolicyProfile::from_toml(EARLY_YEARS).unwrap());
    let profile = PROFILE.clone();
    Bundle {
        setting: setting(),
        device: device(),
        generation: Generation::new(generation),
        issued_at: at("2026-03-02T09:00:00Z"),
        expires_at: at("2026-03-09T09:00:00Z"),
        setting_name: None,
        device_name: "Ladybirds 1".to_owned(),
        rooms: BTreeSet::from(["Ladybirds".parse().unwrap()]),
        profile: profile.name,
        calendar: calendar("Europe/London", &[("2026-12-24", "2027-01-01")]),
        policy: profile.policy,
        exceptions: Vec::new(),
        requires: BTreeMap::new(),
        register: RegisterSnapshot {
            as_of: at("2026-03-02T06:00:00Z"),
            children: BTreeMap::from([(child(1), answers(&given()))]),
        },
        holds: HoldList::new(
            at("2026-03-02T06:00:00Z"),
            vec![hold(HoldScope::Child { child: child(1) })],
        ),
        roster: BTreeSet::from([roster_entry(0xb000)]),
        aup: None,
        custody: None,
        corrections: Vec::new(),
        found_photos: None,
        put_back: None,
        commands: vec![ApprovedCommand {
            command: command(CommandKind::Lock),
            approvals: Vec::new(),
        }],
        passcode_orders: Vec::new(),
        access_requests: Vec::new(),
        photo_hash_key: Secret::new(vec![8; 32]),
        release_recipient: "age1release".to_owned(),
        recovery_recipient: "age1recovery".to_owned(),
        anchors: None,
    }
}

fn staff(number: u128) -> StaffId {
    StaffId::from_uuid(Uuid::from_u128(number))
}

/// As an older server tells of somebody.
pub(crate) fn roster_entry(number: u128) -> RosterEntry {
    RosterEntry {
        staff: staff(number),
        name: String::new(),
        pin: None,
        may_have: MayHave::default(),
        until: None,
        acknowledged: false,
    }
}

/// Somebody who may have a tablet, with a verifier that is nobody's.
pub(crate) fn may_have(number: u128) -> RosterEntry {
    let phc = "$argon2id$v=19$m=19456,t=2,p=1$bmVzdHdhcmRlbi1ub2JvZHk$9VYUpdfM3Bu0R2Ot2fyNRmJd8RKdlF0Ikc9JnzQ8N7g";
    RosterEntry {
        name: "Kim M.".to_owned(),
        pin: Some(PinVerifier::new(phc.to_owned()).unwrap()),
        may_have: MayHave::Yes,
        until: Some(jiff::civil::date(2026, 3, 13)),
        acknowledged: true,
        ..roster_entry(number)
    }
}

/// A bundle in which staff sign the tablet out themselves, and somebody has.
pub(crate) fn bundle_with_custody() -> Bundle {
    let reason = "No tablet at the moment. Ask the office.".to_owned();
    let not = RosterEntry {
        name: "Rosa R.".to_owned(),
        may_have: MayHave::No { reason },
        ..roster_entry(0xb001)
    };
    let custody = |number| CustodyId::from_uuid(Uuid::from_u128(number));
    Bundle {
        roster: BTreeSet::from([may_have(0xb000), not]),
        aup: Some(AupNotice {
            version: EntryId::from_uuid(Uuid::from_u128(0xe001)),
            name: "2026-1".to_owned(),
            notice: "We count what is blocked. Nobody reads along.".to_owned(),
        }),
        custody: Some(CustodyWord {
            open: Some(OpenCustody {
                custody: custody(0xcd02),
                staff: staff(0xb000),
                name: "Kim M.".to_owned(),
                room: Some("Ladybirds".parse().unwrap()),
                since: at("2026-03-02T09:00:00Z"),
                due: at("2026-03-02T18:30:00Z"),
            }),
            over: BTreeSet::from([custody(0xcd01)]),
        }),
        ..bundle(8)
    }
}

pub(crate) fn custody_events() -> Vec<EventBody> {
    let custody = CustodyId::from_uuid(Uuid::from_u128(0xcd03));
    vec![
        EventBody::CustodyTaken {
            custody,
            staff: staff(0xb000),
            room: Some("Ladybirds".parse().unwrap()),
            due: at("2026-03-02T18:30:00Z"),
            acknowledged: Some(EntryId::from_uuid(Uuid::from_u128(0xe001))),
        },
        EventBody::CustodyReturned {
            custody,
            by: staff(0xb001),
        },
        EventBody::PinRefused {
            staff: staff(0xb000),
            count: 4,
        },
        EventBody::PinLockedOut {
            staff: staff(0xb000),
            tries: 5,
            wait_s: 300,
        },
    ]
}

pub(crate) fn time_statement() -> TimeStatement {
    TimeStatement {
        time: at("2026-03-02T09:00:00Z"),
        setting: setting(),
        device: device(),
        generation: Generation::new(7),
        holds_digest: bundle(7).holds.digest,
        request_nonce: "n0nce".to_owned(),
    }
}

pub(crate) fn command(kind: CommandKind) -> Command {
    Command {
        id: CommandId::from_uuid(Uuid::from_u128(0xcc00)),
        device: device(),
        kind,
        issued_at: at("2026-03-02T09:00:00Z"),
        expires_at: at("2026-03-02T10:00:00Z"),
    }
}

pub(crate) fn access_request() -> AccessRequest {
    AccessRequest {
        id: AccessRequestId::from_uuid(Uuid::from_u128(0xac00)),
        child: child(1),
        recipient: RECIPIENT.to_owned(),
        asked_by: "Dana Lead".to_owned(),
        asked_at: at("2026-03-02T09:00:00Z"),
        agreed_by: "Kim Manager".to_owned(),
        agreed_at: at("2026-03-02T10:00:00Z"),
        expires_at: at("2026-04-01T10:00:00Z"),
        max_photos: 500,
    }
}

/// What a tablet tells of a review, one of each.
pub(crate) fn access_events() -> Vec<EventBody> {
    let request = access_request().id;
    let photo = PhotoId::from_uuid(Uuid::from_u128(0xa000));
    let review = |step| EventBody::AccessReview { request, step };
    let reviewed = |reviewed| EventBody::PhotoReviewed {
        request,
        photo,
        reviewed,
    };
    vec![
        review(ReviewStep::FingerprintDiffers),
        review(ReviewStep::Begun),
        reviewed(Reviewed::Include),
        reviewed(Reviewed::OthersInIt),
        reviewed(Reviewed::NotThisChild),
        review(ReviewStep::Finished {
            included: 1,
            others_in_it: 1,
            not_this_child: 1,
        }),
        EventBody::PhotoExported {
            request,
            photo,
            bytes: 4096,
            sha256: Digest([6; 32]),
        },
    ]
}

pub(crate) fn receipt() -> Receipt {
    Receipt {
        id: ReceiptId::from_uuid(Uuid::from_u128(0x1e00)),
        photo: PhotoId::from_uuid(Uuid::from_u128(0xa000)),
        keyed_hash: Digest([5; 32]),
        cause: Cause::Withdrawn,
        child: Some(child(1)),
        consent: Some(ConsentId::from_uuid(Uuid::from_u128(0xf000))),
        withheld_at: Some(at("2026-03-05T10:00:00Z")),
        sealed_at: Some(at("2026-03-05T10:00:01Z")),
        destroyed_at: at("2026-03-11T08:00:00Z"),
        artefacts: vec![
            Artefact {
                kind: ArtefactKind::Original,
                result: ArtefactResult::DiscardRequested,
            },
            Artefact {
                kind: ArtefactKind::Thumbnail,
                result: ArtefactResult::NotFound,
            },
        ],
        rescan: Rescan {
            at: at("2026-03-11T08:00:02Z"),
            files_read: 12,
            found: 0,
        },
        policy_generation: Generation::new(7),
        agent_version: "0.1.0".to_owned(),
    }
}

/// Four events, one a second.
pub(crate) fn chain() -> Vec<Event> {
    let bodies = [
        EventBody::Enrolled {
            agent_version: "0.1.0".to_owned(),
            platform: "linux/debian 12".to_owned(),
        },
        EventBody::BundleApplied {
            generation: Generation::new(7),
            digest: None,
        },
        EventBody::Destroyed { receipt: receipt() },
        EventBody::Alarm {
            what: "disk full".to_owned(),
        },
    ];
    let mut position = ChainPosition::START;
    let mut events = Vec::new();
    for (second, body) in (0i64..).zip(&bodies) {
        let when = at("2026-03-11T08:00:00Z") + jiff::SignedDuration::from_secs(second);
        let salt = [u8::try_from(second).unwrap(); 16];
        let event = Event::following(position, device(), when, body, salt).unwrap();
        position = event.position();
        events.push(event);
    }
    events
}
