//! The device CA: issues the certificate by which a tablet is known.
//!
//! Nothing that a request says about its subject is believed; only its public key is taken over.

use crate::signing::keys::{KeysError, read_text};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::DeviceId;
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Largest certificate request in bytes; one for P-256 with a common name takes about 250.
pub const MAX_CSR_BYTES: usize = 4096;
/// Life of a device certificate.
pub const CERTIFICATE_LIFE: SignedDuration = SignedDuration::from_hours(180 * 24);
/// A certificate begins this long before it is issued, for tablets whose clock is a little behind.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

const URI_PREFIX: &str = "urn:nestwarden:device:";
/// An uncompressed P-256 point.
const POINT_BYTES: usize = 65;

#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("the device CA in `{path}` cannot be used: {problem}")]
    Unusable { path: String, problem: String },
    #[error("the certificate request is refused: {0}")]
    Csr(CsrProblem),
    #[error("failed to issue a certificate: {0}")]
    Issue(String),
}

/// Why a certificate request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrProblem {
    TooLarge,
    Unreadable,
    NotP256,
    NotSelfSigned,
}

impl fmt::Display for CsrProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "it is larger than 4096 bytes",
            Self::Unreadable => "it is not a PKCS#10 request in DER",
            Self::NotP256 => "its key must be on the curve P-256, signed with ECDSA and SHA-256",
            Self::NotSelfSigned => "it is not signed by the key it names",
        })
    }
}

/// A certificate as it goes to the tablet, and what the server keeps of it.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: Vec<u8>,
    pub serial: [u8; 16],
    /// An uncompressed P-256 point, by which batch heads are checked.
    pub public_key: Vec<u8>,
    pub not_after: Timestamp,
}

/// Who a presented certificate says its holder is. The chain was checked by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub device: DeviceId,
    pub public_key: Vec<u8>,
    pub not_after: Timestamp,
}

pub struct DeviceCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    random: SystemRandom,
}

impl DeviceCa {
    /// Loads `device-ca.key` and `device-ca.crt` from the server's key directory.
    pub fn load(keys_dir: &Path) -> Result<Self, CaError> {
        let unusable = |problem: String| CaError::Unusable {
            path: keys_dir.display().to_string(),
            problem,
        };
        let key = read_text(&keys_dir.join("device-ca.key"))?;
        let key = KeyPair::from_pem(&key).map_err(|e| unusable(e.to_string()))?;
        let pem = read_text(&keys_dir.join("device-ca.crt"))?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| unusable(e.to_string()))?
            .into_owned();
        let issuer =
            Issuer::from_ca_cert_der(&certificate, key).map_err(|e| unusable(e.to_string()))?;
        Ok(Self {
            issuer,
            certificate,
            random: SystemRandom::new(),
        })
    }

    /// In DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Checks a request and certifies its key as that of `device`.
    pub fn issue(&self, csr: &[u8], device: DeviceId, now: Timestamp) -> Result<Issued, CaError> {
        let (key, public_key) = checked_key(csr).map_err(CaError::Csr)?;
        let mut serial = [0; 16];
        self.random
            .fill(&mut serial)
            .map_err(|_| CaError::Issue("no randomness".to_owned()))?;
        // A serial number is a positive integer of at most 20 bytes.
        serial[0] = (serial[0] & 0x7f) | 0x40;
        let not_after = now + CERTIFICATE_LIFE;
        let issue = |e: rcgen::Error| CaError::Issue(e.to_string());
        let uri = Ia5String::try_from(format!("{URI_PREFIX}{device}")).map_err(issue)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&device.to_string());
        set_validity(&mut params, now - CLOCK_TOLERANCE, not_after);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(issue)?;
        Ok(Issued {
            certificate: certificate.der().to_vec(),
            serial,
            public_key,
            not_after,
        })
    }
}

impl fmt::Debug for DeviceCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceCa")
    }
}

/// Reads who a device certificate is for. `None`: it is not one of ours in form.
pub fn peer(certificate: &[u8]) -> Option<Peer> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = parsed.subject_alternative_name().ok()??;
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
        return None;
    };
    Some(Peer {
        device: uri.strip_prefix(URI_PREFIX)?.parse().ok()?,
        public_key: parsed.public_key().subject_public_key.data.to_vec(),
        not_after: Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()?,
    })
}

