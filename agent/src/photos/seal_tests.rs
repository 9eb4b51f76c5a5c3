//! Sealing to keys that the tests hold.

use super::fault::{Write, armed};
use super::hash::{ContentKey, Stop};
use super::seal::{Plain, Recipients, SealError, Sealed, SealedFile, is_whole, seal};
use super::tree::{RelPath, Tree};
use age::x25519;
use nestwarden_policy_schema::bytes::{Digest, Secret};
use rustix::fd::OwnedFd;
use std::ffi::OsStr;

struct Place {
    temp: tempfile::TempDir,
    dir: OwnedFd,
    key: ContentKey,
    identities: [x25519::Identity; 2],
    recipients: Recipients,
}

fn place(content: &[u8]) -> Place {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("plain"), content).unwrap();
    let tree = Tree::open(temp.path()).unwrap();
    let dir = tree.dir(&RelPath::root()).unwrap();
    let key = ContentKey::new(&Secret::new(vec![7; 32]));
    let identities = [x25519::Identity::generate(), x25519::Identity::generate()];
    let recipients = Recipients::parse(
        &identities[0].to_public().to_string(),
        &identities[1].to_public().to_string(),
    )
    .unwrap();
    Place {
        temp,
        dir,
        key,
        identities,
        recipients,
    }
}

impl Place {
    fn seal(&self, content: Option<(Digest, u64)>) -> Result<Sealed, SealError> {
        let plain = Plain {
            dir: &self.dir,
            name: OsStr::new("plain"),
            content,
        };
        let to = (&self.dir, OsStr::new("sealed"));
        seal(plain, to, &self.recipients, &self.key, &Stop::default())
    }

    fn hash(&self, mut content: &[u8]) -> (Digest, u64) {
        self.key.hash(&mut content, &Stop::default()).unwrap()
    }
}

#[test]
fn either_key_opens_a_sealed_photo_and_gets_every_byte() {
    let content: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let place = place(&content);
    let known = place.hash(&content);
    let sealed = place.seal(Some(known)).unwrap();
    let ciphertext = std::fs::read(place.temp.path().join("sealed")).unwrap();
    assert_eq!(sealed.bytes, ciphertext.len() as u64);
    assert_eq!(sealed.sha256, Digest::sha256(&ciphertext));
    for identity in &place.identities {
        assert_eq!(age::decrypt(identity, &ciphertext).unwrap(), content);
    }
    let stranger = x25519::Identity::generate();
    assert!(age::decrypt(&stranger, &ciphertext).is_err());
}

#[test]
fn a_photo_that_changed_is_not_sealed_as_the_old_one() {
    let place = place(b"\xff\xd8\xff what was seen");
    let known = place.hash(b"\xff\xd8\xff something else");
    let refused = place.seal(Some(known)).unwrap_err();
    assert!(matches!(refused, SealError::Changed { .. }));
}

#[test]
fn a_damaged_sealed_file_is_not_whole() {
    let place = place(b"\xff\xd8\xff a photo");
    let written = place.seal(None).unwrap();
    assert_eq!(written.content, place.hash(b"\xff\xd8\xff a photo"));
    let sealed = SealedFile {
        vault: RelPath::root(),
        name: "sealed".into(),
        bytes: written.bytes,
        sha256: written.sha256,
    };
    let whole = || is_whole(&place.dir, &sealed, &Stop::default()).unwrap();
    assert!(whole());
    let path = place.temp.path().join("sealed");
    let mut ciphertext = std::fs::read(&path).unwrap();
    *ciphertext.last_mut().unwrap() ^= 1;
    std::fs::write(&path, ciphertext).unwrap();
    assert!(!whole());
}

#[test]
fn a_sealed_file_that_the_disk_has_otherwise_than_it_was_written_does_not_count() {
    let content = vec![7; 100_000];
    for at in [3, 90_000] {
        let place = place(&content);
        let path = place.temp.path().join("sealed");
        armed::at(Write::SyncDir, move || {
            let mut ciphertext = std::fs::read(&path).unwrap();
            ciphertext[at] ^= 1;
            std::fs::write(&path, ciphertext).unwrap();
        });
        assert!(place.seal(None).is_err(), "byte {at}");
    }
}

#[test]
fn a_sealed_file_that_is_missing_is_not_whole() {
    let place = place(b"\xff\xd8\xff a photo");
    let missing = SealedFile {
        vault: RelPath::root(),
        name: "sealed".into(),
        bytes: 1,
        sha256: Digest::sha256(b""),
    };
    assert!(!is_whole(&place.dir, &missing, &Stop::default()).unwrap());
}

#[test]
fn one_key_for_both_recipients_is_refused() {
    let key = x25519::Identity::generate().to_public().to_string();
    assert!(Recipients::parse(&key, &key).is_err());
    assert!(Recipients::parse(&key, "age1nonsense").is_err());
}
