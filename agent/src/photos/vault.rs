//! Where withheld photos lie: folders that only the agent can enter, on the same file system as the photos, so that
//! withholding is a rename. It takes no space, no time that depends on size, and one rename back undoes it.
//!
//! A program that opened a photo before it was withheld can go on reading it until it is sealed, but not open it again
//! (`shut.rs`); from then on that descriptor reads nothing, because the content is emptied and not only unlinked.

use super::mark::{self, Marks};
use super::room;
use super::tree::{self, Identity, Kind, RelPath, Stat, Tree};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// The name of a vault outside of the agent's own state.
const NAME: &str = ".nestwarden-vault";

/// Numbered names tried when a photo comes back to a folder where its name is taken.
const MAX_NUMBERED: u32 = 10_000;

/// Opens, makes and chooses vaults.
#[derive(Clone, Debug)]
pub struct Vaults {
    tree: Arc<Tree>,
    /// In the agent's state; used for whatever is on the same file system.
    own: RelPath,
    marks: Marks,
    /// Some of the room that is set aside was given up.
    gave_room: Arc<AtomicBool>,
}

impl Vaults {
    pub fn new(tree: Arc<Tree>, own: RelPath) -> Self {
        Self {
            tree,
            own,
            marks: Marks::default(),
            gave_room: Arc::default(),
        }
    }

    /// Where files of device `dev` beneath `root` may be withheld, best first: a rename may still find two mounts of one
    /// device to be two file systems, and then the next is tried.
    pub fn candidates(&self, root: &RelPath, dev: u64) -> Vec<RelPath> {
        let is_on = |dir: &RelPath| {
            self.tree
                .dir(dir)
                .and_then(tree::stat_open)
                .is_ok_and(|stat| stat.identity.dev == dev)
        };
        let mut candidates = Vec::new();
        let was_taken_away = self.marks.of(&self.own).is_some() && self.open(&self.own).is_err();
        if self.own.parent().is_some_and(|state| is_on(&state)) && !was_taken_away {
            candidates.push(self.own.clone());
        }
        // The further up, the less can anybody but root have a hand in the folder it lies in.
        let mut above: Vec<RelPath> = std::iter::successors(Some(root.clone()), RelPath::parent)
            .take_while(|dir| is_on(dir))
            .collect();
        above.reverse();
        candidates.extend(above.iter().filter_map(|dir| self.in_folder(dir)));
        candidates
    }

