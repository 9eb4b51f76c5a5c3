//! Seals a withheld photo: age format (C2SP age-encryption.org/v1) to two recipients, the server's release key and the
//! setting's offline recovery key. Neither is on the tablet, so the tablet cannot undo it.
//!
//! What is verified before the plaintext may go, on the file read back through a new descriptor after it was synced:
//! - every byte of ciphertext is the one that was written (SHA-256 computed while writing, and again while reading);
//! - the header holds exactly two X25519 stanzas, as many as there are recipients, and its MAC is right;
//! - it decrypts, with the file key kept in memory for this, to content whose keyed hash and length are the photo's.
//!
//! What cannot be verified here is that the holders of the two recipients still have their keys; rehearsing that is the
//! server's and the setting's part.

use super::fault::Write as Lasting;
use super::hash::{ContentKey, Stop, copy};
use super::room;
use super::tree::{self, Identity, RelPath};
use age::secrecy::ExposeSecret as _;
use age::x25519;
use age_core::format::{FileKey, Stanza};
use nestwarden_policy_schema::bytes::Digest;
use rustix::fd::OwnedFd;
use rustix::fs::Advice;
use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Read, Write};
use std::str::FromStr as _;

const PIECE_BYTES: usize = 64 * 1024;

/// Whom photos are sealed to.
#[derive(Clone)]
pub struct Recipients {
    release: x25519::Recipient,
    recovery: x25519::Recipient,
}

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error(
        "the bundle's {which} recipient cannot be used ({problem}); nothing can be sealed until the server sends another"
    )]
    Recipient {
        which: &'static str,
        problem: &'static str,
    },
    /// The content is no longer what it was when it was last read.
    #[error("the photo changed while it was withheld")]
    Changed { hash: Digest, bytes: u64 },
    #[error("the sealed file does not read back as it was written: {0}")]
    NotAsWritten(String),
    #[error("failed to {act}")]
    Io {
        act: &'static str,
        #[source]
        source: io::Error,
    },
}

/// The problem's name: the texts that age has for people are translations it may not find.
pub(super) fn age_problem(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl SealError {
    fn io(act: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { act, source }
    }

    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if room::is_full(source))
    }
}

impl Recipients {
    pub fn parse(release: &str, recovery: &str) -> Result<Self, SealError> {
        let parse = |which, text| {
            x25519::Recipient::from_str(text)
                .map_err(|problem| SealError::Recipient { which, problem })
        };
        if release == recovery {
            return Err(SealError::Recipient {
                which: "recovery",
                problem: "it is the release key, and then one lost key would lose every photo",
            });
        }
        Ok(Self {
            release: parse("release", release)?,
            recovery: parse("recovery", recovery)?,
        })
    }
}

/// A sealed file as it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFile {
    pub vault: RelPath,
    pub name: OsString,
    pub bytes: u64,
    /// SHA-256 of the ciphertext.
    pub sha256: Digest,
}

/// What is sealed: a file in a vault and the content it must have.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    pub dir: &'a OwnedFd,
    pub name: &'a OsStr,
    /// Hash and length; `None` where it was never read whole: then it is whatever is there.
    pub content: Option<(Digest, u64)>,
}

/// What came of sealing.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    /// Length and SHA-256 of the ciphertext.
    pub bytes: u64,
    pub sha256: Digest,
    /// Hash and length of what was sealed.
    pub content: (Digest, u64),
}

/// What a sealed file of this much content takes, at most: its header, and a tag on each piece.
pub(super) fn most_bytes(content: u64) -> u64 {
    const HEADER: u64 = 4096;
    const TAG: u64 = 16;
    content + HEADER + TAG * (content / PIECE_BYTES as u64 + 2)
}

/// Writes `plain`, encrypted, to a new file beside it, and returns once that is durable and verified.
pub fn seal(
    plain: Plain<'_>,
    to: (&OwnedFd, &OsStr),
    recipients: &Recipients,
    key: &ContentKey,
    stop: &Stop,
) -> Result<Sealed, SealError> {
    let (dir, name) = to;
    // Whatever an earlier attempt left. The catalogue does not know it as sealed, so the plaintext is still there.
    tree::unlink(dir, name).map_err(SealError::io("clear the way for the sealed file"))?;
    let kept = KeptFileKey::default();
    let mut source =
        tree::open_file(plain.dir, plain.name).map_err(SealError::io("open the withheld photo"))?;
    let sink = tree::create_new(dir, name).map_err(SealError::io("make the sealed file"))?;
    let length = tree::stat_open(&source).map_err(SealError::io("open the withheld photo"))?;
    room::claim(&sink, most_bytes(length.identity.size))
        .map_err(SealError::io("find room for the sealed file"))?;
    // How age cuts its header into pieces differs each time; what reaches the disk does not.
    let mut written = BufWriter::with_capacity(PIECE_BYTES, Hashing::new(&sink));
    let act = "write the sealed file";
    let both = [
        Tee(&recipients.release, &kept),
        Tee(&recipients.recovery, &kept),
    ];
    let encryptor =
        age::Encryptor::with_recipients(both.iter().map(|tee| tee as &dyn age::Recipient))
            .map_err(|e| SealError::NotAsWritten(age_problem(&e)))?;
    let mut hasher = key.hasher();
    let mut out = encryptor
        .wrap_output(&mut written)
        .map_err(SealError::io(act))?;
    copy(&mut source, stop, |chunk| {
        hasher.update(chunk);
        out.write_all(chunk)
    })
    .map_err(SealError::io(act))?;
    out.finish().map_err(SealError::io(act))?;
    let written = written.into_inner();
    let (sha256, bytes) = written
        .map_err(|error| SealError::io(act)(error.into_error()))?
        .finish();
    // What was claimed beyond its end.
    sink.set_len(bytes)
        .and_then(|()| sink.sync_all())
        .map_err(SealError::io("sync the sealed file"))?;
    tree::sync_dir(dir).map_err(SealError::io("sync the vault"))?;
    drop(sink);
    let content = hasher.finish();
    if plain.content.is_some_and(|known| known != content) {
        let (hash, bytes) = content;
        return Err(SealError::Changed { hash, bytes });
    }
    let sealed = Sealed {
        bytes,
        sha256,
        content,
    };
    verify(to, &sealed, &kept, key, stop)?;
    Ok(sealed)
}

