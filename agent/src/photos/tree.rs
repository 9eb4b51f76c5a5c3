//! Files beneath the agent's root, reached without ever following a link.
//!
//! Everything in a capture root can be renamed or replaced by links while the agent, as root, works on it. So nothing is
//! ever opened by a whole path: each step is opened beneath the one before and refuses links (`openat2` with
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`; kernels and sandboxes without it walk with `O_NOFOLLOW`), and every change
//! is made by name in a folder that is held open.

use super::fault::{self, Write};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

const DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// The folder everything is beneath.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    root_dir: PathBuf,
}

/// A path relative to the tree's root, of plain names only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(PathBuf);

impl RelPath {
    /// The root itself.
    pub fn root() -> Self {
        Self(PathBuf::new())
    }

    /// `None` for a path with anything but plain names in it.
    pub fn new(path: impl AsRef<Path>) -> Option<Self> {
        let plain = path
            .as_ref()
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        plain.then(|| Self(path.as_ref().to_owned()))
    }

    /// As stored in the catalogue.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        Self::new(PathBuf::from(OsString::from_vec(bytes)))
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }

    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// `None` when `name` is not one plain name.
    pub fn join(&self, name: &OsStr) -> Option<Self> {
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(only)), None) if only == name => Some(Self(self.0.join(only))),
            _ => None,
        }
    }

    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }

    pub fn name(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }

    pub fn is_within(&self, dir: &Self) -> bool {
        self.0.starts_with(&dir.0)
    }

    pub fn is_parent_of(&self, path: &Self) -> bool {
        path.0.parent() == Some(&*self.0)
    }

    fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.0.components().map(Component::as_os_str)
    }
}

impl std::fmt::Display for RelPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}", self.0.display())
    }
}

/// What tells one file, and one state of it, from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub dev: u64,
    pub ino: u64,
    /// When the inode came to be; 0 where the file system does not say. Tells a reused inode number from the old one.
    pub born_ns: i64,
    pub size: u64,
    pub mtime_ns: i64,
    /// Of the last change of content, name or owner; nobody can set it.
    pub ctime_ns: i64,
}

impl Identity {
    /// Whether this is the same inode, whatever it holds by now.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.born_ns) == (other.dev, other.ino, other.born_ns)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Dir,
    Link,
    Other,
}

/// What a name leads to.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    pub kind: Kind,
    pub identity: Identity,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
}

impl Tree {
    pub fn open(root_dir: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, root_dir, flags, Mode::empty())?;
        Ok(Self {
            root,
            root_dir: root_dir.to_owned(),
        })
    }

    /// The path as the rest of the system knows it, for watching and for people; never to open.
    pub fn absolute(&self, path: &RelPath) -> PathBuf {
        self.root_dir.join(&path.0)
    }

    /// The path beneath the root that an absolute one stands for; `None` outside of it.
    pub fn relative(&self, absolute: &Path) -> Option<RelPath> {
        RelPath::new(absolute.strip_prefix(&self.root_dir).ok()?)
    }

    pub fn dir(&self, path: &RelPath) -> io::Result<OwnedFd> {
        self.open_beneath(path, DIR)
    }

    /// The folder a path lies in, held open.
    pub fn parent_dir(&self, path: &RelPath) -> io::Result<OwnedFd> {
        let parent = path.parent().ok_or(Errno::INVAL)?;
        self.dir(&parent)
    }

    /// Opens a regular file for reading. A pipe in its place does not block.
    pub fn file(&self, path: &RelPath) -> io::Result<File> {
        let dir = self.parent_dir(path)?;
        open_file(&dir, path.name())
    }

    pub fn stat(&self, path: &RelPath) -> io::Result<Stat> {
        let dir = self.parent_dir(path)?;
        stat(&dir, path.name())
    }

    fn open_beneath(&self, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
        if path.0.as_os_str().is_empty() {
            return Ok(rustix::fs::openat(&self.root, c".", flags, Mode::empty())?);
        }
        loop {
            match rustix::fs::openat2(&self.root, &path.0, flags, Mode::empty(), BENEATH) {
                Ok(fd) => return Ok(fd),
                // A rename elsewhere made the kernel unsure; it asks to be asked again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                // A path may be longer than the kernel takes in one piece.
                Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => {
                    return self.walk(path, flags);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn walk(&self, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
        let mut at = rustix::fs::openat(&self.root, c".", DIR, Mode::empty())?;
        let mut names = path.names().peekable();
        while let Some(name) = names.next() {
            let step = if names.peek().is_some() { DIR } else { flags };
            at = rustix::fs::openat(&at, name, step | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(at)
    }
}

/// Looks up many names, one after another. The folder of the last is held open for the next one, so that a folder which
/// is renamed meanwhile is still found: to be kept for one batch or page, no longer.
pub struct Lookup<'a> {
    tree: &'a Tree,
    last: Option<(RelPath, OwnedFd)>,
}

impl<'a> Lookup<'a> {
    pub fn new(tree: &'a Tree) -> Self {
        Self { tree, last: None }
    }

    pub fn stat(&mut self, path: &RelPath) -> io::Result<Stat> {
        stat(self.dir_of(path)?, path.name())
    }

    fn dir_of(&mut self, path: &RelPath) -> io::Result<&OwnedFd> {
        let last = self.last.take().filter(|(dir, _)| dir.is_parent_of(path));
        let last = if let Some(last) = last {
            last
        } else {
            let parent = path.parent().ok_or(Errno::INVAL)?;
            let dir = self.tree.dir(&parent)?;
            (parent, dir)
        };
        Ok(&self.last.insert(last).1)
    }
}

/// Opens a regular file in a folder that is held open.
pub fn open_file(dir: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

pub fn stat(dir: &OwnedFd, name: &OsStr) -> io::Result<Stat> {
    statx(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Of what is open.
pub fn stat_open(fd: impl AsFd) -> io::Result<Stat> {
    statx(fd, OsStr::new(""), AtFlags::EMPTY_PATH)
}

fn statx(dir: impl AsFd, name: &OsStr, flags: AtFlags) -> io::Result<Stat> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = rustix::fs::statx(dir, name, flags, mask)?;
    let ns = |t: rustix::fs::StatxTimestamp| {
        t.tv_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(i64::from(t.tv_nsec))
    };
    let knows_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    let kind = match rustix::fs::FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        rustix::fs::FileType::RegularFile => Kind::File,
        rustix::fs::FileType::Directory => Kind::Dir,
        rustix::fs::FileType::Symlink => Kind::Link,
        rustix::fs::FileType::Fifo
        | rustix::fs::FileType::Socket
        | rustix::fs::FileType::CharacterDevice
        | rustix::fs::FileType::BlockDevice
        | rustix::fs::FileType::Unknown => Kind::Other,
    };
    Ok(Stat {
        kind,
        identity: Identity {
            dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            born_ns: if knows_birth { ns(stat.stx_btime) } else { 0 },
            size: stat.stx_size,
            mtime_ns: ns(stat.stx_mtime),
            ctime_ns: ns(stat.stx_ctime),
        },
        mode: u32::from(stat.stx_mode),
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        links: u64::from(stat.stx_nlink),
    })
}

/// The names in a folder, in no order.
pub fn names(dir: &OwnedFd) -> io::Result<Vec<OsString>> {
    each_name(dir)?.collect()
}

/// Likewise, as they are read: a folder may hold a hundred thousand.
pub fn each_name(dir: &OwnedFd) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
    let entries = rustix::fs::Dir::read_from(dir)?;
    Ok(entries.filter_map(|entry| match entry {
        Ok(entry) => {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            (name != "." && name != "..").then(|| Ok(name.to_owned()))
        }
        Err(error) => Some(Err(error.into())),
    }))
}

/// Renames; fails with `AlreadyExists` rather than overwrite anything.
pub fn rename_new(
    from: &OwnedFd,
    from_name: &OsStr,
    to: &OwnedFd,
    to_name: &OsStr,
) -> io::Result<()> {
    fault::reach(Write::Rename)?;
    match rustix::fs::renameat_with(from, from_name, to, to_name, RenameFlags::NOREPLACE) {
        // File systems without the flag: a link never overwrites either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(from, from_name, to, to_name, AtFlags::empty())?;
            rustix::fs::unlinkat(from, from_name, AtFlags::empty())?;
        }
        other => other?,
    }
    fault::reach(Write::Rename)
}

/// Removes a name. One that is not there is no error: `false`.
pub fn unlink(dir: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    fault::reach(Write::Unlink)?;
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    fault::reach(Write::Unlink)?;
    Ok(true)
}

/// Empties a regular file, for everybody who has it open too, and syncs it. `false` when there is none.
pub fn truncate(dir: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    fault::reach(Write::Truncate)?;
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(false),
        // The vault belongs to the agent, so it may grant itself what the file's own mode withholds.
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(dir, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
            rustix::fs::openat(dir, name, flags, Mode::empty())?
        }
        Err(error) => return Err(error.into()),
    };
    rustix::fs::ftruncate(&fd, 0)?;
    rustix::fs::fsync(&fd)?;
    fault::reach(Write::Truncate)?;
    Ok(true)
}

pub fn sync_dir(dir: &OwnedFd) -> io::Result<()> {
    fault::reach(Write::SyncDir)?;
    Ok(rustix::fs::fsync(dir)?)
}

/// Makes a new file that only the agent can read; fails when there is one.
pub fn create_new(dir: &OwnedFd, name: &OsStr) -> io::Result<File> {
    fault::reach(Write::Create)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(
        dir,
        name,
        flags,
        Mode::RUSR | Mode::WUSR,
    )?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn rel(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    #[test]
    fn no_link_is_followed_on_the_way_or_at_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        std::fs::create_dir(temp.path().join("home")).unwrap();
        symlink(outside.path(), temp.path().join("home/way")).unwrap();
        symlink(outside.path().join("secret"), temp.path().join("home/end")).unwrap();
        let tree = Tree::open(temp.path()).unwrap();
        assert!(tree.file(&rel("home/way/secret")).is_err());
        assert!(tree.file(&rel("home/end")).is_err());
        assert!(tree.dir(&rel("home/way")).is_err());
        assert!(tree.walk(&rel("home/way"), DIR).is_err());
        assert!(tree.walk(&rel("home"), DIR).is_ok());
        assert_eq!(tree.stat(&rel("home/end")).unwrap().kind, Kind::Link);
    }

    #[test]
    fn a_path_that_climbs_is_none() {
        assert_eq!(RelPath::new("home/../etc"), None);
        assert_eq!(RelPath::new("/etc"), None);
        assert_eq!(rel("home").join(OsStr::new("..")), None);
        assert_eq!(rel("home").join(OsStr::new("a/b")), None);
    }

    #[test]
    fn a_rename_never_overwrites() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("a"), "a").unwrap();
        std::fs::write(temp.path().join("b"), "b").unwrap();
        let tree = Tree::open(temp.path()).unwrap();
        let dir = tree.dir(&RelPath::root()).unwrap();
        let refused = rename_new(&dir, OsStr::new("a"), &dir, OsStr::new("b")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(temp.path().join("b")).unwrap(), b"b");
    }

    #[test]
    fn a_pipe_in_the_place_of_a_photo_neither_blocks_nor_opens() {
        let temp = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&temp.path().join("p"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let tree = Tree::open(temp.path()).unwrap();
        assert!(tree.file(&rel("p")).is_err());
    }
}
