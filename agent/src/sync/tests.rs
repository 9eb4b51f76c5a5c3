//! Against a server in this process.

use super::tests_server::{TestServer, other_pin};
use super::upload::Uploader;
use super::*;
use crate::identity::{DeviceKey, IdentityStore, NewIdentity};
use crate::paths::Paths;
use crate::testing::{HandClock, Signer, enrolment};
use jiff::SignedDuration;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::TimeStatement;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::device_api::{
    BUNDLE_PATH, BundleAnswer, EVENTS_PATH, EventBatch, EventsAck, INVENTORY_AGAIN_PATH,
    INVENTORY_PATH, RENEW_EXPIRED_PATH, RENEW_NONCE_PATH, RENEW_PATH, RenewAnswer,
    RenewExpiredRequest, code, renewal_message,
};
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::event::{ChainPosition, verify_chain, verify_head};
use nestwarden_policy_schema::hold::HoldList;
use nestwarden_policy_schema::id::RequestId;
use nestwarden_policy_schema::inventory::InventoryAgain;
use nestwarden_policy_schema::trust::SpkiPin;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;

const NOON: &str = "2026-03-02T12:00:00Z";

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

struct Tablet {
    _dir: tempfile::TempDir,
    context: SyncContext,
    key: Vec<u8>,
    door: HandClock,
}

impl Tablet {
    /// Its certificate runs from a day ago for `days`.
    fn new(signer: &Signer, server: &str, pin: SpkiPin, days: i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        let mut enrolment = enrolment(signer);
        enrolment.server = server.to_owned();
        enrolment.anchors.server_pins = vec![pin];
        let store = IdentityStore::new(&paths);
        let key = DeviceKey::generate().unwrap();
        let from = noon() - SignedDuration::from_hours(24);
        let certificate = certificate(&key, from, from + SignedDuration::from_hours(24 * days));
        store
            .install(&NewIdentity {
                key: &key,
                certificate: &certificate,
                ca_certificate: b"ca",
                enrolment: &enrolment,
            })
            .unwrap();
        let ledger = Ledger::open(&paths).unwrap();
        ledger.adopt(&enrolment).unwrap();
        let door = HandClock::at(NOON);
        let clock = TrustedClock::open(ledger.clone(), Arc::new(door.clone())).unwrap();
        let context = SyncContext::new(
            ledger.clone(),
            clock,
            Arc::new(Connection::new(store, ledger)),
            Arc::new(|| Box::pin(async { Ok(inventory()) })),
            watch::Sender::new(0).subscribe(),
        );
        Self {
            _dir: dir,
            context,
            key: key.public_key().to_vec(),
            door,
        }
    }

    async fn fetch(&self) -> Result<Option<bool>, SyncError> {
        fetch::attempt(&self.context, 0).await
    }

    fn identity_key(&self) -> Vec<u8> {
        let store = self.context.connection.store();
        store.load().unwrap().unwrap().key.public_key().to_vec()
    }
}

fn inventory() -> Inventory {
    Inventory {
        at: noon(),
        generation: Generation::NONE,
        agent_version: String::new(),
        time_zone_data: String::new(),
        controls: Vec::new(),
        photos: std::collections::BTreeMap::new(),
        found_at_enrolment: std::collections::BTreeMap::new(),
        events_waiting: 0,
        clock_doubtful: false,
        disk_free_bytes: None,
        locked_out: None,
    }
}

fn certificate(key: &DeviceKey, from: Timestamp, until: Timestamp) -> Vec<u8> {
    let key = rcgen::KeyPair::try_from(key.expose_pkcs8()).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.not_before = std::time::SystemTime::from(from).into();
    params.not_after = std::time::SystemTime::from(until).into();
    params.self_signed(&key).unwrap().der().to_vec()
}

/// A certificate for whoever signed the request.
fn issued(csr: &[u8]) -> Value {
    let request = rcgen::CertificateSigningRequestParams::from_der(&csr.to_vec().into()).unwrap();
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(rcgen::CertificateParams::default(), ca_key);
    let certificate = request.signed_by(&issuer).unwrap();
    json!(RenewAnswer {
        certificate: Base64(certificate.der().to_vec()),
        ca_certificate: Base64(b"ca".to_vec()),
    })
}

