//! Files that describe a photo and lie beside it, under a name made of its own: edits and keywords (`.xmp`, `.aae`,
//! `.pp3`, `.json`), which may hold names, places and small pictures.
//!
//! They are looked for when their photo is withheld, go into the vault with it, come back with it, and are destroyed with
//! it. One that is written afterwards, by a program that still has the photo open, follows. They are not sealed: nobody but
//! the agent enters a vault.

use super::catalogue::{self, FileRow, FileState, Part, PhotoRow};
use super::engine::Engine;
use super::error::PhotosError;
use super::fault::Write;
use super::scan::Beside;
use super::tree::{self, Kind, RelPath, Stat};
use nestwarden_policy_schema::id::PhotoId;
use rusqlite::{Connection, params};
use rustix::fd::OwnedFd;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Names looked at beyond which a file is nobody's.
const MOST: i64 = 100;
/// From so many photos of one folder on its names are read once, instead of looking up every name their sidecars may have.
const MANY: usize = if cfg!(test) { 2 } else { 16 };
const EXTENSIONS: [&str; 6] = ["xmp", "XMP", "aae", "AAE", WHOLE_NAME_ONLY, "pp3"];
/// Much else ends like this: only `a.jpg.json` describes `a.jpg`.
const WHOLE_NAME_ONLY: &str = "json";

