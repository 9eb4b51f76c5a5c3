//! The photos task looks at the roots: when, what with, and what it makes of it.

use super::engine::{Engine, Moment, Scope};
use super::error::PhotosError;
use super::hash::ContentKey;
use super::outlet::Outlet;
use super::roots::Roots;
use super::scan::{Batch, Report, Scanner, Unread};
use super::task::{Arrived, LOOK_AT_MOST, PhotosTask, RESCAN_EVERY};
use super::tree::RelPath;
use nestwarden_policy_schema::envelope::VerifiedBundle;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How often roots are resolved again when they change while they are being resolved.
const MAX_RESOLVES: u32 = 10;

/// How a scan ended.
pub(super) struct Scanned {
    scanner: Scanner,
    report: io::Result<Report>,
    /// Of everything, in the roots of these patterns.
    full: Option<BTreeSet<String>>,
    /// A hold kept it from looking.
    frozen: bool,
}

impl PhotosTask {
    /// Begins a scan if there is reason to and none is under way.
    pub(super) async fn scan(
        &mut self,
        bundle: &Arc<VerifiedBundle>,
        since_boot: Duration,
    ) -> Result<(), PhotosError> {
        if self.scanner.is_none() {
            return Ok(());
        }
        let paths = self.watch.take_ready(since_boot);
        let more = |path: &RelPath| {
            self.roots.of(path).is_none()
                && path
                    .parent()
                    .is_some_and(|dir| self.roots.watch_for_more.contains(&dir))
        };
        if paths.iter().any(more) {
            // A root, or a folder on the way to one, came or went.
            self.scan_everything = true;
        }
        if !self.scan_everything && paths.is_empty() {
            return Ok(());
        }
        let everything = std::mem::take(&mut self.scan_everything);
        let patterns = self.patterns.clone();
        let known = self
            .with_engine(bundle, {
                let patterns = patterns.clone();
                move |engine, moment| {
                    engine.roots_begun(&patterns)?;
                    let roots = everything.then(|| Roots::resolve(engine.tree(), &patterns));
                    Ok((engine.known(moment)?, roots, Arc::clone(engine.tree())))
                }
            })
            .await?;
        let (known, roots, tree) = known;
        if let Some(mut roots) = roots {
            self.rescan_at = since_boot + RESCAN_EVERY;
            self.full.began = Some(since_boot);
            self.scanning.append(&mut self.asked);
            // Watched, and anew, before it is scanned: what comes in between is heard of.
            self.watch.forget();
            for _ in 0..MAX_RESOLVES {
                self.watched.problems = self.watch.follow(&roots);
                // A folder that was made before its parent was watched has not been heard of.
                let (tree, patterns) = (Arc::clone(&tree), patterns.clone());
                let now = self
                    .blocking(move |_| Ok(Roots::resolve(&tree, &patterns)))
                    .await?;
                if now == std::mem::replace(&mut roots, now.clone()) {
                    break;
                }
            }
            if known.everything_frozen {
                let frozen =
                    "a hold freezes this tablet: nothing in the capture roots is looked at";
                self.watched.problems.push(frozen.to_owned());
            }
            self.watched.roots = roots.captures().count();
            let problems = roots.problems.iter();
            self.watched
                .problems
                .extend(problems.map(|(path, e)| format!("`{path}`: {e}")));
            self.roots = roots;
        }
        let roots = self.roots.clone();
        let key = ContentKey::new(&bundle.bundle().photo_hash_key);
        let arrivals = self.arrivals.0.clone();
        let stop = Arc::clone(&self.scan_stop);
        let Some(mut scanner) = self.scanner.take() else {
            return Ok(());
        };
        self.look_late_at = Some(since_boot + LOOK_AT_MOST);
        let frozen = known.everything_frozen;
        let full = everything.then_some(patterns);
        let mut outlet = Outlet::new(arrivals.clone());
        let work = tokio::task::spawn_blocking(move || {
            let sink = &mut |batch| outlet.hand_on(batch);
            let report = if everything {
                scanner.full(&tree, &roots, &known, (&key, &stop), sink)
            } else {
                scanner.paths(&tree, &roots, &paths, &known, (&key, &stop), sink)
            };
            (scanner, report)
        });
        tokio::spawn(async move {
            // Something that went badly wrong in a scan must not end all scanning.
            let (scanner, report) = work
                .await
                .unwrap_or_else(|e| (Scanner::default(), Err(io::Error::other(e))));
            let arrived = Arrived::Scanned(Box::new(Scanned {
                scanner,
                report,
                full,
                frozen,
            }));
            // Nobody listens any more when the task has ended.
            let _ = arrivals.send(arrived).await;
        });
        Ok(())
    }

    pub(super) async fn scanned(&mut self, scanned: Scanned) -> Result<(), PhotosError> {
        self.scanner = Some(scanned.scanner);
        self.look_late_at = None;
        self.watched.late = false;
        let Some(bundle) = self.context.ledger.bundle() else {
            return Ok(());
        };
        let report = scanned.report?;
        let unreadable: Vec<String> = report
            .unreadable
            .iter()
            .map(|(path, error)| format!("`{path}`: {error}"))
            .collect();
        let links = report.links.iter();
        let links = links.map(|path| format!("`{path}` is a link, and links are not followed: remove it, and keep the photo itself here"));
        let complete = scanned.full.is_some() && unreadable.is_empty() && !scanned.frozen;
        let known = &mut self.watched.problems;
        let new = unreadable
            .into_iter()
            .chain(links)
            .filter(|problem| !known.contains(problem));
        let new: Vec<String> = new.collect();
        known.extend(new);
        let is_full = scanned.full.is_some();
        if let Some(began) = self.full.began.filter(|_| is_full) {
            let since_boot = self.context.clock.door().since_boot();
            self.full.took = since_boot.saturating_sub(began);
        }
        if let Some(patterns) = scanned.full.filter(|_| complete) {
            let done = move |engine: &mut Engine, _: &Moment<'_>| engine.roots_done(&patterns);
            self.with_engine(&bundle, done).await?;
        }
        if is_full {
            let roots = self.roots.clone();
            let keep =
                move |engine: &mut Engine, moment: &Moment<'_>| engine.keep_room(moment, &roots);
            self.with_engine(&bundle, keep).await?;
        }
        self.watched.scanned |= is_full;
        self.report(&bundle).await?;
        if is_full {
            self.answer_after_scan().await?;
        }
        Ok(())
    }

    /// Takes over a batch of what a scan sees, and holds it to its verdict at once.
    pub(super) async fn seen(
        &mut self,
        batch: Batch,
        reply: oneshot::Sender<Unread>,
    ) -> Result<(), PhotosError> {
        let Some(bundle) = self.context.ledger.bundle() else {
            return Ok(());
        };
        let absorb = move |engine: &mut Engine, moment: &Moment<'_>| engine.absorb(moment, batch);
        let (touched, unread) = self.with_engine(&bundle, absorb).await?;
        // Without an answer the scan ends, and everything is looked at again.
        let _ = reply.send(unread);
        if touched.is_empty() {
            return Ok(());
        }
        self.pass(&bundle, Scope::Only(touched)).await
    }
}
