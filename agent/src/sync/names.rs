//! The names of a session's children, asked of the server when a screen needs them.

use super::{Connection, SyncError, blocking};
use crate::door::NamesDoor;
use nestwarden_policy_schema::device_api::{NAMES_PATH, NamesAnswer, NamesRequest};
use std::pin::Pin;
use std::sync::Arc;

/// Asks over the tablet's own connection.
pub struct ServerNames {
    connection: Arc<Connection>,
}

impl ServerNames {
    pub fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    async fn ask(&self, request: &NamesRequest) -> Result<NamesAnswer, SyncError> {
        let connection = Arc::clone(&self.connection);
        let connected = blocking(move || connection.connected()).await?;
        Ok(connected.server.post(NAMES_PATH, request).await?)
    }
}

impl NamesDoor for ServerNames {
    fn names(
        &self,
        request: NamesRequest,
    ) -> Pin<Box<dyn Future<Output = Result<NamesAnswer, String>> + Send + '_>> {
        Box::pin(async move {
            let answer = self.ask(&request).await;
            answer.map_err(|error| crate::whole_text(&error))
        })
    }
}
