//! Imports what the booking system exports into a watched folder, by the rules of `consent import`.
//!
//! A file is taken once it stopped growing. What was imported goes to `done/`, what was refused to `refused/`, each with a
//! text beside it where there is something to say. What a person has to confirm waits where it is and is never applied
//! by itself; a newer file that needs nobody replaces it.

mod keep;

pub use keep::Keep;

use super::wake::Nudge;
use crate::domain::import::{self, By, Consent, ImportError, MAX_FILE_BYTES, Outcome};
use crate::door::Clock;
use crate::storage::{SavedMapping, Storage, StorageError, WaitingFile};
use nestwarden_policy_schema::bytes::Digest;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How often the folder is looked at when nobody says that something is there.
const ROUND: Duration = Duration::from_secs(5);
/// A file that did not change for as long is complete.
pub const QUIET: Duration = Duration::from_secs(5);
/// More than this is no folder for exports.
const MAX_FILES: usize = 1_000;
const ENDINGS: [&str; 3] = ["csv", "txt", "tsv"];
/// As the audit log names it.
const WHO: &str = "watched folder";

pub struct ImportFolderJob {
    pub storage: Storage,
    pub folder: PathBuf,
    pub mapping: Option<String>,
    pub clock: Arc<dyn Clock>,
    /// Makes it look now.
    pub wake: Nudge,
    /// Told when the register changed.
    pub changed: Nudge,
    pub quiet: Duration,
    pub keep: Keep,
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("failed to {act} `{path}`")]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "`{0}` holds more than {MAX_FILES} files; it is for exports of the booking system only"
    )]
    TooMany(PathBuf),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What one look did, by file name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub imported: Vec<String>,
    pub refused: Vec<String>,
    pub waiting: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: String,
    len: u64,
    modified: SystemTime,
}

struct Seen {
    found: Found,
    since: Instant,
    /// What it was judged against when it had to wait; the same again needs no second judgement.
    judged: Option<Against>,
}

/// What a judgement rests on beside the file.
#[derive(Clone, PartialEq, Eq)]
struct Against {
    inputs: i64,
    mapping: Option<SavedMapping>,
}

enum Judged {
    Imported(Box<Outcome>),
    Refused(String),
    Waits(String),
}

