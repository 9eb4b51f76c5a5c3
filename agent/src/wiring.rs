//! The running agent: every part, and what joins them.

mod passcode;
mod photos;

use crate::clock::TrustedClock;
use crate::control::EnforceError;
use crate::door::Doors;
use crate::identity::{Identity, IdentityStore, KeySeal};
use crate::ledger::{self, Ledger, LedgerError, TakenUp};
use crate::local_api::{LocalApi, StatusSource};
use crate::page::Page;
use crate::paths::Paths;
use crate::photos::sending::SendingTask;
use crate::photos::{PhotosContext, PhotosError, PhotosHandle, PhotosTask};
use crate::platform::guard_wire::Refusal;
use crate::platform::notify::ServiceManager;
use crate::platform::{self, Enforcers};
use crate::reconcile;
use crate::reconcile::board::OutcomeBoard;
use crate::reconcile::handback;
use crate::reconcile::pass::HeldControl;
use crate::reconcile::pulse::Pulse;
use crate::reconcile::space;
use crate::reconcile::task::Reconciler;
use crate::settings::Settings;
use crate::status::Status;
use crate::sync::{Connection, InventorySource, ServerNames, SyncContext, SyncState};
use crate::{VERSION, control, time_zone_data};
use anyhow::{Context as _, bail};
use jiff::Timestamp;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::device_api::{Inventory, LockOut};
use nestwarden_policy_schema::event::EventBody;
use std::collections::BTreeMap;
use std::fs::File;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Nobody can sign in before the tablet was held once, and nobody waits longer than this for it.
const HELD_WITHIN: Duration = Duration::from_secs(45);
/// Minutes between two times at which code that was needed once leaves memory.
const GIVE_BACK_EVERY: u32 = 5;
const UPKEEP_EVERY: Duration = Duration::from_mins(1);
/// The last time seen and the times of measurement are written down this often.
const CHECKPOINT_EVERY: u32 = 5;
const PRUNE_EVERY: u32 = 60;

const LEAVING: &str = "leaving";

/// What every part shares.
#[derive(Clone)]
struct Shared {
    ledger: Ledger,
    clock: TrustedClock,
    board: OutcomeBoard,
    photos: PhotosHandle,
    paths: Paths,
    handing_back: watch::Sender<bool>,
    standing: Arc<Standing>,
}

/// What stays the same while the agent runs.
struct Standing {
    identity: Identity,
    locked_out: watch::Receiver<Option<LockOut>>,
}