    /// A vault in this folder: ours where there is one, else under a name that nobody took before us.
    fn in_folder(&self, dir: &RelPath) -> Option<RelPath> {
        let vault = dir.join(OsStr::new(NAME))?;
        match self.tree.stat(&vault) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return None,
            Ok(_) | Err(_) if self.may_be_used(&vault) => return Some(vault),
            Ok(_) | Err(_) => {}
        }
        let names = self.tree.dir(dir).and_then(|dir| tree::names(&dir)).ok()?;
        let mut others = names
            .iter()
            .filter(|name| name.as_bytes().starts_with(NAME.as_bytes()))
            .filter_map(|name| dir.join(name))
            .filter(|other| self.open(other).is_ok());
        // One that could be foretold could be taken, too.
        let new = || dir.join(OsStr::new(&format!("{NAME}-{}", Uuid::new_v4())));
        others.next().or_else(new)
    }

    /// Whether a vault is there, or may be made. One that was taken away is not made again: what lies in it would seem never
    /// to have been.
    fn may_be_used(&self, vault: &RelPath) -> bool {
        match self.open(vault) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound && self.marks.of(vault).is_none(),
        }
    }

    /// Opens a vault to put something in, and makes it if there never was one.
    pub fn open_or_make(&self, vault: &RelPath) -> io::Result<OwnedFd> {
        let dir = match self.open(vault) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && self.marks.of(vault).is_none() =>
            {
                self.make(vault)?
            }
            other => other?,
        };
        self.adopt(vault, &dir);
        Ok(dir)
    }

    /// Marks a vault that has no mark on record.
    pub(super) fn adopt(&self, vault: &RelPath, dir: &OwnedFd) {
        if self.marks.of(vault).is_some() {
            return;
        }
        let has_one = mark::read(dir).and_then(|mark| mark.map_or_else(|| mark::write(dir), Ok));
        match has_one {
            Ok(mark) => self.marks.set(vault, mark),
            // On a full disk, say: it is used as it is, and marked when there is room.
            Err(error) => tracing::warn!(%error, %vault, "the vault could not be marked"),
        }
    }

    /// A folder of the agent's that is no vault.
    pub(super) fn open_or_make_folder(&self, folder: &RelPath) -> io::Result<OwnedFd> {
        match self.open_ours(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(folder),
            other => other,
        }
    }

    fn make(&self, vault: &RelPath) -> io::Result<OwnedFd> {
        let parent = self.tree.parent_dir(vault)?;
        match rustix::fs::mkdirat(&parent, vault.name(), Mode::RWXU) {
            Ok(()) => rustix::fs::fsync(&parent)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.open_ours(vault)
    }

    /// Opens a vault that is there, and refuses one that anybody else could enter. What should lie in one that is not there
    /// was taken away with it, and may come back: it must not look as if it had never been. One that only has another name by
    /// now, in the same folder, is found.
    pub fn open(&self, vault: &RelPath) -> io::Result<OwnedFd> {
        let found = self.open_ours(vault);
        let Some(mark) = self.marks.of(vault) else {
            let dir = found?;
            return match mark::read(&dir)? {
                Some(mark) if self.marks.is_anothers(vault, mark) => Err(anothers(vault)),
                Some(_) | None => Ok(dir),
            };
        };
        let problem = match found {
            Ok(dir) if mark::read(&dir).is_ok_and(|found| found == Some(mark)) => return Ok(dir),
            Ok(_) => taken_away(vault),
            Err(error) => error,
        };
        self.under_another_name(vault, mark)?.ok_or(problem)
    }

    fn under_another_name(&self, vault: &RelPath, mark: Uuid) -> io::Result<Option<OwnedFd>> {
        let Some(folder) = vault.parent() else {
            return Ok(None);
        };
        let names = match self.tree.dir(&folder) {
            Ok(folder) => tree::names(&folder)?,
            Err(_) => return Ok(None),
        };
        for other in names.iter().filter_map(|name| folder.join(name)) {
            // Most are somebody's folder, and nothing is done to them.
            if self.tree.stat(&other).is_ok_and(|stat| is_ours(&stat))
                && let Ok(dir) = self.tree.dir(&other)
                && mark::read(&dir).is_ok_and(|found| found == Some(mark))
            {
                return close(vault, dir).map(Some);
            }
        }
        Ok(None)
    }

    fn open_ours(&self, vault: &RelPath) -> io::Result<OwnedFd> {
        close(vault, self.tree.dir(vault)?)
    }

    /// Does what needs `bytes` on a vault's file system; where the disk is full, with room that was set aside for it.
    pub(super) fn with_room<T, E>(
        &self,
        vault: &OwnedFd,
        bytes: u64,
        is_full: impl Fn(&E) -> bool,
        mut work: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        loop {
            let done = work();
            if !done.as_ref().is_err_and(&is_full) {
                return done;
            }
            match room::give(vault, bytes) {
                // Somebody may be as quick: then there is one piece less, until there is none.
                Ok(true) => {
                    self.gave_room.store(true, Ordering::SeqCst);
                    tracing::warn!(bytes, "the disk is full; room that was set aside is used");
                }
                Ok(false) => return done,
                Err(error) => {
                    tracing::warn!(%error, "the room that was set aside could not be given up");
                    return done;
                }
            }
        }
    }

    /// Sets room aside in each of these vaults.
    pub(super) fn keep_room<'a>(&self, vaults: impl IntoIterator<Item = &'a RelPath>) {
        let mut all_of_it = true;
        for vault in vaults {
            match self.open(vault).and_then(|dir| room::keep(&dir)) {
                Ok(is_there) => all_of_it &= is_there,
                Err(error) => {
                    tracing::info!(%error, %vault, "no room can be set aside for a full disk");
                }
            }
        }
        if all_of_it {
            self.gave_room.store(false, Ordering::SeqCst);
        }
    }

    pub(super) fn gave_room(&self) -> bool {
        self.gave_room.load(Ordering::SeqCst)
    }

    pub(super) fn release_room<'a>(&self, vaults: impl IntoIterator<Item = &'a RelPath>) {
        for vault in vaults {
            let released = self.open(vault).and_then(|dir| room::release(&dir));
            if let Err(error) = released
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, %vault, "the room that was set aside could not be given back");
            }
        }
    }

    /// The identities of these vaults, for whoever must not look into them.
    pub fn identities(&self, vaults: &BTreeSet<RelPath>) -> HashSet<(u64, u64)> {
        vaults
            .iter()
            .filter_map(|vault| self.open(vault).and_then(tree::stat_open).ok())
            .map(|stat| (stat.identity.dev, stat.identity.ino))
            .collect()
    }

    /// The agent's state folder.
    pub(super) fn own_parent(&self) -> Option<RelPath> {
        self.own.parent()
    }

    pub(super) const fn marks(&self) -> &Marks {
        &self.marks
    }

    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }
}

/// Refuses a folder that anybody else could enter, and closes one that is the agent's.
fn close(vault: &RelPath, dir: OwnedFd) -> io::Result<OwnedFd> {
    let stat = tree::stat_open(&dir)?;
    if stat.uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "the vault `{vault}` belongs to user {}; remove it",
                stat.uid
            ),
        ));
    }
    if stat.mode & 0o777 != 0o700 {
        rustix::fs::fchmod(&dir, Mode::RWXU)?;
    }
    Ok(dir)
}

