//! Key, certificate and enrolment on disk, replaced together.
//!
//! Each set is a folder of its own, written and synchronised in full; `current` is a link to one of them and is switched
//! by one rename. Whatever instruction a crash falls on, `current` names a set that is whole.

use super::{DeviceKey, IdentityError};
use crate::ledger::Enrolment;
use crate::paths::Paths;
use crate::platform::keystore;
use jiff::Timestamp;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const CURRENT: &str = "current";
const NEXT: &str = "current.next";
const PLAIN_KEY: &str = "key.pk8";
const SEALED_KEY: &str = "key.sealed";
const CERTIFICATE: &str = "certificate.der";
const CA: &str = "ca.der";
const ENROLMENT: &str = "enrolment.json";
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// How the private key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySeal {
    /// 0600 and nothing else.
    FileOnly,
    /// Sealed to this machine by `systemd-creds`, with its TPM where there is one.
    Machine,
}

/// The identity in use.
#[derive(Debug)]
pub struct Identity {
    pub key: DeviceKey,
    pub seal: KeySeal,
    /// X.509 in DER.
    pub certificate: Vec<u8>,
    pub ca_certificate: Vec<u8>,
    pub enrolment: Enrolment,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// What is about to become the identity in use.
pub struct NewIdentity<'a> {
    pub key: &'a DeviceKey,
    pub certificate: &'a [u8],
    pub ca_certificate: &'a [u8],
    pub enrolment: &'a Enrolment,
}

/// The folder of identities. Calls block.
#[derive(Clone, Debug)]
pub struct IdentityStore {
    dir: PathBuf,
    may_seal: bool,
}

impl Identity {
    /// From when on it is to be renewed: half way through.
    pub fn renew_from(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        self.not_before
            .saturating_add(life / 2)
            .unwrap_or(self.not_after)
    }
}

impl IdentityStore {
    pub fn new(paths: &Paths) -> Self {
        Self {
            dir: paths.identity_dir(),
            may_seal: paths.is_whole_machine(),
        }
    }

    /// `None` before enrolment.
    pub fn load(&self) -> Result<Option<Identity>, IdentityError> {
        let set = self.dir.join(CURRENT);
        if !set.try_exists().map_err(file("look for", &set))? {
            return Ok(None);
        }
        let (key, seal) = load_key(&set)?;
        let certificate = read(&set.join(CERTIFICATE))?;
        let enrolment = read(&set.join(ENROLMENT))?;
        let enrolment =
            serde_json::from_slice(&enrolment).map_err(|error| IdentityError::Damaged {
                what: "enrolment",
                path: set.join(ENROLMENT),
                problem: error.to_string(),
            })?;
        let (not_before, not_after) = checked_certificate(&certificate, &key)?;
        Ok(Some(Identity {
            key,
            seal,
            certificate,
            ca_certificate: read(&set.join(CA))?,
            enrolment,
            not_before,
            not_after,
        }))
    }

    /// Replaces the identity in use, durably and at once.
    pub fn install(&self, new: &NewIdentity<'_>) -> Result<(), IdentityError> {
        checked_certificate(new.certificate, new.key)?;
        private_dir(&self.dir)?;
        let name = format!("set-{}", uuid::Uuid::now_v7());
        let set = self.dir.join(&name);
        private_dir(&set)?;
        let sealed = if self.may_seal {
            keystore::seal(new.key.expose_pkcs8())
        } else {
            None
        };
        match sealed {
            Some(sealed) => write(&set.join(SEALED_KEY), &sealed)?,
            None => write(&set.join(PLAIN_KEY), new.key.expose_pkcs8())?,
        }
        write(&set.join(CERTIFICATE), new.certificate)?;
        write(&set.join(CA), new.ca_certificate)?;
        let enrolment = serde_json::to_vec(new.enrolment)
            .map_err(|error| IdentityError::Key(error.to_string()))?;
        write(&set.join(ENROLMENT), &enrolment)?;
        sync_dir(&set)?;
        self.switch_to(&name)?;
        self.remove_others(&name);
        Ok(())
    }

    /// Whether there is one, whole or not.
    pub fn exists(&self) -> bool {
        self.dir.join(CURRENT).exists()
    }

    /// The tablet is nobody's any more. Durable when it returns; fine where there is none.
    pub fn remove(&self) -> Result<(), IdentityError> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file("remove", &self.dir)(error))
            }
            Ok(()) | Err(_) => match self.dir.parent() {
                Some(state) if state.exists() => sync_dir(state),
                Some(_) | None => Ok(()),
            },
        }
    }

    fn switch_to(&self, name: &str) -> Result<(), IdentityError> {
        let next = self.dir.join(NEXT);
        match fs::remove_file(&next) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file("remove", &next)(error));
            }
            Ok(()) | Err(_) => {}
        }
        symlink(name, &next).map_err(file("link", &next))?;
        sync_dir(&self.dir)?;
        let current = self.dir.join(CURRENT);
        fs::rename(&next, &current).map_err(file("switch", &current))?;
        sync_dir(&self.dir)
    }

    /// Old sets, and those that a crash left unfinished. What cannot be removed now goes the next time.
    fn remove_others(&self, name: &str) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten() {
            let other = entry.file_name();
            if other.to_string_lossy().starts_with("set-")
                && other != name
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "an old identity could not be removed");
            }
        }
    }
}