fn refusal(code: &str) -> Value {
    json!({
        "request_id": RequestId::from_uuid(uuid::Uuid::nil()),
        "code": code,
        "message": "no",
    })
}

fn nonce_of(path: &str) -> String {
    let query = path.split_once("nonce=").unwrap().1;
    query.split('&').next().unwrap().to_owned()
}

fn statement(signer: &Signer, generation: u64, nonce: &str) -> TimeStatement {
    TimeStatement {
        time: noon(),
        setting: signer.setting,
        device: signer.device,
        generation: Generation::new(generation),
        holds_digest: HoldList::new(noon(), Vec::new()).digest,
        request_nonce: nonce.to_owned(),
    }
}

fn bundle_answer(statement: Signed, bundle: Option<Signed>) -> (u16, Value) {
    (200, json!(BundleAnswer { statement, bundle }))
}

#[tokio::test]
async fn a_fetch_brings_the_bundle_the_time_and_the_holds() {
    let signer = Arc::new(Signer::new());
    let theirs = Arc::clone(&signer);
    let server = TestServer::start(move |path, _| {
        assert!(path.contains("after=0"), "{path}");
        let statement = theirs.sign_time(&statement(&theirs, 4, &nonce_of(path)));
        bundle_answer(statement, Some(theirs.bundle(4)))
    })
    .await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 180);
    assert_eq!(tablet.fetch().await.unwrap(), Some(true));
    let now = tablet.context.clock.now();
    assert!(!now.doubtful);
    assert_eq!(now.last_contact, Some(noon()));
    assert_eq!(now.holds_confirmed_at, Some(noon()));
    assert_eq!(
        tablet.context.ledger.bundle().unwrap().generation().get(),
        4
    );
}

#[tokio::test]
async fn holds_that_changed_meanwhile_are_not_confirmed() {
    let signer = Arc::new(Signer::new());
    let theirs = Arc::clone(&signer);
    let server = TestServer::start(move |path, _| {
        let mut statement = statement(&theirs, 4, &nonce_of(path));
        statement.holds_digest = Digest([5; 32]);
        bundle_answer(theirs.sign_time(&statement), Some(theirs.bundle(4)))
    })
    .await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 180);
    tablet.fetch().await.unwrap();
    assert_eq!(tablet.context.clock.now().holds_confirmed_at, None);
}

#[tokio::test]
async fn an_old_answer_or_one_by_another_key_confirms_nothing() {
    let signer = Arc::new(Signer::new());
    let theirs = Arc::clone(&signer);
    let stranger = Signer::new();
    let mut asked = 0;
    let server = TestServer::start(move |path, _| {
        asked += 1;
        let nonce = nonce_of(path);
        if asked == 1 {
            bundle_answer(theirs.sign_time(&statement(&theirs, 1, "before")), None)
        } else {
            bundle_answer(stranger.sign_time(&statement(&theirs, 1, &nonce)), None)
        }
    })
    .await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 180);
    assert!(matches!(
        tablet.fetch().await,
        Err(SyncError::OtherStatement(_))
    ));
    assert!(matches!(tablet.fetch().await, Err(SyncError::Statement(_))));
    assert!(tablet.context.clock.now().doubtful);
}

