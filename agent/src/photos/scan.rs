//! Looks at the files in the roots. What has not changed since it was last seen is not even opened.

use super::hash::{ContentKey, Stop};
use super::media::{HEAD_BYTES, Media};
use super::roots::{Root, RootKind, Roots};
use super::tree::{self, Identity, Kind, RelPath, Stat, Tree};
use nestwarden_policy_schema::bytes::Digest;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};

/// A photo at a path, as it was read.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub path: RelPath,
    pub root: Root,
    pub media: Media,
    /// Taken before reading, so that a file still being written reads as changed the next time.
    pub stat: Stat,
    pub hash: Digest,
    pub bytes: u64,
}

/// The vaults, by device and inode: not part of any root.
pub type Vaulted = HashSet<(u64, u64)>;

/// What is known before looking.
#[derive(Debug, Default)]
pub struct Known {
    pub files: HashMap<RelPath, Identity>,
    /// Files under a freezing hold: not opened, not even asked about.
    pub frozen: HashSet<RelPath>,
    /// Nothing may be touched at all, known or not.
    pub everything_frozen: bool,
    /// The vaults, by device and inode: not part of any root.
    pub vaults: Vaulted,
    /// Lengths of known photos: outside of the capture roots no other file can be one.
    pub lengths: HashSet<u64>,
}

/// What a look at the roots, or a part of them, came to.
#[derive(Debug, Default)]
pub struct Report {
    pub sightings: Vec<Sighting>,
    /// Known files that are no longer where they were.
    pub missing: Vec<RelPath>,
    /// Paths that could not be read, and why.
    pub unreadable: Vec<(RelPath, String)>,
    pub files_read: u64,
    /// Links in the capture roots: where they lead is not looked at.
    pub links: Vec<RelPath>,
}

/// Remembers, while it lives, which files are no photos.
#[derive(Debug, Default)]
pub struct Scanner {
    ignored: HashSet<Identity>,
    /// Files elsewhere that have the length of a photo, and what they hold.
    elsewhere: HashMap<Identity, (Media, Digest)>,
}

/// Folders deeper than this are reported as unreadable.
const MAX_DEPTH: usize = 64;
/// Links told of.
const MAX_LINKS: usize = 100;
/// Files elsewhere whose content is remembered.
const MAX_ELSEWHERE: usize = 20_000;
/// Files remembered as being no photos.
const MAX_IGNORED: usize = 200_000;

impl Scanner {
    /// Looks at everything in the roots.
    pub fn full(
        &mut self,
        tree: &Tree,
        roots: &Roots,
        known: &Known,
        key: &ContentKey,
        stop: &Stop,
    ) -> io::Result<Report> {
        let mut report = Report::default();
        for root in &roots.roots {
            self.subtree(
                tree,
                (roots, root),
                &root.path,
                known,
                (key, stop),
                &mut report,
            )?;
        }
        Ok(report)
    }

    /// Looks at some paths: a file by itself, a folder with everything in it.
    pub fn paths(
        &mut self,
        tree: &Tree,
        roots: &Roots,
        paths: &[RelPath],
        known: &Known,
        (key, stop): (&ContentKey, &Stop),
    ) -> io::Result<Report> {
        let mut report = Report::default();
        if known.everything_frozen {
            return Ok(report);
        }
        for path in paths {
            let Some(root) = roots.of(path) else { continue };
            if known.frozen.contains(path) {
                continue;
            }
            let stat = tree.stat(path);
            match stat {
                Ok(stat) if stat.kind == Kind::Dir => {
                    self.subtree(tree, (roots, root), path, known, (key, stop), &mut report)?;
                }
                Ok(stat) => {
                    let parent = tree.parent_dir(path);
                    if let Ok(dir) = parent {
                        let at = (&dir, path, root);
                        // Something was written, so that an unchanged stat proves nothing.
                        self.look(at, &stat, None, (key, stop), &mut report)?;
                    }
                }
                Err(error) if is_absence(&error) => {
                    let below = known.files.keys().filter(|known| known.is_within(path));
                    report.missing.extend(below.cloned());
                }
                Err(error) => report.unreadable.push((path.clone(), error.to_string())),
            }
        }
        Ok(report)
    }