/// Runs the agent until it is told to stop. `Err` when it cannot go on; whoever started it starts it again.
pub(crate) async fn run(paths: Paths, settings: Settings, doors: Doors) -> anyhow::Result<()> {
    let _only = only_agent(&paths)?;
    let store = IdentityStore::new(&paths);
    let leaving = store.clone();
    let identity = store.load()?.ok_or(LedgerError::NotEnrolled)?;
    let TakenUp { ledger, is_new } = ledger::take_up(&paths, &identity.enrolment)?;
    let clock = TrustedClock::open(ledger.clone(), Arc::clone(&doors.clock))?;
    record_start(&ledger, clock.now().at, is_new)?;
    if let Err(error) = ledger.keep_reserve() {
        tracing::error!(error = %crate::whole_text(&error), "no room could be set aside for the record; a full disk will stop it");
    }
    let board = OutcomeBoard::open(ledger.clone(), clock.now().at)?;
    let connection = Arc::new(Connection::new(store, ledger.clone()));
    let (unsealer, sender) = (photos::unsealer(&connection), photos::sender(&connection));
    let (photos, photos_task) = PhotosTask::open(PhotosContext {
        ledger: ledger.clone(),
        clock: clock.clone(),
        paths: paths.clone(),
        board: board.clone(),
        device_id: identity.enrolment.device,
        unsealer: Arc::clone(&unsealer),
    })?;
    let mut enforcers = platform::enforcers(&paths);
    let refusals = enforcers.apps.take_refusals();
    let locked_out = enforcers.passcode.watch_locked_out();
    let shared = Shared {
        ledger: ledger.clone(),
        clock: clock.clone(),
        board: board.clone(),
        photos: photos.clone(),
        paths: paths.clone(),
        handing_back: watch::Sender::new(handback::asked(&ledger)?.is_some()),
        standing: Arc::new(Standing {
            identity,
            locked_out: locked_out.clone(),
        }),
    };

    let new_codes = passcode::task(&connection, &shared);
    let names = Arc::new(ServerNames::new(Arc::clone(&connection)));
    let sync = SyncContext::new(
        ledger.clone(),
        clock.clone(),
        connection,
        inventory_source(shared.clone()),
        board.watch(),
    );
    let api = LocalApi::bind(
        &paths,
        &settings,
        status_source(shared.clone(), sync.state()),
        photos.clone(),
    )
    .context("failed to open the local socket")?;
    let page = Page::bind(
        &paths,
        &settings,
        (ledger.clone(), clock.clone()),
        photos.clone(),
        names,
        Arc::clone(&unsealer),
    )
    .await;
    let sending = SendingTask {
        photos: photos.clone(),
        ledger: ledger.clone(),
        clock: clock.clone(),
        unsealer,
        sender,
    };
    let pulse = Pulse::default();
    let places = space::places(&paths).context("failed to open the tablet's folders")?;
    let has_space = watch::Sender::new(space::Space::default());
    let reconciler = Reconciler {
        ledger: ledger.clone(),
        clock: clock.clone(),
        board: board.clone(),
        controls: controls(enforcers),
        drift: platform::drift_signals(&paths),
        session: photos.open_session(),
        space: has_space.subscribe(),
        handing_back: shared.handing_back.clone(),
        pulse: pulse.clone(),
    };

    let mut parts = JoinSet::new();
    parts.spawn(named(
        "photos",
        until_handed_back(photos_task.run(), shared.handing_back.subscribe()),
    ));
    parts.spawn(named(
        "sending of reviewed photos",
        until_handed_back(sending.run(), shared.handing_back.subscribe()),
    ));
    parts.spawn(named("reconciler", reconciler.run()));
    parts.spawn(named("setting of passcodes", new_codes.run()));
    let watching = space::watch_space(ledger.clone(), clock.clone(), places, has_space);
    parts.spawn(named("watch over the space for photos", watching));
    parts.spawn(named("server connection", crate::sync::run(sync)));
    parts.spawn(named("local socket", api.run()));
    match page {
        Ok(page) => {
            parts.spawn(named("page", page.run()));
        }
        // What is enforced does not need a page.
        Err(error) => no_page(&shared, &error)?,
    }
    parts.spawn(named("upkeep", upkeep(shared.clone())));
    parts.spawn(named(
        "record of wrong passcodes",
        record_lock_outs(shared.clone(), locked_out),
    ));
    parts.spawn(named("record's standing", tell_obstacles(shared.clone())));
    parts.spawn(named(LEAVING, leave(shared.clone(), leaving)));
    if let Some(refusals) = refusals {
        parts.spawn(named(
            "record of refused programs",
            record_refusals(shared.clone(), refusals),
        ));
    }
    let ended = until_told_or_broken(&mut parts, &pulse).await;
    parts.shutdown().await;
    tokio::task::spawn_blocking(move || checkpoint(&shared)).await??;
    ended
}

/// The agent that holds the lock is the only one on this state; the lock goes with the process.
pub(crate) fn only_agent(paths: &Paths) -> anyhow::Result<File> {
    let path = paths.state_dir().join("agent.lock");
    std::fs::create_dir_all(paths.state_dir())
        .and_then(|()| File::create(&path))
        .and_then(|file| file.try_lock().map(|()| file).map_err(Into::into))
        .map_err(|error| {
            let remedy = if error.kind() == std::io::ErrorKind::PermissionDenied {
                "run the agent as root, as its service does"
            } else {
                "is another agent running?"
            };
            let said = format!("failed to take the lock `{}`; {remedy}", path.display());
            anyhow::Error::new(error).context(said)
        })
}

