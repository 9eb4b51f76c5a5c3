//! What a tablet may send for a request, and the key of a sealed photo that is reviewed for one.

use super::super::photo::Judge;
use super::request::shows;
use crate::storage::access::{AccessRow, AccessState, Received};
use crate::storage::{AuditEntry, Changed, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::id::{AccessRequestId, DeviceId, PhotoId};
use serde_json::json;

/// Of all photos of one request together.
pub const MAX_REQUEST_BYTES: u64 = 8 * 1024 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("request {0} is not open to this tablet; nothing is taken for it")]
    NotOpen(AccessRequestId),
    #[error("this tablet never told of photo {0}; send its events first")]
    PhotoUnknown(PhotoId),
    #[error("by what this tablet told, photo {0} does not show the child who was asked for")]
    NotAsked(PhotoId),
    #[error(
        "a hold for illegal content covers photo {0}: it stays where it is, and the police take the tablet"
    )]
    Frozen(PhotoId),
    #[error("the request is full: {photos} photos, {bytes} bytes")]
    Full { photos: usize, bytes: u64 },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Whether a photo of a tablet may be opened and sent for a request at this moment. A hold that does not freeze is none of
/// a family's business, and keeps nothing from them.
pub async fn authorise(
    storage: &Storage,
    request: AccessRequestId,
    device: DeviceId,
    photo: PhotoId,
    now: Timestamp,
) -> Result<AccessRow, SendError> {
    let row = storage.access_find(request).await?;
    let row = row
        .filter(|row| row.state(now) == AccessState::Open)
        .ok_or(SendError::NotOpen(request))?;
    let tablets = storage.access_tablets(request).await?;
    if !tablets.iter().any(|asked| asked.device == device) {
        return Err(SendError::NotOpen(request));
    }
    let known = storage.photo_find(device, photo).await?;
    let known = known.ok_or(SendError::PhotoUnknown(photo))?;
    let judge = Judge::load(storage, now).await?;
    if judge.is_frozen(&known) {
        return Err(SendError::Frozen(photo));
    }
    if !shows(&judge, &known, row.child, row.asked.at) {
        return Err(SendError::NotAsked(photo));
    }
    Ok(row)
}

/// How many bytes may still come; one that was received before is replaced and does not count.
pub async fn room(
    storage: &Storage,
    row: &AccessRow,
    device: DeviceId,
    photo: PhotoId,
) -> Result<u64, SendError> {
    let others = storage.access_photos(row.id).await?;
    let others = others
        .iter()
        .filter(|other| (other.device, other.photo) != (device, photo));
    let received: Vec<Received> = others.filter_map(|other| other.received).collect();
    let bytes: u64 = received.iter().map(|received| received.bytes).sum();
    let left = MAX_REQUEST_BYTES.saturating_sub(bytes);
    if received.len() >= usize::try_from(row.max_photos).unwrap_or(usize::MAX) || left == 0 {
        return Err(SendError::Full {
            photos: received.len(),
            bytes,
        });
    }
    Ok(left)
}

/// Notes that a photo is on disk. An error says that its file must go.
pub async fn received(
    storage: &Storage,
    request: AccessRequestId,
    device: DeviceId,
    photo: PhotoId,
    received: Received,
) -> Result<(), SendError> {
    let audit = AuditEntry {
        at: received.at,
        who: format!("tablet:{device}"),
        act: "photo.received".to_owned(),
        subject: photo.to_string(),
        detail: json!({
            "request": request, "bytes": received.bytes, "sha256": received.sha256,
        }),
    };
    let kept = storage.access_received(request, device, photo, received, &audit);
    match kept.await? {
        Changed::Yes => Ok(()),
        Changed::Already | Changed::Missing => Err(SendError::NotOpen(request)),
    }
}
