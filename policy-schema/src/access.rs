//! A subject access request for the photos of one child, as tablets are told of it.
//!
//! It is the one way by which a photo leaves a tablet through Nestwarden, so that each step is somebody else's: one person
//! asks, another agrees, a third looks at every photo on the tablet and types the fingerprint of the key the photos are
//! encrypted to. That fingerprint comes on paper, and not from the server.

use crate::command::{APPROVALS_NEEDED, ApprovalError, approved_by};
use crate::envelope::{Signable, Signed};
use crate::id::{AccessRequestId, ChildId};
use crate::trust::Anchors;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most photos of one request.
pub const MAX_PHOTOS: u32 = 5_000;
/// Most open requests in one bundle.
pub const MAX_REQUESTS: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    pub id: AccessRequestId,
    pub child: ChildId,
    /// The age recipient (`age1…`) that photos are encrypted to on the tablet.
    pub recipient: String,
    /// The names of two operators, for the person who reviews.
    pub asked_by: String,
    /// Photos taken later are not asked for.
    pub asked_at: Timestamp,
    pub agreed_by: String,
    pub agreed_at: Timestamp,
    /// Nothing is reviewed or sent from here on.
    pub expires_at: Timestamp,
    /// Most photos a tablet may send.
    pub max_photos: u32,
}

impl Signable for AccessRequest {
    const DOMAIN: &'static str = "nestwarden/access-request/v1";
}

/// A request and the statements of those who approve it, each over the whole request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedAccess {
    pub request: AccessRequest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Signed>,
}

/// Why a tablet reviews nothing for a request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccessError {
    #[error("the request ended at {0}")]
    Expired(Timestamp),
    #[error("{0} asked and agreed; a request needs two people")]
    OnePerson(String),
    #[error("`{0}` is not an age recipient")]
    Recipient(String),
    #[error("the request asks for {asked} photos; at most {MAX_PHOTOS} can be asked for at once")]
    TooManyPhotos { asked: u32 },
    #[error("an approval does not hold: {0}")]
    Approval(#[from] ApprovalError),
    #[error(
        "{given} of {APPROVALS_NEEDED} approvals: this setting has approvers, and two of them must approve"
    )]
    TooFewApprovals { given: usize },
}

impl ApprovedAccess {
    /// The request, if photos may be reviewed for it at `now`.
    ///
    /// Where the setting named approvers two of them must have signed it. Where it did not, two people on the server are
    /// what there is, and the fingerprint that the reviewer brings.
    pub fn verified(
        &self,
        anchors: &Anchors,
        now: Timestamp,
    ) -> Result<&AccessRequest, AccessError> {
        let request = &self.request;
        if request.expires_at <= now {
            return Err(AccessError::Expired(request.expires_at));
        }
        if request.asked_by == request.agreed_by {
            return Err(AccessError::OnePerson(request.asked_by.clone()));
        }
        if Fingerprint::of(&request.recipient).is_none() {
            return Err(AccessError::Recipient(request.recipient.clone()));
        }
        if request.max_photos > MAX_PHOTOS {
            let asked = request.max_photos;
            return Err(AccessError::TooManyPhotos { asked });
        }
        if anchors.approvers.is_empty() {
            return Ok(request);
        }
        let given = approved_by(&self.approvals, anchors, request)?.len();
        if given < APPROVALS_NEEDED {
            return Err(AccessError::TooFewApprovals { given });
        }
        Ok(request)
    }
}

/// The beginning of a recipient: 80 bits that can be read off `age1…` itself with no program of ours, in an alphabet
/// without letters that look like others (bech32).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; FINGERPRINT_CHARS]);

const FINGERPRINT_CHARS: usize = 16;
const RECIPIENT_PREFIX: &str = "age1";
/// An X25519 recipient has 52 characters of key and 6 that check them.
const RECIPIENT_CHARS: usize = 4 + 52 + 6;
const ALPHABET: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

impl Fingerprint {
    /// `None` where `recipient` is not written as age writes one. Whether it is a key is for age to say.
    pub fn of(recipient: &str) -> Option<Self> {
        let data = recipient.strip_prefix(RECIPIENT_PREFIX)?;
        let well_formed = recipient.len() == RECIPIENT_CHARS
            && data.chars().all(|letter| ALPHABET.contains(letter));
        let start = data.as_bytes().get(..FINGERPRINT_CHARS)?;
        Some(Self(start.try_into().ok()?)).filter(|_| well_formed)
    }

    /// Whether a person typed this one. Spaces, hyphens and capitals do not matter, nor does a leading `age1`.
    pub fn is_typed_as(&self, typed: &str) -> bool {
        let plain: String = typed
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-')
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        let plain = plain.strip_prefix(RECIPIENT_PREFIX).unwrap_or(&plain);
        plain.as_bytes() == self.0
    }
}

impl fmt::Display for Fingerprint {
    /// Four groups of four.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, letter) in self.0.iter().enumerate() {
            let gap = if at > 0 && at.is_multiple_of(4) {
                " "
            } else {
                ""
            };
            write!(f, "{gap}{}", char::from(*letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// What the person who looked at a photo said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reviewed {
    /// It goes out.
    Include,
    /// Others are in it: left out, for a manager who can make a copy without them.
    OthersInIt,
    /// The child is not in it.
    NotThisChild,
}

/// How far a tablet's review of a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ReviewStep {
    /// What was typed is not the fingerprint of the recipient that came with the request.
    FingerprintDiffers,
    /// The fingerprint was right, and somebody looks.
    Begun,
    /// The reviewer has finished; from here on the included ones are sent.
    Finished {
        included: u64,
        others_in_it: u64,
        not_this_child: u64,
    },
}
