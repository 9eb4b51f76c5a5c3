//! What every handler may use.

use super::Limits;
use super::console::ConsoleSetup;
use super::console::draft::Drafts;
use super::console::once::Once;
use crate::domain::account::ceremony::{Ceremonies, RelyingParty};
use crate::domain::fleet::InventoryCache;
use crate::domain::task::looked::Looked;
use crate::door::Clock;
use crate::jobs::wake::{BundleWakes, Nudge};
use crate::signing::rate::HourlyRate;
use crate::signing::{DeviceCa, ReleaseKey, ServerKeys, SignerClient};
use crate::storage::Storage;
use crate::storage::received::ReceivedFiles;
use jiff::Timestamp;
use nestwarden_policy_schema::id::DeviceId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// Of all addresses together, within an hour.
const MAX_FAILURES_HOUR: u32 = 10_000;
const NONCES_PER_ADDRESS_HOUR: u32 = 600;
const NONCES_HOUR: u32 = 6_000;
const RENEWALS_PER_DEVICE_HOUR: u32 = 12;
const RENEWALS_HOUR: u32 = 10_000;
/// A batch of photos that came back goes through in an hour; a tablet that was taken is not emptied in one.
const UNSEALS_PER_DEVICE_HOUR: u32 = 1_000;
const UNSEALS_HOUR: u32 = 20_000;
const NAMES_PER_DEVICE_HOUR: u32 = 120;
const NAMES_HOUR: u32 = 20_000;
/// A tablet that is not reached asks again and again; more than this is no tablet's need.
const PASSCODES_PER_DEVICE_HOUR: u32 = 240;
const PASSCODES_HOUR: u32 = 20_000;
const EXPORTS_PER_DEVICE_HOUR: u32 = 6_000;
const EXPORTS_HOUR: u32 = 20_000;

/// Returns once the server stops.
pub(super) async fn stopping(closing: &mut watch::Receiver<bool>) {
    // An error says that whoever would have said so is gone, which is the same.
    let _ = closing.wait_for(|closing| *closing).await;
}

#[derive(Clone)]
pub(super) struct App(Arc<Parts>);

pub(super) struct Parts {
    pub(super) storage: Storage,
    pub(super) ca: DeviceCa,
    pub(super) keys: ServerKeys,
    pub(super) release: ReleaseKey,
    pub(super) signer: SignerClient,
    clock: Arc<dyn Clock>,
    pub(super) wakes: BundleWakes,
    pub(super) nudge: Nudge,
    pub(super) looked: Arc<Looked>,
    pub(super) limits: Limits,
    pub(super) console: ConsoleSetup,
    pub(super) drafts: Drafts,
    pub(super) once: Once,
    pub(super) inventories: InventoryCache,
    pub(super) ceremonies: Ceremonies,
    /// True once the server stops.
    pub(super) closing: watch::Receiver<bool>,
    /// Of tablets.
    pub(super) failures: Rate<IpAddr>,
    /// Of people: each door counts for itself, so that a mistyped link keeps nobody from signing in, nor a tablet out.
    pub(super) refused_sign_ins: Rate<IpAddr>,
    pub(super) refused_links: Rate<IpAddr>,
    pub(super) refused_tokens: Rate<IpAddr>,
    pub(super) judging: Judging,
    pub(super) nonces: Rate<IpAddr>,
    pub(super) renewals: Rate<DeviceId>,
    pub(super) unseals: Rate<DeviceId>,
    pub(super) names: Rate<DeviceId>,
    pub(super) passcodes: Rate<DeviceId>,
    pub(super) exports: Rate<DeviceId>,
    pub(super) files: ReceivedFiles,
    pub(super) health: super::people::LastHealth,
}

/// A rate that many requests share.
pub(super) struct Rate<K>(Mutex<HourlyRate<K>>);

impl<K: Eq + std::hash::Hash> Rate<K> {
    fn new(per_key: u32, total: u32) -> Self {
        Self(Mutex::new(HourlyRate::new(per_key, total)))
    }

    pub(super) fn permits(&self, key: K) -> bool {
        let mut rate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rate.permits(key, Instant::now())
    }

    pub(super) fn is_exhausted(&self, key: &K) -> bool {
        let mut rate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rate.is_exhausted(key, Instant::now())
    }
}

/// How many tries of each address are being judged. Passwords are slow on purpose: whoever sends many at once would have
/// them all judged before the first is counted, and everybody else wait for it.
#[derive(Default)]
pub(super) struct Judging(Mutex<HashMap<IpAddr, u32>>);

const JUDGED_AT_ONCE: u32 = 2;

impl Judging {
    /// `false`: enough are being judged.
    pub(super) fn begin(&self, address: IpAddr) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = all.entry(address).or_default();
        let may = *of_this < JUDGED_AT_ONCE;
        *of_this += u32::from(may);
        may
    }

    pub(super) fn end(&self, address: IpAddr) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.get_mut(&address).map(|of_this| {
            *of_this = of_this.saturating_sub(1);
            *of_this
        });
        if left == Some(0) {
            all.remove(&address);
        }
    }
}

impl App {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, with everything handlers use"
    )]
    pub(super) fn new(
        storage: Storage,
        ca: DeviceCa,
        keys: ServerKeys,
        release: ReleaseKey,
        signer: SignerClient,
        clock: Arc<dyn Clock>,
        wakes: BundleWakes,
        nudge: Nudge,
        looked: Arc<Looked>,
        files: ReceivedFiles,
        limits: Limits,
        console: ConsoleSetup,
        once: Once,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let ceremonies = Ceremonies::of(RelyingParty::new(&console.origin));
        let refusals = || Rate::new(limits.failures_per_address_hour, MAX_FAILURES_HOUR);
        Self(Arc::new(Parts {
            storage,
            ca,
            keys,
            release,
            signer,
            clock,
            wakes,
            nudge,
            looked,
            limits,
            console,
            drafts: Drafts::default(),
            once,
            inventories: InventoryCache::default(),
            ceremonies,
            closing,
            failures: refusals(),
            refused_sign_ins: refusals(),
            refused_links: refusals(),
            refused_tokens: refusals(),
            judging: Judging::default(),
            nonces: Rate::new(NONCES_PER_ADDRESS_HOUR, NONCES_HOUR),
            renewals: Rate::new(RENEWALS_PER_DEVICE_HOUR, RENEWALS_HOUR),
            unseals: Rate::new(UNSEALS_PER_DEVICE_HOUR, UNSEALS_HOUR),
            names: Rate::new(NAMES_PER_DEVICE_HOUR, NAMES_HOUR),
            passcodes: Rate::new(PASSCODES_PER_DEVICE_HOUR, PASSCODES_HOUR),
            exports: Rate::new(EXPORTS_PER_DEVICE_HOUR, EXPORTS_HOUR),
            files,
            health: super::people::LastHealth::default(),
        }))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_address_two_tries_are_judged_at_once_and_others_do_not_wait_for_it() {
        let judging = Judging::default();
        let [busy, other] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        assert!(judging.begin(busy) && judging.begin(busy));
        assert!(!judging.begin(busy));
        assert!(judging.begin(other));
        judging.end(busy);
        assert!(judging.begin(busy));
        for address in [busy, busy, other] {
            judging.end(address);
        }
        assert!(judging.0.lock().is_ok_and(|all| all.is_empty()));
    }
}
