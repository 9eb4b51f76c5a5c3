//! What the setting has to say to whoever holds the tablet: that it is lost, and messages.

use crate::clock::TrustedClock;
use crate::ledger::{Ledger, LossWord};
use crate::photos::PhotosError;
use crate::reconcile::messages::{self, Message};
use nestwarden_policy_schema::id::CommandId;
use std::sync::Arc;
use tokio::sync::watch;

/// Where the screens read and note it.
#[derive(Clone)]
pub(super) struct Notices {
    ledger: Ledger,
    clock: TrustedClock,
}

impl Notices {
    pub(super) fn new(ledger: Ledger, clock: TrustedClock) -> Self {
        Self { ledger, clock }
    }

    /// While it is, the page shows nothing but that.
    pub(super) fn is_lost(&self) -> bool {
        let word = self.ledger.loss();
        word.is_some_and(|word| word.lost_since.is_some())
    }

    pub(super) fn watch_loss(&self) -> watch::Receiver<Option<Arc<LossWord>>> {
        self.ledger.watch_loss()
    }

    /// `None`: this tablet was not told the name of its setting.
    pub(super) fn setting_name(&self) -> Option<String> {
        self.ledger.bundle()?.bundle().setting_name.clone()
    }

    /// Messages that nobody said they read, which from now on count as shown.
    pub(super) async fn show(&self) -> Result<Vec<Message>, PhotosError> {
        let (ledger, now) = (self.ledger.clone(), self.clock.now().at);
        let shown = tokio::task::spawn_blocking(move || messages::show(&ledger, now));
        Ok(shown.await.map_err(|_| PhotosError::TaskEnded)??)
    }

    pub(super) async fn note_read(&self, message: CommandId) -> Result<(), PhotosError> {
        let (ledger, now) = (self.ledger.clone(), self.clock.now().at);
        let noted = tokio::task::spawn_blocking(move || messages::note_read(&ledger, message, now));
        Ok(noted.await.map_err(|_| PhotosError::TaskEnded)??)
    }
}
