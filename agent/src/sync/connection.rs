//! Preflight: the identity in use, the anchors in force, and a client made of both.

use super::SyncError;
use super::server::Server;
use crate::identity::{Identity, IdentityStore, tls_config};
use crate::ledger::Ledger;
use nestwarden_policy_schema::trust::Anchors;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps a connected client until the certificate or the anchors change.
pub struct Connection {
    store: IdentityStore,
    ledger: Ledger,
    current: Mutex<Option<Arc<Connected>>>,
}

pub struct Connected {
    pub identity: Identity,
    pub anchors: Anchors,
    pub server: Server,
}

impl Connection {
    pub fn new(store: IdentityStore, ledger: Ledger) -> Self {
        Self {
            store,
            ledger,
            current: Mutex::default(),
        }
    }

    /// Blocks.
    pub fn connected(&self) -> Result<Arc<Connected>, SyncError> {
        let anchors = self.ledger.anchors()?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connected) = current
            .as_ref()
            .filter(|connected| connected.anchors.version == anchors.version)
        {
            return Ok(Arc::clone(connected));
        }
        let identity = self
            .store
            .load()?
            .ok_or(crate::ledger::LedgerError::NotEnrolled)?;
        let tls = tls_config(anchors.server_pins.clone(), Some(&identity))?;
        let connected = Arc::new(Connected {
            server: Server::new(&identity.enrolment.server, tls)?,
            identity,
            anchors,
        });
        *current = Some(Arc::clone(&connected));
        Ok(connected)
    }

    /// The identity on disk changed.
    pub fn renew(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn store(&self) -> &IdentityStore {
        &self.store
    }
}