impl ImportFolderJob {
    pub fn new(
        storage: Storage,
        folder: PathBuf,
        mapping: Option<String>,
        clock: Arc<dyn Clock>,
        wake: Nudge,
        changed: Nudge,
    ) -> Self {
        Self {
            storage,
            folder,
            mapping,
            clock,
            wake,
            changed,
            quiet: QUIET,
            keep: Keep::default(),
            seen: BTreeMap::new(),
        }
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let mut failing = false;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = round.tick() => {}
                () = self.wake.wait() => {}
            }
            match self.look().await {
                Ok(_) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the watched folder can be read again");
                    }
                }
                // Said once; the register stays as it is, and every round tries again.
                Err(error) if !failing => {
                    failing = true;
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "the watched folder cannot be imported from");
                }
                Err(_) => {}
            }
        }
    }

    /// Takes every file that is complete, the oldest first.
    pub async fn look(&mut self) -> Result<Look, FolderError> {
        let mut files = list(&self.folder)?;
        files.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        self.seen
            .retain(|name, _| files.iter().any(|f| f.name == *name));
        for gone in self.storage.waiting_list().await? {
            if files.iter().all(|found| found.name != gone.name) {
                self.storage.waiting_remove(&gone.name).await?;
            }
        }
        let mut look = Look::default();
        for found in files {
            if !self.is_complete(&found) {
                continue;
            }
            let against = self.against().await?;
            let known = self
                .seen
                .get(&found.name)
                .and_then(|seen| seen.judged.as_ref());
            if known == Some(&against) {
                look.waiting.push(found.name);
                continue;
            }
            let Some(bytes) = read(&self.folder, &found)? else {
                continue;
            };
            self.take(&found, &bytes, &mut look).await?;
        }
        self.clear().await?;
        Ok(look)
    }

    fn is_complete(&mut self, found: &Found) -> bool {
        let unchanged = self
            .seen
            .get(&found.name)
            .is_some_and(|seen| seen.found == *found);
        if !unchanged {
            let seen = Seen {
                found: found.clone(),
                since: Instant::now(),
                judged: None,
            };
            self.seen.insert(found.name.clone(), seen);
            return false;
        }
        self.seen
            .get(&found.name)
            .is_some_and(|seen| seen.since.elapsed() >= self.quiet)
    }

    async fn against(&self) -> Result<Against, StorageError> {
        let mapping = match &self.mapping {
            Some(name) => self.storage.mapping_find(name).await?,
            None => None,
        };
        Ok(Against {
            inputs: self.storage.inputs_version().await?,
            mapping,
        })
    }

    async fn take(
        &mut self,
        found: &Found,
        bytes: &[u8],
        look: &mut Look,
    ) -> Result<(), FolderError> {
        let name = found.name.clone();
        match self.judge(bytes).await? {
            None => {}
            Some(Judged::Imported(outcome)) => {
                tracing::info!(file = name, "imported a file of the watched folder");
                self.changed.now();
                let lines: Vec<String> = outcome
                    .plan
                    .refused
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                let why = (!lines.is_empty()).then(|| lines.join("\n"));
                self.put_away("done", &name, bytes, why.as_deref()).await?;
                for older in std::mem::take(&mut look.waiting) {
                    let why = format!(
                        "{name} is newer and was imported before anybody confirmed this one"
                    );
                    let bytes = fs::read(self.folder.join(&older)).unwrap_or_default();
                    self.put_away("refused", &older, &bytes, Some(&why)).await?;
                    look.refused.push(older);
                }
                look.imported.push(name);
            }
            Some(Judged::Refused(why)) => {
                tracing::warn!(
                    file = name,
                    "refused a file of the watched folder; the register stays as it was"
                );
                self.put_away("refused", &name, bytes, Some(&why)).await?;
                look.refused.push(name);
            }
            Some(Judged::Waits(why)) => {
                tracing::warn!(
                    file = name,
                    "a file of the watched folder waits for a person; `consent import --pending` says why"
                );
                let waiting = WaitingFile {
                    name: name.clone(),
                    digest: Digest::sha256(bytes),
                    since: self.clock.now(),
                    why,
                };
                self.storage.waiting_put(&waiting).await?;
                let against = self.against().await?;
                if let Some(seen) = self.seen.get_mut(&name) {
                    seen.judged = Some(against);
                }
                look.waiting.push(name);
            }
        }
        Ok(())
    }

    /// `None`: not now; the next look tries again.
    async fn judge(&self, bytes: &[u8]) -> Result<Option<Judged>, StorageError> {
        let by = By {
            who: WHO,
            operator: None,
        };
        let mapping = self.mapping.as_deref();
        let now = self.clock.now();
        let done = import::run(&self.storage, bytes, mapping, Consent::default(), by, now).await;
        Ok(Some(match done {
            Ok(outcome) if outcome.imported => Judged::Imported(Box::new(outcome)),
            Ok(outcome) => Judged::Waits(why_it_waits(&outcome)),
            Err(refused @ ImportError::Refused { .. }) => Judged::Refused(refused.to_string()),
            Err(
                waits @ (ImportError::NoMapping(_)
                | ImportError::Mapping(_)
                | ImportError::Calendar(_)
                | ImportError::NotAllowed(_)),
            ) => Judged::Waits(waits.to_string()),
            Err(ImportError::ChangedMeanwhile | ImportError::MappingChanged(_)) => return Ok(None),
            Err(ImportError::Storage(error)) => return Err(error),
        }))
    }

    async fn put_away(
        &mut self,
        to: &'static str,
        name: &str,
        bytes: &[u8],
        why: Option<&str>,
    ) -> Result<(), FolderError> {
        let dir = self.folder.join(to);
        if let Err(error) = fs::create_dir(&dir)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed("make", &dir)(error));
        }
        let is_free = dir.join(name).symlink_metadata().is_err();
        let target = if is_free {
            name.to_owned()
        } else {
            let digest = Digest::sha256(bytes).to_string();
            format!("{}-{name}", &digest[..8])
        };
        if let Some(why) = why {
            let beside = dir.join(format!("{target}.txt"));
            write_new(&beside, why).map_err(failed("write", &beside))?;
        }
        let from = self.folder.join(name);
        fs::rename(&from, dir.join(&target)).map_err(failed("move", &from))?;
        self.seen.remove(name);
        self.storage.waiting_remove(name).await?;
        Ok(())
    }
}

fn why_it_waits(outcome: &Outcome) -> String {
    let mut why: Vec<String> = outcome
        .plan
        .concerns
        .iter()
        .map(ToString::to_string)
        .collect();
    if let Some(reading) = &outcome.reading {
        why.insert(0, format!(
            "nobody has agreed to what the mapping \"{}\" reads in files with these headings; run `consent import FILE --mapping {}`",
            reading.mapping, reading.mapping
        ));
    }
    why.join("\n")
}

fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { act, path, source }
}

fn list(folder: &Path) -> Result<Vec<Found>, FolderError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let entry = entry.map_err(failed("read", folder))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let ending = name
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_lowercase());
        let is_export = ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
        // A file that is gone again is nothing to speak of.
        let Ok(metadata) = entry.path().symlink_metadata() else {
            continue;
        };
        if name.starts_with('.') || !is_export || !metadata.is_file() {
            continue;
        }
        if files.len() == MAX_FILES {
            return Err(FolderError::TooMany(folder.to_owned()));
        }
        files.push(Found {
            name,
            len: metadata.len(),
            modified: metadata.modified().map_err(failed("read", folder))?,
        });
    }
    Ok(files)
}

/// `None`: it changed while it was read. A file that is too large is read as far as shows that.
fn read(folder: &Path, found: &Found) -> Result<Option<Vec<u8>>, FolderError> {
    let path = folder.join(&found.name);
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(failed("open", &path))?;
    let mut bytes = Vec::new();
    io::Read::by_ref(&mut file)
        .take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed("read", &path))?;
    let metadata = file.metadata().map_err(failed("read", &path))?;
    let same = metadata.len() == found.len && metadata.modified().ok() == Some(found.modified);
    Ok(same.then_some(bytes))
}

/// Never through a link that somebody put there.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests;
