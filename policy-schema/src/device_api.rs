//! The requests a tablet makes, and the answers. Version 1.
//!
//! Identity comes from the client certificate, never from a body. Unknown fields are ignored on the wire.

use crate::bytes::{Base64, Digest, Secret};
use crate::consent::{RoomName, Stage};
use crate::control::ControlReport;
use crate::envelope::Signed;
use crate::event::Event;
use crate::generation::Generation;
use crate::id::{
    AccessRequestId, ChildId, CommandId, DeviceId, PhotoId, RequestId, SessionId, SettingId,
};
use crate::trust::Anchors;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `POST` an [`EnrolRequest`] without a client certificate; answers with an [`EnrolAnswer`].
pub const ENROL_PATH: &str = "/device/v1/enrol";
/// `GET`, `?after=GENERATION&nonce=TEXT&wait_s=SECONDS&digest=HEX`; generation and digest (SHA-256 of the signed text,
/// absent from older agents) are those of the bundle in force; hangs until there is a newer one or the wait is over;
/// answers with a [`BundleAnswer`].
pub const BUNDLE_PATH: &str = "/device/v1/bundle";
/// `POST` an [`EventBatch`]; answers with an [`EventsAck`].
pub const EVENTS_PATH: &str = "/device/v1/events";
/// `POST` an [`Inventory`]; answers 204 without a body.
pub const INVENTORY_PATH: &str = "/device/v1/inventory";
/// `POST` an [`InventoryAgain`](crate::inventory::InventoryAgain); answers 204 without a body, or refuses with
/// `inventory_other` when the server has something else of this tablet: then the whole [`Inventory`] is wanted.
pub const INVENTORY_AGAIN_PATH: &str = "/device/v1/inventory/again";
/// `POST` a [`RenewRequest`] with the certificate in use; answers with a [`RenewAnswer`].
pub const RENEW_PATH: &str = "/device/v1/renew";
/// `POST` without a body; answers with a [`RenewNonce`]. For a tablet that slept past its certificate's expiry: without a
/// client certificate, or with the expired one, which counts as none.
pub const RENEW_NONCE_PATH: &str = "/device/v1/renew-nonce";
/// `POST` a [`RenewExpiredRequest`] with that nonce; answers with a [`RenewAnswer`].
pub const RENEW_EXPIRED_PATH: &str = "/device/v1/renew-expired";
/// `POST` a [`NamesRequest`]; answers with a [`NamesAnswer`]. For the screens of one session, kept in memory only.
pub const NAMES_PATH: &str = "/device/v1/session-names";
/// `POST` an [`UnsealRequest`]; answers with an [`UnsealAnswer`], or refuses with `unseal_not_authorised`.
pub const UNSEAL_PATH: &str = "/device/v1/unseal";

/// `GET`, with the id of a command to set a passcode in the place of `{command}`; answers with a [`PasscodeAnswer`].
/// Refused with `not_found` where the command is not this tablet's, and with `passcode_over` once it has ended.
pub const PASSCODE_PATH: &str = "/device/v1/passcode/{command}";

/// `PUT` the ciphertext of one photo, `?request=ID&photo=ID&sha256=HEX`, at most [`MAX_EXPORT_BYTES`]; answers 204 once
/// it is on disk. The same again is harmless. Refused with `access_not_open`, `photo_unknown`, `photo_not_asked`,
/// `access_full` or `export_damaged`.
pub const EXPORT_PATH: &str = "/device/v1/subject-access";

/// Largest ciphertext of one photo or video.
pub const MAX_EXPORT_BYTES: u64 = 1024 * 1024 * 1024;
/// Longest hang of a bundle fetch, in seconds.
pub const MAX_WAIT_S: u32 = 1800;
/// Most events in a batch.
pub const MAX_BATCH_EVENTS: usize = 500;
/// Largest request body in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Longest request nonce in characters.
pub const MAX_NONCE_CHARS: usize = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolRequest {
    pub token: String,
    /// PKCS#10 in DER, signed by the tablet's new P-256 key.
    pub csr: Base64,
    pub agent_version: String,
    /// `linux`, with distribution and version: `linux/debian 12`.
    pub platform: String,
    pub time_zone_data: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolAnswer {
    pub device: DeviceId,
    pub setting: SettingId,
    pub device_name: String,
    /// X.509 in DER.
    pub certificate: Base64,
    /// The setting's device CA, X.509 in DER.
    pub ca_certificate: Base64,
    pub anchors: Anchors,
    /// Server time, for the tablet's first trusted reading; authenticated by the pin of this connection.
    pub time: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BundleAnswer {
    /// A signed `TimeStatement`.
    pub statement: Signed,
    /// Absent when there is nothing newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Signed>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventBatch {
    /// In order, without gaps, at most [`MAX_BATCH_EVENTS`]. Empty: only asks how far the server has got.
    pub events: Vec<Event>,
    /// A signed `ChainHead` of the last event; absent only when there are no events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Signed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsAck {
    /// The highest sequence number the server has on disk; 0 for none.
    pub on_disk: u64,
    /// Of that event, so that a tablet notices a record that is not its own; absent from older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Digest>,
}

/// How a tablet stands now; replaces the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub at: Timestamp,
    pub generation: Generation,
    pub agent_version: String,
    pub time_zone_data: String,
    pub controls: Vec<ControlReport>,
    /// Photos by stage.
    pub photos: BTreeMap<Stage, u64>,
    /// Photos found at enrolment, by month (`2026-03`).
    #[serde(default)]
    pub found_at_enrolment: BTreeMap<String, u64>,
    /// Events not yet acknowledged.
    pub events_waiting: u64,
    pub clock_doubtful: bool,
    pub disk_free_bytes: Option<u64>,
    /// While the tablet makes whoever holds it wait, after too many wrong passcodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_out: Option<LockOut>,
}

/// Too many wrong passcodes were tried; nothing is wiped for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOut {
    /// The last of them.
    pub since: Timestamp,
    pub until: Timestamp,
    pub tries: u16,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// PKCS#10 in DER for a new P-256 key.
    pub csr: Base64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewAnswer {
    pub certificate: Base64,
    pub ca_certificate: Base64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewNonce {
    /// Used once, within five minutes.
    pub nonce: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewExpiredRequest {
    pub device: DeviceId,
    pub csr: Base64,
    pub nonce: String,
    /// ECDSA P-256/SHA-256 (ASN.1) by the key of the expired certificate over [`renewal_message`].
    pub signature: Base64,
}

/// What the old key signs to renew after expiry: domain, zero byte, nonce, zero byte, CSR.
pub fn renewal_message(nonce: &str, csr: &[u8]) -> Vec<u8> {
    [
        b"nestwarden/renew-expired/v1\0".as_slice(),
        nonce.as_bytes(),
        &[0],
        csr,
    ]
    .concat()
}

/// Asks for the names of those who may be there on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesRequest {
    pub session: SessionId,
    /// Empty: the whole setting.
    pub rooms: BTreeSet<RoomName>,
}

/// Sorted by room, then by name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesAnswer {
    pub children: Vec<NamedChild>,
}

/// A child as a practitioner knows them. Not printed, not logged, not written to disk on the tablet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedChild {
    pub child: ChildId,
    /// First name, with as much of the last name as tells children of the same first name apart.
    pub name: String,
    pub rooms: BTreeSet<RoomName>,
    pub booked_today: bool,
}

