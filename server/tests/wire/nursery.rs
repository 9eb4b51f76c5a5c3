//! A whole server in this process: database, keys, signer and both listeners, and tablets that talk to it over TLS.

use crate::support::{SetClock, bundle, setting, start};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::TimeStatement;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::device_api::{
    BundleAnswer, ENROL_PATH, EnrolAnswer, EnrolRequest, ErrorBody,
};
use nestwarden_policy_schema::envelope::verify_ed25519;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::put_back::PutBack;
use nestwarden_policy_schema::trust::{Anchors, SpkiPin};
use nestwarden_server::domain::reports::Thresholds;
use nestwarden_server::domain::task::looked::Looked;
use nestwarden_server::http::{self, ConsoleSetup, KnownHosts, Limits, ServeContext, ServeError};
use nestwarden_server::jobs::wake::{BundleWakes, Nudge};
use nestwarden_server::settings::OutsideHelp;
use nestwarden_server::signing::signer::{self, SOCKET_NAME};
use nestwarden_server::signing::{SignerClient, SignerLimits, SignerSettings, keys};
use nestwarden_server::storage::api_token::{NewApiToken, api_token_hash};
use nestwarden_server::storage::received::ReceivedFiles;
use nestwarden_server::storage::token::token_hash;
use nestwarden_server::storage::{
    AuditEntry, EnrolToken, HourlyLimit, IssuedBundle, Operator, Revocation, Role, Scope, Storage,
    sql,
};
use rcgen::KeyPair;
use reqwest::{Client, Method, RequestBuilder, Response};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;
use x509_parser::prelude::FromDer as _;

pub(crate) struct Nursery {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: SetClock,
    pub(crate) storage: Storage,
    pub(crate) wakes: BundleWakes,
    pub(crate) anchors: Anchors,
    pub(crate) release_recipient: String,
    pub(crate) tablets: SocketAddr,
    pub(crate) people: SocketAddr,
    pub(crate) pin: SpkiPin,
    console_pin: SpkiPin,
    looked: Arc<Looked>,
    signer_client: SignerClient,
    signer: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Nursery {
    pub(crate) async fn open() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::behind(None, limits).await
    }

    /// `proxy`: whose word is taken on where a request comes from.
    pub(crate) async fn behind(proxy: Option<IpAddr>, limits: Limits) -> Self {
        Self::at("127.0.0.1", proxy, limits).await
    }

    /// A console that goes by a name, which authenticators ask for.
    pub(crate) async fn named() -> Self {
        Self::at("localhost", None, Limits::default()).await
    }

