//! The tablet's key: ECDSA on P-256, made here, used for TLS and for signing batch heads.

use super::IdentityError;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::envelope::{Signable as _, Signed, message_of};
use nestwarden_policy_schema::event::ChainHead;
use nestwarden_policy_schema::trust::KeyId;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use zeroize::Zeroizing;

/// A private key; does not print.
pub struct DeviceKey {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: EcdsaKeyPair,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

impl DeviceKey {
    pub fn generate() -> Result<Self, IdentityError> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .map_err(|_| IdentityError::Key("the system gave no random bytes".to_owned()))?;
        Self::from_pkcs8(Zeroizing::new(pkcs8.as_ref().to_vec()))
    }

    pub fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, IdentityError> {
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &pkcs8,
            &SystemRandom::new(),
        )
        .map_err(|error| IdentityError::Key(error.to_string()))?;
        Ok(Self { pkcs8, pair })
    }

    pub fn expose_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The uncompressed point, as in the certificate.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// A certificate request (PKCS#10, DER). The server decides on every name in the certificate.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let failed = |error: rcgen::Error| IdentityError::Key(error.to_string());
        let key = rcgen::KeyPair::try_from(self.expose_pkcs8()).map_err(failed)?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "nestwarden tablet");
        let request = params.serialize_request(&key).map_err(failed)?;
        Ok(request.der().to_vec())
    }

    /// ECDSA P-256 with SHA-256, ASN.1.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| IdentityError::Key("the key did not sign".to_owned()))
    }

    pub fn sign_head(&self, head: &ChainHead) -> Result<Signed, IdentityError> {
        let payload =
            serde_json::to_string(head).map_err(|error| IdentityError::Key(error.to_string()))?;
        let signature = self.sign(&message_of(ChainHead::DOMAIN, &payload))?;
        Ok(Signed {
            payload,
            key_id: KeyId(Digest::sha256(self.public_key())),
            signature: Base64(signature),
        })
    }

    pub(super) fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()))
    }
}
