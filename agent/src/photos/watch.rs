//! Hears of changes in the roots. What it may have missed is never guessed: then everything is looked at again.

use super::roots::Roots;
use super::tree::{RelPath, Tree};
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a file must have been left alone when nobody said that it was closed.
const QUIET: Duration = Duration::from_secs(2);
/// How long one that never rests is left unseen at first; doubled each time.
const LONGEST: Duration = Duration::from_secs(10);
/// Paths waited for beyond which everything is looked at instead.
const MAX_PATHS: usize = 2_000;
const QUEUE: usize = 4_096;

/// What was heard.
#[derive(Debug)]
enum Heard {
    /// Closed after writing, renamed, removed: look now.
    Settled(PathBuf),
    /// Made or written to, and perhaps not done.
    Unsettled(PathBuf),
    /// Something was not heard.
    Missed,
}

/// Watches the roots and collects what to look at.
pub(super) struct Watch {
    tree: Arc<Tree>,
    watcher: Option<RecommendedWatcher>,
    heard: mpsc::Receiver<Heard>,
    sender: mpsc::Sender<Heard>,
    overflowed: Arc<AtomicBool>,
    /// What is watched, and whether with everything beneath it.
    watched: BTreeMap<RelPath, bool>,
    ready: BTreeSet<RelPath>,
    unsettled: HashMap<RelPath, Restless>,
}

#[derive(Clone, Copy, Debug)]
struct Restless {
    since: Duration,
    last: Duration,
    patience: Duration,
}

impl Watch {
    pub(super) fn new(tree: Arc<Tree>) -> Self {
        let (sender, heard) = mpsc::channel(QUEUE);
        Self {
            tree,
            watcher: None,
            heard,
            sender,
            overflowed: Arc::default(),
            watched: BTreeMap::new(),
            ready: BTreeSet::new(),
            unsettled: HashMap::new(),
        }
    }

    /// Watches exactly these roots from now on; what cannot be watched, by path.
    pub(super) fn follow(&mut self, roots: &Roots) -> Vec<String> {
        let mut wanted: BTreeMap<RelPath, bool> = roots
            .watch_for_more
            .iter()
            .map(|dir| (dir.clone(), false))
            .collect();
        wanted.extend(roots.watched().map(|root| (root.path.clone(), true)));
        if self.watcher.is_none() {
            match self.listen() {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => return vec![format!("nothing can be watched: {error}")],
            }
        }
        let Some(watcher) = &mut self.watcher else {
            return Vec::new();
        };
        let stale = self
            .watched
            .iter()
            .filter(|(dir, deep)| wanted.get(*dir) != Some(*deep));
        for dir in stale.map(|(dir, _)| dir.clone()).collect::<Vec<_>>() {
            // A folder that is gone took its watch with it.
            let _ = watcher.unwatch(&self.tree.absolute(&dir));
            self.watched.remove(&dir);
        }
        let mut problems = Vec::new();
        for (dir, deep) in wanted {
            if self.watched.contains_key(&dir) {
                continue;
            }
            let mode = if deep {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            match watcher.watch(&self.tree.absolute(&dir), mode) {
                Ok(()) => {
                    self.watched.insert(dir, deep);
                }
                Err(error) => problems.push(format!("`{dir}` cannot be watched: {error}")),
            }
        }
        problems
    }

    /// Everything is watched anew the next time: after an overflow, a folder that was replaced may have lost its watch.
    pub(super) fn forget(&mut self) {
        self.watcher = None;
        self.watched.clear();
    }

    fn listen(&self) -> notify::Result<RecommendedWatcher> {
        let sender = self.sender.clone();
        let overflowed = Arc::clone(&self.overflowed);
        let handler = move |event: notify::Result<Event>| {
            let heard = event.ok().and_then(sorted);
            let heard = heard.unwrap_or_else(|| vec![Heard::Missed]);
            for one in heard {
                if sender.try_send(one).is_err() {
                    overflowed.store(true, Ordering::SeqCst);
                }
            }
        };
        RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))
    }

    /// Returns when something was heard. Safe to drop.
    pub(super) async fn hear(&mut self, now: Duration) {
        if let Some(heard) = self.heard.recv().await {
            self.take(heard, now);
        }
        while let Ok(heard) = self.heard.try_recv() {
            self.take(heard, now);
        }
    }

    fn take(&mut self, heard: Heard, now: Duration) {
        let (path, settled) = match heard {
            Heard::Settled(path) => (path, true),
            Heard::Unsettled(path) => (path, false),
            Heard::Missed => {
                self.overflowed.store(true, Ordering::SeqCst);
                return;
            }
        };
        let Some(path) = self.tree.relative(&path) else {
            return;
        };
        if settled {
            self.unsettled.remove(&path);
            self.ready.insert(path);
        } else {
            let fresh = Restless {
                since: now,
                last: now,
                patience: LONGEST,
            };
            self.unsettled.entry(path).or_insert(fresh).last = now;
        }
        if self.ready.len() + self.unsettled.len() > MAX_PATHS {
            self.overflowed.store(true, Ordering::SeqCst);
        }
    }

    pub(super) fn add(&mut self, paths: impl IntoIterator<Item = RelPath>) {
        self.ready.extend(paths);
    }

    /// Whether something may have been missed, once.
    pub(super) fn take_overflow(&mut self) -> bool {
        let overflowed = self.overflowed.swap(false, Ordering::SeqCst);
        if overflowed {
            self.ready.clear();
            self.unsettled.clear();
        }
        overflowed
    }

    /// What to look at now.
    pub(super) fn take_ready(&mut self, now: Duration) -> Vec<RelPath> {
        for (path, restless) in &mut self.unsettled {
            let rested = now >= restless.last + QUIET;
            if rested || now >= restless.since + restless.patience {
                self.ready.insert(path.clone());
                restless.since = now;
                restless.patience *= 2;
            }
        }
        self.unsettled
            .retain(|_, restless| now < restless.last + QUIET);
        std::mem::take(&mut self.ready).into_iter().collect()
    }

    /// By the boot clock: when an unsettled file is to be looked at all the same.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.unsettled
            .values()
            .map(|restless| (restless.last + QUIET).min(restless.since + restless.patience))
            .min()
    }
}

/// `None`: something was missed.
fn sorted(event: Event) -> Option<Vec<Heard>> {
    if event.need_rescan() {
        return None;
    }
    let settled = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Create(notify::event::CreateKind::Folder)
        | EventKind::Remove(_) => true,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => false,
        EventKind::Access(_)
        | EventKind::Modify(ModifyKind::Metadata(_) | ModifyKind::Other)
        | EventKind::Any
        | EventKind::Other => return Some(Vec::new()),
    };
    let heard = event.paths.into_iter();
    Some(if settled {
        heard.map(Heard::Settled).collect()
    } else {
        heard.map(Heard::Unsettled).collect()
    })
}
