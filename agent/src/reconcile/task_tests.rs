use super::*;
use crate::control::{Control, Enforcer};
use crate::paths::Paths;
use crate::testing::{HandClock, Signer, enrolled};
use nestwarden_policy_schema::command::{ApprovedCommand, Command, CommandKind};
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::policy::{Allowed, StoragePolicy};
use std::sync::Mutex;

/// A door that should be shut.
struct Door;

impl Control for Door {
    const NAME: ControlName = ControlName::Storage;
    type Desired = ();
    type Observed = bool;
    type Change = &'static str;

    fn desired(situation: &Situation) -> Option<()> {
        situation.policy.storage.as_ref().map(drop)
    }

    fn diff((): &(), is_open: &bool) -> Vec<&'static str> {
        if *is_open {
            vec!["shut the door"]
        } else {
            Vec::new()
        }
    }
}

#[derive(Clone)]
struct House {
    is_open: Arc<Mutex<bool>>,
}

impl Enforcer<Door> for House {
    fn observe(&mut self) -> Result<bool, EnforceError> {
        Ok(*self.is_open.lock().unwrap())
    }

    fn apply(&mut self, _change: &&'static str) -> Result<(), EnforceError> {
        *self.is_open.lock().unwrap() = false;
        Ok(())
    }

    fn release(&mut self) -> Result<(), EnforceError> {
        *self.is_open.lock().unwrap() = true;
        Ok(())
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    signer: Signer,
    ledger: Ledger,
    board: OutcomeBoard,
    house: House,
    drift: mpsc::Sender<ControlName>,
    pulse: Pulse,
    handing_back: watch::Sender<bool>,
    _session: watch::Sender<Option<SessionId>>,
    _space: watch::Sender<Space>,
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
        let ledger = enrolled(&Paths::new(dir.path()), &signer);
        let door = Arc::new(HandClock::at("2026-03-02T12:00:00Z"));
        let clock = TrustedClock::open(ledger.clone(), door).unwrap();
        let board = OutcomeBoard::open(ledger.clone(), clock.now().at).unwrap();
        let house = House {
            is_open: Arc::new(Mutex::new(true)),
        };
        let (drift, signals) = mpsc::channel(4);
        let session = watch::Sender::new(None);
        let space = watch::Sender::new(Space::Enough);
        let handing_back = watch::Sender::new(false);
        let pulse = Pulse::default();
        let reconciler = Reconciler {
            ledger: ledger.clone(),
            clock,
            board: board.clone(),
            controls: vec![HeldControl::new::<Door, _>(house.clone())],
            drift: signals,
            session: session.subscribe(),
            space: space.subscribe(),
            handing_back: handing_back.clone(),
            pulse: pulse.clone(),
        };
        Self {
            _dir: dir,
            signer,
            ledger,
            board,
            house,
            drift,
            pulse,
            handing_back,
            _session: session,
            _space: space,
            task: tokio::spawn(reconciler.run()),
        }
    }

    fn issue(&self, generation: u64, mode: Option<Mode>) {
        let mut bundle = self.signer.content(generation);
        bundle.policy.storage = mode.map(|mode| StoragePolicy {
            mode,
            removable_media: Allowed::Never,
            ..StoragePolicy::default()
        });
        let signed = self.signer.sign_bundle(&bundle);
        assert!(self.ledger.accept_bundle(signed).unwrap());
    }

    /// A pass that began after this was called has ended.
    async fn passed(&self) {
        for _ in 0..2 {
            let mut beats = self.pulse.watch();
            beats.mark_unchanged();
            self.drift.send(ControlName::Storage).await.unwrap();
            beats.changed().await.unwrap();
        }
    }

    async fn until(&self, wanted: &str) {
        let mut changed = self.board.watch();
        loop {
            changed.mark_unchanged();
            let storage = self
                .board
                .reports()
                .into_iter()
                .find(|r| r.control == ControlName::Storage);
            if storage.unwrap().outcome.name() == wanted {
                return;
            }
            changed.changed().await.unwrap();
        }
    }

    async fn until_recorded(&self, kind: &str) {
        let mut recorded = self.ledger.event_recorded();
        loop {
            recorded.mark_unchanged();
            let events = self.ledger.events_after(0, 100, usize::MAX).unwrap();
            if events
                .iter()
                .any(|e| e.body.as_ref().unwrap().contains(kind))
            {
                return;
            }
            recorded.changed().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_bundle_is_enforced_drift_is_told_and_what_is_let_go_is_given_back() {
    let bench = Bench::new();
    bench.issue(1, Some(Mode::Enforce));
    bench.until("corrected").await;
    bench.until_recorded("bundle_applied").await;
    assert!(!*bench.house.is_open.lock().unwrap());

    *bench.house.is_open.lock().unwrap() = true;
    bench.drift.send(ControlName::Storage).await.unwrap();
    bench.until_recorded("drift_reverted").await;
    assert!(!*bench.house.is_open.lock().unwrap());

    bench.issue(2, None);
    bench.until("unmanaged").await;
    assert!(*bench.house.is_open.lock().unwrap());
}

#[tokio::test]
async fn observing_after_enforcing_gives_back_and_says_what_would_change() {
    let bench = Bench::new();
    bench.issue(1, Some(Mode::Enforce));
    bench.until("corrected").await;
    bench.issue(2, Some(Mode::Observe));
    bench.until("observed").await;
    assert!(*bench.house.is_open.lock().unwrap());
}

#[tokio::test]
async fn a_bundle_that_needs_a_newer_agent_is_said_so_and_the_rest_is_enforced() {
    let bench = Bench::new();
    let mut bundle = bench.signer.content(1);
    bundle.policy.storage = Some(StoragePolicy::default());
    bundle
        .requires
        .insert(ControlName::Storage, ["storage.9".to_owned()].into());
    let signed = bench.signer.sign_bundle(&bundle);
    bench.ledger.accept_bundle(signed).unwrap();
    bench.until("unsupported").await;
    bench.until_recorded("\"kind\":\"unsupported\"").await;
    bench.until_recorded("bundle_applied").await;
}

#[tokio::test]
async fn a_tablet_is_handed_back_on_the_servers_word_and_nothing_is_held_after_it() {
    let bench = Bench::new();
    bench.issue(1, Some(Mode::Enforce));
    bench.until("corrected").await;

    let mut bundle = bench.signer.content(2);
    bundle.policy.storage = Some(StoragePolicy {
        mode: Mode::Enforce,
        removable_media: Allowed::Never,
        ..StoragePolicy::default()
    });
    let command = Command {
        id: CommandId::from_uuid(uuid::Uuid::now_v7()),
        device: bench.signer.device,
        kind: CommandKind::Unenrol,
        issued_at: bundle.issued_at,
        expires_at: bundle.expires_at,
    };
    bundle.commands.push(ApprovedCommand {
        command,
        approvals: Vec::new(),
    });
    let signed = bench.signer.sign_bundle(&bundle);
    assert!(bench.ledger.accept_bundle(signed).unwrap());
    bench.until_recorded("every control was given back").await;
    assert!(*bench.house.is_open.lock().unwrap());
    assert!(*bench.handing_back.borrow());

    bench.issue(3, Some(Mode::Enforce));
    bench.passed().await;
    assert!(*bench.house.is_open.lock().unwrap());
}
