//! What a tablet tells: events in a hash chain over salted digests, with batch heads signed by the tablet.
//!
//! The chain commits to a salted digest of each body and not to the body, so a body can be erased (with its salt) while
//! the chain still verifies and nobody can confirm a guess of what it said.

use crate::access::{ReviewStep, Reviewed};
use crate::bundle::Feature;
use crate::bytes::{Base64, Digest};
use crate::consent::{Cause, PhotoFacts, RoomName, Stage, Tagging};
use crate::control::{ControlName, Outcome};
use crate::envelope::{Signable, Signed};
use crate::generation::Generation;
use crate::id::{
    AccessRequestId, CommandId, CustodyId, DeviceId, EntryId, PhotoId, SessionId, StaffId,
};
use crate::receipt::Receipt;
use jiff::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What happened. Kinds are added, never changed: a server keeps kinds it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventBody {
    Enrolled {
        agent_version: String,
        platform: String,
    },
    AgentStarted {
        agent_version: String,
        time_zone_data: String,
    },
    BundleApplied {
        generation: Generation,
        /// SHA-256 of the signed text; absent from older agents.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
    },
    BundleRefused {
        reason: String,
    },
    BundleExpired {
        generation: Generation,
    },
    /// An outcome that differs from the one before.
    ControlChanged {
        control: ControlName,
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Something was switched against the policy and switched back; repeats are counted.
    DriftReverted {
        control: ControlName,
        what: String,
        count: u64,
    },
    /// A program that was not approved was refused, or would have been; repeats are counted, nobody is named.
    AppRefused {
        program: String,
        observed_only: bool,
        count: u64,
    },
    /// So many wrong passcodes were tried that the tablet makes whoever holds it wait. Nobody is named.
    PasscodeLockedOut {
        tries: u16,
        until: Timestamp,
    },
    /// Somebody signed the tablet out on the tablet itself.
    CustodyTaken {
        custody: CustodyId,
        staff: StaffId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<RoomName>,
        due: Timestamp,
        /// The version of the policy they agreed to just then; absent: they had before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acknowledged: Option<EntryId>,
    },
    /// Somebody signed it in again, whoever had it.
    CustodyReturned {
        custody: CustodyId,
        by: StaffId,
    },
    /// Wrong PINs for one person; repeats are counted. Who tried nobody knows.
    PinRefused {
        staff: StaffId,
        count: u64,
    },
    /// So many in a row that the tablet makes whoever holds it wait.
    PinLockedOut {
        staff: StaffId,
        tries: u32,
        wait_s: u32,
    },
    SessionStarted {
        session: SessionId,
        rooms: BTreeSet<RoomName>,
    },
    SessionEnded {
        session: SessionId,
        photos: u64,
    },
    PhotoSeen {
        photo: PhotoId,
        session: Option<SessionId>,
        media: String,
    },
    PhotoTagged {
        photo: PhotoId,
        tagging: Tagging,
        confirmed: u64,
    },
    /// What the verdict on a photo rests on, told whenever it changed, by random ids: from it the server says what an
    /// import or a withdrawal would remove, and where a use has to be taken down. Not told of photos found at enrolment.
    PhotoKnown {
        media: String,
        facts: Box<PhotoFacts>,
    },
    /// Moved to another stage, or would have been in observe mode.
    PhotoStage {
        photo: PhotoId,
        from: Stage,
        to: Stage,
        cause: Option<Cause>,
        observed_only: bool,
    },
    /// Could not be carried out yet; tried again.
    PhotoIncomplete {
        photo: PhotoId,
        stage: Stage,
        problem: String,
    },
    Destroyed {
        receipt: Receipt,
    },
    /// Somebody reviewed photos for a subject access request.
    AccessReview {
        request: AccessRequestId,
        #[serde(flatten)]
        step: ReviewStep,
    },
    /// What they said of one photo.
    PhotoReviewed {
        request: AccessRequestId,
        photo: PhotoId,
        reviewed: Reviewed,
    },
    /// About to be sent to the server, encrypted to the request's recipient. On disk before the first byte leaves.
    PhotoExported {
        request: AccessRequestId,
        photo: PhotoId,
        /// Of the ciphertext.
        bytes: u64,
        sha256: Digest,
    },
    /// The tablet cannot vouch for its clock, or can again.
    ClockDoubt {
        doubtful: bool,
        reason: String,
    },
    CommandOutcome {
        command: CommandId,
        outcome: String,
    },
    /// Something the agent cannot do on this tablet.
    Unsupported {
        control: ControlName,
        needs: BTreeSet<Feature>,
        reason: String,
    },
    /// The record was put back to an earlier state, and goes on from where the server's ends. The events of this tablet that
    /// the server does not have follow, as many as `again` says, with the bodies, salts and times they had: whoever has
    /// `common` can work out `had` from them, and see that nothing else was changed.
    RecordContinued {
        /// The last event both records share; `None`: not known any more.
        common: Option<ChainPosition>,
        /// Where the tablet's own record had got to.
        had: ChainPosition,
        /// Where the server's ends; this event follows it.
        server: ChainPosition,
        again: u64,
    },
    /// Somebody must look: disk full, journal replay found damage, certificate about to end.
    Alarm {
        what: String,
    },
}

impl EventBody {
    /// Events that are kept whatever happens: never dropped to make room.
    pub const fn is_evidence(&self) -> bool {
        matches!(
            self,
            Self::Destroyed { .. }
                | Self::PhotoStage { .. }
                | Self::PhotoReviewed { .. }
                | Self::PhotoExported { .. }
                | Self::CustodyTaken { .. }
                | Self::CustodyReturned { .. }
                | Self::RecordContinued { .. }
                | Self::Alarm { .. }
        )
    }
}

/// One link of the chain, with its body or without it once the body was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// 1, 2, 3 … without gaps.
    pub seq: u64,
    /// Trusted time.
    pub at: Timestamp,
    /// The body as JSON text, exactly as digested; `None` once erased.
    pub body: Option<String>,
    /// 16 random bytes; erased with the body.
    pub salt: Option<Base64>,
    pub body_digest: Digest,
    pub previous: Digest,
    pub hash: Digest,
}

