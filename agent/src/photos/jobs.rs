//! The slow acts: sealing, destroying, and clearing away what desktops derived from photos. They touch files only; what
//! they come to counts once the engine has judged the photo again.

use super::absorb::is_trash;
use super::fault;
use super::hash::{ContentKey, LONG_BYTES, Stop};
use super::reread::RereadJob;
use super::roots::{RootKind, Roots};
use super::seal::{self, Plain, Recipients, SealError, SealedFile};
use super::search::{self, Copy};
use super::thumbnail::Thumbnails;
use super::tree::{self, Identity, RelPath, Stat, Tree};
use super::unseal::UnsealJob;
use super::vault::{self, MoveError, Vaults};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::Due;
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::receipt::{Artefact, ArtefactKind, ArtefactResult};
use rustix::fd::OwnedFd;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;

pub enum Job {
    Seal(Box<SealJob>),
    Destroy(Box<DestroyJob>),
    Unseal(Box<UnsealJob>),
    Reread(Box<RereadJob>),
    /// Of photos that were withheld from these paths.
    Thumbnails(Vec<RelPath>),
}

/// A file in a vault.
#[derive(Clone, Debug)]
pub(super) struct Vaulted {
    pub(super) file: i64,
    pub(super) path: RelPath,
    pub(super) in_trash: bool,
    pub(super) vault: RelPath,
    pub(super) name: OsString,
    pub(super) identity: Identity,
}

pub struct SealJob {
    pub(super) photo: PhotoId,
    /// `None`: it was never read whole.
    pub(super) hash: Option<Digest>,
    pub(super) bytes: u64,
    /// Never empty.
    pub(super) files: Vec<Vaulted>,
    pub(super) to: (RelPath, OsString),
    /// What it was sealed to before: then the files are copies that came later.
    pub(super) sealed: Option<SealedFile>,
    pub(super) recipients: Recipients,
    pub(super) key: ContentKey,
    pub(super) stop: Arc<Stop>,
}

pub struct DestroyJob {
    pub(super) photo: PhotoId,
    pub(super) hash: Digest,
    pub(super) bytes: u64,
    pub(super) sealed: SealedFile,
    /// What described it, in the vaults.
    pub(super) sidecars: Vec<(RelPath, OsString)>,
    /// Every path it was ever at.
    pub(super) names: Vec<(RelPath, bool)>,
    pub(super) patterns: BTreeSet<String>,
    pub(super) vaults: BTreeSet<RelPath>,
    pub(super) why: Due,
    pub(super) key: ContentKey,
    pub(super) stop: Arc<Stop>,
    /// The sealed file has gone already: there is no way back.
    pub(super) past_return: bool,
}

/// What a job came to.
pub enum Done {
    Sealed {
        photo: PhotoId,
        files: Vec<i64>,
        sealed: SealedFile,
        content: (Digest, u64),
    },
    /// A file holds something else than when it was seen.
    Changed {
        photo: PhotoId,
        file: i64,
        hash: Digest,
        bytes: u64,
    },
    NotSealed {
        photo: PhotoId,
        error: SealError,
    },
    Destroyed {
        photo: PhotoId,
        why: Due,
        artefacts: Vec<Artefact>,
        files_read: u64,
    },
    NotDestroyed {
        photo: PhotoId,
        why: Due,
        past_return: bool,
        problem: String,
    },
    Unsealed {
        photo: PhotoId,
        name: OsString,
        stat: Stat,
    },
    NotUnsealed {
        photo: PhotoId,
        problem: String,
    },
    /// Its reason had gone before it began to do anything lasting, or there was nothing to do.
    Stopped {
        photo: PhotoId,
    },
    Cleared,
}

impl Job {
    /// The photo it is at work on.
    pub fn photo(&self) -> Option<PhotoId> {
        match self {
            Self::Seal(job) => Some(job.photo),
            Self::Destroy(job) => Some(job.photo),
            Self::Unseal(job) => Some(job.photo),
            Self::Reread(job) => Some(job.photo),
            Self::Thumbnails(_) => None,
        }
    }

