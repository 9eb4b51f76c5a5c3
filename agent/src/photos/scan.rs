//! Looks at the files in the roots. What has not changed since it was last seen is not even opened; of what was there
//! before its root was looked after only the beginning is read. What is seen is handed on a batch at a time.

use super::hash::{ContentKey, Head, LONG_BYTES, Stop};
use super::ignored::Ignored;
use super::known::{Known, Last};
use super::media::{HEAD_BYTES, Media};
use super::roots::{Root, RootKind, Roots};
use super::sidecar;
use super::tree::{self, Identity, Kind, Lookup, RelPath, Stat, Tree};
use super::vault;
use super::walk::{Unseen, is_absence, walk};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::PhotoId;
use rustix::fd::OwnedFd;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;

/// A photo at a path, as it was read.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub path: RelPath,
    pub root: Arc<Root>,
    pub media: Media,
    /// Taken before reading, so that a file still being written reads as changed the next time.
    pub stat: Stat,
    pub bytes: u64,
    pub head: Head,
    /// `None`: only the beginning was read. Of what is long, it never is more.
    pub content: Option<Digest>,
    /// What had to be read for its sake was, as far as it could be.
    pub is_compared: bool,
}

/// Some of what a scan saw.
#[derive(Debug, Default)]
pub struct Batch {
    pub sightings: Vec<Sighting>,
    /// Known files that are no longer where they were.
    pub missing: Vec<RelPath>,
    /// Photos of which only the beginning was known, and what they hold, of this length.
    pub contents: Vec<(PhotoId, Digest, u64)>,
    /// Files that are named like something that describes a photo.
    pub beside: Vec<Beside>,
}

/// A file that may describe a photo, and lies where that one lies or lay.
#[derive(Clone, Debug)]
pub struct Beside {
    pub path: RelPath,
    pub root: Arc<Root>,
}

impl Sighting {
    /// Whether it is too long to be read here.
    pub(super) fn is_long(&self) -> bool {
        self.bytes >= LONG_BYTES
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.sightings.is_empty()
            && self.missing.is_empty()
            && self.contents.is_empty()
            && self.beside.is_empty()
    }
}

/// What has to be read whole before it can be told from something else: two that begin alike may be one content.
#[derive(Debug, Default)]
pub struct Unread {
    pub sightings: Vec<Sighting>,
    pub photos: Vec<Twin>,
}

/// A photo in the catalogue of which only the beginning was read, and where it lies.
#[derive(Clone, Debug)]
pub struct Twin {
    pub photo: PhotoId,
    pub dir: RelPath,
    pub name: OsString,
}

/// Takes a batch over. Returns what it needs read first of this one or of those before; an empty batch asks for the rest.
pub type Sink<'a> = &'a mut dyn FnMut(Batch) -> io::Result<Unread>;

/// What a look at the roots, or a part of them, came to besides.
#[derive(Debug, Default)]
pub struct Report {
    /// Paths that could not be read, and why.
    pub unreadable: Vec<(RelPath, String)>,
    pub files_read: u64,
    /// Links in the capture roots: where they lead is not looked at.
    pub links: Vec<RelPath>,
}

/// Remembers, while it lives, which files are no photos.
#[derive(Debug, Default)]
pub struct Scanner {
    pub(super) ignored: Ignored,
    /// Files elsewhere that have the length of a photo, and what they hold.
    elsewhere: HashMap<Identity, Elsewhere>,
}

#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    media: Media,
    head: Head,
    content: Option<Digest>,
}

/// Links told of.
const MAX_LINKS: usize = 100;
/// Paths told of that could not be read.
const MAX_UNREADABLE: usize = 1_000;
/// Files elsewhere whose content is remembered.
const MAX_ELSEWHERE: usize = 20_000;
/// Sightings handed on at once.
const BATCH: usize = if cfg!(test) { 2 } else { 1_024 };