#[tokio::test]
async fn a_server_with_another_key_hears_nothing() {
    let signer = Signer::new();
    let server = TestServer::start(|_, _| (200, Value::Null)).await;
    let tablet = Tablet::new(&signer, &server.address, other_pin(), 180);
    let error = tablet.fetch().await.unwrap_err();
    assert!(
        matches!(error, SyncError::Server(ServerError::OtherServer { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("make a new link"), "{error}");
    assert!(!server.was_asked(BUNDLE_PATH));
}

#[tokio::test]
async fn a_server_that_went_back_is_refused_and_told_once() {
    let signer = Arc::new(Signer::new());
    let theirs = Arc::clone(&signer);
    let server = TestServer::start(move |path, _| {
        let statement = theirs.sign_time(&statement(&theirs, 2, &nonce_of(path)));
        bundle_answer(statement, None)
    })
    .await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 180);
    let ledger = &tablet.context.ledger;
    ledger.accept_bundle(signer.bundle(5)).unwrap();
    let mut told = BTreeSet::new();
    for _ in 0..2 {
        let error = tablet.fetch().await.unwrap_err();
        fetch::tell_refusal(&tablet.context, &error, &mut told).await;
    }
    assert_eq!(ledger.head().unwrap().seq, 1);
    assert_eq!(ledger.bundle().unwrap().generation().get(), 5);
}

#[tokio::test]
async fn a_revoked_tablet_keeps_its_bundle_and_alarms_once() {
    let signer = Signer::new();
    let server = TestServer::start(|_, _| (403, refusal(code::DEVICE_REVOKED))).await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 180);
    let ledger = &tablet.context.ledger;
    ledger.accept_bundle(signer.bundle(5)).unwrap();
    for _ in 0..2 {
        let error = tablet.fetch().await.unwrap_err();
        tablet.context.failed(&error);
    }
    assert!(tablet.context.state().borrow().revoked);
    assert_eq!(ledger.head().unwrap().seq, 1);
    assert!(ledger.bundle().is_some());
}

/// A server's side of a chain: verifies what arrives and keeps it, or answers that it is too large.
fn takes_events(
    tablet_key: Arc<Mutex<Vec<u8>>>,
    device: nestwarden_policy_schema::id::DeviceId,
    most: usize,
    lost: Arc<Mutex<u64>>,
) -> impl FnMut(&str, &[u8]) -> (u16, Value) + Send {
    let mut chain: Vec<nestwarden_policy_schema::event::Event> = Vec::new();
    move |path, body| {
        if path != EVENTS_PATH {
            return (204, Value::Null);
        }
        let batch: EventBatch = serde_json::from_slice(body).unwrap();
        if batch.events.len() > most {
            return (413, refusal(code::BODY_TOO_LARGE));
        }
        let lost = std::mem::take(&mut *lost.lock().unwrap());
        chain.truncate(chain.len() - usize::try_from(lost).unwrap());
        let before = chain.last().map_or(
            ChainPosition::START,
            nestwarden_policy_schema::event::Event::position,
        );
        if let Some(head) = &batch.head {
            let end = verify_chain(device, before, &batch.events).unwrap();
            verify_head(head, device, &tablet_key.lock().unwrap(), end).unwrap();
        }
        chain.extend(batch.events);
        (
            200,
            json!(EventsAck {
                on_disk: chain.len() as u64,
                hash: chain.last().map(|event| event.hash),
            }),
        )
    }
}

#[tokio::test]
async fn events_go_out_signed_and_in_order_and_again_when_the_server_lost_them() {
    let signer = Signer::new();
    let (key, lost) = (Arc::default(), Arc::default());
    let answers = takes_events(Arc::clone(&key), signer.device, 4, Arc::clone(&lost));
    let server = TestServer::start(answers).await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 180);
    key.lock().unwrap().clone_from(&tablet.key);
    let ledger = &tablet.context.ledger;
    for _ in 0..9 {
        tablet.context.alarm("x");
    }
    // Nine at once are too many for this server: they go in halves.
    Uploader::new(tablet.context.clone())
        .round(true)
        .await
        .unwrap();
    assert_eq!(ledger.events_waiting().unwrap(), 0);

    *lost.lock().unwrap() = 5;
    tablet.context.alarm("y");
    Uploader::new(tablet.context.clone())
        .round(true)
        .await
        .unwrap();
    assert_eq!(ledger.acked_through().unwrap(), 10);
}

#[tokio::test]
async fn what_has_not_changed_is_told_in_a_few_bytes_and_whole_to_a_server_that_has_something_else()
{
    let signer = Signer::new();
    let mut told_again = 0;
    let server = TestServer::start(move |path, body| match path {
        EVENTS_PATH => (
            200,
            json!(EventsAck {
                on_disk: 0,
                hash: None
            }),
        ),
        INVENTORY_AGAIN_PATH => {
            let again: InventoryAgain = serde_json::from_slice(body).unwrap();
            assert_eq!(again.substance, inventory().substance().unwrap());
            told_again += 1;
            match told_again {
                1 => (204, Value::Null),
                2 => (409, refusal(code::INVENTORY_OTHER)),
                // From before there was this path.
                _ => (404, refusal(code::NOT_FOUND)),
            }
        }
        _ => (204, Value::Null),
    })
    .await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 180);
    let mut uploader = Uploader::new(tablet.context.clone());
    for _ in 0..4 {
        assert!(uploader.round(true).await.unwrap());
    }
    let asked = server.asked.lock().unwrap().clone();
    let told: Vec<&str> = asked
        .iter()
        .map(String::as_str)
        .filter(|path| *path != EVENTS_PATH)
        .collect();
    let (whole, again) = (INVENTORY_PATH, INVENTORY_AGAIN_PATH);
    assert_eq!(told, [whole, again, again, whole, again, whole]);
    assert!(
        !uploader.round(false).await.unwrap(),
        "nothing new and nothing overdue"
    );
}

