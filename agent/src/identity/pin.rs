//! TLS to the server: 1.3 only, and the pinned key authenticates it. Names and dates in its certificate do not count,
//! because a tablet's clock may be wrong and a nursery's box has whatever address the router gave it.

use super::Identity;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::trust::SpkiPin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;

/// By which a connection to somebody else is known among those that failed.
pub(crate) const OTHER_KEY: &str = "the server's key is not the one this tablet was given";

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("failed to set up TLS")]
    Setup(#[from] Error),
    #[error("failed to set up the connection to the server")]
    Client(#[from] reqwest::Error),
}

/// A client that talks only to a holder of one of `pins`, with the tablet's certificate where one is given.
pub fn tls_config(
    pins: Vec<SpkiPin>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinVerifier {
        pins,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match identity {
        Some(identity) => builder.with_client_auth_cert(
            vec![CertificateDer::from(identity.certificate.clone())],
            identity.key.for_tls(),
        )?,
        None => builder.with_no_client_auth(),
    })
}

/// The pin of a certificate in DER.
pub fn spki_pin(certificate: &[u8]) -> Option<SpkiPin> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(SpkiPin(Digest::sha256(parsed.public_key().raw)))
}

#[derive(Debug)]
struct PinVerifier {
    pins: Vec<SpkiPin>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pin = spki_pin(end_entity).ok_or(Error::InvalidCertificate(
            rustls::CertificateError::BadEncoding,
        ))?;
        if self.pins.contains(&pin) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General(format!("{OTHER_KEY}: it is {}", pin.0)))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