/// One scan, on its way.
struct Pass<'a> {
    scanner: &'a mut Scanner,
    tree: &'a Tree,
    roots: &'a Roots,
    known: &'a Known,
    key: &'a ContentKey,
    stop: &'a Stop,
    sink: Sink<'a>,
    batch: Batch,
    report: Report,
}

/// A file that is looked at.
struct At<'a> {
    dir: &'a OwnedFd,
    path: &'a RelPath,
    root: &'a Arc<Root>,
}

impl Scanner {
    /// Looks at everything in the roots.
    pub fn full(
        &mut self,
        tree: &Tree,
        roots: &Roots,
        known: &Known,
        (key, stop): (&ContentKey, &Stop),
        sink: Sink<'_>,
    ) -> io::Result<Report> {
        let mut pass = Pass::new(self, (tree, roots), known, (key, stop), sink);
        if !known.everything_frozen {
            for root in &roots.roots {
                pass.subtree(&Arc::new(root.clone()), &root.path)?;
            }
        }
        let out_of_sight = known.kept_out_of_sight(stop)?;
        pass.report.unreadable.extend(out_of_sight);
        pass.end()
    }

    /// Looks at some paths: a file by itself, a folder with everything in it.
    pub fn paths(
        &mut self,
        tree: &Tree,
        roots: &Roots,
        paths: &[RelPath],
        known: &Known,
        (key, stop): (&ContentKey, &Stop),
        sink: Sink<'_>,
    ) -> io::Result<Report> {
        let mut pass = Pass::new(self, (tree, roots), known, (key, stop), sink);
        if !known.everything_frozen {
            for path in paths {
                pass.path(path)?;
            }
        }
        pass.end()
    }
}

impl<'a> Pass<'a> {
    fn new(
        scanner: &'a mut Scanner,
        (tree, roots): (&'a Tree, &'a Roots),
        known: &'a Known,
        (key, stop): (&'a ContentKey, &'a Stop),
        sink: Sink<'a>,
    ) -> Self {
        Self {
            scanner,
            tree,
            roots,
            known,
            key,
            stop,
            sink,
            batch: Batch::default(),
            report: Report::default(),
        }
    }

    fn end(mut self) -> io::Result<Report> {
        self.flush()?;
        // Until nothing of what was handed on needs anything more.
        loop {
            let unread = (self.sink)(Batch::default())?;
            if !self.read_whole(unread)? {
                return Ok(self.report);
            }
            self.flush()?;
        }
    }

    fn path(&mut self, path: &RelPath) -> io::Result<()> {
        let Some(root) = self.roots.of(path) else {
            return Ok(());
        };
        let root = Arc::new(root.clone());
        let last = self.known.last(path)?;
        if last == Last::Frozen {
            return Ok(());
        }
        match self.tree.stat(path) {
            Ok(stat) if stat.kind == Kind::Dir => self.subtree(&root, path),
            Ok(stat) => match self.tree.parent_dir(path) {
                Ok(dir) if self.is_in_vault(path, &dir) => Ok(()),
                Ok(dir) => {
                    let at = At {
                        dir: &dir,
                        path,
                        root: &root,
                    };
                    // Something was written, so that an unchanged stat proves nothing.
                    self.scanner.ignored.forget(&stat.identity);
                    self.look(&at, &stat, None)
                }
                Err(_) => Ok(()),
            },
            Err(error) if is_absence(&error) => self.miss_beneath(path, |_, _, _| true),
            Err(error) => {
                self.unreadable(path.clone(), &error);
                Ok(())
            }
        }
    }

    fn is_in_vault(&self, path: &RelPath, dir: &OwnedFd) -> bool {
        let on_record = tree::stat_open(dir).is_ok_and(|stat| {
            let identity = (stat.identity.dev, stat.identity.ino);
            self.known.vaults.contains(&identity)
        });
        let folder = path.parent();
        on_record || folder.is_some_and(|folder| vault::is_one(&folder, dir))
    }

