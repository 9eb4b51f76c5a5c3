//! What several modules' tests need: a signing server in memory, an enrolled ledger, and a clock that is set by hand.

use crate::control::Situation;
use crate::door::ClockDoor;
use crate::ledger::{Enrolment, Ledger};
use crate::paths::Paths;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::{Bundle, TimeStatement};
use nestwarden_policy_schema::bytes::{Base64, Digest, Secret};
use nestwarden_policy_schema::calendar::{Calendar, Day, TimeRange};
use nestwarden_policy_schema::consent::RegisterSnapshot;
use nestwarden_policy_schema::envelope::{Signed, sign};
use nestwarden_policy_schema::hold::HoldList;
use nestwarden_policy_schema::id::{DeviceId, SettingId, StaffId};
use nestwarden_policy_schema::pin::PinVerifier;
use nestwarden_policy_schema::policy::Policy;
use nestwarden_policy_schema::roster::{MayHave, RosterEntry};
use nestwarden_policy_schema::trust::{Anchors, SigningPublicKey, SpkiPin};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// A setting that signs for one device.
pub(crate) struct Signer {
    key: Ed25519KeyPair,
    pub(crate) setting: SettingId,
    pub(crate) device: DeviceId,
    version: u64,
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self {
            key: key(),
            setting: SettingId::from_uuid(uuid::Uuid::now_v7()),
            device: DeviceId::from_uuid(uuid::Uuid::now_v7()),
            version: 1,
        }
    }

    pub(crate) fn anchors(&self) -> Anchors {
        let public = SigningPublicKey(Base64(self.key.public_key().as_ref().to_vec()));
        Anchors {
            setting: self.setting,
            version: self.version,
            signing: vec![public],
            recovery: SigningPublicKey(Base64(vec![7; 32])),
            approvers: Vec::new(),
            server_pins: vec![SpkiPin(Digest([1; 32]))],
        }
    }

    /// The next signing key, and the statement by which the old one hands over.
    pub(crate) fn rotated(&self) -> (Self, Signed) {
        let new = Self {
            key: key(),
            setting: self.setting,
            device: self.device,
            version: self.version + 1,
        };
        let statement = sign(&new.anchors(), &self.key).unwrap();
        (new, statement)
    }

    pub(crate) fn bundle(&self, generation: u64) -> Signed {
        self.bundle_with(generation, None)
    }

    pub(crate) fn bundle_with(&self, generation: u64, anchors: Option<Signed>) -> Signed {
        let mut bundle = self.content(generation);
        bundle.anchors = anchors;
        self.sign_bundle(&bundle)
    }

    pub(crate) fn sign_bundle(&self, bundle: &Bundle) -> Signed {
        sign(bundle, &self.key).unwrap()
    }

    pub(crate) fn sign_time(&self, statement: &TimeStatement) -> Signed {
        sign(statement, &self.key).unwrap()
    }

    pub(crate) fn content(&self, generation: u64) -> Bundle {
        let at: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        let day = TimeRange {
            from: jiff::civil::time(8, 0, 0, 0),
            to: jiff::civil::time(18, 0, 0, 0),
        };
        let weekdays = &Day::ALL[..5];
        Bundle {
            setting: self.setting,
            device: self.device,
            generation: Generation::new(generation),
            issued_at: at,
            expires_at: at + SignedDuration::from_hours(24 * 7),
            setting_name: None,
            device_name: "Acorns 1".to_owned(),
            rooms: BTreeSet::new(),
            profile: "early-years".to_owned(),
            calendar: Calendar {
                time_zone: "Europe/London".to_owned(),
                contact_hours: weekdays.iter().map(|d| (*d, vec![day])).collect(),
                closures: BTreeSet::new(),
            },
            policy: Policy::default(),
            exceptions: Vec::new(),
            requires: BTreeMap::new(),
            register: RegisterSnapshot {
                as_of: at,
                children: BTreeMap::new(),
            },
            holds: HoldList::new(at, Vec::new()),
            roster: BTreeSet::new(),
            aup: None,
            custody: None,
            corrections: Vec::new(),
            found_photos: None,
            put_back: None,
            commands: Vec::new(),
            passcode_orders: Vec::new(),
            access_requests: Vec::new(),
            photo_hash_key: Secret::new(vec![3; 32]),
            release_recipient: String::new(),
            recovery_recipient: String::new(),
            anchors: None,
        }
    }
}