/// Why a chain does not hold, and at which link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("event {seq}: expected event {expected}; events are missing or out of order")]
    Gap { seq: u64, expected: u64 },
    #[error("event {seq}: does not follow the event before it")]
    Previous { seq: u64 },
    #[error("event {seq}: its body was changed")]
    Body { seq: u64 },
    #[error("event {seq}: has a body without its salt, or a salt without its body")]
    HalfErased { seq: u64 },
    #[error("event {seq}: its hash does not match its content")]
    Hash { seq: u64 },
}

/// Where a chain has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPosition {
    pub seq: u64,
    pub hash: Digest,
}

impl ChainPosition {
    /// Before the first event.
    pub const START: Self = Self {
        seq: 0,
        hash: Digest::ZERO,
    };
}

/// The salted digest of a body.
pub fn body_digest(salt: &[u8], body: &str) -> Digest {
    Digest::of_parts("nestwarden/event-body/v1", &[salt, body.as_bytes()])
}

/// The hash of a link.
pub fn link_hash(
    device: DeviceId,
    seq: u64,
    at: Timestamp,
    body_digest: &Digest,
    previous: &Digest,
) -> Digest {
    let at = at.to_string();
    let parts: [&[u8]; 5] = [
        device.as_uuid().as_bytes(),
        &seq.to_be_bytes(),
        at.as_bytes(),
        &body_digest.0,
        &previous.0,
    ];
    Digest::of_parts("nestwarden/event-link/v1", &parts)
}

