//! The task that keeps the photos as their verdicts want them: wakes for bundles, files, people and time, and hands
//! everything that blocks to other threads. Of scans and of jobs one each runs at a time; neither keeps a pass waiting.

use super::engine::{Engine, Moment, Passed, Scope};
use super::error::PhotosError;
use super::handle::{PhotosHandle, Reply, Request};
use super::hash::Stop;
use super::jobs::{Done, Job};
use super::listing::Watchfulness;
use super::looking::Scanned;
use super::only_loss::{holding_photos, only_loss};
use super::roots::Roots;
use super::scan::{Batch, Scanner, Unread};
use super::session::{self, Session};
use super::sweep::Progress;
use super::unseal::{UnsealRefusal, Unsealer};
use super::watch::Watch;
use crate::clock::TrustedClock;
use crate::ledger::Ledger;
use crate::paths::Paths;
use crate::reconcile::board::OutcomeBoard;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::control::{ControlName, Outcome};
use nestwarden_policy_schema::envelope::VerifiedBundle;
use nestwarden_policy_schema::id::{DeviceId, PhotoId, SessionId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// What the task works with.
#[derive(Clone)]
pub struct PhotosContext {
    pub ledger: Ledger,
    pub clock: TrustedClock,
    pub paths: Paths,
    pub board: OutcomeBoard,
    pub device_id: DeviceId,
    pub unsealer: Unsealer,
}

/// Everything is looked at this often, whatever was heard.
pub(super) const RESCAN_EVERY: Duration = Duration::from_mins(10);
/// Sooner, once photos go out of use; but no sooner after another look than this, nor than what leaves the tablet nine
/// tenths of its time.
const RESCAN_AFTER: Duration = Duration::from_secs(30);
/// And judged this often, for what changes without anybody telling: how old the hold list is.
const JUDGE_EVERY: Duration = Duration::from_mins(5);
/// A look that takes longer than this is told of: what came since it began may not have been seen.
pub(super) const LOOK_AT_MOST: Duration = Duration::from_mins(3);
/// After a failure of the ledger or the disk.
const RETRY_AFTER: Duration = Duration::from_secs(5);
const QUEUE: usize = 64;
/// Jobs under way at once; of those that take long, one.
const MAX_JOBS: usize = 2;

/// The last look at everything.
#[derive(Default)]
pub(super) struct FullLook {
    /// By the boot clock; `None`: there was none yet.
    pub(super) began: Option<Duration>,
    pub(super) took: Duration,
}

impl FullLook {
    /// When everything may be looked at again before its time.
    pub(super) fn next(&self) -> Duration {
        let rest = RESCAN_AFTER.max(self.took.saturating_mul(10));
        self.began.map_or(Duration::ZERO, |began| began + rest)
    }
}

pub(super) enum Arrived {
    Seen(Box<Batch>, oneshot::Sender<Unread>),
    Scanned(Box<Scanned>),
    Done(Done, Long),
    Key(PhotoId, Result<Secret, UnsealRefusal>, Behind),
}

/// Whether the server had yet to hear of something recorded here when it was asked.
pub(super) struct Behind(bool);

/// Whether a job was one of those that take long.
pub(super) struct Long(bool);

/// The task, ready to run.
pub struct PhotosTask {
    pub(super) context: PhotosContext,
    engine: Arc<Mutex<Engine>>,
    requests: mpsc::Receiver<Request>,
    pub(super) open: watch::Sender<Option<SessionId>>,
    pub(super) arrivals: (mpsc::Sender<Arrived>, mpsc::Receiver<Arrived>),
    pub(super) watch: Watch,
    pub(super) scanner: Option<Scanner>,
    pub(super) scan_stop: Arc<Stop>,
    /// When the look that is under way is told to take long, by the boot clock.
    pub(super) look_late_at: Option<Duration>,
    pub(super) roots: Roots,
    pub(super) patterns: BTreeSet<String>,
    pub(super) watched: Watchfulness,
    jobs: VecDeque<Job>,
    jobs_running: usize,
    long_job_running: bool,
    asks: VecDeque<PhotoId>,
    asking: bool,
    pub(super) scan_everything: bool,
    /// Answered when a scan of everything that begins after they asked has ended; `scanning` are those of the one under way.
    pub(super) asked: Vec<AfterScan>,
    pub(super) scanning: Vec<AfterScan>,
    judge_all: bool,
    next_change: Option<jiff::Timestamp>,
    /// By the boot clock.
    retry_at: Option<Duration>,
    pub(super) rescan_at: Duration,
    pub(super) full: FullLook,
    pub(super) judge_at: Duration,
}

pub(super) enum AfterScan {
    SessionEnd(Reply<(Session, u64)>),
    Rescan(Reply<()>),
}

impl PhotosTask {
    /// Takes up what the last run left, and returns the handle to speak to the task with. Blocks.
    pub fn open(context: PhotosContext) -> Result<(PhotosHandle, Self), PhotosError> {
        let engine = Engine::open(context.ledger.clone(), &context.paths, context.device_id)?;
        let open = context.ledger.read(session::session_open)?;
        let (sender, requests) = mpsc::channel(QUEUE);
        let open = watch::Sender::new(open.map(|session| session.id));
        let handle = PhotosHandle {
            requests: sender,
            ledger: context.ledger.clone(),
            open: open.subscribe(),
            finished: Arc::default(),
        };
        let task = Self {
            watch: Watch::new(Arc::clone(engine.tree())),
            engine: Arc::new(Mutex::new(engine)),
            context,
            requests,
            open,
            arrivals: mpsc::channel(QUEUE),
            scanner: Some(Scanner::default()),
            scan_stop: Arc::default(),
            look_late_at: None,
            roots: Roots::default(),
            patterns: BTreeSet::new(),
            watched: Watchfulness::default(),
            jobs: VecDeque::new(),
            jobs_running: 0,
            long_job_running: false,
            asks: VecDeque::new(),
            asking: false,
            scan_everything: false,
            asked: Vec::new(),
            scanning: Vec::new(),
            judge_all: true,
            next_change: None,
            retry_at: None,
            rescan_at: Duration::ZERO,
            full: FullLook::default(),
            judge_at: Duration::ZERO,
        };
        Ok((handle, task))
    }

    /// Runs until every handle is dropped or the future is. Work under way is told to stop then, and the next start takes
    /// it up.
    pub async fn run(mut self) {
        let mut bundles = self.context.ledger.watch_bundle();
        let mut doubt = self.context.clock.watch_doubt();
        let mut loss = self.context.ledger.watch_loss();
        let door = self.context.clock.door();
        let _stop = StopAtEnd(Arc::clone(&self.engine), Arc::clone(&self.scan_stop));
        loop {
            if let Err(error) = self.step().await {
                tracing::error!(%error, "photos cannot be looked after for now");
                self.report_failure(&error).await;
                self.judge_all = true;
                self.retry_at = Some(door.since_boot() + RETRY_AFTER);
                door.sleep(RETRY_AFTER).await;
                continue;
            }
            let wait = self.wait();
            tokio::select! {
                changed = bundles.changed() => {
                    if changed.is_err() { return }
                    self.judge_all = true;
                }
                changed = doubt.changed() => {
                    if changed.is_err() { return }
                    self.judge_all = true;
                }
                changed = loss.changed() => {
                    if changed.is_err() { return }
                    self.judge_all = true;
                }
                request = self.requests.recv() => {
                    let Some(request) = request else { return };
                    self.answer(request).await;
                }
                Some(arrived) = self.arrivals.1.recv() => {
                    if let Err(error) = self.take(arrived).await {
                        tracing::error!(%error, "what was found out about photos could not be kept");
                        self.judge_all = true;
                        self.scan_everything = true;
                    }
                }
                () = self.watch.hear(door.since_boot()) => {}
                () = door.sleep(wait) => {}
            }
        }
    }

    /// Does whatever is due now, short of waiting.
    pub(super) async fn step(&mut self) -> Result<(), PhotosError> {
        let Some(bundle) = self.context.ledger.bundle() else {
            return self.answer_after_scan().await;
        };
        let now = self.context.clock.now();
        let since_boot = self.context.clock.door().since_boot();
        let time_changed_it = self.next_change.is_some_and(|at| at <= now.at);
        let retry = self.retry_at.is_some_and(|at| at <= since_boot);
        if self.judge_all || time_changed_it || retry || since_boot >= self.judge_at {
            self.judge_all = false;
            self.judge_at = since_boot + JUDGE_EVERY;
            self.sweep(&bundle).await?;
            if self.judge_all {
                return Ok(());
            }
        }
        let photos = bundle.bundle().policy.photos.as_ref();
        let patterns = photos.map(|p| p.capture_roots.clone()).unwrap_or_default();
        if patterns != self.patterns {
            self.patterns = patterns;
            self.scan_everything = true;
        }
        self.scan_everything |= self.watch.take_overflow() || since_boot >= self.rescan_at;
        if photos.is_some() {
            self.scan(&bundle, since_boot).await?;
        } else {
            self.rescan_at = since_boot + RESCAN_EVERY;
            self.scanning.append(&mut self.asked);
            self.answer_after_scan().await?;
        }
        self.tell_late_look(&bundle, since_boot).await?;
        self.work();
        self.ask(&bundle).await
    }

    async fn tell_late_look(
        &mut self,
        bundle: &Arc<VerifiedBundle>,
        since_boot: Duration,
    ) -> Result<(), PhotosError> {
        if self.look_late_at.is_none_or(|at| since_boot < at) || self.watched.late {
            return Ok(());
        }
        self.watched.late = true;
        self.report(bundle).await
    }

    pub(super) fn wait(&self) -> Duration {
        if self.context.ledger.bundle().is_none() {
            // Nothing is due before there is one, and its coming is heard.
            return JUDGE_EVERY;
        }
        let since_boot = self.context.clock.door().since_boot();
        let now = self.context.clock.now().at;
        let change = self.next_change.map(|at| {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            since_boot + wait
        });
        let late = self.look_late_at.filter(|_| !self.watched.late);
        // No look begins while another is under way, and its end is heard.
        let may_look = self.scanner.is_some();
        let looks =
            [self.watch.next_look(), Some(self.rescan_at)].map(|at| at.filter(|_| may_look));
        let wakes = [change, self.retry_at, late, Some(self.judge_at)];
        let wake = wakes.into_iter().chain(looks).flatten().min();
        wake.unwrap_or(Duration::MAX).saturating_sub(since_boot)
    }

    /// Passes over everything, page by page. What is asked meanwhile is answered, and a newer bundle ends it: a hold that
    /// arrives in the middle is heard at once.
    async fn sweep(&mut self, bundle: &Arc<VerifiedBundle>) -> Result<(), PhotosError> {
        self.with_engine(bundle, Engine::sweep_begin).await?;
        loop {
            let (passed, progress) = self.with_engine(bundle, Engine::sweep_on).await?;
            self.keep(passed);
            self.work();
            if progress == Progress::Rests {
                return self.report(bundle).await;
            }
            while let Ok(request) = self.requests.try_recv() {
                self.answer(request).await;
            }
            let newest = self.context.ledger.bundle();
            if !newest.is_some_and(|newest| Arc::ptr_eq(&newest, bundle)) {
                self.judge_all = true;
                return Ok(());
            }
        }
    }

    pub(super) async fn pass(
        &mut self,
        bundle: &Arc<VerifiedBundle>,
        scope: Scope,
    ) -> Result<(), PhotosError> {
        let passed = self
            .with_engine(bundle, move |engine, moment| engine.pass(moment, &scope))
            .await?;
        self.keep(passed);
        if self.jobs.is_empty() {
            return self.report(bundle).await;
        }
        // Of thousands that are under way not each is told: the last one is.
        Ok(())
    }

    fn keep(&mut self, passed: Passed) {
        self.jobs.extend(passed.jobs);
        self.asks.extend(passed.asks);
        self.next_change = passed.next_change;
        self.retry_at = passed.retry_at;
        self.watch.add(passed.relook);
        if passed.withheld {
            // Copies outside the capture roots are not watched for.
            let since_boot = self.context.clock.door().since_boot();
            let next = self.full.next().max(since_boot);
            self.rescan_at = self.rescan_at.min(next);
        }
    }

    /// Begins what may be under way at once.
    fn work(&mut self) {
        while self.jobs_running < MAX_JOBS {
            // A second long one would keep everything short waiting.
            let may_begin = |job: &Job| !(job.is_long() && self.long_job_running);
            let Some(job) = self.jobs.iter().position(may_begin) else {
                return;
            };
            let Some(job) = self.jobs.remove(job) else {
                return;
            };
            self.begin(job);
        }
    }

    fn begin(&mut self, job: Job) {
        let is_long = job.is_long();
        self.jobs_running += 1;
        self.long_job_running |= is_long;
        let arrivals = self.arrivals.0.clone();
        let engine = Arc::clone(&self.engine);
        let photo = job.photo();
        let work = tokio::task::spawn_blocking(move || {
            let vaults = lock(&engine).vaults();
            job.run(&vaults)
        });
        tokio::spawn(async move {
            let done = work.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a photo's job ended without a result; the journal says how far it got");
                photo.map_or(Done::Cleared, |photo| Done::Stopped { photo })
            });
            let _ = arrivals.send(Arrived::Done(done, Long(is_long))).await;
        });
    }

    /// Asks for the next key if nobody is being asked: one photo at a time.
    async fn ask(&mut self, bundle: &Arc<VerifiedBundle>) -> Result<(), PhotosError> {
        while !self.asking {
            let Some(photo) = self.asks.pop_front() else {
                return Ok(());
            };
            let prepare = move |engine: &mut Engine, moment: &Moment<'_>| {
                let request = engine.unseal_request(moment, photo)?;
                let recorded = engine.ledger.head()?.seq;
                Ok((request, engine.ledger.acked_through()? < recorded))
            };
            let (Some(request), behind) = self.with_engine(bundle, prepare).await? else {
                continue;
            };
            self.asking = true;
            let answer = (self.context.unsealer)(request);
            let arrivals = self.arrivals.0.clone();
            tokio::spawn(async move {
                let key = answer.await;
                let _ = arrivals
                    .send(Arrived::Key(photo, key, Behind(behind)))
                    .await;
            });
        }
        Ok(())
    }

    async fn take(&mut self, arrived: Arrived) -> Result<(), PhotosError> {
        let scanned = match arrived {
            Arrived::Seen(batch, reply) => return self.seen(*batch, reply).await,
            Arrived::Scanned(scanned) => *scanned,
            Arrived::Done(done, long) => {
                self.jobs_running -= 1;
                self.long_job_running &= !long.0;
                // The next reads and writes while the record of this one is.
                self.work();
                let Some(bundle) = self.context.ledger.bundle() else {
                    return Ok(());
                };
                let finish =
                    move |engine: &mut Engine, moment: &Moment<'_>| engine.finish(moment, done);
                let again = self.with_engine(&bundle, finish).await?;
                return self.pass(&bundle, Scope::Only(again)).await;
            }
            Arrived::Key(photo, answer, behind) => {
                self.asking = false;
                let Some(bundle) = self.context.ledger.bundle() else {
                    return Ok(());
                };
                let take = move |engine: &mut Engine, moment: &Moment<'_>| {
                    engine.answered(moment, photo, answer, behind.0)
                };
                let job = self.with_engine(&bundle, take).await?;
                self.jobs.extend(job);
                return self
                    .pass(&bundle, Scope::Only(BTreeSet::from([photo])))
                    .await;
            }
        };
        self.scanned(scanned).await
    }

    pub(super) async fn report(&self, bundle: &Arc<VerifiedBundle>) -> Result<(), PhotosError> {
        let (board, watched) = (self.context.board.clone(), self.watched.clone());
        self.with_engine(bundle, move |engine, moment| {
            let outcome = engine.outcome(moment, &watched)?;
            board.report(ControlName::Photos, outcome, moment.now.at)?;
            Ok(())
        })
        .await
    }

    async fn report_failure(&self, error: &PhotosError) {
        let (board, at) = (self.context.board.clone(), self.context.clock.now().at);
        let outcome = Outcome::Unknown {
            error: error.to_string(),
        };
        let reported =
            tokio::task::spawn_blocking(move || board.report(ControlName::Photos, outcome, at))
                .await;
        if !matches!(reported, Ok(Ok(_))) {
            tracing::error!("the failure could not be put on the board either");
        }
    }

    pub(super) async fn with_engine<T: Send + 'static>(
        &self,
        bundle: &Arc<VerifiedBundle>,
        work: impl FnOnce(&mut Engine, &Moment<'_>) -> Result<T, PhotosError> + Send + 'static,
    ) -> Result<T, PhotosError> {
        let bundle = Arc::clone(bundle);
        let clock = self.context.clock.clone();
        self.blocking(move |engine| {
            let only_loss = only_loss(&engine.ledger, bundle.bundle())?;
            let held = only_loss.as_ref().map(|_| holding_photos(bundle.bundle()));
            let moment = Moment {
                bundle: held.as_ref().unwrap_or(bundle.bundle()),
                now: clock.now(),
                since_boot: clock.door().since_boot(),
                only_loss: only_loss.as_ref(),
            };
            work(engine, &moment)
        })
        .await
    }

    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T, PhotosError> + Send + 'static,
    ) -> Result<T, PhotosError> {
        let engine = Arc::clone(&self.engine);
        tokio::task::spawn_blocking(move || work(&mut lock(&engine)))
            .await
            .map_err(|_| PhotosError::TaskEnded)?
    }
}

/// Tells what is under way to stop when the task ends.
struct StopAtEnd(Arc<Mutex<Engine>>, Arc<Stop>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.1.ask();
        lock(&self.0).stop_all();
    }
}

fn lock(engine: &Mutex<Engine>) -> std::sync::MutexGuard<'_, Engine> {
    // A panic in a pass leaves the journal to say how far it got, as a power cut would.
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}
