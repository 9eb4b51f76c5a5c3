//! Ciphertexts of photos that tablets sent for subject access requests: files, outside of the database, for this user
//! only. Nothing here can open one.

use crate::signing::private_file::dir_of;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::{AccessRequestId, DeviceId, PhotoId};
use ring::digest::{Context, SHA256};
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use uuid::Uuid;

/// Left free on the disk, so that records and events always fit.
const KEPT_FREE_BYTES: u64 = 512 * 1024 * 1024;
/// How often the room is looked at while a file comes in.
const LOOK_EVERY_BYTES: u64 = 16 * 1024 * 1024;

/// A folder with one folder for each request.
#[derive(Clone, Debug)]
pub struct ReceivedFiles {
    dir: PathBuf,
    kept_free: u64,
}

/// A ciphertext on its way in. Dropped before it is finished, it leaves nothing.
pub struct Incoming {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    hash: Context,
    bytes: u64,
    looked_at: u64,
    kept_free: u64,
}

impl ReceivedFiles {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            kept_free: KEPT_FREE_BYTES,
        }
    }

    /// With another amount of room to be kept free.
    #[must_use]
    pub fn keeping_free(self, bytes: u64) -> Self {
        Self {
            kept_free: bytes,
            ..self
        }
    }

    fn folder(&self, request: AccessRequestId) -> PathBuf {
        self.dir.join(request.to_string())
    }

    pub fn path(&self, request: AccessRequestId, device: DeviceId, photo: PhotoId) -> PathBuf {
        self.folder(request).join(format!("{device}.{photo}.age"))
    }

    /// Blocks, as everything here does.
    pub fn begin(
        &self,
        request: AccessRequestId,
        device: DeviceId,
        photo: PhotoId,
    ) -> io::Result<Incoming> {
        let folder = self.folder(request);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let temporary = folder.join(format!("{}.part", Uuid::new_v4()));
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        let incoming = Incoming {
            file,
            temporary,
            path: self.path(request, device, photo),
            hash: Context::new(&SHA256),
            bytes: 0,
            looked_at: 0,
            kept_free: self.kept_free,
        };
        incoming.check_room()?;
        Ok(incoming)
    }

    pub fn remove(
        &self,
        request: AccessRequestId,
        device: DeviceId,
        photo: PhotoId,
    ) -> io::Result<()> {
        absent_is_fine(std::fs::remove_file(self.path(request, device, photo)))
    }

    /// Everything that was received for a request.
    pub fn remove_all(&self, request: AccessRequestId) -> io::Result<()> {
        absent_is_fine(std::fs::remove_dir_all(self.folder(request)))?;
        match File::open(&self.dir) {
            Ok(dir) => dir.sync_all(),
            Err(error) => absent_is_fine(Err(error)),
        }
    }
}

impl Incoming {
    pub fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.bytes += chunk.len() as u64;
        if self.bytes - self.looked_at >= LOOK_EVERY_BYTES {
            self.looked_at = self.bytes;
            self.check_room()?;
        }
        self.hash.update(chunk);
        self.file.write_all(chunk)
    }

    fn check_room(&self) -> io::Result<()> {
        let room = rustix::fs::fstatvfs(&self.file)?;
        if room.f_bavail.saturating_mul(room.f_frsize) < self.kept_free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn digest(&self) -> Digest {
        Digest::from_ring(&self.hash.clone().finish())
    }

    /// Puts it in its place, over one that came before; durable when this returns.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        File::open(dir_of(&self.path))?.sync_all()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Once it is in its place there is none.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