/// Asks for the key of one sealed file. No image travels: only the header of the file, by which the server's release key
/// opens the file's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsealRequest {
    pub photo: PhotoId,
    /// The recipient stanzas of the age header, in order, at most [`MAX_STANZAS`].
    pub stanzas: Vec<UnsealStanza>,
    /// Opened to be reviewed or sent for this request, and never to come back into use. Absent from older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessRequestId>,
}

/// Recipient stanzas of a sealed file: it has two, and age may add one that means nothing.
pub const MAX_STANZAS: usize = 8;

/// One recipient stanza as the age format has it (age-encryption.org/v1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsealStanza {
    pub tag: String,
    pub args: Vec<String>,
    pub body: Base64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsealAnswer {
    /// The 16 bytes of the age file key.
    pub file_key: Secret,
}

/// Where one command's passcode is.
pub fn passcode_path(command: CommandId) -> String {
    PASSCODE_PATH.replace("{command}", &command.to_string())
}

/// A passcode on its way to the one tablet it is for; both together are what the signed command commits to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasscodeAnswer {
    pub nonce: Secret,
    pub code: Secret,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    pub request_id: RequestId,
    /// Stable; see [`code`].
    pub code: String,
    /// For the person who reads it.
    pub message: String,
}

/// Stable error codes of the device API.
pub mod code {
    pub const TOKEN_UNKNOWN: &str = "token_unknown";
    pub const TOKEN_USED: &str = "token_used";
    pub const TOKEN_EXPIRED: &str = "token_expired";
    pub const CSR_INVALID: &str = "csr_invalid";
    pub const CERTIFICATE_REQUIRED: &str = "certificate_required";
    pub const DEVICE_UNKNOWN: &str = "device_unknown";
    pub const DEVICE_REVOKED: &str = "device_revoked";
    pub const EVENT_GAP: &str = "event_gap";
    pub const EVENT_CHAIN: &str = "event_chain";
    pub const EVENT_CONFLICT: &str = "event_conflict";
    pub const EVENT_HEAD: &str = "event_head";
    pub const BATCH_TOO_LARGE: &str = "batch_too_large";
    pub const BODY_INVALID: &str = "body_invalid";
    pub const BODY_TOO_LARGE: &str = "body_too_large";
    /// The body did not arrive in time.
    pub const BODY_TOO_SLOW: &str = "body_too_slow";
    /// What the server has of this tablet is not what the readings are of.
    pub const INVENTORY_OTHER: &str = "inventory_other";
    pub const QUERY_INVALID: &str = "query_invalid";
    pub const UNSEAL_NOT_AUTHORISED: &str = "unseal_not_authorised";
    pub const PHOTO_UNKNOWN: &str = "photo_unknown";
    /// The request is not there, was not agreed to, has ended, or is not this tablet's.
    pub const ACCESS_NOT_OPEN: &str = "access_not_open";
    /// By what the server was told, the child is not in this photo.
    pub const PHOTO_NOT_ASKED: &str = "photo_not_asked";
    /// No more photos or bytes fit this request, or the server's disk.
    pub const ACCESS_FULL: &str = "access_full";
    /// What arrived is not what was announced.
    pub const EXPORT_DAMAGED: &str = "export_damaged";
    /// It was set, taken back, replaced, or its time is over; there is nothing to fetch any more.
    pub const PASSCODE_OVER: &str = "passcode_over";
    pub const NONCE_INVALID: &str = "nonce_invalid";
    pub const SIGNATURE_INVALID: &str = "signature_invalid";
    pub const TOO_MANY_REQUESTS: &str = "too_many_requests";
    pub const SIGNER_UNAVAILABLE: &str = "signer_unavailable";
    pub const NOT_FOUND: &str = "not_found";
    pub const INTERNAL: &str = "internal";
}