/// A distinguished name with nothing but a common name.
pub(super) fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Sets the life of a certificate, in whole seconds; instants before 1970 read as 1970.
pub(super) fn set_validity(params: &mut CertificateParams, from: Timestamp, to: Timestamp) {
    let seconds = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + seconds(from);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + seconds(to);
}

fn checked_key(csr: &[u8]) -> Result<(SubjectPublicKeyInfo, Vec<u8>), CsrProblem> {
    if csr.len() > MAX_CSR_BYTES {
        return Err(CsrProblem::TooLarge);
    }
    let (rest, request) =
        X509CertificationRequest::from_der(csr).map_err(|_| CsrProblem::Unreadable)?;
    if !rest.is_empty() {
        return Err(CsrProblem::Unreadable);
    }
    let key = &request.certification_request_info.subject_pki;
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|p| p.as_oid().ok());
    let point = key.subject_public_key.data.as_ref();
    if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY
        || curve != Some(OID_EC_P256)
        || request.signature_algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256
        || point.len() != POINT_BYTES
    {
        return Err(CsrProblem::NotP256);
    }
    request
        .verify_signature()
        .map_err(|_| CsrProblem::NotSelfSigned)?;
    let info = SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| CsrProblem::NotP256)?;
    Ok((info, point.to_vec()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::signing::keys;
    use nestwarden_policy_schema::id::SettingId;
    use proptest::prelude::*;

    fn ca(dir: &Path) -> DeviceCa {
        keys::create_all(dir, setting(), &["localhost".to_owned()], now()).unwrap();
        DeviceCa::load(&dir.join("keys")).unwrap()
    }

    fn setting() -> SettingId {
        SettingId::from_uuid(uuid::Uuid::from_u128(7))
    }

    fn device() -> DeviceId {
        DeviceId::from_uuid(uuid::Uuid::from_u128(1))
    }

    fn now() -> Timestamp {
        "2026-03-02T08:00:00Z".parse().unwrap()
    }

    fn csr(key: &KeyPair, name: &str) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_names_the_device_whatever_the_request_says() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let request = csr(&key, "somebody else");
        let issued = ca(dir.path()).issue(&request, device(), now()).unwrap();
        let peer = peer(&issued.certificate).unwrap();
        assert_eq!(peer.device, device());
        assert_eq!(peer.public_key, key.public_key_raw());
        assert_eq!(peer.not_after, now() + CERTIFICATE_LIFE);
        let (_, parsed) = X509Certificate::from_der(&issued.certificate).unwrap();
        assert_eq!(parsed.subject().to_string(), format!("CN={}", device()));
    }

    #[test]
    fn two_certificates_never_share_a_serial_number() {
        let dir = tempfile::tempdir().unwrap();
        let ca = ca(dir.path());
        let request = csr(&KeyPair::generate().unwrap(), "tablet");
        let first = ca.issue(&request, device(), now()).unwrap();
        let second = ca.issue(&request, device(), now()).unwrap();
        assert_ne!(first.serial, second.serial);
    }

    #[test]
    fn a_request_with_another_kind_of_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ca = ca(dir.path());
        for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let refused = ca.issue(&csr(&key, "tablet"), device(), now()).unwrap_err();
            assert!(matches!(refused, CaError::Csr(CsrProblem::NotP256)));
        }
    }

    #[test]
    fn a_request_that_is_not_signed_by_its_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ca = ca(dir.path());
        let key = KeyPair::generate().unwrap();
        let mut request = csr(&key, "tablet");
        let at = request
            .windows(key.public_key_raw().len())
            .position(|w| w == key.public_key_raw())
            .unwrap();
        let other = KeyPair::generate().unwrap();
        request[at..at + POINT_BYTES].copy_from_slice(other.public_key_raw());
        let refused = ca.issue(&request, device(), now()).unwrap_err();
        assert!(matches!(refused, CaError::Csr(CsrProblem::NotSelfSigned)));
    }

    #[test]
    fn an_oversized_or_trailing_request_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ca = ca(dir.path());
        let mut request = csr(&KeyPair::generate().unwrap(), "tablet");
        request.push(0);
        let refused = ca.issue(&request, device(), now()).unwrap_err();
        assert!(matches!(refused, CaError::Csr(CsrProblem::Unreadable)));
        request.resize(MAX_CSR_BYTES + 1, 0);
        let refused = ca.issue(&request, device(), now()).unwrap_err();
        assert!(matches!(refused, CaError::Csr(CsrProblem::TooLarge)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(checked_key(&bytes).is_err());
            prop_assert!(peer(&bytes).is_none());
        }
    }
}
