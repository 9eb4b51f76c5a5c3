//! Who waits for what in the serving process: hanging fetches for bundles, and the composer of bundles for changes.

use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};

/// Wakes hanging fetches. Subscribe first and read storage then, and no bundle can be missed in between.
#[derive(Clone, Debug, Default)]
pub struct BundleWakes(Arc<Mutex<HashMap<DeviceId, watch::Sender<Generation>>>>);

impl BundleWakes {
    /// Changes whenever there is a reason to look at this device again: a newer bundle, or a revocation.
    /// `Generation::NONE`: nothing was issued since this process started.
    pub fn subscribe(&self, device: DeviceId) -> watch::Receiver<Generation> {
        self.with(device, watch::Sender::subscribe)
    }

    /// Whether a fetch of this device hangs at this moment.
    pub fn is_awaited(&self, device: DeviceId) -> bool {
        self.with(device, |sender| sender.receiver_count() > 0)
    }

    pub fn issued(&self, device: DeviceId, generation: Generation) {
        self.with(device, |sender| {
            sender.send_replace(generation);
        });
    }

    /// Wakes without a newer bundle.
    pub fn look_again(&self, device: DeviceId) {
        self.with(device, |sender| sender.send_modify(|_| {}));
    }

    fn with<T>(&self, device: DeviceId, act: impl FnOnce(&watch::Sender<Generation>) -> T) -> T {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(senders
            .entry(device)
            .or_insert_with(|| watch::Sender::new(Generation::NONE)))
    }
}

/// Makes the composer of bundles look for changes now instead of at its next round.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    pub fn now(&self) {
        self.0.notify_one();
    }

    /// Returns at once if nobody waited since the last nudge.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_bundle_issued_after_subscribing_wakes() {
        let wakes = BundleWakes::default();
        let device = DeviceId::from_uuid(Uuid::from_u128(1));
        let mut receiver = wakes.subscribe(device);
        assert!(receiver.has_changed().is_ok_and(|changed| !changed));
        wakes.issued(device, Generation::new(3));
        assert!(receiver.has_changed().is_ok_and(|changed| changed));
        assert_eq!(*receiver.borrow_and_update(), Generation::new(3));
        wakes.look_again(device);
        assert!(receiver.has_changed().is_ok_and(|changed| changed));
    }
}
