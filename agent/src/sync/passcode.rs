//! Fetches a passcode that was set in the console for this tablet.

use super::{Connection, SyncError, blocking};
use nestwarden_policy_schema::device_api::{PasscodeAnswer, passcode_path};
use nestwarden_policy_schema::id::CommandId;
use std::sync::Arc;

/// Refused with a stable code: see `nestwarden_policy_schema::device_api::code`.
pub async fn passcode(
    connection: Arc<Connection>,
    command: CommandId,
) -> Result<PasscodeAnswer, SyncError> {
    let connected = blocking(move || connection.connected()).await?;
    let path = passcode_path(command);
    Ok(connected.server.get_secret(&path).await?)
}
