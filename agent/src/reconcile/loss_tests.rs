//! The reconciler over a tablet with sessions and a camera, and the commands that lock it.

use super::board::OutcomeBoard;
use super::pass::HeldControl;
use super::pulse::Pulse;
use super::space::Space;
use super::task::Reconciler;
use crate::clock::TrustedClock;
use crate::control::hours::{Because, Hours, HoursChange, HoursObserved, HoursWish};
use crate::control::{EnforceError, Enforcer, Reading};
use crate::ledger::Ledger;
use crate::paths::Paths;
use crate::testing::{HandClock, Signer, enrolled};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::CommandId;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The sessions of staff, one of which may be unlocked.
#[derive(Clone)]
struct Desktop(Arc<Mutex<State>>);

struct State {
    unlocked: bool,
    /// Its screen can be locked.
    locks: bool,
    wish: HoursWish,
    /// Why it was locked, every time.
    locked: Vec<Because>,
}

impl Desktop {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            unlocked: true,
            locks: true,
            wish: HoursWish::Open,
            locked: Vec::new(),
        })))
    }

    fn unlock(&self) {
        self.0.lock().unwrap().unlocked = true;
    }

    fn is_unlocked(&self) -> bool {
        self.0.lock().unwrap().unlocked
    }

    fn locked(&self) -> Vec<Because> {
        self.0.lock().unwrap().locked.clone()
    }
}

impl Enforcer<Hours> for Desktop {
    fn observe(&mut self) -> Result<HoursObserved, EnforceError> {
        let state = self.0.lock().unwrap();
        let unlocked = match state.wish {
            HoursWish::Open => 0,
            HoursWish::Locked(_) => usize::from(state.unlocked),
        };
        Ok(HoursObserved {
            unlocked: Reading::Seen(unlocked),
        })
    }

    fn apply(&mut self, change: &HoursChange) -> Result<(), EnforceError> {
        let mut state = self.0.lock().unwrap();
        if let HoursChange::Lock { because, .. } = change {
            state.locked.push(*because);
            state.unlocked = !state.locks;
        }
        Ok(())
    }

    fn watch(&mut self, desired: &HoursWish) -> Result<(), EnforceError> {
        self.0.lock().unwrap().wish = *desired;
        Ok(())
    }

    fn release(&mut self) -> Result<(), EnforceError> {
        Ok(())
    }
}

struct Bench {
    dir: Arc<tempfile::TempDir>,
    signer: Arc<Signer>,
    ledger: Ledger,
    hands: HandClock,
    desktop: Desktop,
    drift: mpsc::Sender<ControlName>,
    _senders: (
        watch::Sender<Option<nestwarden_policy_schema::id::SessionId>>,
        watch::Sender<Space>,
    ),
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new();
        drop(enrolled(&Paths::new(dir.path()), &signer));
        Self::at(Arc::new(dir), Arc::new(signer), Desktop::new())
    }

    fn at(dir: Arc<tempfile::TempDir>, signer: Arc<Signer>, desktop: Desktop) -> Self {
        let ledger = Ledger::open(&Paths::new(dir.path())).unwrap();
        let hands = HandClock::at("2026-03-02T12:00:00Z");
        let clock = TrustedClock::open(ledger.clone(), Arc::new(hands.clone())).unwrap();
        let board = OutcomeBoard::open(ledger.clone(), clock.now().at).unwrap();
        let (drift, signals) = mpsc::channel(4);
        let senders = (watch::Sender::new(None), watch::Sender::new(Space::Enough));
        let reconciler = Reconciler {
            ledger: ledger.clone(),
            clock,
            board,
            controls: vec![HeldControl::new::<Hours, _>(desktop.clone())],
            drift: signals,
            session: senders.0.subscribe(),
            space: senders.1.subscribe(),
            handing_back: watch::Sender::new(false),
            pulse: Pulse::default(),
        };
        Self {
            dir,
            signer,
            ledger,
            hands,
            desktop,
            drift,
            _senders: senders,
            task: tokio::spawn(reconciler.run()),
        }
    }

    /// The agent ends and starts again, without a network.
    fn restarted(&self) -> Self {
        self.task.abort();
        Self::at(
            Arc::clone(&self.dir),
            Arc::clone(&self.signer),
            self.desktop.clone(),
        )
    }

    fn ask(&self, generation: u64, kind: CommandKind) -> CommandId {
        let mut bundle: Bundle = self.signer.content(generation);
        let id = CommandId::from_uuid(uuid::Uuid::now_v7());
        let minutes = i64::try_from(generation).unwrap();
        let command = Command {
            id,
            device: self.signer.device,
            kind,
            issued_at: bundle.issued_at + jiff::SignedDuration::from_mins(minutes),
            expires_at: bundle.expires_at,
        };
        bundle.commands.push(ApprovedCommand {
            command,
            approvals: Vec::new(),
        });
        let signed = self.signer.sign_bundle(&bundle);
        assert!(self.ledger.accept_bundle(signed).unwrap());
        id
    }

    async fn said(&self, of: CommandId) -> String {
        let mut recorded = self.ledger.event_recorded();
        loop {
            recorded.mark_unchanged();
            let events = self.ledger.events_after(0, 100, usize::MAX).unwrap();
            let found = events.iter().find_map(|event| {
                match serde_json::from_str(event.body.as_deref()?) {
                    Ok(EventBody::CommandOutcome { command, outcome }) if command == of => {
                        Some(outcome)
                    }
                    _ => None,
                }
            });
            if let Some(said) = found {
                return said;
            }
            recorded.changed().await.unwrap();
        }
    }

    async fn until_locked_again(&self, times: usize) {
        let mut every = tokio::time::interval(Duration::from_millis(5));
        while self.desktop.locked().len() < times {
            every.tick().await;
        }
    }
}