    fn subtree(&mut self, root: &Arc<Root>, top: &RelPath) -> io::Result<()> {
        let (tree, roots, known) = (self.tree, self.roots, self.known);
        // Folders are visited one after another, and each name once. Nothing in a new one is asked about.
        let mut new_dir: Option<(RelPath, bool)> = None;
        let Unseen {
            unreadable,
            too_deep,
        } = walk(
            tree,
            (roots, root),
            top,
            &known.vaults,
            &mut |dir, path, stat| {
                self.stop.check()?;
                let elsewhere = root.kind == RootKind::Elsewhere;
                if elsewhere && !known.has_length(stat.identity.size)? {
                    return self.beside(&At { dir, path, root }, stat);
                }
                let last = if is_in_new_dir(known, &mut new_dir, path)? {
                    Last::Unknown
                } else {
                    known.last(path)?
                };
                let last = match last {
                    Last::Frozen => return Ok(()),
                    Last::Seen(identity) => Some(identity),
                    Last::Unknown => None,
                };
                let at = At { dir, path, root };
                self.look(&at, stat, last.as_ref())
            },
        )?;
        let unseen = || unreadable.iter().chain(&too_deep);
        let out_of_sight = |path: &RelPath| unseen().any(|(dir, _)| path.is_within(dir));
        self.miss_beneath(top, |at, path, identity| {
            roots.of(path) == Some(root)
                && !out_of_sight(path)
                && is_missing(at, known, root, path, identity)
        })?;
        self.report.unreadable.extend(too_deep);
        // Elsewhere nothing else has to be accounted for.
        if root.kind != RootKind::Elsewhere {
            self.report.unreadable.extend(unreadable);
        }
        self.report.unreadable.truncate(MAX_UNREADABLE);
        Ok(())
    }

