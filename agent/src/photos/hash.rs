//! The keyed hash that tells one content from another without telling anybody what it is.

use nestwarden_policy_schema::bytes::{Digest, Secret};
use ring::hmac;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

/// HMAC-SHA-256 under the setting's photo hash key. Prints nothing of the key.
#[derive(Clone)]
pub struct ContentKey(hmac::Key);

impl ContentKey {
    pub fn new(key: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    pub fn hasher(&self) -> ContentHasher {
        ContentHasher {
            context: hmac::Context::with_key(&self.0),
            bytes: 0,
        }
    }

    /// Tells contents of a length apart by how they begin.
    pub fn head(&self, bytes: u64, beginning: &[u8]) -> Head {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"nestwarden photo head v1");
        context.update(&bytes.to_be_bytes());
        context.update(beginning);
        let mut head = Head([0; 16]);
        head.0.copy_from_slice(&context.sign().as_ref()[..16]);
        head
    }

    /// The hash and length of what `reader` gives until its end.
    pub fn hash(&self, reader: &mut impl Read, stop: &Stop) -> io::Result<(Digest, u64)> {
        let mut hasher = self.hasher();
        copy(reader, stop, |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        Ok(hasher.finish())
    }
}

/// What is as long as this is not read but by a job of its own: nothing else may wait for it, and a file that takes no disk
/// may take hours.
pub(super) const LONG_BYTES: u64 = 32 * 1024 * 1024;

/// Of one content it is always the same. Two of which it is the same have to be read whole to be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head(pub [u8; 16]);

pub struct ContentHasher {
    context: hmac::Context,
    bytes: u64,
}

impl ContentHasher {
    pub fn update(&mut self, chunk: &[u8]) {
        self.context.update(chunk);
        self.bytes += chunk.len() as u64;
    }

    pub fn finish(self) -> (Digest, u64) {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.context.sign().as_ref());
        (Digest(digest), self.bytes)
    }
}

/// Asks long work to end: set when its reason has gone.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn check(&self) -> io::Result<()> {
        if self.is_asked() {
            Err(io::Error::new(
                io::ErrorKind::Interrupted,
                "its reason has gone",
            ))
        } else {
            Ok(())
        }
    }
}

/// Gives every chunk of `reader` to `each`, looking at `stop` in between.
pub(super) fn copy(
    reader: &mut impl Read,
    stop: &Stop,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        stop.check()?;
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => each(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