    /// Whether it reads or writes so much that others must not wait for it.
    pub(super) fn is_long(&self) -> bool {
        let bytes = match self {
            Self::Seal(job) => job.bytes,
            Self::Unseal(job) => job.bytes(),
            Self::Destroy(_) | Self::Reread(_) | Self::Thumbnails(_) => 0,
        };
        bytes >= LONG_BYTES
    }

    /// Runs to its end, or until it is told to stop. Blocks.
    pub fn run(self, vaults: &Vaults) -> Done {
        match self {
            Self::Seal(job) => job.run(vaults),
            Self::Destroy(job) => job.run(vaults),
            Self::Unseal(job) => job.run(vaults),
            Self::Reread(job) => job.run(vaults),
            Self::Thumbnails(paths) => {
                let mut thumbnails = Thumbnails::open(vaults.tree());
                for path in paths {
                    if let Err(error) = thumbnails.remove(&path) {
                        tracing::warn!(%error, "a thumbnail could not be removed");
                    }
                }
                Done::Cleared
            }
        }
    }
}

type SealedPhoto = (SealedFile, (Digest, u64));
type OtherContent = (i64, Digest, u64);

impl SealJob {
    fn run(self, vaults: &Vaults) -> Done {
        let photo = self.photo;
        match self.seal(vaults) {
            _ if self.stop.is_asked() => Done::Stopped { photo },
            Ok(Ok((sealed, content))) => {
                for file in &self.files {
                    clear_derived(vaults.tree(), &file.path, file.in_trash);
                }
                let files = self.files.iter().map(|file| file.file).collect();
                Done::Sealed {
                    photo,
                    files,
                    sealed,
                    content,
                }
            }
            Ok(Err((file, hash, bytes))) => Done::Changed {
                photo,
                file,
                hash,
                bytes,
            },
            Err(error) => Done::NotSealed { photo, error },
        }
    }

    /// The sealed file and what is in it, or the first file that holds something else.
    fn seal(&self, vaults: &Vaults) -> Result<Result<SealedPhoto, OtherContent>, SealError> {
        let io = |act| move |source| SealError::Io { act, source };
        let to_dir = vaults.open(&self.to.0).map_err(io("open the vault"))?;
        let to = (&to_dir, self.to.1.as_os_str());
        let mut sealed = self.sealed.clone();
        let mut content = self.hash.map(|hash| (hash, self.bytes));
        if let Some(sealed) = &sealed {
            let is_whole = vaults
                .open(&sealed.vault)
                .and_then(|dir| seal::is_whole(&dir, sealed, &self.stop));
            if !is_whole.map_err(io("compare the sealed file"))? {
                let problem =
                    "it is missing or damaged; the copy that turned up is kept in the vault";
                return Err(SealError::NotAsWritten(problem.to_owned()));
            }
        }
        let names = self.files.iter().map(|file| (file.identity, file));
        for file in seal::one_name_per_file(names) {
            let act = "open the withheld photo";
            let dir = vaults.open(&file.vault).map_err(io(act))?;
            let plain = Plain {
                dir: &dir,
                name: &file.name,
                content,
            };
            if sealed.is_none() {
                let bytes = seal::most_bytes(file.identity.size);
                let seal = || seal::seal(plain, to, &self.recipients, &self.key, &self.stop);
                match vaults.with_room(&to_dir, bytes, SealError::is_disk_full, seal) {
                    Ok(written) => {
                        content = Some(written.content);
                        sealed = Some(SealedFile {
                            vault: self.to.0.clone(),
                            name: self.to.1.clone(),
                            bytes: written.bytes,
                            sha256: written.sha256,
                        });
                    }
                    Err(SealError::Changed { hash, bytes }) => {
                        return Ok(Err((file.file, hash, bytes)));
                    }
                    Err(error) => return Err(error),
                }
                continue;
            }
            let found = tree::open_file(&dir, &file.name)
                .and_then(|mut content| self.key.hash(&mut content, &self.stop))
                .map_err(io(act))?;
            if content != Some(found) {
                return Ok(Err((file.file, found.0, found.1)));
            }
        }
        sealed.zip(content).map(Ok).ok_or(SealError::Io {
            act: "find anything to seal",
            source: io::Error::from(io::ErrorKind::NotFound),
        })
    }
}

