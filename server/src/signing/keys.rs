//! The setting's keys: made once by `init`, loaded by `serve`.
//!
//! The offline recovery keys are made here too, handed to the person at the terminal and never written to this machine:
//! only their public halves stay.

use crate::signing::ca::{common_name, set_validity};
use crate::signing::high_water::HighWater;
use crate::signing::private_file;
use age::secrecy::ExposeSecret as _;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::{Base64, Digest, Secret};
use nestwarden_policy_schema::id::SettingId;
use nestwarden_policy_schema::trust::{Anchors, KeyId, SigningPublicKey, SpkiPin};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const CA_LIFE: SignedDuration = SignedDuration::from_hours(3653 * 24);
/// Tablets judge this certificate by its key and not by its dates.
const TABLET_TLS_LIFE: SignedDuration = CA_LIFE;
/// The longest that browsers accept.
const CONSOLE_TLS_LIFE: SignedDuration = SignedDuration::from_hours(825 * 24);

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(
        "`{path}` already exists; keys are never overwritten. If an earlier `init` was interrupted, remove the whole data directory and run it again"
    )]
    Exists { path: PathBuf },
    #[error("failed to write `{path}`")]
    Write { path: PathBuf, source: io::Error },
    #[error("failed to read `{path}`; was `nestwarden-server init` run for this data directory?")]
    Read { path: PathBuf, source: io::Error },
    #[error("`{path}` cannot be used: {problem}; restore it from a backup")]
    Unusable { path: PathBuf, problem: String },
    #[error("failed to make the {what}: {problem}")]
    Make { what: &'static str, problem: String },
}

/// What `init` tells the person who ran it.
#[derive(Debug)]
pub struct Created {
    pub sheet: RecoverySheet,
    pub public: PublicKeys,
}

/// The public halves of everything, kept beside the private ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PublicKeys {
    pub setting: SettingId,
    pub created_at: Timestamp,
    pub signing: SigningPublicKey,
    /// The offline root that may replace the anchors.
    pub recovery: SigningPublicKey,
    /// age recipients a sealed photo is readable to.
    pub release_recipient: String,
    pub recovery_recipient: String,
    pub tablet_tls_pin: SpkiPin,
    pub console_tls_pin: SpkiPin,
}

impl PublicKeys {
    /// What a tablet is given to trust at enrolment.
    pub fn anchors(&self) -> Anchors {
        Anchors {
            setting: self.setting,
            version: 1,
            signing: vec![self.signing.clone()],
            recovery: self.recovery.clone(),
            approvers: Vec::new(),
            server_pins: vec![self.tablet_tls_pin],
        }
    }
}

/// The setting's offline keys, to be printed once and kept on paper or on a token. Displaying it is printing it.
pub struct RecoverySheet {
    setting: SettingId,
    created_at: Timestamp,
    root_seed: Zeroizing<[u8; 32]>,
    identity: age::x25519::Identity,
    /// No secret: what is signed is compared with it where this server is not.
    signing: KeyId,
}

impl RecoverySheet {
    /// The last group of the root key: what a person types to prove that the sheet was kept.
    pub fn check_group(&self) -> String {
        self.root_groups().pop().unwrap_or_default()
    }

    /// 16 groups of 4 hex digits, then one that is a check on the rest.
    fn root_groups(&self) -> Vec<String> {
        let check = Digest::sha256(self.root_seed.as_ref()).0;
        self.root_seed
            .chunks(2)
            .chain([&check[..2]])
            .map(|pair| format!("{:02x}{:02x}", pair[0], pair[1]))
            .collect()
    }
}

impl fmt::Display for RecoverySheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.root_groups();
        writeln!(f, "NESTWARDEN RECOVERY SHEET")?;
        writeln!(f, "Setting {}, made {}", self.setting, self.created_at)?;
        writeln!(f)?;
        writeln!(
            f,
            "Keep this on paper, away from the server. It is not stored anywhere else and cannot be made again."
        )?;
        writeln!(f, "Whoever has it can replace the keys tablets trust, and")?;
        writeln!(f, "with a tablet in hand open its sealed photos.")?;
        writeln!(f)?;
        writeln!(f, "Root key (Ed25519 seed; the last group is a check):")?;
        for line in groups.chunks(9) {
            writeln!(f, "  {}", line.join(" "))?;
        }
        writeln!(f, "Photo recovery key (age):")?;
        writeln!(f, "  {}", self.identity.to_string().expose_secret())?;
        writeln!(f)?;
        writeln!(
            f,
            "No secret: archives of this setting are signed by the key"
        )?;
        writeln!(f, "  {}", self.signing)
    }
}

impl fmt::Debug for RecoverySheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoverySheet(…)")
    }
}

