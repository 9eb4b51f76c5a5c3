//! Sends the ciphertext of one reviewed photo. What it holds is none of the network's business.

use super::{Connection, SyncError, blocking};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::device_api::EXPORT_PATH;
use nestwarden_policy_schema::id::{AccessRequestId, PhotoId};
use std::fs::File;
use std::sync::Arc;

/// A ciphertext on its way.
pub struct Ciphertext {
    pub request: AccessRequestId,
    pub photo: PhotoId,
    pub sha256: Digest,
    pub bytes: u64,
    pub file: File,
}

/// Returns once the server has it on disk.
pub async fn export(connection: Arc<Connection>, photo: Ciphertext) -> Result<(), SyncError> {
    let connected = blocking(move || connection.connected()).await?;
    let path = format!(
        "{EXPORT_PATH}?request={}&photo={}&sha256={}",
        photo.request, photo.photo, photo.sha256
    );
    let file = (photo.file, photo.bytes);
    Ok(connected.server.put_file(&path, file).await?)
}