/// How often copies that keep turning up are removed before it is given up for now.
const MAX_ROUNDS: u32 = 3;

impl DestroyJob {
    fn run(mut self, vaults: &Vaults) -> Done {
        let (photo, why) = (self.photo, self.why);
        if !self.past_return && self.stop.is_asked() {
            return Done::Stopped { photo };
        }
        match self.destroy(vaults) {
            Ok((artefacts, files_read)) => Done::Destroyed {
                photo,
                why,
                artefacts,
                files_read,
            },
            Err(problem) => Done::NotDestroyed {
                photo,
                why,
                past_return: self.past_return,
                problem,
            },
        }
    }

    fn destroy(&mut self, vaults: &Vaults) -> Result<(Vec<Artefact>, u64), String> {
        let tree = vaults.tree();
        let mut artefacts = Vec::new();
        let mut discarded_one = |kind| {
            artefacts.push(Artefact {
                kind,
                result: ArtefactResult::DiscardRequested,
            });
        };
        let sealed_dir = vaults
            .open(&self.sealed.vault)
            .map_err(|e| format!("the vault `{}`: {e}", self.sealed.vault))?;
        let goes_on = std::mem::replace(&mut self.past_return, true);
        let was_there = vault::discard(&sealed_dir, &self.sealed.name)
            .map_err(|e| format!("the sealed file could not be removed: {e}"))?;
        if !was_there && !goes_on {
            // Somebody took it away, and may have it.
            self.past_return = false;
            return Err(format!(
                "the sealed file is not in its vault `{}`",
                self.sealed.vault
            ));
        }
        discarded_one(ArtefactKind::Sealed);
        for (vault, name) in &self.sidecars {
            let discarded = vaults
                .open(vault)
                .and_then(|dir| vault::discard_beside(&dir, name));
            discarded.map_err(|e| format!("a sidecar could not be removed: {e}"))?;
            discarded_one(ArtefactKind::Sidecar);
        }
        for (path, in_trash) in &self.names {
            for _ in 0..clear_derived(tree, path, *in_trash) {
                discarded_one(ArtefactKind::Thumbnail);
            }
        }
        let identities = vaults.identities(&self.vaults);
        let mut files_read = 0;
        for _ in 0..MAX_ROUNDS {
            self.discard_caught(vaults).map_err(|e| e.to_string())?;
            let roots = Roots::resolve(tree, &self.patterns);
            let content = (&self.hash, self.bytes);
            let found = search::search(tree, &roots, &identities, content, &self.key)
                .map_err(|e| e.to_string())?;
            files_read += found.files_read;
            let unseen = found
                .unreadable
                .iter()
                .map(|(path, e)| format!("`{path}`: {e}"));
            let problems = roots
                .problems
                .iter()
                .map(|(path, e)| format!("`{path}`: {e}"));
            if let Some(problem) = unseen.chain(problems).next() {
                return Err(format!("the second look could not read {problem}"));
            }
            if found.copies.is_empty() {
                return Ok((artefacts, files_read));
            }
            for copy in found.copies {
                let Some(root) = roots.of(&copy.path) else {
                    continue;
                };
                self.catch(vaults, &copy, &root.path)?;
                let in_trash = copy.kind == RootKind::Trash || is_trash(&copy.path);
                let kind = if in_trash {
                    ArtefactKind::Trash
                } else {
                    ArtefactKind::Copy
                };
                artefacts.push(Artefact {
                    kind,
                    result: ArtefactResult::DiscardRequested,
                });
                clear_derived(tree, &copy.path, in_trash);
            }
        }
        Err("copies keep turning up while it is being destroyed".to_owned())
    }