#[tokio::test]
async fn a_record_that_was_put_back_is_noticed() {
    let signer = Signer::new();
    let server = TestServer::start(|_, _| {
        (
            200,
            json!(EventsAck {
                on_disk: 7,
                hash: None
            }),
        )
    })
    .await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 180);
    for _ in 0..2 {
        let error = Uploader::new(tablet.context.clone()).round(true).await;
        let error = error.unwrap_err();
        assert!(matches!(error, SyncError::RecordPutBack { server: 7, .. }));
        tablet.context.failed(&error);
        tablet.context.reached();
    }
    let events = tablet.context.ledger.events_after(0, 10, usize::MAX);
    let bodies: Vec<String> = events.unwrap().into_iter().filter_map(|e| e.body).collect();
    assert!(bodies[0].contains("put back"), "{bodies:?}");
}

#[tokio::test]
async fn from_half_its_life_on_the_certificate_is_renewed_and_a_failure_stops_nothing() {
    let signer = Arc::new(Signer::new());
    let theirs = Arc::clone(&signer);
    let mut renewals = 0;
    let server = TestServer::start(move |path, body| {
        if path == RENEW_PATH {
            renewals += 1;
            if renewals == 1 {
                return (500, refusal(code::INTERNAL));
            }
            let request: nestwarden_policy_schema::device_api::RenewRequest =
                serde_json::from_slice(body).unwrap();
            return (200, issued(&request.csr.0));
        }
        let statement = theirs.sign_time(&statement(&theirs, 1, &nonce_of(path)));
        bundle_answer(statement, Some(theirs.bundle(1)))
    })
    .await;
    let tablet = Tablet::new(&signer, &server.address, server.pin, 100);
    tablet.fetch().await.unwrap();
    assert!(!server.was_asked(RENEW_PATH), "not before half its life");
    tablet.door.pass(std::time::Duration::from_hours(24 * 60));
    tablet.fetch().await.unwrap();
    assert_eq!(
        tablet.identity_key(),
        tablet.key,
        "the first attempt failed"
    );
    tablet.door.pass(std::time::Duration::from_hours(24 * 60));
    let _ = tablet.fetch().await;
    assert_ne!(tablet.identity_key(), tablet.key);
}

#[tokio::test]
async fn a_tablet_that_slept_past_the_end_renews_with_its_old_key() {
    let signer = Arc::new(Signer::new());
    let theirs = Arc::clone(&signer);
    let old_key: Arc<Mutex<Vec<u8>>> = Arc::default();
    let verified_by = Arc::clone(&old_key);
    let server = TestServer::start(move |path, body| match path {
        RENEW_NONCE_PATH => (200, json!({ "nonce": "once" })),
        RENEW_EXPIRED_PATH => {
            let request: RenewExpiredRequest = serde_json::from_slice(body).unwrap();
            let message = renewal_message("once", &request.csr.0);
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &*verified_by.lock().unwrap())
                .verify(&message, &request.signature.0)
                .unwrap();
            (200, issued(&request.csr.0))
        }
        _ => {
            let statement = theirs.sign_time(&statement(&theirs, 1, &nonce_of(path)));
            bundle_answer(statement, Some(theirs.bundle(1)))
        }
    })
    .await;
    // It ended a day ago, at the moment it began.
    let tablet = Tablet::new(&signer, &server.address, server.pin, 0);
    old_key.lock().unwrap().clone_from(&tablet.key);
    assert_eq!(tablet.fetch().await.unwrap(), Some(true));
    assert_ne!(tablet.identity_key(), tablet.key);
}
