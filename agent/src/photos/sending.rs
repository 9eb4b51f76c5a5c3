//! The task that sends reviewed photos, one at a time, whenever there are any and the server answers.

use super::error::PhotosError;
use super::handle::PhotosHandle;
use super::outbox::{Next, Upload};
use super::review::Content;
use super::unseal::Unsealer;
use crate::clock::TrustedClock;
use crate::ledger::Ledger;
use nestwarden_policy_schema::id::PhotoId;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Sends one ciphertext; an error is for the log, and it is tried again.
pub type Sender =
    Arc<dyn Fn(Upload) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

const FIRST_WAIT: Duration = Duration::from_secs(5);
const LAST_WAIT: Duration = Duration::from_mins(10);
/// A request may end by time alone, and what waits for it goes.
const LOOK_EVERY: Duration = Duration::from_mins(10);

pub struct SendingTask {
    pub photos: PhotosHandle,
    pub ledger: Ledger,
    pub clock: TrustedClock,
    pub unsealer: Unsealer,
    pub sender: Sender,
}

impl SendingTask {
    /// Runs until dropped. What was begun then is taken up by the next start.
    pub async fn run(self) {
        let mut bundles = self.ledger.watch_bundle();
        let door = self.clock.door();
        let mut failures = 0_u32;
        loop {
            let wait = match self.round().await {
                Ok(()) => {
                    failures = 0;
                    LOOK_EVERY
                }
                Err(problem) => {
                    tracing::warn!(problem, "reviewed photos could not be sent yet");
                    let wait = FIRST_WAIT.saturating_mul(1 << failures.min(7));
                    failures += 1;
                    wait.min(LAST_WAIT)
                }
            };
            tokio::select! {
                changed = bundles.changed() => if changed.is_err() { return },
                () = self.photos.review_finished() => {}
                () = door.sleep(wait) => {}
            }
        }
    }

    /// Sends everything that can be sent now. One that fails keeps no other back.
    async fn round(&self) -> Result<(), String> {
        match self.photos.export_tidy().await {
            Ok(()) | Err(PhotosError::NoBundle) => {}
            Err(error) => return Err(crate::whole_text(&error)),
        }
        let (mut failed, mut first) = (BTreeSet::<PhotoId>::new(), None);
        loop {
            let next = match self.photos.export_next(failed.clone()).await {
                Ok(Some(next)) => next,
                Ok(None) | Err(PhotosError::NoBundle) => break,
                Err(error) => return Err(crate::whole_text(&error)),
            };
            let photo = match &next {
                Next::Send(upload) => upload.photo,
                Next::Encrypt(to) => to.photo,
            };
            if let Err(problem) = self.send(next).await {
                failed.insert(photo);
                first.get_or_insert(format!("photo {photo}: {problem}"));
            }
        }
        first.map_or(Ok(()), Err)
    }

    async fn send(&self, next: Next) -> Result<(), String> {
        let upload = match next {
            Next::Send(upload) => Some(upload),
            Next::Encrypt(to) => {
                let key = match &to.content {
                    Content::Plain(_) => None,
                    Content::Sealed(sealed) => {
                        let asked = (self.unsealer)(sealed.request.clone()).await;
                        Some(asked.map_err(|refusal| refusal.to_string())?)
                    }
                };
                let made = self.photos.encrypt(*to, key).await;
                let made = made.map_err(|error| crate::whole_text(&error))?;
                let ready = self.photos.export_ready(made).await;
                ready.map_err(|error| crate::whole_text(&error))?
            }
        };
        let Some(upload) = upload else {
            return Ok(());
        };
        let (request, photo) = (upload.request, upload.photo);
        (self.sender)(upload).await?;
        let sent = self.photos.export_sent(request, photo).await;
        sent.map_err(|error| crate::whole_text(&error))
    }
}
