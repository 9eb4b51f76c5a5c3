//! Issues bundles: whenever something changed that one of them says, and before the old ones end.

use super::wake::{BundleWakes, Nudge};
use crate::domain::bundle::{ComposeError, Inputs, LIFE, SettingSecrets, content_digest};
use crate::domain::registers::Registers;
use crate::domain::roster::Roster;
use crate::door::Clock;
use crate::signing::{ReleaseKey, SignerClient, SignerClientError};
use crate::storage::{Device, IssuedBundle, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How often the database is asked whether somebody changed it without saying so.
const ROUND: Duration = Duration::from_secs(1);
const QUARTER_S: i64 = 15 * 60;

/// The door to the process that signs.
pub trait BundleSigner: Send + Sync + 'static {
    fn sign_bundle(
        &self,
        bundle: Bundle,
    ) -> Pin<Box<dyn Future<Output = Result<Signed, SignerClientError>> + Send + '_>>;
}

impl BundleSigner for SignerClient {
    fn sign_bundle(
        &self,
        bundle: Bundle,
    ) -> Pin<Box<dyn Future<Output = Result<Signed, SignerClientError>> + Send + '_>> {
        Box::pin(Self::sign_bundle(self, bundle))
    }
}

pub struct BundleJob {
    pub storage: Storage,
    pub signer: Arc<dyn BundleSigner>,
    pub secrets: SettingSecrets,
    /// Opens names and PIN verifiers of staff for the roster.
    pub release: ReleaseKey,
    pub clock: Arc<dyn Clock>,
    pub wakes: BundleWakes,
    pub nudge: Nudge,
}

#[derive(Debug, thiserror::Error)]
pub enum BundleJobError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Signer(#[from] SignerClientError),
}

/// What one round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    pub issued: Vec<DeviceId>,
    /// Tablets for which no bundle can be made; they keep the one they have.
    pub impossible: Vec<DeviceId>,
}

impl BundleJob {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut done_version = None;
        let mut failing = false;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = round.tick() => {}
                () = self.nudge.wait() => {}
            }
            match self.round(&mut done_version).await {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("bundles are issued again");
                    }
                }
                // Said once; tablets go on with the bundle they have, and every round tries again.
                Err(error) if !failing => {
                    failing = true;
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "bundles cannot be issued; trying again every second");
                }
                Err(_) => {}
            }
        }
    }

    async fn round(&self, done_version: &mut Option<(i64, i64)>) -> Result<(), BundleJobError> {
        // Read before the inputs: a change in between is seen in the next round.
        let version = self.storage.inputs_version().await?;
        let now = self.clock.now();
        // Who may have a tablet changes with the day too, at a midnight that is one somewhere every quarter of an hour.
        let version = (version, now.as_second().div_euclid(QUARTER_S));
        if *done_version != Some(version) {
            let round = self.issue_changed(now).await?;
            *done_version = Some(version);
            tracing::debug!(issued = round.issued.len(), "changes were issued");
        }
        self.issue_due(now).await?;
        Ok(())
    }

    /// Issues to every tablet whose bundle would say something else, and wakes those that were revoked.
    pub async fn issue_changed(&self, now: Timestamp) -> Result<Round, BundleJobError> {
        let inputs = self.inputs().await?;
        let mut done = Round::default();
        for device in self.storage.device_list().await? {
            if device.revoked.is_some() {
                self.wakes.look_again(device.id);
                continue;
            }
            self.issue(&inputs, &device, now, Only::IfChanged, &mut done)
                .await?;
        }
        Ok(done)
    }

    /// Issues again whatever has half its life behind it.
    pub async fn issue_due(&self, now: Timestamp) -> Result<Round, BundleJobError> {
        let mut done = Round::default();
        let half = now.checked_sub(LIFE / 2).unwrap_or(Timestamp::MIN);
        let due: BTreeSet<DeviceId> = self
            .storage
            .bundle_issued_until(half)
            .await?
            .into_iter()
            .collect();
        if due.is_empty() {
            return Ok(done);
        }
        let inputs = self.inputs().await?;
        for device in self.storage.device_list().await? {
            if due.contains(&device.id) {
                self.issue(&inputs, &device, now, Only::Always, &mut done)
                    .await?;
            }
        }
        Ok(done)
    }

    async fn inputs(&self) -> Result<Inputs, StorageError> {
        let registers = Registers {
            storage: &self.storage,
            release: &self.release,
            recipient: &self.secrets.release_recipient,
        };
        let roster = Roster::load(&registers).await?;
        Ok(Inputs::load(&self.storage).await?.with_roster(roster))
    }

    async fn issue(
        &self,
        inputs: &Inputs,
        device: &Device,
        now: Timestamp,
        only: Only,
        done: &mut Round,
    ) -> Result<(), BundleJobError> {
        let composed = inputs
            .compose(device, &self.secrets, now)
            .and_then(|bundle| Ok((content_digest(&bundle)?, bundle)));
        let (digest, mut bundle) = match composed {
            Ok(composed) => composed,
            Err(error) => {
                done.impossible.push(device.id);
                log_impossible(device.id, &error);
                return Ok(());
            }
        };
        let newest = self.storage.bundle_newest(device.id).await?;
        let unchanged = newest.as_ref().is_some_and(|n| n.content_digest == digest);
        if unchanged && only == Only::IfChanged {
            return Ok(());
        }
        // Above what was issued, and above what the tablet had before this server's data was put back.
        let had = bundle.put_back.map_or(Generation::NONE, |b| b.generation);
        let last = newest.map_or(Generation::NONE, |n| n.generation).max(had);
        let Some(next) = last.next() else {
            return Ok(());
        };
        bundle.generation = next;
        let signed = match self.signer.sign_bundle(bundle.clone()).await {
            // It signed bundles that never got into the database: go on above them.
            Err(error) => match error.mark().and_then(Generation::next) {
                Some(above) => {
                    tracing::warn!(device.id = %device.id, policy.generation = %above, "the signer is ahead of the database; going on above its mark");
                    bundle.generation = above;
                    self.signer.sign_bundle(bundle.clone()).await?
                }
                None => return Err(error.into()),
            },
            Ok(signed) => signed,
        };
        let issued = IssuedBundle {
            device: device.id,
            generation: bundle.generation,
            content_digest: digest,
            holds_digest: bundle.holds.digest,
            issued_at: bundle.issued_at,
            expires_at: bundle.expires_at,
            signed,
        };
        if self.storage.bundle_put(&issued).await? {
            tracing::info!(device.id = %device.id, policy.generation = %issued.generation, "issued a bundle");
            self.wakes.issued(device.id, issued.generation);
            done.issued.push(device.id);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    IfChanged,
    Always,
}

fn log_impossible(device: DeviceId, error: &ComposeError) {
    tracing::error!(device.id = %device, %error, "no bundle can be made for this tablet; it keeps the one it has");
}

#[cfg(test)]
mod tests;
