//! TLS of both listeners: 1.3 only, with ring, nothing resumed.
//!
//! Sessions are not resumed because a resumed one would carry a client certificate that nobody judged again.
//!
//! A client certificate is optional on the tablets' listener: enrolment comes without one. One that does not chain to the
//! device CA ends the handshake. One that is expired by the server's clock completes it and counts as none, request by
//! request: the tablet then reads a stable error code instead of a TLS alert, and may renew on the same connection.

use crate::door::Clock;
use crate::signing::ca;
use crate::signing::keys::{KeysError, read_text};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("the {which} key and certificate in `{dir}` cannot be used: {problem}")]
    Unusable {
        which: &'static str,
        dir: PathBuf,
        problem: String,
    },
}

/// The listener for tablets. `device_ca` is the only issuer of client certificates.
pub fn tablets(
    keys_dir: &Path,
    device_ca: &CertificateDer<'static>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |problem: String| TlsError::Unusable {
        which: "device CA",
        dir: keys_dir.to_owned(),
        problem,
    };
    let mut roots = RootCertStore::empty();
    roots
        .add(device_ca.clone())
        .map_err(|e| unusable(e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|e| unusable(e.to_string()))?;
    let verifier = Arc::new(ExpiredCountsAsNone(verifier));
    let files = TlsFiles::in_keys(keys_dir, "tablet-tls");
    config(&files, "tablet-tls", verifier, clock)
}

/// A key and a certificate chain that somebody else keeps up, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub key: PathBuf,
    pub certificate: PathBuf,
}

impl TlsFiles {
    fn in_keys(keys_dir: &Path, name: &str) -> Self {
        Self {
            key: keys_dir.join(format!("{name}.key")),
            certificate: keys_dir.join(format!("{name}.crt")),
        }
    }
}

/// The listener for people, with `files` or what `init` made.
pub fn people(
    keys_dir: &Path,
    files: Option<&TlsFiles>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = WebPkiClientVerifier::no_client_auth();
    let files = files
        .cloned()
        .unwrap_or_else(|| TlsFiles::in_keys(keys_dir, "console-tls"));
    config(&files, "console-tls", verifier, clock)
}

fn config(
    files: &TlsFiles,
    name: &'static str,
    verifier: Arc<dyn ClientCertVerifier>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |problem: String| TlsError::Unusable {
        which: name,
        dir: files.key.parent().unwrap_or(&files.key).to_owned(),
        problem,
    };
    let key = read_text(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| unusable(e.to_string()))?;
    let chain = read_text(&files.certificate)?;
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| unusable(e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time: Arc<dyn TimeProvider> = Arc::new(ServerTime(Arc::clone(clock)));
    let mut config = ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| unusable(e.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|e| unusable(e.to_string()))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The server's clock as rustls asks for it.
struct ServerTime(Arc<dyn Clock>);

impl TimeProvider for ServerTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for ServerTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTime")
    }
}

/// Lets an expired certificate through the handshake if it was good on its last day; who handles the request must look
/// at its date.
#[derive(Debug)]
struct ExpiredCountsAsNone(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ExpiredCountsAsNone {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now);
        let Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) = verified
        else {
            return verified;
        };
        let last_second = ca::peer(end_entity)
            .and_then(|peer| u64::try_from(peer.not_after.as_second()).ok())
            .ok_or(CertificateError::BadEncoding)?;
        let then = UnixTime::since_unix_epoch(Duration::from_secs(last_second));
        self.0.verify_client_cert(end_entity, intermediates, then)
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