    fn subtree(
        &mut self,
        tree: &Tree,
        (roots, root): (&Roots, &Root),
        top: &RelPath,
        known: &Known,
        (key, stop): (&ContentKey, &Stop),
        report: &mut Report,
    ) -> io::Result<()> {
        if known.everything_frozen {
            return Ok(());
        }
        let mut seen: HashSet<RelPath> = HashSet::new();
        let unreadable = walk(
            tree,
            (roots, root),
            top,
            &known.vaults,
            &mut |dir, path, stat| {
                stop.check()?;
                if root.kind == RootKind::Elsewhere && !known.lengths.contains(&stat.identity.size)
                {
                    return Ok(());
                }
                seen.insert(path.clone());
                if known.frozen.contains(path) {
                    return Ok(());
                }
                let last = known.files.get(path);
                self.look((dir, path, root), stat, last, (key, stop), report)
            },
        )?;
        let out_of_sight = |path: &RelPath| unreadable.iter().any(|(dir, _)| path.is_within(dir));
        report.missing.extend(
            known
                .files
                .keys()
                .filter(|path| {
                    path.is_within(top)
                        && roots.of(path) == Some(root)
                        && !seen.contains(*path)
                        && !known.frozen.contains(*path)
                        && !out_of_sight(path)
                })
                .cloned(),
        );
        // Elsewhere nothing has to be accounted for.
        if root.kind != RootKind::Elsewhere {
            report.unreadable.extend(unreadable);
        }
        Ok(())
    }

    /// Only being asked to stop is an error here; a file that cannot be read is part of the report.
    fn look(
        &mut self,
        (dir, path, root): (&OwnedFd, &RelPath, &Root),
        stat: &Stat,
        last: Option<&Identity>,
        (key, stop): (&ContentKey, &Stop),
        report: &mut Report,
    ) -> io::Result<()> {
        let is_told = report.links.len() < MAX_LINKS;
        if stat.kind == Kind::Link && root.kind == RootKind::Capture && is_told {
            report.links.push(path.clone());
        }
        let remembered = self.elsewhere.get(&stat.identity).copied();
        if let Some((media, hash)) = remembered.filter(|_| last != Some(&stat.identity)) {
            report.sightings.push(Sighting {
                path: path.clone(),
                root: root.clone(),
                media,
                stat: *stat,
                hash,
                bytes: stat.identity.size,
            });
            return Ok(());
        }
        let unchanged = last == Some(&stat.identity) || self.ignored.contains(&stat.identity);
        if stat.kind != Kind::File || unchanged {
            return Ok(());
        }
        match read(dir, path.name(), key, stop) {
            Ok(Read1::Photo {
                stat,
                media,
                hash,
                bytes,
            }) => {
                report.files_read += 1;
                if root.kind == RootKind::Elsewhere {
                    if self.elsewhere.len() >= MAX_ELSEWHERE {
                        self.elsewhere.clear();
                    }
                    self.elsewhere.insert(stat.identity, (media, hash));
                }
                report.sightings.push(Sighting {
                    path: path.clone(),
                    root: root.clone(),
                    media,
                    stat,
                    hash,
                    bytes,
                });
            }
            Ok(Read1::Other(identity)) => {
                if self.ignored.len() >= MAX_IGNORED {
                    self.ignored.clear();
                }
                self.ignored.insert(identity);
                if last.is_some() {
                    report.missing.push(path.clone());
                }
            }
            Err(_) if stop.is_asked() => return stop.check(),
            Err(error) if is_absence(&error) => {
                if last.is_some() {
                    report.missing.push(path.clone());
                }
            }
            Err(_) if root.kind == RootKind::Elsewhere => {}
            Err(error) => report.unreadable.push((path.clone(), error.to_string())),
        }
        Ok(())
    }
}

enum Read1 {
    Photo {
        stat: Stat,
        media: Media,
        hash: Digest,
        bytes: u64,
    },
    Other(Identity),
}