async fn named(name: &'static str, part: impl Future<Output = ()>) -> &'static str {
    part.await;
    name
}

async fn until_told_or_broken(
    parts: &mut JoinSet<&'static str>,
    pulse: &Pulse,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let manager = ServiceManager::from_environment();
    let beat = ServiceManager::watchdog_period().unwrap_or(UPKEEP_EVERY);
    let mut held = pin!(tokio::time::timeout(HELD_WITHIN, pulse.first()));
    let mut is_ready = false;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            first = &mut held, if !is_ready => {
                is_ready = true;
                if first.is_err() {
                    tracing::warn!("the first pass over the controls takes long; people may sign in meanwhile");
                }
                manager.ready();
                tracing::info!("the agent is running");
            }
            part = parts.join_next() => match part {
                Some(Ok(LEAVING)) => break,
                Some(Ok(name)) => bail!("the {name} has ended by itself"),
                Some(Err(error)) => return Err(error).context("a part of the agent failed"),
                None => bail!("every part of the agent has ended"),
            },
            // The machine's own time: systemd counts in no other.
            () = tokio::time::sleep(beat) => if !is_ready || pulse.is_timely() {
                manager.alive();
            } else {
                tracing::error!("no pass over the controls has ended for minutes; systemd will start the agent again");
            },
        }
    }
    manager.stopping();
    tracing::info!("the agent stops; what it changed stays in force");
    Ok(())
}

fn no_page(shared: &Shared, error: &std::io::Error) -> Result<(), LedgerError> {
    tracing::error!(%error, "the tablet's page could not be opened; everything else runs");
    let what = format!("the tablet's page could not be opened: {error}");
    let alarm = EventBody::Alarm { what };
    shared.ledger.record(shared.clock.now().at, &alarm)?;
    Ok(())
}

/// Gives every control back, without a running agent: which were, and what failed.
pub(crate) async fn release(
    ledger: &Ledger,
    paths: &Paths,
) -> anyhow::Result<(Vec<ControlName>, Vec<String>)> {
    let (mut released, mut failed) = (Vec::new(), Vec::new());
    for control in controls(platform::enforcers(paths)) {
        match control.release().await {
            // What this machine cannot have, it cannot have had changed.
            Ok(()) | Err(EnforceError::Unsupported(_)) => released.push(control.name()),
            Err(error) => failed.push(format!(
                "{} could not be given back: {}",
                control.name(),
                error.whole_text()
            )),
        }
    }
    reconcile::task::note_released(ledger, &released)?;
    Ok((released, failed))
}

fn controls(enforcers: Enforcers) -> Vec<HeldControl> {
    vec![
        HeldControl::new::<control::hours::Hours, _>(enforcers.hours),
        HeldControl::new::<control::camera::Camera, _>(enforcers.camera),
        HeldControl::new::<control::radios::Radios, _>(enforcers.radios),
        HeldControl::new::<control::storage::Storage, _>(enforcers.storage),
        HeldControl::new::<control::apps::Apps, _>(enforcers.apps),
        HeldControl::new::<control::passcode::Passcode, _>(enforcers.passcode),
    ]
}

fn record_start(ledger: &Ledger, at: Timestamp, is_new: bool) -> Result<(), LedgerError> {
    let problems = ledger.take_problems();
    ledger.transaction(|tx| {
        if is_new {
            tx.record(at, &enrolled_event())?;
        }
        tx.record(
            at,
            &EventBody::AgentStarted {
                agent_version: VERSION.to_owned(),
                time_zone_data: time_zone_data(),
            },
        )?;
        for what in problems {
            tracing::error!(what, "the record was found damaged");
            tx.record(at, &EventBody::Alarm { what })?;
        }
        Ok(())
    })
}

pub(crate) fn enrolled_event() -> EventBody {
    EventBody::Enrolled {
        agent_version: VERSION.to_owned(),
        platform: crate::identity::enrol::platform(),
    }
}

/// From when the server asks for the tablet back, photos stay as they are.
async fn until_handed_back(
    photos: impl Future<Output = ()>,
    mut handing_back: watch::Receiver<bool>,
) {
    tokio::select! {
        () = photos => return,
        _ = handing_back.wait_for(|asked| *asked) => {}
    }
    std::future::pending::<()>().await;
}