/// Makes every key of a new setting under `data_dir`, which must exist: `keys/` for `serve`, `signer/` for the signer.
/// `public_names` are the host names and addresses of the server.
///
/// Nothing that exists is overwritten. The directory `keys` appears last and whole: if it is there, so is everything.
pub fn create_all(
    data_dir: &Path,
    setting: SettingId,
    public_names: &[String],
    now: Timestamp,
) -> Result<Created, KeysError> {
    let (keys_dir, signer_dir) = (data_dir.join("keys"), data_dir.join("signer"));
    for dir in [&keys_dir, &signer_dir] {
        if dir.exists() {
            return Err(KeysError::Exists { path: dir.clone() });
        }
    }
    let ca = device_ca(setting, now)?;
    let tablet = server_certificate(public_names, "nestwarden tablets", now, TABLET_TLS_LIFE)?;
    let console = server_certificate(public_names, "nestwarden console", now, CONSOLE_TLS_LIFE)?;
    let (signing_pkcs8, signing) = signing_key()?;
    let root_seed = Zeroizing::new(random_32()?);
    let root = Ed25519KeyPair::from_seed_unchecked(root_seed.as_ref())
        .map_err(|e| make("recovery root key", &e))?;
    let identity = age::x25519::Identity::generate();
    let release = age::x25519::Identity::generate();
    let photo_hash = Zeroizing::new(random_32()?);
    let public = PublicKeys {
        setting,
        created_at: now,
        signing,
        recovery: SigningPublicKey(Base64(root.public_key().as_ref().to_vec())),
        release_recipient: release.to_public().to_string(),
        recovery_recipient: identity.to_public().to_string(),
        tablet_tls_pin: tablet.pin,
        console_tls_pin: console.pin,
    };
    let release_text = release.to_string();
    let public_text = serde_json::to_vec_pretty(&public).map_err(|e| make("public keys", &e))?;

    make_dir(&signer_dir)?;
    write(&signer_dir, "signing.key", &signing_pkcs8)?;
    HighWater::create(&signer_dir, setting).map_err(|source| KeysError::Write {
        path: signer_dir.clone(),
        source,
    })?;

    let staging = data_dir.join(".keys.new");
    if staging.exists() {
        std::fs::remove_dir_all(&staging).map_err(|source| KeysError::Write {
            path: staging.clone(),
            source,
        })?;
    }
    make_dir(&staging)?;
    let files: [(&str, &[u8]); 9] = [
        ("device-ca.key", ca.key.as_bytes()),
        ("device-ca.crt", ca.certificate.as_bytes()),
        ("tablet-tls.key", tablet.key.as_bytes()),
        ("tablet-tls.crt", tablet.certificate.as_bytes()),
        ("console-tls.key", console.key.as_bytes()),
        ("console-tls.crt", console.certificate.as_bytes()),
        ("release.age", release_text.expose_secret().as_bytes()),
        ("photo-hash.key", photo_hash.as_ref()),
        ("public.json", &public_text),
    ];
    for (name, bytes) in files {
        write(&staging, name, bytes)?;
    }
    std::fs::rename(&staging, &keys_dir)
        .and_then(|()| private_file::sync_dir(data_dir))
        .map_err(|source| KeysError::Write {
            path: keys_dir,
            source,
        })?;
    let sheet = RecoverySheet {
        setting,
        created_at: now,
        root_seed,
        identity,
        signing: public.signing.key_id(),
    };
    Ok(Created { sheet, public })
}

/// The keys `serve` works with, besides those of the CA and of TLS, which [`crate::signing::DeviceCa`] and
/// [`crate::tls`] load.
#[derive(Clone, Debug)]
pub struct ServerKeys {
    pub public: PublicKeys,
    pub photo_hash: Secret,
}

impl ServerKeys {
    pub fn load(keys_dir: &Path) -> Result<Self, KeysError> {
        let public = public_keys(keys_dir)?;
        let path = keys_dir.join("photo-hash.key");
        let photo_hash = std::fs::read(&path).map_err(|source| KeysError::Read {
            path: path.clone(),
            source,
        })?;
        if photo_hash.len() != 32 {
            return Err(KeysError::Unusable {
                path,
                problem: format!("it has {} bytes instead of 32", photo_hash.len()),
            });
        }
        Ok(Self {
            public,
            photo_hash: Secret::new(photo_hash),
        })
    }
}

/// The public halves alone.
pub fn public_keys(keys_dir: &Path) -> Result<PublicKeys, KeysError> {
    let path = keys_dir.join("public.json");
    serde_json::from_str(&read_text(&path)?).map_err(|e| KeysError::Unusable {
        path,
        problem: e.to_string(),
    })
}