fn read(dir: &OwnedFd, name: &OsStr, key: &ContentKey, stop: &Stop) -> io::Result<Read1> {
    let mut file = tree::open_file(dir, name)?;
    let stat = tree::stat_open(&file)?;
    let Some(media) = recognise(&mut file)? else {
        return Ok(Read1::Other(stat.identity));
    };
    file.rewind()?;
    let (hash, bytes) = key.hash(&mut file, stop)?;
    Ok(Read1::Photo {
        stat,
        media,
        hash,
        bytes,
    })
}

fn recognise(file: &mut File) -> io::Result<Option<Media>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(Media::recognise(&head))
}

/// A file with content that was looked for.
#[derive(Clone, Debug)]
pub struct Copy {
    pub path: RelPath,
    pub kind: RootKind,
    pub identity: Identity,
}

/// What a second look for one content found.
#[derive(Debug, Default)]
pub struct Search {
    pub copies: Vec<Copy>,
    pub files_read: u64,
    pub unreadable: Vec<(RelPath, String)>,
}

/// Reads every file in the roots that has the length of the content looked for; no other can hold it.
pub fn search(
    tree: &Tree,
    roots: &Roots,
    vaults: &Vaulted,
    (hash, bytes): (&Digest, u64),
    key: &ContentKey,
) -> io::Result<Search> {
    let mut search = Search::default();
    let never = Stop::default();
    for root in &roots.roots {
        let unreadable = walk(
            tree,
            (roots, root),
            &root.path,
            vaults,
            &mut |dir, path, stat| {
                if stat.kind != Kind::File || stat.identity.size != bytes {
                    return Ok(());
                }
                let content = tree::open_file(dir, path.name())
                    .and_then(|mut file| key.hash(&mut file, &never));
                match content {
                    Ok((found, _)) => {
                        search.files_read += 1;
                        if found == *hash {
                            search.copies.push(Copy {
                                path: path.clone(),
                                kind: root.kind,
                                identity: stat.identity,
                            });
                        }
                    }
                    Err(error) if is_absence(&error) => {}
                    Err(error) => search.unreadable.push((path.clone(), error.to_string())),
                }
                Ok(())
            },
        )?;
        if root.kind != RootKind::Elsewhere {
            search.unreadable.extend(unreadable);
        }
    }
    Ok(search)
}

type Visit<'a> = &'a mut dyn FnMut(&OwnedFd, &RelPath, &Stat) -> io::Result<()>;

/// Visits everything beneath `top` that is no folder; what could not be read is returned. Ends early only if `visit` does.
fn walk(
    tree: &Tree,
    (roots, root): (&Roots, &Root),
    top: &RelPath,
    vaults: &Vaulted,
    visit: Visit<'_>,
) -> io::Result<Vec<(RelPath, String)>> {
    let mut unreadable = Vec::new();
    let mut waiting = vec![top.clone()];
    let mut device = None;
    while let Some(at) = waiting.pop() {
        let depth = at.as_path().components().count();
        if depth > top.as_path().components().count() + MAX_DEPTH {
            unreadable.push((at, format!("lies more than {MAX_DEPTH} folders deep")));
            continue;
        }
        let dir = match tree.dir(&at) {
            Ok(dir) => dir,
            Err(error) => {
                // A folder that has gone since it was listed has nothing in it; the top of a root has to be there.
                if !is_absence(&error) || at == *top {
                    unreadable.push((at, error.to_string()));
                }
                continue;
            }
        };
        let stat = tree::stat_open(&dir).map(|stat| stat.identity).ok();
        let is_vault = stat.is_some_and(|at| vaults.contains(&(at.dev, at.ino)));
        // What is mounted in a home is a place of its own, and may be one that never answers.
        let device = *device.get_or_insert(stat.map(|at| at.dev));
        let is_mount = root.kind == RootKind::Elsewhere && stat.map(|at| at.dev) != device;
        if is_vault || is_mount || roots.is_other(&at, root) {
            continue;
        }
        let names = match tree::names(&dir) {
            Ok(names) => names,
            Err(error) => {
                unreadable.push((at, error.to_string()));
                continue;
            }
        };
        for name in names {
            let Some(path) = at.join(&name) else { continue };
            match tree::stat(&dir, &name) {
                Ok(stat) if stat.kind == Kind::Dir => waiting.push(path),
                Ok(stat) => visit(&dir, &path, &stat)?,
                Err(error) if is_absence(&error) => {}
                Err(error) => unreadable.push((path, error.to_string())),
            }
        }
    }
    Ok(unreadable)
}

