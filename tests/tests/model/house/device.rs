//! The tablet: its ledger, its clock, and what looks after the photos on its disk.

use super::hand::HandClock;
use super::office::Office;
use jiff::Timestamp;
use nestwarden_agent::clock::TrustedClock;
use nestwarden_agent::door::ClockDoor as _;
use nestwarden_agent::ledger::{Enrolment, Ledger};
use nestwarden_agent::paths::Paths;
use nestwarden_agent::photos::engine::{Engine, Moment, Passed, Scope};
use nestwarden_agent::photos::hash::{ContentKey, Stop};
use nestwarden_agent::photos::jobs::Job;
use nestwarden_agent::photos::listing::{Listing, Tags};
use nestwarden_agent::photos::roots::Roots;
use nestwarden_agent::photos::scan::Scanner;
use nestwarden_agent::photos::{PhotosError, UnsealRefusal};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::consent::{RoomName, TrustedNow};
use nestwarden_policy_schema::device_api::EventBatch;
use nestwarden_policy_schema::envelope::{Signable as _, Signed, message_of};
use nestwarden_policy_schema::event::{ChainHead, ChainPosition};
use nestwarden_policy_schema::id::{DeviceId, PhotoId, SettingId};
use nestwarden_policy_schema::trust::{Anchors, KeyId, SigningPublicKey};
use nestwarden_server::domain::unseal::UnsealError;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const PICTURES: &str = "home/anna/Pictures";

pub(super) struct Device {
    pub(super) id: DeviceId,
    key: EcdsaKeyPair,
    paths: Paths,
    door: Arc<HandClock>,
    clock: TrustedClock,
    ledger: Ledger,
    engine: Option<Engine>,
    scanner: Scanner,
    bundle: Option<Bundle>,
    /// The last pass said so.
    pub(super) next_change: Option<Timestamp>,
    /// When something that was put off is tried again, from now.
    pub(super) retry_in: Option<Duration>,
}

impl Device {
    pub(super) fn open(root_dir: &Path, door: Arc<HandClock>) -> Self {
        fs::create_dir_all(root_dir.join(PICTURES)).unwrap();
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let id = DeviceId::from_uuid(Uuid::from_u128(0xd000));
        let setting = SettingId::from_uuid(Uuid::from_u128(1));
        let paths = Paths::new(root_dir);
        let ledger = Ledger::open(&paths).unwrap();
        let unused = SigningPublicKey(Base64(vec![0; 32]));
        ledger
            .adopt(&Enrolment {
                device: id,
                setting,
                device_name: "Ladybird-1".to_owned(),
                server: "127.0.0.1:1".to_owned(),
                anchors: Anchors {
                    setting,
                    version: 1,
                    signing: vec![unused.clone()],
                    recovery: unused,
                    approvers: Vec::new(),
                    server_pins: Vec::new(),
                },
                enrolled_at: door.wall(),
            })
            .unwrap();
        let clock = TrustedClock::open(ledger.clone(), Arc::<HandClock>::clone(&door)).unwrap();
        let engine = Engine::open(ledger.clone(), &paths, id).unwrap();
        Self {
            id,
            key,
            paths,
            door,
            clock,
            ledger,
            engine: Some(engine),
            scanner: Scanner::default(),
            bundle: None,
            next_change: None,
            retry_in: None,
        }
    }

    pub(super) fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// Orderly, as every few minutes it would be.
    pub(super) fn switch_off(&mut self) {
        self.clock.checkpoint().unwrap();
        self.engine = None;
    }

    /// A new process over what is on the disk.
    pub(super) fn start(&mut self) {
        self.engine = None;
        self.scanner = Scanner::default();
        self.ledger = Ledger::open(&self.paths).unwrap();
        let door = Arc::<HandClock>::clone(&self.door);
        self.clock = TrustedClock::open(self.ledger.clone(), door).unwrap();
        let engine = Engine::open(self.ledger.clone(), &self.paths, self.id).unwrap();
        self.engine = Some(engine);
    }

    pub(super) fn now(&self) -> TrustedNow {
        self.clock.now()
    }

    /// The server answered: its time, its list of holds, and what is new.
    pub(super) fn hear(&mut self, bundle: &Bundle, now: Timestamp) {
        self.clock.confirm(now, Duration::ZERO).unwrap();
        self.clock.confirm_holds(now);
        let has = self.bundle.as_ref().map(|bundle| bundle.generation);
        if has != Some(bundle.generation) {
            self.bundle = Some(bundle.clone());
        }
    }

    /// Sends what the server does not have.
    pub(super) fn tell(&self, office: &Office, now: i64) {
        loop {
            let after = self.ledger.acked_through().unwrap();
            let events = self.ledger.events_after(after, 500, 500_000).unwrap();
            let Some(last) = events.last() else {
                return;
            };
            let head = self.signed_head(last.position());
            let batch = EventBatch {
                events,
                head: Some(head),
            };
            let through = office.take_in(batch, now);
            self.ledger.acknowledge(through, self.now().at).unwrap();
        }
    }