fn key() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
}

pub(crate) fn enrolment(signer: &Signer) -> Enrolment {
    Enrolment {
        device: signer.device,
        setting: signer.setting,
        device_name: "Acorns 1".to_owned(),
        server: "127.0.0.1:1".to_owned(),
        anchors: signer.anchors(),
        enrolled_at: "2026-03-02T08:00:00Z".parse().unwrap(),
    }
}

/// Of a PIN, and cheap to check.
pub(crate) fn pin_verifier(pin: &str) -> PinVerifier {
    use argon2::password_hash::PasswordHasher as _;
    use argon2::{Algorithm, Argon2, Params, Version};
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: argon2::password_hash::phc::PasswordHash = argon
        .hash_password_with_salt(pin.as_bytes(), b"salt of a test")
        .unwrap();
    PinVerifier::new(hash.to_string()).unwrap()
}

/// Somebody who may have the tablet.
pub(crate) fn roster_entry(number: u128, name: &str, pin: &str) -> RosterEntry {
    RosterEntry {
        staff: StaffId::from_uuid(uuid::Uuid::from_u128(number)),
        name: name.to_owned(),
        pin: Some(pin_verifier(pin)),
        may_have: MayHave::Yes,
        until: None,
        acknowledged: true,
    }
}

/// A ledger that belongs to the signer's device.
pub(crate) fn enrolled(paths: &Paths, signer: &Signer) -> Ledger {
    let ledger = Ledger::open(paths).unwrap();
    ledger.adopt(&enrolment(signer)).unwrap();
    ledger
}

/// Monday noon, nothing managed.
pub(crate) fn situation() -> Situation {
    Situation {
        now: "2026-03-02T12:00:00Z".parse().unwrap(),
        in_contact_hours: true,
        minutes_from_contact: Some(0),
        session_open: false,
        locked: None,
        capture_suspended: false,
        exceptions: Vec::new(),
        policy: Policy::default(),
        passcode_change_asked_at: None,
    }
}

/// A machine's clocks, set by hand. Waits end when the boot clock is moved on.
#[derive(Clone)]
pub(crate) struct HandClock {
    state: Arc<Mutex<(Timestamp, String)>>,
    since_boot: watch::Sender<Duration>,
}

impl HandClock {
    pub(crate) fn at(wall: &str) -> Self {
        Self {
            state: Arc::new(Mutex::new((wall.parse().unwrap(), "boot-1".to_owned()))),
            since_boot: watch::Sender::new(Duration::from_secs(100)),
        }
    }

    /// Time passes: both clocks go on.
    pub(crate) fn pass(&self, duration: Duration) {
        self.state.lock().unwrap().0 += duration;
        self.since_boot.send_modify(|since| *since += duration);
    }

    /// Likewise, once somebody waits for it.
    pub(crate) async fn pass_for_sleeper(&self, duration: Duration) {
        while self.since_boot.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        self.pass(duration);
    }

    pub(crate) fn set_wall(&self, wall: &str) {
        self.state.lock().unwrap().0 = wall.parse().unwrap();
    }

    /// Off and on again; `wall` is what the clock says then.
    pub(crate) fn restart(&self, wall: &str) {
        let mut state = self.state.lock().unwrap();
        *state = (wall.parse().unwrap(), format!("{}+", state.1));
        self.since_boot.send_replace(Duration::from_secs(5));
    }
}

impl ClockDoor for HandClock {
    fn wall(&self) -> Timestamp {
        self.state.lock().unwrap().0
    }

    fn since_boot(&self) -> Duration {
        *self.since_boot.borrow()
    }

    fn boot_id(&self) -> String {
        self.state.lock().unwrap().1.clone()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut since_boot = self.since_boot.subscribe();
        let end = self.since_boot() + duration;
        Box::pin(async move {
            let _ = since_boot.wait_for(|now| *now >= end).await;
        })
    }
}