/// Ends once the tablet was handed back and the server knows; with it goes the key, and nothing starts again.
async fn leave(shared: Shared, store: IdentityStore) {
    let mut handing_back = shared.handing_back.subscribe();
    let mut acknowledged = shared.ledger.event_acknowledged();
    let mut recorded = shared.ledger.event_recorded();
    // Fails only when the sender is gone, which is here.
    let _ = handing_back.wait_for(|asked| *asked).await;
    loop {
        let on_disk = *acknowledged.borrow_and_update();
        recorded.mark_unchanged();
        let (ledger, store) = (shared.ledger.clone(), store.clone());
        let left = tokio::task::spawn_blocking(move || {
            let done = handback::asked(&ledger)?.and_then(|hand_back| hand_back.done);
            if done.is_none_or(|done| on_disk < done.told_by) {
                return Ok(false);
            }
            store.remove()?;
            Ok::<_, anyhow::Error>(true)
        });
        match left.await {
            Ok(Ok(true)) => {
                tracing::info!("this tablet was handed back, and the server knows");
                return;
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the tablet's key could not be removed");
            }
            Err(error) => tracing::error!(%error, "leaving failed"),
        }
        tokio::select! {
            _ = acknowledged.changed() => {}
            _ = recorded.changed() => {}
        }
    }
}

async fn upkeep(shared: Shared) {
    let door = shared.clock.door();
    let mut minute = 0_u32;
    loop {
        door.sleep(UPKEEP_EVERY).await;
        minute = minute.wrapping_add(1);
        let shared = shared.clone();
        let done = tokio::task::spawn_blocking(move || {
            let now = shared.clock.now().at;
            shared.ledger.flush_repeats(now)?;
            if minute.is_multiple_of(CHECKPOINT_EVERY) {
                checkpoint(&shared)?;
            }
            if minute.is_multiple_of(GIVE_BACK_EVERY)
                && let Err(error) = platform::memory::give_back_code()
            {
                tracing::debug!(%error, "code that is not needed stays in memory");
            }
            if minute.is_multiple_of(PRUNE_EVERY) {
                shared.ledger.prune(now)?;
                shared.ledger.keep_reserve()?;
            }
            Ok::<_, LedgerError>(())
        });
        match done.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = %crate::whole_text(&error), "the ledger's upkeep failed");
            }
            Err(error) => tracing::error!(%error, "the ledger's upkeep failed"),
        }
    }
}

/// The server hears at once that nothing is known, and that it is again.
async fn tell_obstacles(shared: Shared) {
    let mut obstacle = shared.ledger.obstacle();
    while obstacle.changed().await.is_ok() {
        shared.board.stir();
    }
}

fn checkpoint(shared: &Shared) -> Result<(), LedgerError> {
    shared.ledger.transaction(|tx| {
        shared.clock.checkpoint_in(tx)?;
        shared.board.checkpoint_in(tx.sql())
    })
}

async fn record_refusals(shared: Shared, mut refusals: mpsc::Receiver<Refusal>) {
    const AT_ONCE: usize = 64;
    let mut gathered = Vec::new();
    loop {
        if refusals.recv_many(&mut gathered, AT_ONCE).await == 0 {
            // Nothing more will come; the other parts go on.
            return std::future::pending().await;
        }
        let (shared, batch) = (shared.clone(), std::mem::take(&mut gathered));
        let done = tokio::task::spawn_blocking(move || {
            let at = shared.clock.now().at;
            shared.ledger.transaction(|tx| {
                for refusal in batch {
                    let body = EventBody::AppRefused {
                        program: refusal.program.chars().take(1024).collect(),
                        observed_only: refusal.observed_only,
                        count: refusal.count,
                    };
                    tx.record(at, &body)?;
                }
                Ok::<_, LedgerError>(())
            })
        });
        if let Ok(Err(error)) = done.await {
            tracing::error!(error = %crate::whole_text(&error), "refused programs could not be recorded");
        }
    }
}

/// Each once, also when the agent starts anew meanwhile; the server hears at once that it is so, and that it is over.
async fn record_lock_outs(shared: Shared, mut locked_out: watch::Receiver<Option<LockOut>>) {
    const TOLD_KEY: &str = "passcode_lock_out_told";
    while locked_out.changed().await.is_ok() {
        let Some(found) = *locked_out.borrow_and_update() else {
            shared.board.stir();
            continue;
        };
        let (ledger, at) = (shared.ledger.clone(), shared.clock.now().at);
        let done = tokio::task::spawn_blocking(move || {
            ledger.transaction(|tx| {
                let since = found.since.to_string();
                if tx.meta(TOLD_KEY)?.as_deref() == Some(&since) {
                    return Ok(());
                }
                tx.set_meta(TOLD_KEY, &since)?;
                let body = EventBody::PasscodeLockedOut {
                    tries: found.tries,
                    until: found.until,
                };
                tx.record(at, &body).map(drop)
            })
        });
        match done.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = %crate::whole_text(&error), "too many wrong passcodes could not be recorded");
            }
            Err(error) => tracing::error!(%error, "recording wrong passcodes failed"),
        }
        shared.board.stir();
    }
    // The control is gone; the other parts go on.
    std::future::pending::<()>().await;
}

