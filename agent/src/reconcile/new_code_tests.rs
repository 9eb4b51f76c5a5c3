use super::*;
use crate::control::EnforceError;
use crate::paths::Paths;
use crate::testing::{HandClock, Signer, enrolled};
use jiff::SignedDuration;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::code::NONCE_BYTES;
use nestwarden_policy_schema::command::ApprovedCommand;
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldList, HoldScope};
use nestwarden_policy_schema::id::HoldId;
use nestwarden_policy_schema::policy::{PasscodePolicy, Rotation};
use std::collections::BTreeSet;
use std::sync::Mutex;
use tokio::sync::mpsc;

const CODE: &str = "480735";
const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];
/// A Monday in contact hours, which end at six.
const NOON: &str = "2026-03-02T12:00:00Z";

fn code(text: &str) -> Code {
    Code::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn managers() -> PasscodePolicy {
    PasscodePolicy {
        mode: Mode::Enforce,
        requirements: BTreeSet::new(),
        min_length: 6,
        alphanumeric: false,
        refuse_simple: true,
        history: 5,
        rotation: Rotation::Both,
        max_age_days: Some(91),
        max_failed_attempts: None,
        auto_lock_minutes: None,
        set_by: SetBy::Manager,
    }
}

/// A tablet that writes down what it is given.
#[derive(Default)]
struct Accounts {
    given: Mutex<Vec<String>>,
    says: Mutex<Vec<CodeError>>,
}

impl CodeSetter for Accounts {
    fn set(&self, order: &CodeOrder) -> Result<(), CodeError> {
        if let Some(error) = self.says.lock().unwrap().pop() {
            return Err(error);
        }
        let given = order.code.expose().to_owned();
        self.given.lock().unwrap().push(given);
        Ok(())
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    signer: Signer,
    ledger: Ledger,
    door: Arc<HandClock>,
    accounts: Arc<Accounts>,
    /// The code the server gives, and `Over` or `NotNow` before it.
    gives: Arc<Mutex<Vec<Result<String, CodeWithheld>>>>,
    asked: mpsc::UnboundedReceiver<CommandId>,
    _handing_back: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    generation: u64,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bench {
    fn at(wall: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::new();
        let ledger = enrolled(&Paths::new(dir.path()), &signer);
        let door = Arc::new(HandClock::at(wall));
        let clock = TrustedClock::open(ledger.clone(), door.clone()).unwrap();
        let accounts = Arc::new(Accounts::default());
        let gives: Arc<Mutex<Vec<Result<String, CodeWithheld>>>> = Arc::default();
        let (asks, asked) = mpsc::unbounded_channel();
        let source: CodeSource = {
            let gives = Arc::clone(&gives);
            Arc::new(move |command| {
                asks.send(command).unwrap();
                let next = gives.lock().unwrap().pop();
                Box::pin(async move {
                    let code = next.unwrap_or_else(|| Ok(CODE.to_owned()))?;
                    Ok(PasscodeAnswer {
                        nonce: Secret::new(NONCE.to_vec()),
                        code: Secret::new(code.into_bytes()),
                    })
                })
            })
        };
        let handing_back = watch::Sender::new(false);
        let task = NewCodeTask {
            ledger: ledger.clone(),
            clock,
            setter: Arc::clone(&accounts) as Arc<dyn CodeSetter>,
            source,
            handing_back: handing_back.subscribe(),
        };
        Self {
            _dir: dir,
            signer,
            ledger,
            door,
            accounts,
            gives,
            asked,
            _handing_back: handing_back,
            task: tokio::spawn(task.run()),
            generation: 0,
        }
    }

    fn order(&self, reason: CodeReason) -> ApprovedCommand {
        let bundle = self.signer.content(1);
        ApprovedCommand {
            command: Command {
                id: CommandId::from_uuid(uuid::Uuid::now_v7()),
                device: self.signer.device,
                kind: CommandKind::SetPasscode {
                    reason,
                    commitment: commitment(&NONCE, &code(CODE)),
                },
                issued_at: bundle.issued_at,
                expires_at: bundle.expires_at,
            },
            approvals: Vec::new(),
        }
    }

    fn bundle(&mut self, orders: Vec<ApprovedCommand>) -> Bundle {
        self.generation += 1;
        let mut bundle = self.signer.content(self.generation);
        bundle.policy.passcode = Some(managers());
        bundle.passcode_orders = orders;
        bundle
    }

    fn takes(&self, bundle: &Bundle) {
        self.ledger
            .accept_bundle(self.signer.sign_bundle(bundle))
            .unwrap();
    }

    /// What it told of commands, once there are that many events.
    async fn told(&self, count: u64) -> Vec<String> {
        let mut recorded = self.ledger.event_recorded();
        while self.ledger.head().unwrap().seq < count {
            recorded.changed().await.unwrap();
        }
        let events = self.ledger.events_after(0, 20, usize::MAX).unwrap();
        let bodies = events.into_iter().map(|event| event.body.unwrap());
        bodies
            .map(|body| {
                let told: EventBody = serde_json::from_str(&body).unwrap();
                if let EventBody::CommandOutcome { outcome, .. } = told {
                    outcome
                } else {
                    format!("{told:?}")
                }
            })
            .collect()
    }

    fn given(&self) -> Vec<String> {
        self.accounts.given.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_is_due_waits_for_the_end_of_contact_hours_and_is_not_even_fetched_before() {
    let mut bench = Bench::at(NOON);
    for reason in [CodeReason::Due, CodeReason::Leaver] {
        let order = bench.order(reason);
        let bundle = bench.bundle(vec![order]);
        assert_eq!(
            waits_until(
                &super::order(&bundle.passcode_orders[0].command).unwrap(),
                &bundle,
                NOON.parse().unwrap()
            ),
            Some("2026-03-02T18:00:00Z".parse().unwrap())
        );
    }
    let order = bench.order(CodeReason::Due);
    let bundle = bench.bundle(vec![order]);
    bench.takes(&bundle);
    // It looks again after ten minutes at most, and sleeps until six o'clock.
    for _ in 0..36 {
        bench.door.pass_for_sleeper(Duration::from_mins(10)).await;
        assert!(bench.asked.try_recv().is_err());
    }
    bench.asked.recv().await.unwrap();
    assert_eq!(bench.told(1).await, [DONE]);
    assert_eq!(bench.given(), [CODE]);
}

#[tokio::test]
async fn loss_and_suspicion_interrupt_and_are_done_once() {
    for reason in [CodeReason::Loss, CodeReason::Suspicion] {
        let mut bench = Bench::at(NOON);
        let order = bench.order(reason);
        let bundle = bench.bundle(vec![order.clone()]);
        bench.takes(&bundle);
        assert_eq!(bench.told(1).await, [DONE]);
        // It is in the next bundle, too, until the server heard.
        let bundle = bench.bundle(vec![order]);
        bench.takes(&bundle);
        bench.door.pass(Duration::from_mins(30));
        let again = prepare(&bench.ledger, &bundle, NOON.parse().unwrap()).unwrap();
        assert_eq!(again, None);
        assert_eq!(bench.given(), [CODE]);
    }
}

#[tokio::test]
async fn another_code_than_the_one_that_was_signed_is_never_set() {
    let mut bench = Bench::at(NOON);
    bench.gives.lock().unwrap().push(Ok("951736".to_owned()));
    let order = bench.order(CodeReason::Suspicion);
    let bundle = bench.bundle(vec![order]);
    bench.takes(&bundle);
    let told = bench.told(2).await;
    assert!(told[0].contains("Alarm"), "{told:?}");
    assert!(told[1].starts_with("refused: the server gave another passcode"));
    assert!(!told.concat().contains("951736"));
    assert_eq!(bench.given(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_code_is_told_without_it_and_nothing_is_called_done() {
    let mut bench = Bench::at(NOON);
    let used = CodeError::Refused(CodeRefusal::UsedBefore);
    bench.accounts.says.lock().unwrap().push(used);
    let order = bench.order(CodeReason::Suspicion);
    let bundle = bench.bundle(vec![order]);
    bench.takes(&bundle);
    let told = bench.told(1).await;
    assert_eq!(
        told,
        ["refused: it was used on this tablet before; set another one"]
    );
}

#[tokio::test]
async fn what_could_not_be_fetched_or_set_yet_is_tried_again() {
    let mut bench = Bench::at(NOON);
    let away = CodeWithheld::NotNow("the server cannot be reached".to_owned());
    bench.gives.lock().unwrap().push(Err(away));
    let not_yet = CodeError::NotYet(EnforceError::Unreadable("not yet".to_owned()));
    bench.accounts.says.lock().unwrap().push(not_yet);
    let order = bench.order(CodeReason::Suspicion);
    let bundle = bench.bundle(vec![order]);
    bench.takes(&bundle);
    for _ in 0..2 {
        bench.asked.recv().await.unwrap();
        bench.door.pass_for_sleeper(LAST_RETRY).await;
    }
    bench.asked.recv().await.unwrap();
    assert_eq!(bench.told(1).await, [DONE]);
}

#[tokio::test]
async fn of_two_commands_the_newer_counts_and_the_other_says_so() {
    let mut bench = Bench::at("2026-03-02T20:00:00Z");
    let older = bench.order(CodeReason::Due);
    let mut newer = bench.order(CodeReason::Due);
    newer.command.issued_at += SignedDuration::from_mins(1);
    for orders in [
        vec![older.clone(), newer.clone()],
        vec![newer.clone(), older.clone()],
    ] {
        let ledger_dir = tempfile::tempdir().unwrap();
        let ledger = enrolled(&Paths::new(ledger_dir.path()), &bench.signer);
        let bundle = bench.bundle(orders);
        let found = prepare(&ledger, &bundle, NOON.parse().unwrap()).unwrap();
        assert_eq!(found.unwrap().command, newer.command.id);
        let events = ledger.events_after(0, 10, usize::MAX).unwrap();
        assert_eq!(events.len(), 1);
        let body = events[0].body.as_deref().unwrap();
        assert!(body.contains("a newer one took its place"), "{body}");
        assert!(body.contains(&older.command.id.to_string()));
    }
}

#[tokio::test]
async fn what_never_will_be_carried_out_is_declined() {
    let mut bench = Bench::at(NOON);
    let declined = |bench: &Bench, bundle: &Bundle, now: &str| {
        let dir = tempfile::tempdir().unwrap();
        let ledger = enrolled(&Paths::new(dir.path()), &bench.signer);
        let found = prepare(&ledger, bundle, now.parse().unwrap()).unwrap();
        assert_eq!(found, None);
        let events = ledger.events_after(0, 10, usize::MAX).unwrap();
        events[0].body.clone().unwrap()
    };
    let order = bench.order(CodeReason::Due);
    let bundle = bench.bundle(vec![order]);
    let late = declined(&bench, &bundle, "2026-03-20T12:00:00Z");
    assert!(late.contains("declined: the command expired"), "{late}");
    for policy in [
        None,
        Some(PasscodePolicy {
            set_by: SetBy::User,
            ..managers()
        }),
        Some(PasscodePolicy {
            mode: Mode::Observe,
            ..managers()
        }),
    ] {
        let mut other = bundle.clone();
        other.policy.passcode = policy;
        let said = declined(&bench, &other, NOON);
        assert!(said.contains("not set in the console"), "{said}");
    }
    let mut frozen = bundle.clone();
    let hold = Hold {
        id: HoldId::from_uuid(uuid::Uuid::now_v7()),
        scope: HoldScope::Device {
            device: bench.signer.device,
        },
        category: HoldCategory::IllegalContent,
        opened_at: bundle.issued_at,
        review_by: bundle.expires_at,
    };
    frozen.holds = HoldList::new(bundle.issued_at, vec![hold]);
    let said = declined(&bench, &frozen, NOON);
    assert!(said.contains("a hold freezes"), "{said}");
}

#[tokio::test]
async fn a_passcode_others_may_know_is_overdue_from_the_moment_somebody_said_so() {
    let mut bench = Bench::at(NOON);
    let now = NOON.parse().unwrap();
    for (reason, overdue) in [(CodeReason::Due, false), (CodeReason::Leaver, true)] {
        let order = bench.order(reason);
        let bundle = bench.bundle(vec![order]);
        commands::carry_out(&bench.ledger, &bundle, now).unwrap();
        let since = commands::passcode_change_asked_at(&bench.ledger).unwrap();
        assert_eq!(since, overdue.then_some(bundle.issued_at));
    }
}

#[tokio::test]
async fn what_the_server_no_longer_has_is_not_asked_for_again_and_again() {
    let mut bench = Bench::at(NOON);
    bench.gives.lock().unwrap().push(Err(CodeWithheld::Over));
    let order = bench.order(CodeReason::Suspicion);
    let bundle = bench.bundle(vec![order]);
    bench.takes(&bundle);
    bench.asked.recv().await.unwrap();
    assert_eq!(bench.given(), Vec::<String>::new());
    assert_eq!(bench.ledger.head().unwrap().seq, 0);
}