/// Whether an open folder is a vault on whatever record: the agent's alone, and marked or, where a full disk left no room for
/// a mark, named like one.
pub(super) fn is_one(path: &RelPath, dir: &OwnedFd) -> bool {
    let is_closed =
        tree::stat_open(dir).is_ok_and(|stat| is_ours(&stat) && stat.mode & 0o777 == 0o700);
    let is_named = path.name().as_bytes().starts_with(NAME.as_bytes());
    is_closed && (is_named || mark::read(dir).is_ok_and(|mark| mark.is_some()))
}

/// Takes a vault with nothing in it off the tablet, if it is the one that bears this mark. `false`: it is not, or something
/// lies in it.
pub(crate) fn remove_empty(tree: &Tree, vault: &RelPath, mark: Option<Uuid>) -> io::Result<bool> {
    let dir = match tree.dir(vault) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    let names = tree::names(&dir)?;
    let is_it = is_ours(&tree::stat_open(&dir)?) && mark::read(&dir)? == mark;
    if !is_it || !names.iter().all(|name| is_own(name)) {
        return Ok(false);
    }
    for name in &names {
        tree::unlink(&dir, name)?;
    }
    let parent = tree.parent_dir(vault)?;
    rustix::fs::unlinkat(&parent, vault.name(), AtFlags::REMOVEDIR)?;
    Ok(true)
}

/// Whether a file in a vault is the agent's own, and no photo: the vault's mark, and room that is set aside.
pub(super) fn is_own(name: &OsStr) -> bool {
    name == mark::NAME || name == room::NAME
}

fn taken_away(vault: &RelPath) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("the vault `{vault}` was taken away; another folder has its name"),
    )
}

fn anothers(vault: &RelPath) -> io::Error {
    io::Error::other(format!(
        "`{vault}` is another vault that was moved there; move it back"
    ))
}

fn is_ours(stat: &Stat) -> bool {
    stat.kind == Kind::Dir && stat.uid == rustix::process::geteuid().as_raw()
}

/// What kept a file from being moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There is another file by that name now, or none.
    #[error("the file is no longer the one that was seen")]
    Changed,
    #[error("the vault is on another file system")]
    OtherFileSystem,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl MoveError {
    /// Of the way to a file: what is not there any more has changed.
    pub(super) fn of_path(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) => Self::Changed,
            _ => Self::Io(error),
        }
    }
}

/// Renames the file that `expected` describes from the folder `dir` into a vault. Neither folder is synced yet.
pub fn move_in(
    (dir, from): (&OwnedFd, &OsStr),
    expected: &Identity,
    (vault, name): (&OwnedFd, &OsStr),
) -> Result<Stat, MoveError> {
    let before = tree::stat(dir, from).map_err(MoveError::of_path)?;
    if before.kind != Kind::File || !before.identity.is_same_file(expected) {
        return Err(MoveError::Changed);
    }
    tree::rename_new(dir, from, vault, name).map_err(|error| {
        match Errno::from_io_error(&error) {
            Some(Errno::XDEV) => MoveError::OtherFileSystem,
            Some(Errno::NOENT) => MoveError::Changed,
            _ => MoveError::Io(error),
        }
    })?;
    let after = tree::stat(vault, name)?;
    if !after.identity.is_same_file(expected) {
        // Somebody swapped the name in between. What was caught instead goes back where it was.
        put_back(vault, name, dir, from)?;
        return Err(MoveError::Changed);
    }
    Ok(after)
}

/// Where a photo would come back to: its folder, or the nearest above it that is still there, never above its root.
pub fn way_back(tree: &Tree, path: &RelPath, root: &RelPath) -> io::Result<RelPath> {
    let mut at = path.parent();
    while let Some(dir) = at.filter(|dir| dir.is_within(root)) {
        match tree.dir(&dir) {
            Ok(_) => return Ok(dir),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => at = dir.parent(),
                _ => return Err(error),
            },
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("the capture root `{root}` is gone; make it again"),
    ))
}

/// The names a photo may come back under, its own first.
pub fn numbered(name: &OsStr) -> impl Iterator<Item = OsString> + '_ {
    let bytes = name.as_bytes();
    let dot = bytes.iter().rposition(|b| *b == b'.').filter(|at| *at > 0);
    let (stem, extension) = bytes.split_at(dot.unwrap_or(bytes.len()));
    std::iter::once(name.to_owned()).chain((1..MAX_NUMBERED).map(move |number| {
        let number = format!(" ({number})");
        let room = 255usize.saturating_sub(number.len() + extension.len());
        let stem = &stem[..stem.len().min(room)];
        OsString::from_vec([stem, number.as_bytes(), extension].concat())
    }))
}

