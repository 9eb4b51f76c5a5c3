//! An authenticator in software, for tests alone: P-256, a counter, no attestation, and whatever lies a test wants told.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const NEW_CREDENTIAL: u8 = 1 << 6;

pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    credential: Vec<u8>,
    /// As it was told when the key was made.
    pub(crate) user_handle: String,
    pub(crate) counter: u32,
}

impl Authenticator {
    pub(crate) fn new(name: &str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self {
            key: EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap(),
            credential: digest(&SHA256, name.as_bytes()).as_ref().to_vec(),
            user_handle: String::new(),
            counter: 0,
        }
    }

    /// Answers `navigator.credentials.create` on a page of `origin`.
    pub(crate) fn create(&mut self, origin: &str, options: &Value) -> String {
        options["user"]["id"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.user_handle);
        let flags = USER_PRESENT | USER_VERIFIED | NEW_CREDENTIAL;
        let mut data = self.data(options["rp"]["id"].as_str().unwrap(), flags);
        data.extend([0; 16]);
        data.extend([0, u8::try_from(self.credential.len()).unwrap()]);
        data.extend(&self.credential);
        // COSE: EC2, ES256, P-256, and the two halves of the point.
        let point = self.key.public_key().as_ref();
        data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 32]);
        data.extend(&point[33..]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        let answer = json!({
            "attestationObject": text(&object),
            "clientDataJSON": text(client_data("webauthn.create", origin, options).as_bytes()),
            "clientExtensionResults": {},
            "transports": [],
            "type": "public-key",
        });
        answer.to_string()
    }

    /// Answers `navigator.credentials.get` on a page of `origin`.
    pub(crate) fn get(&mut self, origin: &str, options: &Value) -> String {
        self.counter += 1;
        let data = self.data(
            options["rpId"].as_str().unwrap(),
            USER_PRESENT | USER_VERIFIED,
        );
        let client_data = client_data("webauthn.get", origin, options);
        let mut signed = data.clone();
        signed.extend(digest(&SHA256, client_data.as_bytes()).as_ref());
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let answer = json!({
            "id": text(&self.credential),
            "authenticatorData": text(&data),
            "clientDataJSON": text(client_data.as_bytes()),
            "signature": text(signature.as_ref()),
            "userHandle": self.user_handle,
            "clientExtensionResults": {},
            "type": "public-key",
        });
        answer.to_string()
    }

    fn data(&self, party: &str, flags: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, party.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }
}

fn client_data(what: &str, origin: &str, options: &Value) -> String {
    let challenge = &options["challenge"];
    json!({ "type": what, "challenge": challenge, "origin": origin, "crossOrigin": false })
        .to_string()
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