    /// Hands on which of the known files at or beneath `top` are missed.
    fn miss_beneath(
        &mut self,
        top: &RelPath,
        is_missing: impl Fn(&mut Lookup<'_>, &RelPath, &Identity) -> bool,
    ) -> io::Result<()> {
        let mut after: Option<RelPath> = None;
        loop {
            self.stop.check()?;
            let present = self.known.present(top, after.as_ref())?;
            let mut at = Lookup::new(self.tree);
            for (path, identity) in present.files {
                if is_missing(&mut at, &path, &identity) {
                    self.batch.missing.push(path);
                }
            }
            if self.batch.missing.len() >= BATCH {
                self.flush()?;
            }
            if present.next.is_none() {
                return Ok(());
            }
            after = present.next;
        }
    }

    /// Only being asked to stop is an error here; a file that cannot be read is part of the report.
    fn look(&mut self, at: &At<'_>, stat: &Stat, last: Option<&Identity>) -> io::Result<()> {
        let (path, root) = (at.path, at.root);
        let is_told = self.report.links.len() < MAX_LINKS;
        if stat.kind == Kind::Link && root.kind == RootKind::Capture && is_told {
            self.report.links.push(path.clone());
        }
        let unchanged =
            last == Some(&stat.identity) || self.scanner.ignored.contains(&stat.identity);
        if stat.kind != Kind::File || unchanged {
            return Ok(());
        }
        if self.known.is_of_frozen(&stat.identity)? {
            // What was known under this name lies there no more.
            if last.is_some() {
                self.batch.missing.push(path.clone());
            }
            return Ok(());
        }
        let read = if root.kind == RootKind::Elsewhere {
            self.read_elsewhere(at, stat)
        } else {
            self.read(at)
        };
        match read {
            Ok(Content::Photo(sighting)) => {
                self.batch.sightings.push(*sighting);
                if self.batch.sightings.len() >= BATCH {
                    self.flush()?;
                }
            }
            Ok(Content::Other(identity)) => {
                if last.is_some() {
                    self.batch.missing.push(path.clone());
                }
                self.beside(at, stat)?;
                self.scanner.ignored.add(&identity, self.known.now_ns);
            }
            Ok(Content::NoneKnown) => {
                if last.is_some() {
                    self.batch.missing.push(path.clone());
                }
            }
            Err(_) if self.stop.is_asked() => return self.stop.check(),
            Err(error) if is_absence(&error) => {
                if last.is_some() {
                    self.batch.missing.push(path.clone());
                }
            }
            Err(_) if root.kind == RootKind::Elsewhere => {}
            Err(error) => self.unreadable(path.clone(), &error),
        }
        Ok(())
    }

    /// Hands on what is named like the sidecar of a photo. Whether it is one is for the catalogue to say, which knows what
    /// becomes of that photo at the same moment.
    fn beside(&mut self, at: &At<'_>, stat: &Stat) -> io::Result<()> {
        let is_new = stat.kind == Kind::File && !self.scanner.ignored.contains(&stat.identity);
        if !is_new || !sidecar::is_named_like_one(at.path.name()) {
            return Ok(());
        }
        self.batch.beside.push(Beside {
            path: at.path.clone(),
            root: Arc::clone(at.root),
        });
        if self.batch.beside.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn read(&mut self, at: &At<'_>) -> io::Result<Content> {
        let mut file = tree::open_file(at.dir, at.path.name())?;
        let stat = tree::stat_open(&file)?;
        let Some((media, head)) = self.beginning(&mut file, &stat)? else {
            return Ok(Content::Other(stat.identity));
        };
        let mut sighting = Sighting {
            path: at.path.clone(),
            root: Arc::clone(at.root),
            media,
            stat,
            bytes: stat.identity.size,
            head,
            content: None,
            is_compared: false,
        };
        let is_read = !sighting.is_long() && !self.known.was_there_before(at.root, &stat);
        if is_read && !self.read_to_end(&mut file, &mut sighting)? {
            return Ok(Content::NoneKnown);
        }
        Ok(Content::Photo(Box::new(sighting)))
    }

    /// Only what is known already counts there, so most is told by its beginning.
    fn read_elsewhere(&mut self, at: &At<'_>, stat: &Stat) -> io::Result<Content> {
        let remembered = self.scanner.elsewhere.get(&stat.identity).copied();
        let mut open = None;
        let (stat, mut found) = if let Some(found) = remembered {
            (*stat, found)
        } else {
            let mut file = tree::open_file(at.dir, at.path.name())?;
            let stat = tree::stat_open(&file)?;
            let Some((media, head)) = self.beginning(&mut file, &stat)? else {
                return Ok(Content::Other(stat.identity));
            };
            open = Some(file);
            let content = None;
            (
                stat,
                Elsewhere {
                    media,
                    head,
                    content,
                },
            )
        };
        let is_known = self.known.has_alike(stat.identity.size, &found.head)?;
        let mut sighting = Sighting {
            path: at.path.clone(),
            root: Arc::clone(at.root),
            media: found.media,
            stat,
            bytes: stat.identity.size,
            head: found.head,
            content: found.content,
            is_compared: false,
        };
        if is_known && found.content.is_none() && !sighting.is_long() {
            let mut file = match open {
                Some(file) => file,
                None => tree::open_file(at.dir, at.path.name())?,
            };
            if !self.read_to_end(&mut file, &mut sighting)? {
                return Ok(Content::NoneKnown);
            }
            found.content = sighting.content;
        }
        if self.scanner.elsewhere.len() >= MAX_ELSEWHERE {
            self.scanner.elsewhere.clear();
        }
        self.scanner.elsewhere.insert(stat.identity, found);
        if is_known {
            Ok(Content::Photo(Box::new(sighting)))
        } else {
            Ok(Content::NoneKnown)
        }
    }

    fn beginning(&mut self, file: &mut File, stat: &Stat) -> io::Result<Option<(Media, Head)>> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let Some(media) = Media::recognise(&head) else {
            return Ok(None);
        };
        self.report.files_read += 1;
        Ok(Some((media, self.key.head(stat.identity.size, &head))))
    }

    /// No further than its end was when it was looked at: somebody may go on writing. `false`: it was emptied meanwhile, as
    /// sealing does under every name, and what is left of it is no content.
    fn read_to_end(&self, file: &mut File, sighting: &mut Sighting) -> io::Result<bool> {
        file.rewind()?;
        let mut as_seen = file.take(sighting.stat.identity.size);
        let (content, bytes) = self.key.hash(&mut as_seen, self.stop)?;
        (sighting.content, sighting.bytes) = (Some(content), bytes);
        Ok(bytes == sighting.stat.identity.size)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.batch.is_empty() {
            let unread = (self.sink)(std::mem::take(&mut self.batch))?;
            self.read_whole(unread)?;
        }
        Ok(())
    }

    /// Whether there was anything to be read.
    fn read_whole(&mut self, unread: Unread) -> io::Result<bool> {
        let is_any = !(unread.sightings.is_empty() && unread.photos.is_empty());
        for twin in unread.photos {
            let read = self
                .tree
                .dir(&twin.dir)
                .and_then(|dir| tree::open_file(&dir, &twin.name))
                .and_then(|file| self.key.hash(&mut file.take(LONG_BYTES), self.stop));
            match read {
                Ok((content, bytes)) => self.batch.contents.push((twin.photo, content, bytes)),
                Err(_) if self.stop.is_asked() => self.stop.check()?,
                // It went or cannot be read now; the next look finds out.
                Err(_) => {}
            }
        }
        for mut sighting in unread.sightings {
            sighting.is_compared = true;
            let read = self.tree.file(&sighting.path).and_then(|mut file| {
                sighting.stat = tree::stat_open(&file)?;
                let is_as_seen = sighting.stat.identity.size == sighting.bytes;
                Ok(is_as_seen && self.read_to_end(&mut file, &mut sighting)?)
            });
            match read {
                Ok(true) => self.batch.sightings.push(sighting),
                // By now it may be long.
                Ok(false) => self.path(&sighting.path)?,
                Err(_) if self.stop.is_asked() => self.stop.check()?,
                Err(error) if is_absence(&error) => {}
                Err(error) => self.unreadable(sighting.path, &error),
            }
        }
        Ok(is_any)
    }

    fn unreadable(&mut self, path: RelPath, error: &io::Error) {
        if self.report.unreadable.len() < MAX_UNREADABLE {
            self.report.unreadable.push((path, error.to_string()));
        }
    }
}

enum Content {
    Photo(Box<Sighting>),
    Other(Identity),
    /// A photo by its beginning, and none that is known, or nothing any more.
    NoneKnown,
}

/// Whether nothing was known in the folder of a path when the first of its names was visited.
fn is_in_new_dir(
    known: &Known,
    last: &mut Option<(RelPath, bool)>,
    path: &RelPath,
) -> io::Result<bool> {
    if let Some((dir, is_new)) = last
        && dir.is_parent_of(path)
    {
        return Ok(*is_new);
    }
    let Some(dir) = path.parent() else {
        return Ok(false);
    };
    let is_new = known.knows_nothing_in(&dir)?;
    *last = Some((dir, is_new));
    Ok(is_new)
}

/// Whether a file that was known is not there any more.
fn is_missing(
    at: &mut Lookup<'_>,
    known: &Known,
    root: &Root,
    path: &RelPath,
    identity: &Identity,
) -> bool {
    match at.stat(path) {
        Ok(stat) if stat.kind != Kind::File => true,
        // Elsewhere, what no longer has the length of a photo is not looked at.
        Ok(stat) => {
            root.kind == RootKind::Elsewhere
                && stat.identity != *identity
                && !known.has_length(stat.identity.size).unwrap_or(true)
        }
        Err(error) => is_absence(&error),
    }
}
