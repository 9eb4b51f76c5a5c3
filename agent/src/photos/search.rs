//! The second look: whether a content is anywhere in the roots.

use super::hash::{ContentKey, Stop};
use super::known::Vaulted;
use super::roots::{RootKind, Roots};
use super::tree::{self, Identity, Kind, RelPath, Tree};
use super::walk::{is_absence, walk};
use nestwarden_policy_schema::bytes::Digest;
use std::io::{self, Read as _};

/// A file with content that was looked for.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub path: RelPath,
    pub kind: RootKind,
    pub identity: Identity,
}

/// What a second look for one content found.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub copies: Vec<Copy>,
    pub files_read: u64,
    pub unreadable: Vec<(RelPath, String)>,
}

/// Reads every file in the roots that has the length of the content looked for; no other can hold it.
pub(super) fn search(
    tree: &Tree,
    roots: &Roots,
    vaults: &Vaulted,
    (hash, bytes): (&Digest, u64),
    key: &ContentKey,
) -> io::Result<Search> {
    let mut search = Search::default();
    let never = Stop::default();
    for root in &roots.roots {
        let unseen = walk(
            tree,
            (roots, root),
            &root.path,
            vaults,
            &mut |dir, path, stat| {
                if stat.kind != Kind::File || stat.identity.size != bytes {
                    return Ok(());
                }
                let content = tree::open_file(dir, path.name())
                    // No further than that: somebody may go on writing.
                    .and_then(|file| key.hash(&mut file.take(bytes), &never));
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
        search.unreadable.extend(unseen.too_deep);
        if root.kind != RootKind::Elsewhere {
            search.unreadable.extend(unseen.unreadable);
        }
    }
    Ok(search)
}