impl Engine {
    /// Takes the sidecars of what is about to be withheld into the catalogue.
    pub(super) fn find_sidecars<'a>(
        &self,
        rows: impl Iterator<Item = &'a PhotoRow>,
    ) -> Result<Vec<FileRow>, PhotosError> {
        let mut folders: HashMap<RelPath, Vec<(&PhotoRow, &FileRow)>> = HashMap::new();
        for row in rows {
            let present = row.photo_files().filter(|f| f.state == FileState::Present);
            for file in present {
                if let Some(parent) = file.path.parent() {
                    folders.entry(parent).or_default().push((row, file));
                }
            }
        }
        let mut found: Vec<(&FileRow, RelPath, Stat)> = Vec::new();
        for (parent, photos) in &folders {
            let Ok(dir) = self.tree().dir(parent) else {
                continue;
            };
            let listed = (photos.len() >= MANY).then(|| listed(&dir).ok()).flatten();
            let may_be_there =
                |name: &OsString| listed.as_ref().is_none_or(|names| names.contains(name));
            for (row, file) in photos {
                if listed.as_ref().is_some_and(HashSet::is_empty) {
                    break;
                }
                let known = |path: &RelPath| row.sidecars().any(|file| file.path == *path);
                for name in names(file.path.name()).filter(may_be_there) {
                    let Some(path) = parent.join(&name).filter(|path| !known(path)) else {
                        continue;
                    };
                    match tree::stat(&dir, &name) {
                        Ok(stat) if stat.kind == Kind::File => found.push((*file, path, stat)),
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

impl Engine {
    /// Takes what describes photos that are out of use into the catalogue: the photos.
    pub(super) fn take_late_sidecars(
        &self,
        files: &[Beside],
    ) -> Result<BTreeSet<PhotoId>, PhotosError> {
        let mut late = Vec::new();
        for file in files {
            let of = self
                .ledger
                .read(|sql| described_out_of_use(sql, &file.path));
            if let (Some(photo), Ok(stat)) = (of?, self.tree().stat(&file.path))
                && stat.kind == Kind::File
            {
                late.push((photo, file, stat));
            }
        }
        if late.is_empty() {
            return Ok(BTreeSet::new());
        }
        self.commit(Write::SidecarsFound, |tx| {
            let mut photos = BTreeSet::new();
            for ((photo, in_trash), file, stat) in &late {
                if catalogue::file_present_at(tx.sql(), &file.path)?.is_none() {
                    let place = (&file.path, &file.root.path);
                    catalogue::file_insert(
                        tx.sql(),
                        *photo,
                        place,
                        (Part::Sidecar, *in_trash),
                        stat,
                    )?;
                }
                photos.insert(*photo);
            }
            Ok(photos)
        })
    }
}

/// The photo out of use that a file describes by its name, and whether it was in the trash. A photo by a fitting name that
/// is still there is the one it describes; that one's sidecars are looked for when it goes.
fn described_out_of_use(
    sql: &Connection,
    path: &RelPath,
) -> Result<Option<(PhotoId, bool)>, PhotosError> {
    let Some(stem) = stem(path.name()) else {
        return Ok(None);
    };
    let whole = path.as_bytes();
    let dir = &whole[..whole.len() - path.name().len()];
    let exact = [dir, stem].concat();
    let from = [&exact[..], b"."].concat();
    // Where the name of the photo has to be whole, there is nothing in between.
    let is_whole = path.name().as_bytes().ends_with(WHOLE_NAME_ONLY.as_bytes());
    let to = [&exact[..], if is_whole { b"." } else { b"/" }].concat();
    let mut statement = sql.prepare_cached(
        "SELECT f.photo, f.in_trash, f.state, f.path FROM photo_file f JOIN photo p ON p.id = f.photo
         WHERE (f.path = ?1 OR (f.path > ?2 AND f.path < ?3)) AND f.part = 'photo'
            AND (f.state IN ('present', 'vaulted') OR p.stage IN ('withheld', 'sealed'))
         LIMIT ?4",
    )?;
    let mut rows = statement.query(params![exact, from, to, MOST])?;
    let mut found = None;
    while let Some(row) = rows.next()? {
        let other: Vec<u8> = row.get(3)?;
        // Only the last extension is left out of a sidecar's name: `a.b.xmp` describes no `a.jpg`.
        let extension = other.get(from.len()..).unwrap_or_default();
        if extension.iter().any(|byte| matches!(byte, b'.' | b'/')) || other == whole {
            continue;
        }
        if row.get::<_, String>(2)? == FileState::Present.as_str() {
            return Ok(None);
        }
        found = Some((catalogue::read(&row.get::<_, String>(0)?)?, row.get(1)?));
    }
    Ok(found)
}

/// The names in a folder that a sidecar may have.
fn listed(dir: &OwnedFd) -> io::Result<HashSet<OsString>> {
    let names = tree::each_name(dir)?;
    names
        .filter(|name| name.as_ref().map_or(true, |name| is_named_like_one(name)))
        .collect()
}

pub(super) fn is_named_like_one(name: &OsStr) -> bool {
    stem(name).is_some()
}

/// What a sidecar's name begins with.
fn stem(name: &OsStr) -> Option<&[u8]> {
    let whole = name.as_bytes();
    let dot = whole
        .iter()
        .rposition(|b| *b == b'.')
        .filter(|at| *at > 0)?;
    let is_one = |extension: &str| extension.as_bytes() == &whole[dot + 1..];
    EXTENSIONS.iter().any(|e| is_one(e)).then(|| &whole[..dot])
}

/// What a sidecar of a photo with this name may be called: `a.xmp` and `a.jpg.xmp` of `a.jpg`, and `a.jpg.json`.
fn names(photo: &OsStr) -> impl Iterator<Item = OsString> + '_ {
    let whole = photo.as_bytes();
    let dot = whole.iter().rposition(|b| *b == b'.').filter(|at| *at > 0);
    let stems = [Some(whole), dot.map(|at| &whole[..at])];
    stems.into_iter().flatten().flat_map(move |stem| {
        let may_have = move |extension: &&&str| stem == whole || **extension != WHOLE_NAME_ONLY;
        EXTENSIONS
            .iter()
            .filter(may_have)
            .filter_map(move |extension| {
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
        assert!(of("a.jpg").contains(&"a.jpg.json".into()));
        assert!(!of("a.jpg").contains(&"a.json".into()));
        assert!(!of("a.json").contains(&"a.json".into()));
        assert!(!of(".jpg").contains(&".xmp".into()));
    }
}
