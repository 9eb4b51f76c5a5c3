//! Brings a sealed photo back after its consent was given again.
//!
//! The tablet cannot open what it sealed. It sends the header of the sealed file, which holds no image, and gets that one
//! file's key once somebody authorised it. The photo is written beside its sealed file, read back and compared with the
//! hash from before it was sealed; only then does it count as withheld again, and goes where its verdict wants it.

use super::catalogue::{self, FileState, PhotoRow, name_bytes};
use super::engine::{Engine, Moment, Passed};
use super::error::PhotosError;
use super::facts;
use super::fault::{self, Write};
use super::hash::{ContentKey, Stop, copy};
use super::jobs::{Done, Job};
use super::judgement::Judged;
use super::seal::{self, SealedFile, age_problem};
use super::tree::{self, Stat};
use super::vault::Vaults;
use super::withhold::{file_vaulted, journal};
use age_core::format::{FileKey, Stanza};
use nestwarden_policy_schema::bytes::{Base64, Digest, Secret};
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::device_api::{MAX_STANZAS, UnsealRequest, UnsealStanza};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::PhotoId;
use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Asks whoever holds the release key for the key of one sealed file.
pub type Unsealer = Arc<
    dyn Fn(UnsealRequest) -> Pin<Box<dyn Future<Output = Result<Secret, UnsealRefusal>> + Send>>
        + Send
        + Sync,
>;

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealRefusal {
    /// By what the server knows, the photo has to stay sealed.
    #[error("the server does not authorise it")]
    NotAuthorised,
    /// Nothing was decided: the server cannot be reached, or has not heard of the photo yet.
    #[error("{0}")]
    NotNow(String),
    /// This file cannot be opened by that server.
    #[error("{0}")]
    Impossible(String),
}

const FIRST_WAIT: Duration = Duration::from_secs(2);
const LAST_WAIT: Duration = Duration::from_mins(10);

/// Which photos the server is being asked for, and which it is of no use to ask for now.
#[derive(Default)]
pub(super) struct Asking {
    asked: HashSet<PhotoId>,
    /// By the bundle they were refused under: nothing it was refused for has changed until there is another, or somebody
    /// said something of the photo.
    refused: HashMap<PhotoId, Generation>,
    attempts: u32,
    /// By the boot clock.
    not_before: Duration,
}

impl Asking {
    /// What was refused under another bundle is asked again.
    pub(super) fn begin(&mut self, generation: Generation) {
        self.refused.retain(|_, under| *under == generation);
    }

    pub(super) fn forget_refusal(&mut self, photo: PhotoId) {
        self.refused.remove(&photo);
    }

    pub(super) fn is_refused(&self, photo: PhotoId) -> bool {
        self.refused.contains_key(&photo)
    }

    pub(super) fn take_back(&mut self, asks: &[PhotoId]) {
        for photo in asks {
            self.asked.remove(photo);
        }
    }

    fn later(&mut self, since_boot: Duration) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.attempts.min(10));
        self.attempts += 1;
        self.not_before = since_boot + wait.min(LAST_WAIT);
    }
}

pub struct UnsealJob {
    pub(super) photo: PhotoId,
    hash: Digest,
    bytes: u64,
    sealed: SealedFile,
    /// Beside the sealed file.
    name: OsString,
    was: Original,
    file_key: FileKey,
    key: ContentKey,
    pub(super) stop: Arc<Stop>,
}

/// What the file had besides its content.
struct Original {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime_ns: i64,
}

impl Engine {
    /// Hands on that the server has to be asked for a photo.
    pub(super) fn hand_out_ask(
        &mut self,
        moment: &Moment<'_>,
        row: &PhotoRow,
        judged: &Judged,
        passed: &mut Passed,
    ) {
        let settled = !row.has(FileState::Dropping) && row.has(FileState::Dropped);
        if !judged.waits_for_unseal() || !settled || !self.may_act(moment, row.id) {
            return;
        }
        if self.asking.asked.contains(&row.id) || self.asking.is_refused(row.id) {
            return;
        }
        if moment.since_boot < self.asking.not_before {
            let at = self.asking.not_before;
            passed.retry_at = Some(passed.retry_at.map_or(at, |other| other.min(at)));
            return;
        }
        self.asking.asked.insert(row.id);
        passed.asks.push(row.id);
    }