/// Whether a path leads nowhere, a link or a file in the way of a folder included.
fn is_absence(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .into_iter()
        .any(|absence| errno == Some(absence))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use nestwarden_policy_schema::bytes::Secret;
    use std::collections::BTreeSet;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a photo";

    struct Place {
        temp: tempfile::TempDir,
        tree: Tree,
        key: ContentKey,
    }

    fn place() -> Place {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("home/anna/Pictures/deep/er")).unwrap();
        let tree = Tree::open(temp.path()).unwrap();
        let key = ContentKey::new(&Secret::new(vec![7; 32]));
        Place { temp, tree, key }
    }

    impl Place {
        fn roots(&self) -> Roots {
            Roots::resolve(&self.tree, &BTreeSet::from(["/home/*/Pictures".to_owned()]))
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            std::fs::write(
                self.temp.path().join("home/anna/Pictures").join(name),
                bytes,
            )
            .unwrap();
        }

        fn full(&self, scanner: &mut Scanner, known: &Known) -> Report {
            let stop = Stop::default();
            scanner
                .full(&self.tree, &self.roots(), known, &self.key, &stop)
                .unwrap()
        }
    }

    fn known(report: &Report) -> Known {
        let files = report
            .sightings
            .iter()
            .map(|s| (s.path.clone(), s.stat.identity))
            .collect();
        Known {
            files,
            ..Known::default()
        }
    }

    #[test]
    fn photos_are_found_at_any_depth_and_what_is_unchanged_is_not_read_again() {
        let place = place();
        place.write("a.jpg", JPEG);
        place.write("deep/er/b.txt", JPEG);
        place.write("notes.jpg", b"no photo at all");
        let mut scanner = Scanner::default();
        let first = place.full(&mut scanner, &Known::default());
        assert_eq!(first.sightings.len(), 2);
        assert_eq!(first.sightings[0].hash, first.sightings[1].hash);
        let again = place.full(&mut scanner, &known(&first));
        assert_eq!((again.files_read, again.missing.len()), (0, 0));
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_missing_one_is_missed() {
        let place = place();
        place.write("a.jpg", JPEG);
        place.write("b.jpg", JPEG);
        let mut scanner = Scanner::default();
        let known = known(&place.full(&mut scanner, &Known::default()));
        place.write("a.jpg", b"\xff\xd8\xff\xe0 a longer photo");
        std::fs::remove_file(place.temp.path().join("home/anna/Pictures/b.jpg")).unwrap();
        let second = place.full(&mut scanner, &known);
        assert_eq!(second.sightings.len(), 1);
        assert_eq!(second.missing.len(), 1);
    }

    #[test]
    fn a_frozen_file_is_not_opened() {
        let place = place();
        place.write("a.jpg", JPEG);
        let mut frozen = Known::default();
        frozen
            .frozen
            .insert(RelPath::new("home/anna/Pictures/a.jpg").unwrap());
        let report = place.full(&mut Scanner::default(), &frozen);
        assert_eq!(report.files_read, 0);
        frozen.everything_frozen = true;
        let report = place.full(&mut Scanner::default(), &frozen);
        assert_eq!(report.files_read, 0);
    }

    #[test]
    fn copies_are_found_by_content() {
        let place = place();
        place.write("a.jpg", JPEG);
        place.write("deep/copy", JPEG);
        place.write("deep/other", b"\xff\xd8\xff\xe0 b photo");
        let first = place.full(&mut Scanner::default(), &Known::default());
        let of = |name: &str| {
            first
                .sightings
                .iter()
                .find(|s| s.path.name() == name)
                .unwrap()
                .hash
        };
        let wanted = (&of("a.jpg"), JPEG.len() as u64);
        let none = HashSet::new();
        let found = search(&place.tree, &place.roots(), &none, wanted, &place.key).unwrap();
        assert_eq!((found.copies.len(), found.files_read), (2, 3));
    }
}