    async fn at(host: &str, proxy: Option<IpAddr>, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let public = keys::create_all(dir.path(), setting(), &names, start())
            .unwrap()
            .public;
        let database = dir.path().join("nestwarden.db");
        let storage = sql::create(&database, setting(), "Little Acorns", start())
            .await
            .unwrap();
        let clock = SetClock::new();
        let (socket, signer) = start_signer(dir.path(), &clock).await;
        let signer_client = SignerClient::new(socket);
        let wakes = BundleWakes::default();
        let tablets = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let people = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (tablets.local_addr().unwrap(), people.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let looked: Arc<Looked> = Arc::default();
        let context = ServeContext {
            storage: Arc::clone(&storage),
            keys_dir: dir.path().join("keys"),
            signer: signer_client.clone(),
            clock: clock.door(),
            wakes: wakes.clone(),
            nudge: Nudge::default(),
            looked: Arc::clone(&looked),
            files: ReceivedFiles::new(dir.path().join("received")).keeping_free(0),
            tablets,
            people,
            console: ConsoleSetup {
                setting_name: "Little Acorns".to_owned(),
                origin: format!("https://{host}:{}", addresses.1.port()),
                tablets_address: addresses.0.to_string(),
                hosts: KnownHosts::new(addresses.1, []),
                help: OutsideHelp {
                    lado: Some("01632 960 001".to_owned()),
                    ..OutsideHelp::default()
                },
                commands: HourlyLimit::default(),
                proxy,
                has_mail: false,
                thresholds: Thresholds::default(),
            },
            console_tls: None,
            limits,
        };
        let serving = tokio::spawn(http::serve(context, async {
            let _ = stopped.await;
        }));
        Self {
            dir,
            clock,
            storage,
            wakes,
            anchors: public.anchors(),
            release_recipient: public.release_recipient.clone(),
            tablets: addresses.0,
            people: addresses.1,
            pin: public.tablet_tls_pin,
            console_pin: public.console_tls_pin,
            looked,
            signer_client,
            signer,
            stop,
            serving,
        }
    }

    /// Returns once every request under way was answered.
    pub(crate) async fn close(self) {
        let _ = self.stop.send(());
        self.serving.await.unwrap().unwrap();
        self.signer.abort();
    }

    /// The signer is gone, as after a kill.
    pub(crate) async fn kill_signer(&mut self) {
        self.signer.abort();
        let _ = (&mut self.signer).await;
    }

    pub(crate) async fn token(&self, text: &str) -> String {
        let token = EnrolToken {
            hash: token_hash(text),
            name: "Ladybirds 1".to_owned(),
            profile: "early-years".to_owned(),
            rooms: BTreeSet::new(),
            created_at: self.now(),
            expires_at: self.now() + SignedDuration::from_hours(24),
            used_at: None,
            used_by: None,
        };
        let audit = self.audit("enrol_token.create");
        self.storage.token_create(&token, &audit).await.unwrap();
        text.to_owned()
    }

    pub(crate) async fn operator_token(&self) -> String {
        self.operator_token_of(BTreeSet::new()).await
    }

    pub(crate) async fn operator_token_of(&self, roles: BTreeSet<Role>) -> String {
        let text = "0123456789ABCDEFGHJKMNPQRS".to_owned();
        let operator = Operator {
            id: nestwarden_policy_schema::id::OperatorId::from_uuid(Uuid::from_u128(9)),
            name: "sam".to_owned(),
            roles,
            created_at: self.now(),
        };
        let audit = self.audit("operator.add");
        self.storage.operator_add(&operator, &audit).await.unwrap();
        let token = NewApiToken {
            id: nestwarden_policy_schema::id::ApiTokenId::from_uuid(Uuid::from_u128(10)),
            operator: operator.id,
            hash: api_token_hash(&text),
            name: "test".to_owned(),
            scopes: [Scope::ReadTablets, Scope::Import].into(),
            created_at: self.now(),
            expires_at: self.now() + SignedDuration::from_hours(24 * 90),
        };
        self.storage
            .api_token_add(&token, 20, &audit)
            .await
            .unwrap();
        text
    }

    /// Somebody who has no certificate.
    pub(crate) fn stranger(&self) -> Tablet {
        Tablet::new(self.tablets, self.pin, KeyPair::generate().unwrap(), None)
    }

    pub(crate) fn visitor(&self) -> Tablet {
        let key = KeyPair::generate().unwrap();
        Tablet::new(self.people, self.console_pin, key, None)
    }

    pub(crate) async fn enrolled(&self) -> Tablet {
        let token = self
            .token(&format!("{:026}", Uuid::new_v4().as_u128() >> 50))
            .await;
        let mut tablet = self.stranger();
        let answer: EnrolAnswer = tablet
            .post(ENROL_PATH, &tablet.enrol_request(&token))
            .await
            .json()
            .await
            .unwrap();
        tablet.id = answer.device;
        tablet.takes(&answer.certificate);
        tablet
    }

    /// Has the next generation signed and stored, and wakes the tablet, as the composer does.
    pub(crate) async fn issue(&self, device: DeviceId, generation: u64) {
        self.issue_naming(device, generation, None).await;
    }

    /// The same, for a tablet that had what was never issued.
    pub(crate) async fn issue_naming(
        &self,
        device: DeviceId,
        generation: u64,
        put_back: Option<PutBack>,
    ) {
        let mut content = bundle(device, generation);
        content.put_back = put_back;
        let issued = IssuedBundle {
            device,
            generation: Generation::new(generation),
            content_digest: Digest::ZERO,
            holds_digest: content.holds.digest,
            issued_at: content.issued_at,
            expires_at: content.expires_at,
            signed: self.signer_client.sign_bundle(content).await.unwrap(),
        };
        assert!(self.storage.bundle_put(&issued).await.unwrap());
        self.wakes.issued(device, issued.generation);
    }

    pub(crate) async fn revoke(&self, device: DeviceId) {
        let revocation = Revocation {
            at: self.now(),
            reason: "lost on an outing".to_owned(),
        };
        let audit = self.audit("device.revoke");
        self.storage
            .device_revoke(device, &revocation, &audit)
            .await
            .unwrap();
        self.wakes.look_again(device);
    }

    /// The server's word of an answer, its signature and nonce checked.
    pub(crate) fn statement(&self, answer: &BundleAnswer, nonce: &str) -> TimeStatement {
        let statement: TimeStatement =
            verify_ed25519(&answer.statement, &[&self.anchors.signing[0]]).unwrap();
        assert_eq!(statement.request_nonce, nonce);
        assert_eq!(statement.setting, setting());
        statement
    }

    /// As the background does, which a page does not wait for on a busy machine.
    pub(crate) async fn looks_for_tasks(&self) {
        let looked = self.looked.renew(&self.storage, self.now());
        looked.await.unwrap();
    }

    pub(crate) fn now(&self) -> Timestamp {
        use nestwarden_server::door::Clock as _;
        self.clock.now()
    }

    pub(crate) fn audit(&self, act: &str) -> AuditEntry {
        AuditEntry {
            at: self.now(),
            who: "test".to_owned(),
            act: act.to_owned(),
            subject: "test".to_owned(),
            detail: serde_json::Value::Null,
        }
    }
}

async fn start_signer(dir: &Path, clock: &SetClock) -> (PathBuf, JoinHandle<()>) {
    let settings = SignerSettings {
        dir: dir.join("signer"),
        allowed_uids: BTreeSet::new(),
        limits: SignerLimits::default(),
    };
    let socket = settings.dir.join(SOCKET_NAME);
    let clock = clock.door();
    let task = tokio::spawn(async move {
        signer::run(settings, clock, std::future::pending())
            .await
            .unwrap();
    });
    while UnixStream::connect(&socket).await.is_err() {
        assert!(!task.is_finished(), "the signer did not start");
        tokio::task::yield_now().await;
    }
    (socket, task)
}

/// One that talks to a listener, with or without a certificate.
pub(crate) struct Tablet {
    pub(crate) id: DeviceId,
    pub(crate) key: KeyPair,
    pub(crate) certificate: Option<Vec<u8>>,
    address: SocketAddr,
    pin: SpkiPin,
    client: Client,
}

impl Tablet {
    pub(crate) fn new(
        address: SocketAddr,
        pin: SpkiPin,
        key: KeyPair,
        certificate: Option<Vec<u8>>,
    ) -> Self {
        let client = client(&tls(pin, &key, certificate.as_deref()));
        Self {
            id: DeviceId::from_uuid(Uuid::nil()),
            key,
            certificate,
            address,
            pin,
            client,
        }
    }

