//! What `serve` and the signer say to each other: JSON in frames that begin with their length (u32, big endian).

use crate::signing::archive::ArchiveManifest;
use crate::signing::report::{PrintManifest, ReportManifest};
use jiff::Timestamp;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use nestwarden_policy_schema::trust::{Anchors, SigningPublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Largest frame in bytes. A bundle with a register of 300 children takes about 300 kB.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "sign", rename_all = "snake_case")]
pub enum Request {
    Bundle {
        bundle: Box<Bundle>,
    },
    /// A `TimeStatement` but for its time and setting, which the signer fills in.
    Time {
        device: DeviceId,
        generation: Generation,
        holds_digest: Digest,
        request_nonce: String,
    },
    Anchors {
        anchors: Anchors,
    },
    /// The list of an archive's members.
    Archive {
        manifest: ArchiveManifest,
    },
    Report {
        manifest: ReportManifest,
    },
    /// A report as PDF.
    Print {
        manifest: PrintManifest,
    },
    /// Asks for the public key; signs nothing.
    Nothing,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Signed {
        signed: Signed,
    },
    PublicKey {
        setting: SettingId,
        key: SigningPublicKey,
    },
    Refused {
        refusal: Refusal,
    },
}

/// Why the signer does not sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Refusal {
    #[error("it belongs to setting {theirs}, the signer to {ours}")]
    OtherSetting { ours: SettingId, theirs: SettingId },
    #[error("generation {asked} is not above {mark}, the highest ever signed for this device")]
    NotAboveMark { asked: Generation, mark: Generation },
    #[error("generation {asked} was never signed for this device; the highest is {mark}")]
    NeverSigned { asked: Generation, mark: Generation },
    #[error("anchors version {asked} is not above {mark}, the highest ever signed")]
    AnchorsNotNewer { asked: u64, mark: u64 },
    #[error("the policy is unsound: {problem}")]
    Unsound { problem: String },
    #[error("it says it was made at {made_at}, and it is {now}")]
    NotNow { made_at: Timestamp, now: Timestamp },
    #[error("more was asked to be signed within an hour than the signer permits")]
    RateLimited,
    #[error("the request cannot be read: {problem}")]
    Unreadable { problem: String },
    #[error("the signer could not make its memory durable: {problem}")]
    NotDurable { problem: String },
}

/// Reads one frame. `None`: the other side closed between frames.
pub async fn read_frame<T: DeserializeOwned>(
    mut stream: impl AsyncRead + Unpin,
) -> io::Result<Option<T>> {
    let Some(length) = read_length(&mut stream).await? else {
        return Ok(None);
    };
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(Some(value))
}

pub async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &impl Serialize,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() <= MAX_FRAME_BYTES)
        .ok_or_else(|| too_large(bytes.len()))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<usize>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(too_large(length));
    }
    Ok(Some(length))
}

fn too_large(length: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a frame of {length} bytes; at most {MAX_FRAME_BYTES} are accepted"),
    )
}
