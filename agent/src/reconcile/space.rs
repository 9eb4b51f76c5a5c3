//! Whether there is space for photos. With none the camera is off: a photo that is taken then is cut short, or cannot be
//! put away.

use crate::clock::TrustedClock;
use crate::ledger::{Ledger, LedgerError};
use crate::photos::roots::Roots;
use crate::photos::tree::{RelPath, Tree};
use nestwarden_policy_schema::event::EventBody;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const PERIOD: Duration = Duration::from_mins(1);
/// Some photos or a short film.
const LEAST_BYTES: u64 = 64 * 1024 * 1024;
/// Of a small file system no more than this part of it is asked for.
const PART: u64 = 50;

/// On the file systems that photos are taken to, and on the record's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    #[default]
    Enough,
    /// Or it could not be found out.
    Short,
}

/// Looks after it, once a minute and with every new policy, until dropped.
pub async fn watch_space(
    ledger: Ledger,
    clock: TrustedClock,
    (tree, state): (Arc<Tree>, RelPath),
    told: watch::Sender<Space>,
) {
    let mut bundles = ledger.watch_bundle();
    loop {
        let bundle = bundles.borrow_and_update().clone();
        let patterns = bundle
            .and_then(|bundle| bundle.bundle().policy.photos.clone())
            .map(|photos| photos.capture_roots)
            .unwrap_or_default();
        let before = *told.borrow();
        let (tree, state) = (Arc::clone(&tree), state.clone());
        let (record, at) = (ledger.clone(), clock.now().at);
        let look = tokio::task::spawn_blocking(move || {
            let now = look(&tree, &state, &patterns, before);
            if now == Space::Short && before == Space::Enough {
                tell(&record, at)?;
            }
            Ok::<_, LedgerError>(now)
        });
        match look.await {
            Ok(Ok(now)) => {
                told.send_if_modified(|last| std::mem::replace(last, now) != now);
            }
            // What cannot be written down leaves the camera off.
            Ok(Err(error)) => {
                tracing::error!(error = %crate::whole_text(&error), "that the disk is full could not be recorded");
                told.send_if_modified(|last| std::mem::replace(last, Space::Short) != Space::Short);
            }
            Err(error) => tracing::error!(%error, "looking at the space for photos failed"),
        }
        let door = clock.door();
        tokio::select! {
            _ = bundles.changed() => {}
            () = door.sleep(PERIOD) => {}
        }
    }
}

fn tell(ledger: &Ledger, at: jiff::Timestamp) -> Result<(), LedgerError> {
    let what = "there is hardly any space left for photos: the camera is off until there is more"
        .to_owned();
    tracing::warn!(what);
    ledger.record(at, &EventBody::Alarm { what }).map(drop)
}

/// Once short, there has to be twice as much as is asked for, so that a camera does not come and go.
pub(crate) fn look(
    tree: &Tree,
    state: &RelPath,
    patterns: &BTreeSet<String>,
    before: Space,
) -> Space {
    let roots = Roots::resolve(tree, patterns);
    let places = roots.captures().map(|root| &root.path);
    let times = match before {
        Space::Enough => 1,
        Space::Short => 2,
    };
    let is_short = |dir: &RelPath| match space_at(tree, dir) {
        Ok((free, all)) => free < times * LEAST_BYTES.min(all / PART),
        // A folder that went needs none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            tracing::warn!(%error, %dir, "the space for photos could not be found out");
            true
        }
    };
    if places.chain([state]).any(is_short) {
        Space::Short
    } else {
        Space::Enough
    }
}

/// Bytes free for everybody, and all there are.
fn space_at(tree: &Tree, dir: &RelPath) -> io::Result<(u64, u64)> {
    let dir = tree.dir(dir)?;
    let on = rustix::fs::fstatvfs(&dir)?;
    // A file system that counts no blocks has no end of its own.
    if on.f_blocks == 0 {
        return Ok((u64::MAX, u64::MAX));
    }
    Ok((
        on.f_bavail.saturating_mul(on.f_frsize),
        on.f_blocks.saturating_mul(on.f_frsize),
    ))
}

/// Where photos and the record are, for whoever asks about space.
pub fn places(paths: &crate::paths::Paths) -> io::Result<(Arc<Tree>, RelPath)> {
    let tree = Tree::open(paths.root_dir())?;
    let state = tree
        .relative(&paths.state_dir())
        .ok_or_else(|| io::Error::other("the state folder lies outside the root"))?;
    Ok((Arc::new(tree), state))
}
