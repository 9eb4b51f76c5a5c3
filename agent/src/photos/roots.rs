//! The folders that are looked after: the profile's capture roots, and the trash their photos may be thrown into.

use super::tree::{self, Kind, RelPath, Tree};
use super::vault;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;

/// What rules hold in a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RootKind {
    /// Every photo in it must be accounted for.
    Capture,
    /// Only content that is already known is removed from it.
    Trash,
    /// The rest of the homes, and what is plugged in: likewise. Looked at from time to time, not watched.
    Elsewhere,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub path: RelPath,
    pub kind: RootKind,
    /// As the policy writes it.
    pub pattern: String,
}

/// The roots that are there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// None lies within another.
    pub roots: Vec<Root>,
    /// Folders in which a further root may appear.
    pub watch_for_more: BTreeSet<RelPath>,
    /// What kept a pattern from being followed, by path. A folder that is not there is no problem.
    pub problems: Vec<(String, String)>,
}

/// Trash cans by the freedesktop specification, beside the homes that capture roots lie in.
const TRASH: &str = "/home/*/.local/share/Trash/files";

/// The homes and where desktops mount what is plugged in.
const ELSEWHERE: [&str; 4] = ["/home/*", "/root", "/media/*/*", "/run/media/*/*"];

/// A pattern that stands for more folders than this is cut off, and said to be.
const MAX_ROOTS: usize = 10_000;

impl Roots {
    /// Follows the patterns; `*` stands for one folder.
    pub fn resolve(tree: &Tree, patterns: &BTreeSet<String>) -> Self {
        let mut found = Self::default();
        let mut candidates: Vec<Root> = Vec::new();
        for (pattern, kind) in patterns
            .iter()
            .map(|pattern| (pattern.as_str(), RootKind::Capture))
            .chain([(TRASH, RootKind::Trash)])
            .chain(ELSEWHERE.map(|pattern| (pattern, RootKind::Elsewhere)))
        {
            let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
            let mut paths = Vec::new();
            let mut around = Self::default();
            let follow = if kind == RootKind::Elsewhere {
                // Nobody waits for homes and mounts to appear: they are looked up again at each look.
                &mut around
            } else {
                &mut found
            };
            follow.follow(tree, RelPath::root(), &parts, &mut paths);
            let pattern = pattern.to_owned();
            candidates.extend(paths.into_iter().map(|path| Root {
                path,
                kind,
                pattern: pattern.clone(),
            }));
        }
        candidates.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
        for root in candidates {
            let covered = |outer: &Root| {
                root.path.is_within(&outer.path)
                    && (outer.kind == RootKind::Capture || outer.kind == root.kind)
            };
            if !found.roots.iter().any(covered) {
                found.roots.push(root);
            }
        }
        found
    }

    pub fn captures(&self) -> impl Iterator<Item = &Root> {
        self.roots
            .iter()
            .filter(|root| root.kind == RootKind::Capture)
    }

    /// Whether a folder is the top of another root than `root`, which looks at it for itself.
    pub fn is_other(&self, dir: &RelPath, root: &Root) -> bool {
        *dir != root.path && self.roots.iter().any(|other| other.path == *dir)
    }

    /// The roots whose every change is heard of.
    pub fn watched(&self) -> impl Iterator<Item = &Root> {
        self.roots
            .iter()
            .filter(|root| root.kind != RootKind::Elsewhere)
    }

    /// The innermost root a path lies in.
    pub fn of(&self, path: &RelPath) -> Option<&Root> {
        self.roots
            .iter()
            .filter(|root| path.is_within(&root.path))
            .max_by_key(|root| root.path.as_path().components().count())
    }

