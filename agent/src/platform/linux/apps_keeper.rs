//! The agent's end of the guard: starts it, starts it again at once when it ends, gives it its rules and hears what it
//! says.

use super::guard_wire::{InForce, Inbox, Made, Order, Refusal, Word, frame};
use crate::control::EnforceError;
use crate::decision::rules::Rule;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(20);
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);
/// A guard that lived shorter than this is not started again before as much time has passed.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const MAX_WAITING_PROGRAMS: usize = 256;

/// One guard, kept alive until this is dropped. Other rules are given to another guard, and the former leaves once they
/// are in force.
pub(super) struct Keeper {
    shared: Arc<Shared>,
}

struct Shared {
    program: PathBuf,
    root_dir: PathBuf,
    told: Told,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    order: Option<Vec<u8>>,
    /// Which of the orders so far it is.
    turn: u64,
    /// By their turn; more than one while a former has not ended.
    guards: BTreeMap<u64, Guard>,
    in_force: Option<InForce>,
    failure: Option<String>,
    guards_started: u64,
    is_over: bool,
    is_dismissed: bool,
}

struct Guard {
    orders: UnixStream,
    answers_by: Option<Made>,
}

impl State {
    fn tell_formers(&mut self, order: &[u8]) {
        for (_, former) in self.guards.range_mut(..self.turn) {
            // One that does not listen has ended, or is ended by who attends to it.
            let _ = former.orders.write_all(order);
        }
    }