/// Reads a sealed file back and compares it with what was written and with what was sealed.
fn verify(
    (dir, name): (&OwnedFd, &OsStr),
    sealed: &Sealed,
    file_key: &KeptFileKey,
    key: &ContentKey,
    stop: &Stop,
) -> Result<(), SealError> {
    let act = "read the sealed file back";
    let file = tree::open_file(dir, name).map_err(SealError::io(act))?;
    // So that what is compared comes from the disk. Where the kernel declines, it comes from memory.
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    let mut reading = Hashing::new(&file);
    let decryptor =
        age::Decryptor::new(&mut reading).map_err(|e| SealError::NotAsWritten(age_problem(&e)))?;
    let mut content = decryptor
        .decrypt(std::iter::once(file_key as &dyn age::Identity))
        .map_err(|e| SealError::NotAsWritten(age_problem(&e)))?;
    let found = key.hash(&mut content, stop).map_err(SealError::io(act))?;
    if found != sealed.content {
        return Err(SealError::NotAsWritten("its content differs".to_owned()));
    }
    drop(content);
    copy(&mut reading, stop, |_| Ok(())).map_err(SealError::io(act))?;
    let (found, length) = reading.finish();
    if (length, found) != (sealed.bytes, sealed.sha256) {
        return Err(SealError::NotAsWritten("its bytes differ".to_owned()));
    }
    Ok(())
}

/// Whether a sealed file is still what it was when it was verified.
pub fn is_whole(vault: &OwnedFd, sealed: &SealedFile, stop: &Stop) -> io::Result<bool> {
    let mut file = match tree::open_file(vault, &sealed.name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut reading = Hashing::new(&mut file);
    copy(&mut reading, stop, |_| Ok(()))?;
    Ok(reading.finish() == (sealed.sha256, sealed.bytes))
}

/// Whether a file in a vault still holds a content.
pub fn holds(plain: Plain<'_>, key: &ContentKey, stop: &Stop) -> io::Result<bool> {
    let mut file = tree::open_file(plain.dir, plain.name)?;
    Ok(Some(key.hash(&mut file, stop)?) == plain.content)
}

/// Of several names, one per inode: hard links hold one content.
pub(super) fn one_name_per_file<T>(
    names: impl IntoIterator<Item = (Identity, T)>,
) -> impl Iterator<Item = T> {
    let mut seen = HashSet::new();
    names
        .into_iter()
        .filter(move |(identity, _)| seen.insert((identity.dev, identity.ino)))
        .map(|(_, name)| name)
}

/// Hashes what passes through in either direction.
struct Hashing<T> {
    inner: T,
    context: ring::digest::Context,
    bytes: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            context: ring::digest::Context::new(&ring::digest::SHA256),
            bytes: 0,
        }
    }

    fn note(&mut self, chunk: &[u8]) {
        self.context.update(chunk);
        self.bytes += chunk.len() as u64;
    }

    fn finish(self) -> (Digest, u64) {
        (Digest::from_ring(&self.context.finish()), self.bytes)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        super::fault::reach(Lasting::Ciphertext)?;
        let written = self.inner.write(buffer)?;
        self.note(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.note(&buffer[..read]);
        Ok(read)
    }
}

/// The file key while it is in use, so that the result can be opened once to be compared. Wiped when dropped.
#[derive(Default)]
struct KeptFileKey {
    key: RefCell<Option<FileKey>>,
}

/// Wraps for a recipient and keeps the file key.
struct Tee<'a>(&'a x25519::Recipient, &'a KeptFileKey);

pub(super) fn duplicate(key: &FileKey) -> FileKey {
    FileKey::init_with_mut(|bytes| bytes.copy_from_slice(key.expose_secret()))
}

impl age::Recipient for Tee<'_> {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        *self.1.key.borrow_mut() = Some(duplicate(file_key));
        self.0.wrap_file_key(file_key)
    }
}

impl age::Identity for KeptFileKey {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        None
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        // Newer age writers may add stanzas that mean nothing ("grease"); they are never of this kind.
        let wrapped = stanzas.iter().filter(|stanza| stanza.tag == "X25519");
        if wrapped.count() != 2 {
            return None;
        }
        self.key.borrow().as_ref().map(|key| Ok(duplicate(key)))
    }
}
