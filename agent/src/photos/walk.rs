//! Visits the files beneath a folder, folder by folder.

use super::known::Vaulted;
use super::roots::{Root, RootKind, Roots};
use super::tree::{self, Kind, RelPath, Stat, Tree};
use super::vault;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::io;

/// Folders deeper than this are not looked into: nobody makes them but to hide something.
const MAX_DEPTH: usize = 1_000;
/// Nor those whose path is longer, in bytes.
const MAX_PATH: usize = 16 * 1024;
/// Paths of folders yet to be looked into that are held at once, in bytes.
const MAX_WAITING: usize = 64 * 1024 * 1024;

/// What could not be looked at, and why.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    pub(super) unreadable: Vec<(RelPath, String)>,
    /// In folders too deep to be looked into. Of no kind of root is that left out.
    pub(super) too_deep: Vec<(RelPath, String)>,
}

/// Told of at most.
const MAX_TOO_DEEP: usize = 20;

pub(super) type Visit<'a> = &'a mut dyn FnMut(&OwnedFd, &RelPath, &Stat) -> io::Result<()>;

/// Visits everything beneath `top` that is no folder; what could not be read is returned. Ends early only if `visit` does.
pub(super) fn walk(
    tree: &Tree,
    (roots, root): (&Roots, &Root),
    top: &RelPath,
    vaults: &Vaulted,
    visit: Visit<'_>,
) -> io::Result<Unseen> {
    let mut unreadable = Vec::new();
    let mut too_deep = Vec::new();
    let mut waiting = vec![top.clone()];
    let mut held = top.as_bytes().len();
    let mut device = None;
    while let Some(at) = waiting.pop() {
        held -= at.as_bytes().len();
        let depth = at.as_path().components().count();
        if at.as_bytes().len() > MAX_PATH || depth > top.as_path().components().count() + MAX_DEPTH
        {
            if too_deep.len() < MAX_TOO_DEEP {
                let problem = "lies too deep to be looked into; remove it".to_owned();
                too_deep.push((at, problem));
            }
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
        let is_vault =
            stat.is_some_and(|at| vaults.contains(&(at.dev, at.ino))) || vault::is_one(&at, &dir);
        // What is mounted in a home is a place of its own, and may be one that never answers.
        let device = *device.get_or_insert(stat.map(|at| at.dev));
        let is_mount = root.kind == RootKind::Elsewhere && stat.map(|at| at.dev) != device;
        if is_vault || is_mount || roots.is_other(&at, root) {
            continue;
        }
        let names = match tree::each_name(&dir) {
            Ok(names) => names,
            Err(error) => {
                unreadable.push((at, error.to_string()));
                continue;
            }
        };
        for name in names {
            let name = match name {
                Ok(name) => name,
                Err(error) => {
                    unreadable.push((at.clone(), error.to_string()));
                    break;
                }
            };
            let Some(path) = at.join(&name) else { continue };
            match tree::stat(&dir, &name) {
                Ok(stat) if stat.kind == Kind::Dir => {
                    if held + path.as_bytes().len() > MAX_WAITING {
                        // Told once; the files in it are still looked at.
                        if too_deep.last().is_none_or(|(told, _)| *told != at) {
                            let problem = "there are more folders in it than can be looked into";
                            too_deep.push((at.clone(), problem.to_owned()));
                        }
                        continue;
                    }
                    held += path.as_bytes().len();
                    waiting.push(path);
                }
                Ok(stat) => visit(&dir, &path, &stat)?,
                Err(error) if is_absence(&error) => {}
                Err(error) => unreadable.push((path, error.to_string())),
            }
        }
    }
    Ok(Unseen {
        unreadable,
        too_deep,
    })
}

/// Whether a path leads nowhere, a link or a file in the way of a folder included.
pub(super) fn is_absence(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .into_iter()
        .any(|absence| errno == Some(absence))
}