    fn is_in_force(&self, made: Made) -> bool {
        let mut guards = self.guards.values();
        self.in_force.as_ref().map(|now| now.made) == Some(made)
            && guards.all(|guard| guard.answers_by == Some(made))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    pub(super) fn new(program: &Path, root_dir: &Path, refusals: mpsc::Sender<Refusal>) -> Self {
        Self {
            shared: Arc::new(Shared {
                program: program.to_owned(),
                root_dir: root_dir.to_owned(),
                told: Told::new(refusals),
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    pub(super) fn in_force(&self) -> Option<InForce> {
        self.shared.lock().in_force.clone()
    }

    pub(super) fn guards_started(&self) -> u64 {
        self.shared.lock().guards_started
    }

    /// Returns once a guard says that these rules are in force, and the former that it answers by them until it leaves.
    pub(super) fn load(&self, made: Made, rules: &[Rule]) -> Result<(), EnforceError> {
        let failed = |error| EnforceError::failed("give the guard its rules", error);
        let order = Order::Load {
            made,
            rules: rules.to_vec(),
        };
        let bytes = frame(&order).map_err(failed)?;
        let mut state = self.shared.lock();
        let turn = state.turn + 1;
        let keeping = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("apps-keeper".to_owned())
            .spawn(move || keep(&keeping, turn))
            .map_err(failed)?;
        state.turn = turn;
        state.tell_formers(&bytes);
        state.order = Some(bytes);
        state.in_force = None;
        state.failure = None;
        let deadline = Instant::now() + ACKNOWLEDGED_WITHIN;
        while !state.is_in_force(made) {
            if let Some(failure) = state.failure.take() {
                return Err(EnforceError::Unreadable(failure));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Tells the guard to go: from here on everything starts.
    pub(super) fn dismiss(self) {
        if let Ok(bytes) = frame(&Order::StandDown) {
            let mut state = self.shared.lock();
            state.is_dismissed = true;
            for guard in state.guards.values_mut() {
                let _ = guard.orders.write_all(&bytes);
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        for guard in state.guards.values() {
            let _ = guard.orders.shutdown(std::net::Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }
}

/// Keeps a guard for the order of `turn`, until there is another order.
fn keep(shared: &Shared, turn: u64) {
    loop {
        let started = Instant::now();
        let ended = start_guard(&shared.program, &shared.root_dir)
            .map(|(child, from_guard)| attend(shared, child, from_guard, turn));
        let mut state = shared.lock();
        state.guards.remove(&turn);
        shared.changed.notify_all();
        if state.turn != turn || state.is_over {
            return;
        }
        state.in_force = None;
        if let Err(error) = ended {
            state.failure = Some(format!("the guard did not start: {error}"));
        } else if started.elapsed() < SHORT_LIFE {
            state
                .failure
                .get_or_insert_with(|| "the guard ended as soon as it was started".to_owned());
        }
        shared.changed.notify_all();
        if started.elapsed() < SHORT_LIFE {
            let rest = SHORT_LIFE.saturating_sub(started.elapsed());
            let waited = shared
                .changed
                .wait_timeout_while(state, rest, |state| !state.is_over && state.turn == turn);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.turn != turn || state.is_over {
            return;
        }
        drop(state);
        tracing::warn!("the guard of app control ended and is started again");
    }
}

fn start_guard(program: &Path, root_dir: &Path) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_write_timeout(Some(WRITTEN_WITHIN))?;
    let child = Command::new(program)
        .arg("apps-guard")
        .arg("--root")
        .arg(root_dir)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok((child, ours))
}

/// Listens until the guard ends.
fn attend(shared: &Shared, mut child: Child, mut from_guard: UnixStream, turn: u64) {
    {
        let mut state = shared.lock();
        state.guards_started += 1;
        let order = state.order.as_ref().filter(|_| state.turn == turn);
        match (order, from_guard.try_clone()) {
            (Some(order), Ok(mut orders)) => {
                let _ = orders.write_all(order);
                let guard = Guard {
                    orders,
                    answers_by: None,
                };
                state.guards.insert(turn, guard);
            }
            // It has no rules, so nothing waits for it.
            (None, _) | (_, Err(_)) => {
                let _ = child.kill();
            }
        }
    }
    let mut inbox = Inbox::default();
    let mut chunk = [0; 16 * 1024];
    loop {
        match from_guard.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => inbox.push(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        while let Ok(Some(word)) = inbox.next() {
            hear(shared, word, turn);
        }
    }
    // One that closed its socket and stays would answer by rules nobody can change any more; one that was only let
    // go, because this agent ends, stays until another agent's guard relieves it.
    let (is_over, is_dismissed) = {
        let state = shared.lock();
        (state.is_over, state.is_dismissed)
    };
    if !is_over {
        let _ = child.kill();
    }
    if !is_over || is_dismissed {
        let _ = child.wait();
    }
}

fn hear(shared: &Shared, word: Word, turn: u64) {
    let mut state = shared.lock();
    let is_current = state.turn == turn;
    match word {
        Word::InForce(in_force) => {
            if let Some(guard) = state.guards.get_mut(&turn) {
                guard.answers_by = Some(in_force.made);
            }
            if is_current {
                state.in_force = Some(in_force);
                if let Ok(leave) = frame(&Order::Leave) {
                    state.tell_formers(&leave);
                }
            }
        }
        Word::Failed(failure) if is_current => state.failure = Some(failure),
        Word::Failed(_) => {}
        Word::Refused(refusal) => shared.told.tell(refusal),
    }
    drop(state);
    shared.changed.notify_all();
}

/// Refusals on their way to whoever records them; what does not fit is counted together.
struct Told {
    to: mpsc::Sender<Refusal>,
    waiting: Mutex<BTreeMap<(String, String, bool), u64>>,
}

impl Told {
    fn new(to: mpsc::Sender<Refusal>) -> Self {
        Self {
            to,
            waiting: Mutex::default(),
        }
    }

    fn tell(&self, refusal: Refusal) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (refusal.program, refusal.reason, refusal.observed_only);
        if waiting.len() >= MAX_WAITING_PROGRAMS && !waiting.contains_key(&key) {
            "(others)".clone_into(&mut key.0);
        }
        *waiting.entry(key).or_default() += refusal.count;
        while let Ok(place) = self.to.try_reserve()
            && let Some(((program, reason, observed_only), count)) = waiting.pop_first()
        {
            place.send(Refusal {
                program,
                reason,
                observed_only,
                count,
            });
        }
    }
}

/// The agent's own program, also after its file was replaced by an upgrade.
pub(super) fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}