#[tokio::test]
async fn a_tablet_that_is_to_lock_locks_once_and_says_what_it_read_back() {
    let bench = Bench::new();
    let id = bench.ask(1, CommandKind::Lock);
    assert_eq!(
        bench.said(id).await,
        "done: locked, and read back as locked"
    );
    assert_eq!(bench.desktop.locked(), [Because::Asked]);
    assert!(!bench.desktop.is_unlocked());
    // Whoever may, unlocks it and works on.
    bench.desktop.unlock();
    let again = bench.ask(2, CommandKind::Refresh);
    assert_eq!(bench.said(again).await, "done");
    assert!(bench.desktop.is_unlocked());
}

#[tokio::test]
async fn locking_where_nobody_is_signed_in_is_done_and_said() {
    let bench = Bench::new();
    bench.desktop.0.lock().unwrap().unlocked = false;
    let id = bench.ask(1, CommandKind::Lock);
    assert_eq!(
        bench.said(id).await,
        "done: no session was open and unlocked"
    );
    assert_eq!(bench.desktop.locked(), []);
}

#[tokio::test]
async fn a_screen_that_does_not_lock_is_never_said_to_be_locked() {
    let bench = Bench::new();
    bench.desktop.0.lock().unwrap().locks = false;
    let id = bench.ask(1, CommandKind::Lock);
    let said = bench.said(id);
    tokio::pin!(said);
    let said = loop {
        tokio::select! {
            said = &mut said => break said,
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                bench.hands.pass(Duration::from_millis(250));
            }
        }
    };
    assert_eq!(
        said,
        "failed: it was told to lock, and still reads unlocked"
    );
}

#[tokio::test]
async fn a_lost_tablet_is_locked_again_whoever_unlocks_it_also_after_a_restart_until_it_is_found() {
    let bench = Bench::new();
    let id = bench.ask(1, CommandKind::Lost);
    let said = bench.said(id).await;
    assert!(
        said.starts_with("done: held as lost until it is found; locked; camera: unknown"),
        "{said}"
    );
    assert!(!bench.desktop.is_unlocked());

    bench.desktop.unlock();
    bench.drift.send(ControlName::Hours).await.unwrap();
    bench.until_locked_again(2).await;

    bench.desktop.unlock();
    let bench = bench.restarted();
    bench.until_locked_again(3).await;
    assert_eq!(bench.desktop.locked(), [Because::Lost; 3]);

    let id = bench.ask(2, CommandKind::Found);
    assert!(
        bench
            .said(id)
            .await
            .starts_with("done: no longer held as lost")
    );
    let again = bench.ask(3, CommandKind::Refresh);
    bench.said(again).await;
    bench.desktop.unlock();
    bench.drift.send(ControlName::Hours).await.unwrap();
    let again = bench.ask(4, CommandKind::Refresh);
    bench.said(again).await;
    assert!(bench.desktop.is_unlocked());
    assert_eq!(bench.desktop.locked().len(), 3);
}
