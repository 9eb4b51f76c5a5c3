//! Asks the server for the key of one sealed file. No image travels, only the header of the file.

use super::{Connection, SyncError, blocking};
use nestwarden_policy_schema::device_api::{UNSEAL_PATH, UnsealAnswer, UnsealRequest};
use std::sync::Arc;

/// Refused with a stable code: see `nestwarden_policy_schema::device_api::code`.
pub async fn unseal(
    connection: Arc<Connection>,
    request: UnsealRequest,
) -> Result<UnsealAnswer, SyncError> {
    let connected = blocking(move || connection.connected()).await?;
    Ok(connected.server.post(UNSEAL_PATH, &request).await?)
}