fn inventory_source(shared: Shared) -> InventorySource {
    Arc::new(move || {
        let shared = shared.clone();
        Box::pin(async move {
            let photos = shared.photo_counts().await;
            let found = match shared.photos.found_at_enrolment().await {
                // The task ended, and nothing is decided about them here any more.
                Err(_) if *shared.handing_back.borrow() => Ok(BTreeMap::new()),
                found => found,
            };
            let now = shared.clock.now();
            let locked_out = *shared.standing.locked_out.borrow();
            let failed = |error: &dyn std::error::Error| crate::whole_text(error);
            Ok(Inventory {
                at: now.at,
                generation: shared.generation(),
                agent_version: VERSION.to_owned(),
                time_zone_data: time_zone_data(),
                controls: shared.board.reports(),
                photos: photos.map_err(|error| failed(&error))?,
                found_at_enrolment: found.map_err(|error| failed(&error))?,
                events_waiting: shared.events_waiting().await.map_err(|e| failed(&e))?,
                clock_doubtful: now.doubtful,
                disk_free_bytes: platform::disk_free_bytes(&shared.paths.state_dir()),
                locked_out,
            })
        })
    })
}

fn status_source(shared: Shared, sync: watch::Receiver<SyncState>) -> StatusSource {
    Arc::new(move || {
        let (shared, sync) = (shared.clone(), sync.borrow().clone());
        Box::pin(async move {
            let now = shared.clock.now();
            let bundle = shared.ledger.bundle();
            let identity = &shared.standing.identity;
            let session = *shared.photos.open_session().borrow();
            let locked_out = *shared.standing.locked_out.borrow();
            Status {
                agent_version: VERSION.to_owned(),
                device: identity.enrolment.device,
                device_name: bundle.as_ref().map_or_else(
                    || identity.enrolment.device_name.clone(),
                    |bundle| bundle.bundle().device_name.clone(),
                ),
                server: identity.enrolment.server.clone(),
                now: now.at,
                time_zone: bundle
                    .as_ref()
                    .map(|b| b.bundle().calendar.time_zone.clone()),
                clock_doubt: shared.clock.doubt(),
                generation: shared.generation(),
                profile: bundle.as_ref().map(|b| b.bundle().profile.clone()),
                bundle_expires_at: bundle.as_ref().map(|b| b.bundle().expires_at),
                held_to_earlier: bundle
                    .as_ref()
                    .is_some_and(|b| b.bundle().put_back.is_some()),
                bundle_expired: bundle.is_some_and(|b| b.bundle().expires_at <= now.at),
                lost_since: now.lost_since,
                last_contact: now.last_contact,
                server_problem: sync.problem,
                revoked: sync.revoked,
                events_waiting: shared.events_waiting().await.unwrap_or_default(),
                controls: shared.board.reports(),
                locked_out,
                session,
                photos: shared.photo_counts().await.unwrap_or_default(),
                found_at_enrolment: shared.photos.found_at_enrolment().await.unwrap_or_default(),
                certificate_ends_at: identity.not_after,
                key_sealed: identity.seal == KeySeal::Machine,
            }
        })
    })
}

impl Shared {
    fn generation(&self) -> Generation {
        self.ledger
            .bundle()
            .map_or(Generation::NONE, |bundle| bundle.generation())
    }

    async fn photo_counts(&self) -> Result<BTreeMap<Stage, u64>, PhotosError> {
        if !*self.handing_back.borrow() {
            return self.photos.counts().await;
        }
        let ledger = self.ledger.clone();
        let counts = tokio::task::spawn_blocking(move || handback::photos_left(&ledger));
        counts.await.unwrap_or(Err(PhotosError::TaskEnded))
    }

    async fn events_waiting(&self) -> Result<u64, LedgerError> {
        let ledger = self.ledger.clone();
        match tokio::task::spawn_blocking(move || ledger.events_waiting()).await {
            Ok(read) => read,
            Err(_) => Ok(0),
        }
    }
}