    fn follow(&mut self, tree: &Tree, at: RelPath, parts: &[&str], into: &mut Vec<RelPath>) {
        let Some((part, rest)) = parts.split_first() else {
            if into.len() < MAX_ROOTS {
                into.push(at);
            } else {
                self.problem(&at, &format!("more than {MAX_ROOTS} folders match"));
            }
            return;
        };
        if *part != "*" {
            if let Some(next) = self.step(tree, &at, OsStr::new(part)) {
                self.follow(tree, next, rest, into);
            }
            return;
        }
        self.watch_for_more.insert(at.clone());
        match tree.dir(&at).and_then(|dir| tree::names(&dir)) {
            Ok(mut names) => {
                names.sort_unstable();
                for next in names
                    .iter()
                    .filter_map(|name| self.step(tree, &at, name))
                    .collect::<Vec<_>>()
                {
                    self.follow(tree, next, rest, into);
                }
            }
            Err(error) => self.problem(&at, &error.to_string()),
        }
    }

    /// One folder further; `None` where there is none, or something else.
    fn step(&mut self, tree: &Tree, at: &RelPath, name: &OsStr) -> Option<RelPath> {
        let next = at.join(name)?;
        match tree.stat(&next) {
            // What lies in a vault is in use nowhere.
            Ok(stat) if stat.kind == Kind::Dir => {
                let is_vault = tree.dir(&next).is_ok_and(|dir| vault::is_one(&next, &dir));
                (!is_vault).then_some(next)
            }
            Ok(stat) => {
                if stat.kind == Kind::Link {
                    self.problem(&next, "is a link, and links are not followed: remove it, and keep photos in the folder itself");
                }
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.watch_for_more.insert(at.clone());
                None
            }
            Err(error) => {
                self.problem(&next, &error.to_string());
                None
            }
        }
    }

    fn problem(&mut self, at: &RelPath, problem: &str) {
        self.problems.push((at.to_string(), problem.to_owned()));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn resolved(temp: &tempfile::TempDir, patterns: &[&str]) -> Roots {
        let tree = Tree::open(temp.path()).unwrap();
        Roots::resolve(&tree, &patterns.iter().map(ToString::to_string).collect())
    }

    fn paths(roots: &Roots) -> Vec<String> {
        roots.watched().map(|r| r.path.to_string()).collect()
    }

    #[test]
    fn a_star_stands_for_one_folder_and_never_for_a_link() {
        let temp = tempfile::tempdir().unwrap();
        for dir in ["home/anna/Pictures", "home/ben/Pictures", "home/cat"] {
            std::fs::create_dir_all(temp.path().join(dir)).unwrap();
        }
        std::os::unix::fs::symlink("anna", temp.path().join("home/zoe")).unwrap();
        let roots = resolved(&temp, &["/home/*/Pictures"]);
        assert_eq!(paths(&roots), ["/home/anna/Pictures", "/home/ben/Pictures"]);
        let waits = |dir: &str| roots.watch_for_more.contains(&RelPath::new(dir).unwrap());
        assert!(waits("home") && waits("home/cat"));
        assert_eq!(roots.problems[0].0, "/home/zoe");
    }

    #[test]
    fn a_root_within_another_is_looked_at_once_and_trash_beside_them() {
        let temp = tempfile::tempdir().unwrap();
        for dir in [
            "home/anna/Pictures/Camera",
            "home/anna/.local/share/Trash/files",
        ] {
            std::fs::create_dir_all(temp.path().join(dir)).unwrap();
        }
        let roots = resolved(&temp, &["/home/*/Pictures/Camera", "/home/*/Pictures"]);
        let trash = "/home/anna/.local/share/Trash/files";
        assert_eq!(paths(&roots), [trash, "/home/anna/Pictures"]);
        let photo = RelPath::new("home/anna/Pictures/Camera/a.jpg").unwrap();
        assert_eq!(roots.of(&photo).unwrap().kind, RootKind::Capture);
        let note = RelPath::new("home/anna/Documents/a.jpg").unwrap();
        assert_eq!(roots.of(&note).unwrap().kind, RootKind::Elsewhere);
    }
}
