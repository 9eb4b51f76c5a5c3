//! The server's half of every sealed photo: it opens the key of one file, never a file. Passcodes that wait for their tablet
//! are sealed to the same key.

use crate::signing::KeysError;
use crate::signing::keys::read_text;
use age::Identity as _;
use age::secrecy::ExposeSecret as _;
use age_core::format::Stanza;
use nestwarden_policy_schema::bytes::{Digest, Secret};
use nestwarden_policy_schema::device_api::UnsealStanza;
use std::path::Path;
use std::str::FromStr as _;
use zeroize::Zeroizing;

/// An age identity. Not printed.
pub struct ReleaseKey(age::x25519::Identity);

/// The key of one sealed file, with the digest of the stanza that held it.
pub struct FileKey {
    pub key: Secret,
    pub stanza: Digest,
}

impl std::fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReleaseKey(…)")
    }
}

impl ReleaseKey {
    pub fn load(keys_dir: &Path) -> Result<Self, KeysError> {
        let path = keys_dir.join("release.age");
        let text = read_text(&path)?;
        match age::x25519::Identity::from_str(text.trim()) {
            Ok(identity) => Ok(Self(identity)),
            Err(problem) => Err(KeysError::Unusable {
                path,
                problem: problem.to_owned(),
            }),
        }
    }

    /// `None`: no stanza was made for this key, or it was damaged.
    pub fn open(&self, stanzas: &[UnsealStanza]) -> Option<FileKey> {
        stanzas.iter().find_map(|stanza| {
            let known = Stanza {
                tag: stanza.tag.clone(),
                args: stanza.args.clone(),
                body: stanza.body.0.clone(),
            };
            let key = self.0.unwrap_stanza(&known)?.ok()?;
            Some(FileKey {
                key: Secret::new(key.expose_secret().to_vec()),
                stanza: digest(stanza),
            })
        })
    }
}

impl ReleaseKey {
    /// To which is sealed what only this key opens.
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    /// What [`seal`] sealed to this key. `None`: it was to another, or was damaged.
    pub fn unseal(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        age::decrypt(&self.0, sealed).ok().map(Zeroizing::new)
    }
}

/// `None`: `recipient` is none.
pub fn seal(recipient: &str, secret: &[u8]) -> Option<Vec<u8>> {
    let recipient = age::x25519::Recipient::from_str(recipient).ok()?;
    age::encrypt(&recipient, secret).ok()
}

fn digest(stanza: &UnsealStanza) -> Digest {
    let mut parts: Vec<&[u8]> = vec![stanza.tag.as_bytes(), &stanza.body.0];
    parts.extend(stanza.args.iter().map(String::as_bytes));
    Digest::of_parts("nestwarden/sealed-stanza/v1", &parts)
}