/// Moves what was caught by mistake back to its folder, under its own name or a numbered one.
pub fn put_back(vault: &OwnedFd, name: &OsStr, to: &OwnedFd, to_name: &OsStr) -> io::Result<()> {
    for candidate in numbered(to_name) {
        match tree::rename_new(vault, name, to, &candidate) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => {
                other?;
                tree::sync_dir(to)?;
                return tree::sync_dir(vault);
            }
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "every numbered name is taken",
    ))
}

/// Empties and unlinks a file in a vault, and makes that durable. `false`: there was none.
pub fn discard(vault: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    let emptied = tree::truncate(vault, name)?;
    let unlinked = tree::unlink(vault, name)?;
    tree::sync_dir(vault)?;
    Ok(emptied || unlinked)
}

/// Likewise of what describes a photo, which may be somebody's document as well: where it has another name, that one keeps
/// its content.
pub(super) fn discard_beside(vault: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match tree::stat(vault, name) {
        Ok(stat) if stat.links > 1 => {
            let unlinked = tree::unlink(vault, name)?;
            tree::sync_dir(vault)?;
            Ok(unlinked)
        }
        Ok(_) => discard(vault, name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_vault_lies_on_the_photos_file_system_and_only_the_agent_enters_it() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("home/anna/Pictures")).unwrap();
        std::fs::create_dir_all(temp.path().join("var")).unwrap();
        let tree = Arc::new(Tree::open(temp.path()).unwrap());
        let vaults = Vaults::new(Arc::clone(&tree), RelPath::new("var/vault").unwrap());
        let root = RelPath::new("home/anna/Pictures").unwrap();
        let dev = tree.stat(&root).unwrap().identity.dev;
        let candidates = vaults.candidates(&root, dev);
        assert_eq!(candidates[0].to_string(), "/var/vault");
        assert_eq!(candidates[1].to_string(), "/.nestwarden-vault");
        assert!(vaults.candidates(&root, dev + 1).is_empty());
        vaults.open_or_make(&candidates[0]).unwrap();
        let mode = || {
            let meta = std::fs::metadata(temp.path().join("var/vault")).unwrap();
            meta.permissions().mode() & 0o777
        };
        assert_eq!(mode(), 0o700);
        std::fs::set_permissions(temp.path().join("var/vault"), Permissions::from_mode(0o755))
            .unwrap();
        vaults.open_or_make(&candidates[0]).unwrap();
        assert_eq!(mode(), 0o700);
    }

    #[test]
    fn a_vault_whose_name_somebody_took_gets_another() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("media/card/DCIM")).unwrap();
        std::fs::write(temp.path().join("media/card/.nestwarden-vault"), "mine").unwrap();
        let tree = Arc::new(Tree::open(temp.path()).unwrap());
        let vaults = Vaults::new(tree, RelPath::new("gone/vault").unwrap());
        let root = RelPath::new("media/card").unwrap();
        let dev = vaults.tree().stat(&root).unwrap().identity.dev;
        let of = || vaults.candidates(&root, dev).pop().unwrap();
        let vault = of();
        let name = vault.to_string();
        assert!(name.starts_with("/media/card/.nestwarden-vault-"), "{name}");
        vaults.open_or_make(&vault).unwrap();
        assert_eq!(of(), vault, "it is found again");
    }

    #[test]
    fn names_are_numbered_before_the_extension_and_stay_within_what_a_name_may_be() {
        let of = |name: &str| {
            numbered(OsStr::new(name))
                .take(3)
                .map(|n| n.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("a.b.jpg"), ["a.b.jpg", "a.b (1).jpg", "a.b (2).jpg"]);
        assert_eq!(of(".jpg"), [".jpg", ".jpg (1)", ".jpg (2)"]);
        let long = format!("{}.jpg", "x".repeat(251));
        for long in [long, "x".repeat(255)] {
            assert!(of(&long).iter().all(|name| name.len() == 255));
        }
    }

    #[test]
    fn what_was_caught_by_mistake_goes_back_beside_whatever_has_its_name_by_now() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("vault")).unwrap();
        let tree = Tree::open(temp.path()).unwrap();
        let vault = tree.dir(&RelPath::new("vault").unwrap()).unwrap();
        let to = tree.dir(&RelPath::root()).unwrap();
        let back = || put_back(&vault, OsStr::new("caught"), &to, OsStr::new("a.jpg"));
        std::fs::write(temp.path().join("vault/caught"), "theirs").unwrap();
        std::fs::write(temp.path().join("a.jpg"), "newer").unwrap();
        back().unwrap();
        let holds = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
        assert_eq!(holds("a (1).jpg"), "theirs");
        assert_eq!(holds("a.jpg"), "newer");
        assert_eq!(back().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