/// Whether a certificate is for `key`; from when to when it holds.
fn checked_certificate(
    certificate: &[u8],
    key: &DeviceKey,
) -> Result<(Timestamp, Timestamp), IdentityError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| IdentityError::Certificate(error.to_string()))?;
    if parsed.public_key().subject_public_key.data.as_ref() != key.public_key() {
        return Err(IdentityError::Certificate(
            "it is for another key".to_owned(),
        ));
    }
    let at = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp())
            .map_err(|error| IdentityError::Certificate(error.to_string()))
    };
    let validity = parsed.validity();
    Ok((at(validity.not_before)?, at(validity.not_after)?))
}

fn load_key(set: &Path) -> Result<(DeviceKey, KeySeal), IdentityError> {
    let sealed = set.join(SEALED_KEY);
    if sealed.try_exists().map_err(file("look for", &sealed))? {
        let opened = keystore::unseal(&read(&sealed)?).map_err(IdentityError::Sealed)?;
        return Ok((DeviceKey::from_pkcs8(opened)?, KeySeal::Machine));
    }
    let plain = Zeroizing::new(read(&set.join(PLAIN_KEY))?);
    Ok((DeviceKey::from_pkcs8(plain)?, KeySeal::FileOnly))
}

fn private_dir(path: &Path) -> Result<(), IdentityError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(file("make", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(file("protect", path))
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
        .map_err(file("read", path))?;
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let mut opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(file("write", path))?;
    opened
        .write_all(bytes)
        .and_then(|()| opened.sync_all())
        .map_err(file("write", path))
}

fn sync_dir(path: &Path) -> Result<(), IdentityError> {
    fs::File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(file("write down", path))
}

fn file(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::File { act, path, source }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::testing::{Signer, enrolment};

    fn certificate(key: &DeviceKey) -> Vec<u8> {
        let key = rcgen::KeyPair::try_from(key.expose_pkcs8()).unwrap();
        let params = rcgen::CertificateParams::default();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn store() -> (tempfile::TempDir, IdentityStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(&Paths::new(dir.path()));
        (dir, store)
    }

    fn install(store: &IdentityStore, key: &DeviceKey) {
        store
            .install(&NewIdentity {
                key,
                certificate: &certificate(key),
                ca_certificate: b"ca",
                enrolment: &enrolment(&Signer::new()),
            })
            .unwrap();
    }

    #[test]
    fn a_new_pair_replaces_the_old_one_and_nothing_else_is_left() {
        let (_dir, store) = store();
        assert!(store.load().unwrap().is_none());
        let (old, new) = (
            DeviceKey::generate().unwrap(),
            DeviceKey::generate().unwrap(),
        );
        install(&store, &old);
        install(&store, &new);
        let loaded = store.load().unwrap().unwrap();
        assert_eq!(loaded.key.public_key(), new.public_key());
        assert_eq!(fs::read_dir(&store.dir).unwrap().count(), 2);
    }

    #[test]
    fn a_set_that_a_crash_left_unfinished_changes_nothing() {
        let (_dir, store) = store();
        let key = DeviceKey::generate().unwrap();
        install(&store, &key);
        fs::create_dir(store.dir.join("set-unfinished")).unwrap();
        symlink("set-unfinished", store.dir.join(NEXT)).unwrap();
        let loaded = store.load().unwrap().unwrap();
        assert_eq!(loaded.key.public_key(), key.public_key());
        install(&store, &DeviceKey::generate().unwrap());
        assert_eq!(fs::read_dir(&store.dir).unwrap().count(), 2);
    }

    #[test]
    fn keys_are_for_root_alone() {
        let (_dir, store) = store();
        install(&store, &DeviceKey::generate().unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.dir), 0o700);
        assert_eq!(mode(&store.dir.join(CURRENT).join(PLAIN_KEY)), 0o600);
    }

    #[test]
    fn a_certificate_for_another_key_is_refused() {
        let (_dir, store) = store();
        let key = DeviceKey::generate().unwrap();
        let refused = store.install(&NewIdentity {
            key: &key,
            certificate: &certificate(&DeviceKey::generate().unwrap()),
            ca_certificate: b"ca",
            enrolment: &enrolment(&Signer::new()),
        });
        assert!(refused.is_err());
        assert!(store.load().unwrap().is_none());
    }
}
