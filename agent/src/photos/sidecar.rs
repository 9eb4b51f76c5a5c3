//! Files that describe a photo and lie beside it, under a name made of its own: edits and keywords (`.xmp`, `.aae`,
//! `.pp3`, `.json`), which may hold names, places and small pictures.
//!
//! They are looked for when their photo is withheld, go into the vault with it, come back with it, and are destroyed with
//! it. They are not sealed: nobody but the agent enters a vault.

use super::catalogue::{self, FileRow, FileState, Part, PhotoRow};
use super::engine::Engine;
use super::error::PhotosError;
use super::fault::Write;
use super::tree::{self, Kind, RelPath, Stat};
use rustix::fd::OwnedFd;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

const EXTENSIONS: [&str; 6] = ["xmp", "XMP", "aae", "AAE", "json", "pp3"];

impl Engine {
    /// Takes the sidecars of what is about to be withheld into the catalogue.
    pub(super) fn find_sidecars<'a>(
        &self,
        rows: impl Iterator<Item = &'a PhotoRow>,
    ) -> Result<Vec<FileRow>, PhotosError> {
        let mut dirs: HashMap<RelPath, Option<OwnedFd>> = HashMap::new();
        let mut found: Vec<(&FileRow, RelPath, Stat)> = Vec::new();
        for row in rows {
            let known = |path: &RelPath| row.sidecars().any(|file| file.path == *path);
            let present = row.photo_files().filter(|f| f.state == FileState::Present);
            for file in present {
                let Some(parent) = file.path.parent() else {
                    continue;
                };
                let dir = dirs
                    .entry(parent.clone())
                    .or_insert_with(|| self.tree().dir(&parent).ok());
                let Some(dir) = dir else { continue };
                for name in names(file.path.name()) {
                    let Some(path) = parent.join(&name).filter(|path| !known(path)) else {
                        continue;
                    };
                    match tree::stat(dir, &name) {
                        Ok(stat) if stat.kind == Kind::File => found.push((file, path, stat)),
                        Ok(_) | Err(_) => {}
                    }
                }
            }
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        self.commit(Write::SidecarsFound, |tx| {
            let sql = tx.sql();
            let mut sidecars = Vec::new();
            for (of, path, stat) in &found {
                // Somebody else's: a photo by that name, or the sidecar of another one.
                if catalogue::file_present_at(sql, path)?.is_some() {
                    continue;
                }
                let parts = (Part::Sidecar, of.in_trash);
                catalogue::file_insert(sql, of.photo, (path, &of.root), parts, stat)?;
                sidecars.extend(catalogue::file_present_at(sql, path)?);
            }
            Ok(sidecars)
        })
    }
}

/// What a sidecar of a photo with this name may be called: `a.xmp` and `a.jpg.xmp` of `a.jpg`.
fn names(photo: &OsStr) -> impl Iterator<Item = OsString> + '_ {
    let whole = photo.as_bytes();
    let dot = whole.iter().rposition(|b| *b == b'.').filter(|at| *at > 0);
    let stems = [Some(whole), dot.map(|at| &whole[..at])];
    stems.into_iter().flatten().flat_map(move |stem| {
        EXTENSIONS.iter().filter_map(move |extension| {
            let name = [stem, b".", extension.as_bytes()].concat();
            (name != whole).then(|| OsString::from_vec(name))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_named_after_the_photo_with_or_without_its_extension() {
        let of = |name: &str| names(OsStr::new(name)).collect::<Vec<_>>();
        assert!(of("a.jpg").contains(&"a.xmp".into()));
        assert!(of("a.jpg").contains(&"a.jpg.xmp".into()));
        assert!(of("a").contains(&"a.json".into()));
        assert!(!of("a.json").contains(&"a.json".into()));
        assert!(!of(".jpg").contains(&".xmp".into()));
    }
}