pub(crate) fn read_text(path: &Path) -> Result<Zeroizing<String>, KeysError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(source) => Err(KeysError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A key and its certificate, both in PEM.
struct Certified {
    key: Zeroizing<String>,
    certificate: String,
    pin: SpkiPin,
}

fn device_ca(setting: SettingId, now: Timestamp) -> Result<Certified, KeysError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("nestwarden devices of {setting}"));
    set_validity(&mut params, now, now + CA_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    certify("device CA", &params)
}

fn server_certificate(
    names: &[String],
    name: &'static str,
    now: Timestamp,
    life: SignedDuration,
) -> Result<Certified, KeysError> {
    let mut params = CertificateParams::new(names).map_err(|e| make(name, &e))?;
    params.distinguished_name = common_name(name);
    set_validity(&mut params, now, now + life);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    certify(name, &params)
}

fn certify(what: &'static str, params: &CertificateParams) -> Result<Certified, KeysError> {
    use rcgen::PublicKeyData as _;
    let key = KeyPair::generate().map_err(|e| make(what, &e))?;
    let certificate = params.self_signed(&key).map_err(|e| make(what, &e))?;
    Ok(Certified {
        certificate: certificate.pem(),
        pin: SpkiPin(Digest::sha256(&key.subject_public_key_info())),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

fn signing_key() -> Result<(Zeroizing<Vec<u8>>, SigningPublicKey), KeysError> {
    let what = "bundle signing key";
    let document =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|e| make(what, &e))?;
    let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
    let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|e| make(what, &e))?;
    let public = SigningPublicKey(Base64(pair.public_key().as_ref().to_vec()));
    Ok((pkcs8, public))
}

fn random_32() -> Result<[u8; 32], KeysError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|e| make("random bytes", &e))?;
    Ok(bytes)
}

fn make(what: &'static str, problem: &impl ToString) -> KeysError {
    KeysError::Make {
        what,
        problem: problem.to_string(),
    }
}

fn make_dir(dir: &Path) -> Result<(), KeysError> {
    private_file::create_dir(dir).map_err(|source| KeysError::Write {
        path: dir.to_owned(),
        source,
    })
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), KeysError> {
    let path = dir.join(name);
    private_file::create(&path, bytes).map_err(|source| KeysError::Write { path, source })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn create(dir: &Path) -> Result<Created, KeysError> {
        let setting = SettingId::from_uuid(uuid::Uuid::from_u128(7));
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        create_all(
            dir,
            setting,
            &names,
            "2026-03-02T08:00:00Z".parse().unwrap(),
        )
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        ["keys", "signer"]
            .iter()
            .flat_map(|sub| std::fs::read_dir(dir.join(sub)).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    #[test]
    fn every_key_file_is_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(files(dir.path()).len(), 11);
        for path in files(dir.path()) {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
        assert_eq!(mode(&dir.path().join("keys")), 0o700);
        assert_eq!(mode(&dir.path().join("signer")), 0o700);
    }

    #[test]
    fn keys_are_never_made_twice() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path()).unwrap();
        let before: Vec<_> = files(dir.path())
            .iter()
            .map(std::fs::read)
            .map(Result::unwrap)
            .collect();
        assert!(matches!(create(dir.path()), Err(KeysError::Exists { .. })));
        let after: Vec<_> = files(dir.path())
            .iter()
            .map(std::fs::read)
            .map(Result::unwrap)
            .collect();
        assert_eq!(before, after);
    }

    #[test]
    fn the_recovery_keys_are_on_the_sheet_and_nowhere_on_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let created = create(dir.path()).unwrap();
        let sheet = created.sheet.to_string();
        let age_key = sheet
            .lines()
            .find_map(|line| line.trim().strip_prefix("AGE-SECRET-KEY-"))
            .unwrap();
        let seed = created.sheet.root_seed.as_ref();
        for path in files(dir.path()) {
            let bytes = std::fs::read(&path).unwrap();
            let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
            assert!(
                !holds(seed) && !holds(age_key.as_bytes()),
                "{}",
                path.display()
            );
        }
        assert_eq!(format!("{:?}", created.sheet), "RecoverySheet(…)");
        assert!(sheet.contains(&created.sheet.check_group()));
    }

    #[test]
    fn the_printed_root_key_is_the_one_tablets_are_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let created = create(dir.path()).unwrap();
        let printed: Vec<String> = created.sheet.root_groups();
        let seed: Vec<u8> = printed[..16]
            .concat()
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let anchors = ServerKeys::load(&dir.path().join("keys"))
            .unwrap()
            .public
            .anchors();
        assert_eq!(anchors.recovery.0.0, pair.public_key().as_ref());
    }
}
