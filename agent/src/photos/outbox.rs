//! Encrypts reviewed photos to the recipient of their request and keeps account of what left.
//!
//! One photo at a time: its ciphertext is made in a folder that only the agent can enter, its digest goes into the signed
//! record, and only then may the first byte leave. Whatever instant the power is cut at, the next start sends the same
//! ciphertext again, or makes and records another.

use super::catalogue::PhotoRow;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::fault::{self, Write};
use super::hash::{ContentKey, Stop, copy};
use super::review::{Content, Sealed, review_of};
use super::seal::age_problem;
use super::tree::{self, RelPath};
use super::unseal::{Held, file_key};
use super::vault::Vaults;
use age::x25519;
use age_core::format::FileKey;
use nestwarden_policy_schema::access::AccessRequest;
use nestwarden_policy_schema::bytes::{Digest, Secret};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{AccessRequestId, PhotoId};
use ring::digest::{Context, SHA256};
use rusqlite::params;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::str::FromStr as _;
use zeroize::Zeroizing;

/// A ciphertext whose digest is on record.
#[derive(Debug)]
pub struct Upload {
    pub request: AccessRequestId,
    pub photo: PhotoId,
    pub bytes: u64,
    pub sha256: Digest,
    pub file: File,
}

/// What there is to do next.
pub enum Next {
    Send(Upload),
    Encrypt(Box<ToEncrypt>),
}

/// A photo that is to be encrypted.
pub struct ToEncrypt {
    pub request: AccessRequestId,
    pub photo: PhotoId,
    recipient: String,
    pub content: Content,
    /// `None`: only its beginning was read when it was catalogued.
    hash: Option<Digest>,
    bytes: u64,
    key: ContentKey,
}

/// A ciphertext that is on disk, and not on record yet.
#[derive(Debug)]
pub struct Encrypted {
    pub request: AccessRequestId,
    pub photo: PhotoId,
    recipient: String,
    bytes: u64,
    sha256: Digest,
}

const FOLDER: &str = "outbox";

impl Engine {
    /// The next photo that waits to be sent, but none of `skip`; `None` when there is none.
    pub fn export_next(
        &self,
        moment: &Moment<'_>,
        skip: &dyn Fn(PhotoId) -> bool,
    ) -> Result<Option<Next>, PhotosError> {
        for access in &moment.bundle.access_requests {
            let request = match self.open_request(moment, access.request.id) {
                Ok(request) => request,
                Err(PhotosError::NoRequest(_)) => continue,
                Err(error) => return Err(error),
            };
            let Some((said, Some(_))) = self.ledger.read(|sql| review_of(sql, request))? else {
                continue;
            };
            for (photo, (_, state)) in said {
                let waits = state == "waiting" || state == "ready";
                if !waits || skip(photo) {
                    continue;
                }
                // A freeze may have come since, or the photo may have gone: then it stays.
                let Ok(row) = self.row_to_review(moment, request, photo) else {
                    continue;
                };
                return self.export_of(moment, request, row, &state).map(Some);
            }
        }
        Ok(None)
    }

    fn export_of(
        &self,
        moment: &Moment<'_>,
        request: &AccessRequest,
        row: PhotoRow,
        state: &str,
    ) -> Result<Next, PhotosError> {
        if state == "ready"
            && let Some(upload) = self.made_before(request.id, row.id)?
        {
            return Ok(Next::Send(upload));
        }
        Ok(Next::Encrypt(Box::new(ToEncrypt {
            request: request.id,
            photo: row.id,
            recipient: request.recipient.clone(),
            hash: row.hash,
            bytes: row.bytes,
            key: ContentKey::new(&moment.bundle.photo_hash_key),
            content: self.content(moment, request.id, row)?,
        })))
    }