    fn signed_head(&self, position: ChainPosition) -> Signed {
        let head = ChainHead {
            device: self.id,
            position,
        };
        let payload = serde_json::to_string(&head).unwrap();
        let message = message_of(ChainHead::DOMAIN, &payload);
        let signature = self.key.sign(&SystemRandom::new(), &message).unwrap();
        Signed {
            payload,
            key_id: KeyId(Digest::sha256(self.public_key())),
            signature: Base64(signature.as_ref().to_vec()),
        }
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Engine, &Moment<'_>) -> T) -> T {
        let moment = Moment {
            bundle: self.bundle.as_ref().unwrap(),
            now: self.clock.now(),
            since_boot: self.door.since_boot(),
            only_loss: None,
        };
        work(self.engine.as_mut().unwrap(), &moment)
    }

    /// Looks at the folders, and takes what is new into the catalogue.
    pub(super) fn look(&mut self) {
        let bundle = self.bundle.as_ref().unwrap();
        let patterns = bundle.policy.photos.as_ref().unwrap().capture_roots.clone();
        let key = ContentKey::new(&bundle.photo_hash_key);
        let known = self.with(|engine, moment| {
            engine.roots_begun(&patterns).unwrap();
            engine.known(moment).unwrap()
        });
        let tree = Arc::clone(self.engine.as_ref().unwrap().tree());
        let roots = Roots::resolve(&tree, &patterns);
        let stop = Stop::default();
        let mut scanner = std::mem::take(&mut self.scanner);
        let report = scanner.full(&tree, &roots, &known, (&key, &stop), &mut |batch| {
            let absorbed = self.with(|engine, moment| engine.absorb(moment, batch));
            Ok(absorbed.unwrap().1)
        });
        self.scanner = scanner;
        let report = report.unwrap();
        assert!(report.unreadable.is_empty(), "{:?}", report.unreadable);
        self.with(|engine, _| {
            engine.roots_done(&patterns).unwrap();
        });
    }

    /// Does whatever is to be done now, asking the server where it can be asked.
    pub(super) fn settle(&mut self, office: Option<(&Office, i64)>) {
        let mut passed = self.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
        while !passed.jobs.is_empty() || !passed.asks.is_empty() {
            for photo in std::mem::take(&mut passed.asks) {
                passed.jobs.extend(self.ask(photo, office));
            }
            let vaults = self.engine.as_ref().unwrap().vaults();
            let mut next = Passed::default();
            for job in std::mem::take(&mut passed.jobs) {
                let done = job.run(&vaults);
                let again = self.with(|engine, moment| engine.finish(moment, done).unwrap());
                let scope = Scope::Only(again);
                let more = self.with(|engine, moment| engine.pass(moment, &scope).unwrap());
                next.jobs.extend(more.jobs);
                next.asks.extend(more.asks);
            }
            if next.jobs.is_empty() && next.asks.is_empty() {
                next = self.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
            }
            passed = next;
        }
        self.next_change = passed.next_change;
        let since_boot = self.door.since_boot();
        self.retry_in = passed.retry_at.map(|at| at.saturating_sub(since_boot));
    }

    fn ask(&mut self, photo: PhotoId, office: Option<(&Office, i64)>) -> Option<Job> {
        let request = self.with(|engine, moment| engine.unseal_request(moment, photo).unwrap());
        let request = request?;
        let answer = match office {
            None => Err(UnsealRefusal::NotNow("no network".to_owned())),
            Some((office, now)) => {
                self.tell(office, now);
                office
                    .key_of(&request, now)
                    .map_err(|refused| match refused {
                        UnsealError::Refused(_) => UnsealRefusal::NotAuthorised,
                        UnsealError::PhotoUnknown(_) => UnsealRefusal::NotNow(refused.to_string()),
                        UnsealError::Stanzas | UnsealError::Storage(_) => {
                            UnsealRefusal::Impossible(refused.to_string())
                        }
                    })
            }
        };
        self.with(|engine, moment| engine.answered(moment, photo, answer, false).unwrap())
    }

    /// Takes a photo, in a session of its own for these rooms if any; where it lies.
    pub(super) fn take(
        &mut self,
        name: &str,
        content: &[u8],
        session: Option<BTreeSet<RoomName>>,
    ) -> PathBuf {
        let path = self.paths.root_dir().join(PICTURES).join(name);
        fs::write(&path, content).unwrap();
        let in_session = session.is_some();
        if let Some(rooms) = session {
            self.with(|engine, moment| engine.session_start(moment, rooms).unwrap());
        }
        self.look();
        if in_session {
            let at = self.now().at;
            self.with(|engine, _| engine.session_end(at).unwrap());
        }
        path
    }

    /// The photo at a path; `None`: the tablet did not take it in.
    pub(super) fn photo_at(&mut self, path: &Path) -> Option<PhotoId> {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let listed = self.list().into_iter();
        let mut found = listed.filter(|photo| photo.paths.iter().any(|path| path.ends_with(&name)));
        found.next().map(|photo| photo.id)
    }

    pub(super) fn tag(&mut self, photo: PhotoId, tags: &Tags) -> Result<(), PhotosError> {
        self.with(|engine, moment| engine.tag(moment, photo, tags))
            .map(|_| ())
    }

    /// Those that are not destroyed.
    pub(super) fn list(&mut self) -> Vec<Listing> {
        self.with(|engine, moment| engine.list(moment).unwrap())
    }
}