    fn caught_name(&self) -> OsString {
        format!("{}.caught", self.photo).into()
    }

    /// What a copy was renamed to before it is emptied, so that nothing else can be caught by its name.
    fn discard_caught(&self, vaults: &Vaults) -> io::Result<()> {
        for vault in &self.vaults {
            match vaults.open(vault) {
                Ok(dir) => self.discard_if_it_is(&dir)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Only ever the photo itself, or what is left of it once it was emptied.
    fn discard_if_it_is(&self, dir: &OwnedFd) -> io::Result<()> {
        let name = self.caught_name();
        let size = match tree::stat(dir, &name) {
            Ok(stat) => stat.identity.size,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if size != 0 && !self.is_photo(dir)? {
            return Err(io::Error::other(
                "a file that is not the photo was caught by its name; it is kept in the vault",
            ));
        }
        vault::discard(dir, &name).map(|_| ())
    }

    fn is_photo(&self, dir: &OwnedFd) -> io::Result<bool> {
        let plain = Plain {
            dir,
            name: &self.caught_name(),
            content: Some((self.hash, self.bytes)),
        };
        seal::holds(plain, &self.key, &Stop::default())
    }

    fn catch(&self, vaults: &Vaults, copy: &Copy, root: &RelPath) -> Result<(), String> {
        let problem = |e: &dyn std::fmt::Display| format!("the copy `{}`: {e}", copy.path);
        let candidates = vaults.candidates(root, copy.identity.dev);
        for vault in candidates
            .iter()
            .filter(|vault| self.vaults.contains(vault))
        {
            let name = self.caught_name();
            let dir = vaults.open(vault).map_err(|e| problem(&e))?;
            let from = vaults.tree().parent_dir(&copy.path);
            let moved = from.map_err(MoveError::of_path).and_then(|from| {
                let place = (&from, copy.path.name());
                vault::move_in(place, &copy.identity, (&dir, &name))
            });
            match moved {
                Ok(_) => {
                    let dir = vaults.open(vault).map_err(|e| problem(&e))?;
                    // Between the search and the rename it may have become another photo.
                    if !self.is_photo(&dir).map_err(|e| problem(&e))? {
                        let from = vaults
                            .tree()
                            .parent_dir(&copy.path)
                            .map_err(|e| problem(&e))?;
                        return vault::put_back(&dir, &name, &from, copy.path.name())
                            .map_err(|e| problem(&e));
                    }
                    return vault::discard(&dir, &name)
                        .map(|_| ())
                        .map_err(|e| problem(&e));
                }
                Err(MoveError::OtherFileSystem) => {}
                // The next search says what is there now.
                Err(MoveError::Changed) => return Ok(()),
                Err(MoveError::Io(error)) => return Err(problem(&error)),
            }
        }
        Err(problem(&"no vault on its file system"))
    }
}

/// Removes thumbnails and trash information of a path; how many thumbnails there were. What fails is logged: neither
/// holds more than the desktop will make again.
fn clear_derived(tree: &Tree, path: &RelPath, in_trash: bool) -> u64 {
    if in_trash {
        let mut name = path.name().to_owned();
        name.push(".trashinfo");
        let trash = path.parent().and_then(|files| files.parent());
        let dir = trash.and_then(|trash| trash.join(OsStr::new("info")));
        if let Some(dir) = dir.and_then(|dir| tree.dir(&dir).ok())
            && let Err(error) = tree::unlink(&dir, &name)
        {
            tracing::warn!(%error, "trash information could not be removed");
        }
    }
    Thumbnails::open(tree).remove(path).unwrap_or_else(|error| {
        if !fault::is_over(&error) {
            tracing::warn!(%error, "a thumbnail could not be removed");
        }
        0
    })
}

/// Where the journal keeps why a photo is being destroyed.
pub(super) fn begun(why: &Due, at: Timestamp) -> Result<String, super::error::PhotosError> {
    super::catalogue::json(&(why, at))
}