    /// The ciphertext whose digest was recorded, if it is still that.
    fn made_before(
        &self,
        request: AccessRequestId,
        photo: PhotoId,
    ) -> Result<Option<Upload>, PhotosError> {
        let (bytes, sha256) = self.ledger.read(|sql| {
            let select = "SELECT bytes, sha256 FROM access_photo WHERE request = ?1 AND photo = ?2";
            let ids = [request.to_string(), photo.to_string()];
            let found = sql.query_row(select, ids, |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok::<(i64, [u8; 32]), PhotosError>(found)
        })?;
        let (bytes, sha256) = (bytes.cast_unsigned(), Digest(sha256));
        let dir = self.vaults.outbox()?;
        let Ok(mut file) = tree::open_file(&dir, &name(request, photo)) else {
            return Ok(None);
        };
        let (mut hash, mut length) = (Context::new(&SHA256), 0);
        copy(&mut file, &Stop::default(), |chunk| {
            hash.update(chunk);
            length += chunk.len() as u64;
            Ok(())
        })?;
        if (length, Digest::from_ring(&hash.finish())) != (bytes, sha256) {
            return Ok(None);
        }
        Ok(Some(Upload {
            request,
            photo,
            bytes,
            sha256,
            file: tree::open_file(&dir, &name(request, photo))?,
        }))
    }

    /// Records that a ciphertext is about to be sent. `None`: its request ended meanwhile, or a freeze came.
    pub fn export_ready(
        &self,
        moment: &Moment<'_>,
        made: &Encrypted,
    ) -> Result<Option<Upload>, PhotosError> {
        let still = self
            .open_request(moment, made.request)
            .ok()
            .filter(|request| request.recipient == made.recipient)
            .and_then(|request| self.row_to_review(moment, request, made.photo).ok());
        let dir = self.vaults.outbox()?;
        let name = name(made.request, made.photo);
        if still.is_none() {
            tree::unlink(&dir, &name)?;
            return Ok(None);
        }
        self.commit(Write::ExportReady, |tx| {
            tx.sql().execute(
                "UPDATE access_photo SET state = 'ready', bytes = ?3, sha256 = ?4
                 WHERE request = ?1 AND photo = ?2 AND state IN ('waiting', 'ready')",
                params![
                    made.request.to_string(),
                    made.photo.to_string(),
                    made.bytes.cast_signed(),
                    made.sha256.0
                ],
            )?;
            let told = EventBody::PhotoExported {
                request: made.request,
                photo: made.photo,
                bytes: made.bytes,
                sha256: made.sha256,
            };
            tx.record(moment.now.at, &told)?;
            Ok(())
        })?;
        Ok(Some(Upload {
            request: made.request,
            photo: made.photo,
            bytes: made.bytes,
            sha256: made.sha256,
            file: tree::open_file(&dir, &name)?,
        }))
    }

    /// The server has it on disk.
    pub fn export_sent(&self, request: AccessRequestId, photo: PhotoId) -> Result<(), PhotosError> {
        self.commit(Write::ExportSent, |tx| {
            tx.sql().execute(
                "UPDATE access_photo SET state = 'sent' WHERE request = ?1 AND photo = ?2",
                [request.to_string(), photo.to_string()],
            )?;
            Ok(())
        })?;
        tree::unlink(&self.vaults.outbox()?, &name(request, photo))?;
        Ok(())
    }

    /// Removes ciphertexts that nothing waits for: of requests that ended, or left by a cut.
    pub fn export_tidy(&self, moment: &Moment<'_>) -> Result<(), PhotosError> {
        let dir = self.vaults.outbox()?;
        let names = tree::names(&dir)?;
        if names.is_empty() {
            return Ok(());
        }
        let mut wanted: Vec<OsString> = Vec::new();
        for access in &moment.bundle.access_requests {
            let Ok(request) = self.open_request(moment, access.request.id) else {
                continue;
            };
            let review = self.ledger.read(|sql| review_of(sql, request))?;
            let said = review.map(|(said, _)| said).unwrap_or_default();
            let ready = said.iter().filter(|(_, (_, state))| state == "ready");
            wanted.extend(ready.map(|(photo, _)| name(request.id, *photo)));
        }
        for name in names.iter().filter(|name| !wanted.contains(name)) {
            tree::unlink(&dir, name)?;
        }
        Ok(())
    }
}

impl Vaults {
    /// Where ciphertexts wait; in the agent's state, and closed to everybody else.
    fn outbox(&self) -> io::Result<rustix::fd::OwnedFd> {
        let state = self.own_parent().unwrap_or_else(RelPath::root);
        let folder = state.join(OsStr::new(FOLDER)).unwrap_or_else(RelPath::root);
        self.open_or_make_folder(&folder)
    }
}

fn name(request: AccessRequestId, photo: PhotoId) -> OsString {
    OsString::from(format!("{request}.{photo}.age"))
}

impl ToEncrypt {
    /// Streams the content into a new ciphertext; sealed content is opened with `key` and is never plain on the disk.
    pub fn encrypt(self, vaults: &Vaults, key: Option<&Secret>) -> io::Result<Encrypted> {
        let recipient = x25519::Recipient::from_str(&self.recipient).map_err(io::Error::other)?;
        let dir = vaults.outbox()?;
        let name = name(self.request, self.photo);
        tree::unlink(&dir, &name)?;
        let mut sink = Hashing {
            file: tree::create_new(&dir, &name)?,
            hash: Context::new(&SHA256),
            bytes: 0,
        };
        let encryptor =
            age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
                .map_err(|e| io::Error::other(age_problem(&e)))?;
        let mut out = encryptor.wrap_output(&mut sink)?;
        let mut content = self.key.hasher();
        let each = |chunk: &[u8]| {
            content.update(chunk);
            out.write_all(chunk)
        };
        // Not at every piece: how many there are is up to age.
        fault::reach(Write::ExportCiphertext)?;
        match self.content {
            Content::Plain(mut viewed) => copy(&mut viewed.file, &Stop::default(), each)?,
            Content::Sealed(sealed) => {
                let key = file_key(key.ok_or_else(|| io::Error::other("there is no key for it"))?)?;
                sealed.each(vaults, &key, each)?;
            }
        }
        fault::reach(Write::ExportCiphertext)?;
        out.finish()?;
        let (hash, bytes) = content.finish();
        if bytes != self.bytes || self.hash.is_some_and(|known| known != hash) {
            tree::unlink(&dir, &name)?;
            return Err(io::Error::other("it is not what was catalogued any more"));
        }
        sink.file.sync_all()?;
        tree::sync_dir(&dir)?;
        Ok(Encrypted {
            request: self.request,
            photo: self.photo,
            recipient: self.recipient,
            bytes: sink.bytes,
            sha256: Digest::from_ring(&sink.hash.finish()),
        })
    }
}

impl Sealed {
    /// The content, in memory and nowhere else; `most`: beyond that many bytes it is refused.
    pub fn preview(
        &self,
        vaults: &Vaults,
        key: &Secret,
        content_key: &ContentKey,
        most: u64,
    ) -> io::Result<Zeroizing<Vec<u8>>> {
        if self.bytes > most {
            return Err(io::Error::other("it is too big to be looked at"));
        }
        let length = usize::try_from(self.bytes).map_err(io::Error::other)?;
        // Never grown: what a vector leaves behind when it grows is not wiped.
        let mut plain = Zeroizing::new(Vec::with_capacity(length));
        let mut hasher = content_key.hasher();
        self.each(vaults, &file_key(key)?, |chunk| {
            if plain.len() + chunk.len() > length {
                return Err(io::Error::other("it is longer than it was"));
            }
            hasher.update(chunk);
            plain.extend_from_slice(chunk);
            Ok(())
        })?;
        let (hash, bytes) = hasher.finish();
        if bytes != self.bytes || self.hash.is_some_and(|known| known != hash) {
            return Err(io::Error::other(
                "what it opens to is not the photo that was sealed",
            ));
        }
        Ok(plain)
    }

    fn each(
        &self,
        vaults: &Vaults,
        key: &FileKey,
        each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let dir = vaults.open(&self.file.vault)?;
        let source = BufReader::new(tree::open_file(&dir, &self.file.name)?);
        let held = Held(key);
        let mut content = age::Decryptor::new_buffered(source)
            .and_then(|file| file.decrypt(std::iter::once(&held as &dyn age::Identity)))
            .map_err(|e| io::Error::other(age_problem(&e)))?;
        copy(&mut content, &Stop::default(), each)
    }
}

/// Hashes what is written.
struct Hashing {
    file: File,
    hash: Context,
    bytes: u64,
}

impl io::Write for Hashing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