    /// What to ask the server; `None` when there is no more reason to.
    pub fn unseal_request(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
    ) -> Result<Option<UnsealRequest>, PhotosError> {
        let Some(row) = self.still_waits(moment, photo)? else {
            self.asking.asked.remove(&photo);
            return Ok(None);
        };
        let header = row.sealed.as_ref().map(|sealed| {
            let dir = self.vaults.open(&sealed.vault)?;
            stanzas(tree::open_file(&dir, &sealed.name)?)
        });
        match header {
            Some(Ok(stanzas)) => Ok(Some(UnsealRequest {
                photo,
                stanzas,
                access: None,
            })),
            Some(Err(error)) => {
                self.asking.asked.remove(&photo);
                let problem = format!("the sealed file cannot be read: {error}");
                self.incomplete(moment, photo, Stage::Live, problem)?;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Takes over the server's answer; the job that opens the file. `behind`: when it was asked, the server had yet to
    /// hear of something this tablet recorded, so that its refusal says little.
    pub fn answered(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
        answer: Result<Secret, UnsealRefusal>,
        behind: bool,
    ) -> Result<Option<Job>, PhotosError> {
        self.asking.asked.remove(&photo);
        let key = match answer {
            Ok(key) => key,
            Err(UnsealRefusal::NotAuthorised) if !behind => {
                self.asking.refused.insert(photo, moment.bundle.generation);
                return Ok(None);
            }
            Err(UnsealRefusal::NotAuthorised | UnsealRefusal::NotNow(_)) => {
                self.asking.later(moment.since_boot);
                return Ok(None);
            }
            Err(UnsealRefusal::Impossible(problem)) => {
                self.incomplete(moment, photo, Stage::Live, problem)?;
                return Ok(None);
            }
        };
        self.asking.attempts = 0;
        let Some(row) = self.still_waits(moment, photo)? else {
            return Ok(None);
        };
        let Ok(bytes) = <[u8; 16]>::try_from(key.expose()) else {
            let problem = "the server's key has another length than age keys have".to_owned();
            self.incomplete(moment, photo, Stage::Live, problem)?;
            return Ok(None);
        };
        let file_key = FileKey::init_with_mut(|key| key.copy_from_slice(&bytes));
        self.begin_unseal(moment, &row, file_key)
    }

    fn begin_unseal(
        &mut self,
        moment: &Moment<'_>,
        row: &PhotoRow,
        file_key: FileKey,
    ) -> Result<Option<Job>, PhotosError> {
        let (Some(sealed), Some(file)) = (row.sealed.clone(), name_to_come_back(row)) else {
            return Ok(None);
        };
        let Some(hash) = row.hash else {
            let problem = format!("photo {} was sealed and nobody knows what it holds", row.id);
            return Err(PhotosError::Damaged(problem));
        };
        let was = self.ledger.read(|sql| {
            let select = "SELECT mode, uid, gid, mtime_ns FROM photo_file WHERE id = ?1";
            let was = sql.query_row(select, [file.id], |row| {
                Ok(Original {
                    mode: row.get(0)?,
                    uid: row.get(1)?,
                    gid: row.get(2)?,
                    mtime_ns: row.get(3)?,
                })
            });
            Ok::<_, PhotosError>(was?)
        })?;
        let name = OsString::from(format!("{}.unsealed", row.id));
        self.commit(Write::UnsealBegun, |tx| {
            let place = (Some(&sealed.vault), name_bytes(&name));
            journal(
                tx.sql(),
                ("unseal", row.id, None),
                place,
                None,
                moment.now.at,
            )
        })?;
        let stop = Arc::new(Stop::default());
        self.busy.insert(row.id, (Stage::Live, Arc::clone(&stop)));
        Ok(Some(Job::Unseal(Box::new(UnsealJob {
            photo: row.id,
            hash,
            bytes: row.bytes,
            sealed,
            name,
            was,
            file_key,
            key: ContentKey::new(&moment.bundle.photo_hash_key),
            stop,
        }))))
    }

    fn still_waits(
        &self,
        moment: &Moment<'_>,
        photo: PhotoId,
    ) -> Result<Option<PhotoRow>, PhotosError> {
        let row = self.ledger.read(|sql| catalogue::photo(sql, photo))?;
        Ok(row.zip(moment.policy()).and_then(|(row, policy)| {
            let waits = row.stage == Stage::Sealed
                && self.verdict_on(moment, policy, &row).waits_for_unseal();
            waits.then_some(row)
        }))
    }

    /// The photo lies in the vault, whole. From here it is withheld, and its sealed file goes.
    pub(super) fn unsealed(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
        name: &OsString,
        stat: &Stat,
    ) -> Result<(), PhotosError> {
        let row = self.still_waits(moment, photo)?;
        let found = row.and_then(|row| Some((row.sealed.clone()?, name_to_come_back(&row)?.id)));
        let Some((sealed, file)) = found else {
            // Its reason went while it was being unsealed: it stays sealed.
            return self.replay();
        };
        self.commit(Write::Unsealed, |tx| {
            let sql = tx.sql();
            let (id, at) = (photo.to_string(), moment.now.at);
            sql.execute("DELETE FROM photo_journal WHERE photo = ?1", [&id])?;
            let place = (Some(&sealed.vault), name_bytes(&sealed.name));
            journal(sql, ("unseal", photo, None), place, Some("sealed"), at)?;
            file_vaulted(sql, file, (&sealed.vault, name), stat)?;
            catalogue::file_identify(sql, file, &stat.identity)?;
            sql.execute(
                "UPDATE photo SET stage = 'withheld', sealed_at = NULL, sealed_vault = NULL, sealed_name = NULL,
                    sealed_bytes = NULL, sealed_sha256 = NULL WHERE id = ?1",
                [&id],
            )?;
            let event = EventBody::PhotoStage {
                photo,
                from: Stage::Sealed,
                to: Stage::Withheld,
                cause: None,
                observed_only: false,
            };
            tx.record(at, &event)?;
            facts::tell(tx, self.device, photo, at)
        })?;
        let dir = self.vaults.open(&sealed.vault)?;
        tree::unlink(&dir, &sealed.name)?;
        tree::sync_dir(&dir)?;
        self.commit(Write::UnsealCleared, |tx| {
            let done = "DELETE FROM photo_journal WHERE photo = ?1 AND act = 'unseal'";
            tx.sql().execute(done, [photo.to_string()])?;
            Ok(())
        })
    }
}

/// The name it had first; copies are not made again.
fn name_to_come_back(row: &PhotoRow) -> Option<&catalogue::FileRow> {
    let mut gone = row.in_state(FileState::Dropped);
    let first = gone.next();
    if first.is_some_and(|file| !file.in_trash) {
        return first;
    }
    gone.find(|file| !file.in_trash).or(first)
}

impl UnsealJob {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn run(self, vaults: &Vaults) -> Done {
        let photo = self.photo;
        match self.open(vaults) {
            _ if self.stop.is_asked() => Done::Stopped { photo },
            Ok(stat) => Done::Unsealed {
                photo,
                name: self.name,
                stat,
            },
            Err(error) => Done::NotUnsealed {
                photo,
                problem: format!("it could not be unsealed: {error}"),
            },
        }
    }

    fn open(&self, vaults: &Vaults) -> io::Result<Stat> {
        let dir = vaults.open(&self.sealed.vault)?;
        let source = BufReader::new(tree::open_file(&dir, &self.sealed.name)?);
        let held = Held(&self.file_key);
        let mut content = age::Decryptor::new_buffered(source)
            .and_then(|file| file.decrypt(std::iter::once(&held as &dyn age::Identity)))
            .map_err(|e| io::Error::other(age_problem(&e)))?;
        tree::unlink(&dir, &self.name)?;
        let mut sink = tree::create_new(&dir, &self.name)?;
        copy(&mut content, &self.stop, |chunk| {
            fault::reach(Write::Plaintext)?;
            sink.write_all(chunk)
        })?;
        self.was.give_to(&sink)?;
        sink.sync_all()?;
        tree::sync_dir(&dir)?;
        drop(sink);
        let plain = seal::Plain {
            dir: &dir,
            name: &self.name,
            content: Some((self.hash, self.bytes)),
        };
        if !seal::holds(plain, &self.key, &self.stop)? {
            return Err(io::Error::other(
                "what it opens to is not the photo that was sealed",
            ));
        }
        tree::stat(&dir, &self.name)
    }
}

impl Original {
    /// Owner, permissions and time as they were; never more than a plain file has.
    fn give_to(&self, file: &File) -> io::Result<()> {
        let ids = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        match rustix::fs::fchown(file, Some(ids.0), Some(ids.1)) {
            // Only root can give a file away; then it stays the agent's.
            Ok(()) | Err(rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode & 0o777))?;
        let at = Timespec {
            tv_sec: self.mtime_ns.div_euclid(1_000_000_000),
            tv_nsec: self.mtime_ns.rem_euclid(1_000_000_000),
        };
        let times = Timestamps {
            last_access: at,
            last_modification: at,
        };
        Ok(rustix::fs::futimens(file, &times)?)
    }
}

/// A key as the server sends it.
pub(super) fn file_key(key: &Secret) -> io::Result<FileKey> {
    let bytes = <[u8; 16]>::try_from(key.expose())
        .map_err(|_| io::Error::other("the server's key has another length than age keys have"))?;
    Ok(FileKey::init_with_mut(|key| key.copy_from_slice(&bytes)))
}

/// The recipient stanzas of a sealed file.
pub(super) fn stanzas(file: File) -> io::Result<Vec<UnsealStanza>> {
    let header = age::Decryptor::new_buffered(BufReader::new(file))
        .map_err(|e| io::Error::other(age_problem(&e)))?;
    let reader = Reader::default();
    // It holds no key, so nothing is ever decrypted.
    let _ = header.decrypt(std::iter::once(&reader as &dyn age::Identity));
    let found = reader.0.into_inner();
    if found.is_empty() || found.len() > MAX_STANZAS {
        let problem = format!("its header has {} recipients", found.len());
        return Err(io::Error::other(problem));
    }
    Ok(found)
}

/// An identity that only reads who a file is for.
#[derive(Default)]
struct Reader(RefCell<Vec<UnsealStanza>>);

impl age::Identity for Reader {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.0.borrow_mut().push(UnsealStanza {
            tag: stanza.tag.clone(),
            args: stanza.args.clone(),
            body: Base64(stanza.body.clone()),
        });
        None
    }
}

/// An identity that already has the file's key.
pub(super) struct Held<'a>(pub(super) &'a FileKey);

impl age::Identity for Held<'_> {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        Some(Ok(seal::duplicate(self.0)))
    }
}