    /// From here on it shows this certificate.
    pub(crate) fn takes(&mut self, certificate: &Base64) {
        self.certificate = Some(certificate.0.clone());
        self.client = client(&self.tls());
    }

    pub(crate) fn tls(&self) -> ClientConfig {
        tls(self.pin, &self.key, self.certificate.as_deref())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("https://{}{path}", self.address);
        self.client.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &impl serde::Serialize) -> Response {
        let request = self.request(Method::POST, path).json(body);
        request.send().await.unwrap()
    }

    pub(crate) fn csr(&self) -> Base64 {
        csr(&self.key)
    }

    pub(crate) fn enrol_request(&self, token: &str) -> EnrolRequest {
        EnrolRequest {
            token: token.to_owned(),
            csr: self.csr(),
            agent_version: "0.1.0".to_owned(),
            platform: "linux/debian 12".to_owned(),
            time_zone_data: "2026a".to_owned(),
        }
    }
}

pub(crate) fn csr(key: &KeyPair) -> Base64 {
    let request = rcgen::CertificateParams::default().serialize_request(key);
    Base64(request.unwrap().der().to_vec())
}

/// An answer in one line: status, and code and message where it is an error of ours.
pub(crate) async fn told(response: Response) -> String {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    match serde_json::from_str::<ErrorBody>(&text) {
        Ok(body) => format!("{status} {}: {}", body.code, body.message),
        Err(_) => format!("{status} {text}"),
    }
}

/// The answer that all of them were.
pub(crate) fn only(answers: BTreeSet<String>) -> String {
    let [answer] = Vec::from_iter(answers).try_into().unwrap();
    answer
}

fn client(tls: &ClientConfig) -> Client {
    Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

fn tls(pin: SpkiPin, key: &KeyPair, certificate: Option<&[u8]>) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { pin, provider }));
    match certificate {
        Some(certificate) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from(certificate.to_vec())],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// Knows the server by the SHA-256 of its public key and nothing else, as tablets do.
#[derive(Debug)]
struct Pinned {
    pin: SpkiPin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(end_entity).unwrap();
        assert_eq!(SpkiPin(Digest::sha256(parsed.public_key().raw)), self.pin);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