impl Event {
    /// The link after `position`. `salt`: 16 random bytes, never used before.
    pub fn following(
        position: ChainPosition,
        device: DeviceId,
        at: Timestamp,
        body: &EventBody,
        salt: [u8; 16],
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_string(body)?;
        let seq = position.seq + 1;
        let body_digest = body_digest(&salt, &body);
        let hash = link_hash(device, seq, at, &body_digest, &position.hash);
        Ok(Self {
            seq,
            at,
            body: Some(body),
            salt: Some(Base64(salt.to_vec())),
            body_digest,
            previous: position.hash,
            hash,
        })
    }

    /// The same event after another one: body, salt and time as they are.
    #[must_use]
    pub fn moved_after(self, position: ChainPosition, device: DeviceId) -> Self {
        let seq = position.seq + 1;
        Self {
            seq,
            previous: position.hash,
            hash: link_hash(device, seq, self.at, &self.body_digest, &position.hash),
            ..self
        }
    }

    /// What this event follows by its own word.
    pub fn follows(&self) -> ChainPosition {
        ChainPosition {
            seq: self.seq.saturating_sub(1),
            hash: self.previous,
        }
    }

    /// Whether a record that was put back goes on here, so that events in between may be missing on the tablet.
    pub fn continues_record(&self) -> bool {
        let body = self.body.as_deref().map(serde_json::from_str);
        matches!(body, Some(Ok(EventBody::RecordContinued { server, .. })) if server == self.follows())
    }

    pub fn position(&self) -> ChainPosition {
        ChainPosition {
            seq: self.seq,
            hash: self.hash,
        }
    }

    /// Checks this link against the one before it.
    pub fn verify(
        &self,
        device: DeviceId,
        before: ChainPosition,
    ) -> Result<ChainPosition, ChainError> {
        let seq = self.seq;
        if before.seq.checked_add(1) != Some(seq) {
            return Err(ChainError::Gap {
                seq,
                expected: before.seq.saturating_add(1),
            });
        }
        if self.previous != before.hash {
            return Err(ChainError::Previous { seq });
        }
        match (&self.body, &self.salt) {
            (Some(body), Some(salt)) if body_digest(&salt.0, body) == self.body_digest => {}
            (Some(_), Some(_)) => return Err(ChainError::Body { seq }),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => return Err(ChainError::HalfErased { seq }),
        }
        if link_hash(device, seq, self.at, &self.body_digest, &self.previous) != self.hash {
            return Err(ChainError::Hash { seq });
        }
        Ok(self.position())
    }
}

/// Checks a stretch of a chain that follows `before`; the position after it.
pub fn verify_chain(
    device: DeviceId,
    before: ChainPosition,
    events: &[Event],
) -> Result<ChainPosition, ChainError> {
    events
        .iter()
        .try_fold(before, |position, event| event.verify(device, position))
}

/// The last link of a batch, signed with the tablet's P-256 key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    pub device: DeviceId,
    pub position: ChainPosition,
}

impl Signable for ChainHead {
    const DOMAIN: &'static str = "nestwarden/chain-head/v1";
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeadError {
    #[error("the batch head is not signed by this device's key")]
    BadSignature,
    #[error("the batch head cannot be read: {0}")]
    Unreadable(String),
    #[error("the batch head is for event {signed}, the batch ends at {batch}")]
    OtherPosition { signed: u64, batch: u64 },
}

/// Checks a batch head against the key in the device's certificate: an uncompressed P-256 point, ECDSA with SHA-256 in
/// ASN.1 form.
pub fn verify_head(
    head: &Signed,
    device: DeviceId,
    public_key: &[u8],
    end: ChainPosition,
) -> Result<(), HeadError> {
    let message = crate::envelope::message_of(ChainHead::DOMAIN, &head.payload);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
        .verify(&message, &head.signature.0)
        .map_err(|_| HeadError::BadSignature)?;
    let signed: ChainHead =
        serde_json::from_str(&head.payload).map_err(|e| HeadError::Unreadable(e.to_string()))?;
    if signed.device != device || signed.position != end {
        return Err(HeadError::OtherPosition {
            signed: signed.position.seq,
            batch: end.seq,
        });
    }
    Ok(())
}
