//! The reconciler: one task that holds every control whenever something it depends on changes, and once a minute anyway.

use super::board::OutcomeBoard;
use super::handback::HandBack;
use super::pass::{HeldControl, missing_features, too_old};
use super::pulse::Pulse;
use super::space::Space;
use super::{commands, handback, lock, loss, situation};
use crate::clock::TrustedClock;
use crate::control::hours::Because;
use crate::control::{EnforceError, Situation};
use crate::ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use nestwarden_policy_schema::control::{ControlName, Outcome};
use nestwarden_policy_schema::envelope::VerifiedBundle;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{CommandId, SessionId};
use nestwarden_policy_schema::policy::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Drift is looked for this often also where nothing tells of it.
const PERIOD: Duration = Duration::from_mins(1);
const ENFORCED_KEY: &str = "enforced_controls";
const APPLIED_KEY: &str = "applied_generation";
const EXPIRED_KEY: &str = "expired_generation";

/// What the reconciler needs.
pub struct Reconciler {
    pub ledger: Ledger,
    pub clock: TrustedClock,
    pub board: OutcomeBoard,
    pub controls: Vec<HeldControl>,
    /// "Look at this control again", from where the operating system can tell.
    pub drift: mpsc::Receiver<ControlName>,
    pub session: watch::Receiver<Option<SessionId>>,
    pub space: watch::Receiver<Space>,
    /// Becomes true once the server asked for the tablet back.
    pub handing_back: watch::Sender<bool>,
    /// Beats after every pass.
    pub pulse: Pulse,
}

/// A control as it last was in order, and in what situation: changing by itself after that is drift.
type Settled = BTreeMap<ControlName, Fingerprint>;

impl Reconciler {
    /// Reconciles until dropped.
    pub async fn run(self) {
        let Self {
            ledger,
            clock,
            board,
            controls,
            mut drift,
            mut session,
            mut space,
            handing_back,
            pulse,
        } = self;
        let mut bundles = ledger.watch_bundle();
        let mut doubt = clock.watch_doubt();
        let mut looker = Looker {
            ledger,
            clock: clock.clone(),
            board,
            controls: controls.into_iter().map(Arc::new).collect(),
            settled: Settled::new(),
            handing_back,
        };
        let mut only = BTreeSet::new();
        let mut drift_open = true;
        loop {
            let bundle = bundles.borrow_and_update().clone();
            let open = session.borrow_and_update().is_some();
            let room = *space.borrow_and_update();
            doubt.borrow_and_update();
            let wait = match &bundle {
                Some(bundle) => {
                    looker.look(bundle, (open, room), &only).await;
                    looker.until_next_change(bundle)
                }
                None => PERIOD,
            };
            pulse.beat();
            only.clear();
            let door = clock.door();
            tokio::select! {
                _ = bundles.changed() => {}
                _ = doubt.changed() => {}
                Ok(()) = session.changed() => {}
                Ok(()) = space.changed() => {}
                name = drift.recv(), if drift_open => match name {
                    Some(name) => {
                        only.insert(name);
                        while let Ok(name) = drift.try_recv() {
                            only.insert(name);
                        }
                    }
                    None => drift_open = false,
                },
                () = door.sleep(wait) => {}
            }
        }
    }
}

struct Looker {
    ledger: Ledger,
    clock: TrustedClock,
    board: OutcomeBoard,
    controls: Vec<Arc<HeldControl>>,
    settled: Settled,
    handing_back: watch::Sender<bool>,
}

impl Looker {
    /// One pass; over `only` these, or over all when it is empty.
    async fn look(
        &mut self,
        bundle: &Arc<VerifiedBundle>,
        capture: (bool, Space),
        only: &BTreeSet<ControlName>,
    ) {
        let prepared = {
            let (ledger, bundle) = (self.ledger.clone(), Arc::clone(bundle));
            let at = self.clock.now().at;
            tokio::task::spawn_blocking(move || {
                let to_lock = commands::carry_out(&ledger, bundle.bundle(), at)?;
                let asked_at = commands::passcode_change_asked_at(&ledger)?;
                Ok::<_, LedgerError>(((asked_at, to_lock), handback::asked(&ledger)?))
            })
        };
        let (asked_at, to_lock) = match prepared.await {
            Ok(Ok((_, Some(hand_back)))) => return self.hand_back(&hand_back).await,
            Ok(Ok((prepared, None))) => prepared,
            Ok(Err(error)) => {
                tracing::error!(error = %crate::whole_text(&error), "the commands of the bundle could not be read");
                (None, Vec::new())
            }
            Err(error) => {
                tracing::error!(%error, "reading the commands of the bundle failed");
                (None, Vec::new())
            }
        };
        // A command may just have changed it.
        let now = self.clock.now();
        let situation = situation::situation(bundle.bundle(), &now, capture, asked_at);
        if !to_lock.is_empty() {
            self.lock(bundle, &situation, to_lock).await;
        }
        let released = self.hold_all(bundle, &situation, only).await;
        for control in &released {
            self.give_back(control).await;
        }
        let given_back = released.iter().map(|control| control.name()).collect();
        if !released.is_empty() {
            self.hold_all(bundle, &situation, &given_back).await;
        }
        if only.is_empty() {
            self.tell_loss().await;
            self.note_bundle(bundle).await;
        }
    }

    /// Locks the tablet because these asked for it.
    async fn lock(
        &self,
        bundle: &Arc<VerifiedBundle>,
        situation: &Situation,
        commands: Vec<CommandId>,
    ) {
        let door = self.clock.door();
        let said = lock::lock(&self.controls, bundle.bundle(), situation, door.as_ref()).await;
        let (ledger, at) = (self.ledger.clone(), self.clock.now().at);
        let done = tokio::task::spawn_blocking(move || lock::note(&ledger, &commands, &said, at));
        log_failure(
            done.await,
            "that the tablet was locked could not be recorded",
        );
    }

    async fn tell_loss(&self) {
        let (ledger, reports) = (self.ledger.clone(), self.board.reports());
        let at = self.clock.now().at;
        let done = tokio::task::spawn_blocking(move || loss::tell(&ledger, &reports, at));
        log_failure(done.await, "that the tablet is lost could not be told");
    }

    /// Holds the controls side by side, so that one that hangs delays no other; those that the policy let go of.
    async fn hold_all(
        &mut self,
        bundle: &Arc<VerifiedBundle>,
        situation: &Situation,
        only: &BTreeSet<ControlName>,
    ) -> Vec<Arc<HeldControl>> {
        let enforced = self.enforced().await;
        let mut looks = JoinSet::new();
        let mut let_go = Vec::new();
        for control in &self.controls {
            let name = control.name();
            if !only.is_empty() && !only.contains(&name) {
                continue;
            }
            let enforce = situation.policy.mode(name) == Some(Mode::Enforce);
            if enforced.contains(&name) && !enforce {
                let_go.push(Arc::clone(control));
                continue;
            }
            if enforce && !enforced.contains(&name) {
                // Written down first, so that what was changed is given back whenever the policy lets go.
                self.set_enforced(name, Enforced::Yes).await;
            }
            let (control, bundle, situation) =
                (Arc::clone(control), Arc::clone(bundle), situation.clone());
            looks.spawn(async move {
                let outcome = control.hold(bundle.bundle(), situation).await;
                (control.name(), outcome)
            });
        }
        while let Some(look) = looks.join_next().await {
            match look {
                Ok((name, outcome)) => self.put_up(name, outcome, bundle, situation).await,
                Err(error) => tracing::error!(%error, "holding a control failed"),
            }
        }
        let_go
    }

    /// Gives every control back; those that fail are tried again at the next pass.
    async fn hand_back(&mut self, hand_back: &HandBack) {
        self.handing_back.send_replace(true);
        if hand_back.done.is_some() {
            return;
        }
        let mut giving = JoinSet::new();
        for control in self.controls.iter().map(Arc::clone) {
            giving.spawn(async move { (control.release().await, control) });
        }
        let mut all_given_back = true;
        while let Some(given) = giving.join_next().await {
            let Ok((released, control)) = given else {
                all_given_back = false;
                continue;
            };
            all_given_back &= self.note_release(&control, released).await;
        }
        if !all_given_back {
            return;
        }
        for control in &self.controls {
            self.report(control.name(), Outcome::Unmanaged, Vec::new(), None)
                .await;
        }
        let (ledger, at) = (self.ledger.clone(), self.clock.now().at);
        let done = tokio::task::spawn_blocking(move || handback::finish(&ledger, at));
        log_failure(
            done.await,
            "that the tablet was handed back could not be recorded",
        );
    }

    async fn give_back(&mut self, control: &HeldControl) {
        let released = control.release().await;
        self.note_release(control, released).await;
    }

    /// Whether it is given back.
    async fn note_release(
        &mut self,
        control: &HeldControl,
        released: Result<(), EnforceError>,
    ) -> bool {
        let name = control.name();
        self.settled.remove(&name);
        match released {
            // What this machine cannot have, it cannot have had changed.
            Ok(()) | Err(EnforceError::Unsupported(_)) => {
                self.set_enforced(name, Enforced::No).await;
                true
            }
            Err(error) => {
                let outcome = Outcome::Unknown {
                    error: format!("giving it back failed: {}", error.whole_text()),
                };
                self.report(name, outcome, Vec::new(), None).await;
                false
            }
        }
    }

    /// Puts an outcome on the board, with the events it comes with.
    async fn put_up(
        &mut self,
        name: ControlName,
        outcome: Outcome,
        bundle: &VerifiedBundle,
        situation: &Situation,
    ) {
        let fingerprint = Fingerprint::of(situation);
        let drifted = self.settled.get(&name) == Some(&fingerprint);
        let mut reverted = Vec::new();
        if let (Outcome::Corrected { changed }, true) = (&outcome, drifted) {
            reverted.clone_from(changed);
        }
        if outcome.is_compliant() {
            self.settled.insert(name, fingerprint);
        } else {
            self.settled.remove(&name);
        }
        let missing = missing_features(bundle.bundle(), name);
        let unsupported = (!missing.is_empty()).then(|| EventBody::Unsupported {
            control: name,
            reason: too_old(&missing),
            needs: missing,
        });
        self.report(name, outcome, reverted, unsupported).await;
    }

    async fn report(
        &self,
        name: ControlName,
        outcome: Outcome,
        reverted: Vec<String>,
        unsupported: Option<EventBody>,
    ) {
        let (ledger, board, at) = (self.ledger.clone(), self.board.clone(), self.clock.now().at);
        let done = tokio::task::spawn_blocking(move || {
            let is_news = board.report(name, outcome, at)?;
            ledger.transaction(|tx| {
                for what in reverted {
                    let body = EventBody::DriftReverted {
                        control: name,
                        what,
                        count: 1,
                    };
                    tx.record(at, &body)?;
                }
                if let Some(unsupported) = unsupported.filter(|_| is_news) {
                    tx.record(at, &unsupported)?;
                }
                Ok::<_, LedgerError>(())
            })
        });
        log_failure(done.await, "an outcome could not be recorded");
    }

    /// Tells once that a bundle was applied, and once that it expired; it stays enforced.
    async fn note_bundle(&self, bundle: &VerifiedBundle) {
        let (ledger, at) = (self.ledger.clone(), self.clock.now().at);
        let (generation, expires_at) = (bundle.generation(), bundle.bundle().expires_at);
        let digest = Some(bundle.digest());
        let done = tokio::task::spawn_blocking(move || {
            once_for(&ledger, APPLIED_KEY, generation.get(), at, || {
                EventBody::BundleApplied { generation, digest }
            })?;
            if at < expires_at {
                return Ok(());
            }
            once_for(&ledger, EXPIRED_KEY, generation.get(), at, || {
                EventBody::BundleExpired { generation }
            })
        });
        log_failure(done.await, "a bundle's state could not be recorded");
    }

    fn until_next_change(&self, bundle: &VerifiedBundle) -> Duration {
        let now = self.clock.now();
        situation::next_change(bundle.bundle(), &now)
            .and_then(|at| Duration::try_from(at.duration_since(now.at)).ok())
            .map_or(PERIOD, |until| until.min(PERIOD))
    }

    async fn enforced(&self) -> BTreeSet<ControlName> {
        let ledger = self.ledger.clone();
        let read = tokio::task::spawn_blocking(move || {
            ledger.read(|sql| crate::ledger::meta(sql, ENFORCED_KEY))
        });
        match read.await {
            Ok(Ok(text)) => names(text.as_deref()),
            Ok(Err(error)) => {
                tracing::error!(error = %crate::whole_text(&error), "the list of enforced controls could not be read");
                BTreeSet::new()
            }
            Err(error) => {
                tracing::error!(%error, "reading the list of enforced controls failed");
                BTreeSet::new()
            }
        }
    }

    async fn set_enforced(&self, name: ControlName, enforced: Enforced) {
        let ledger = self.ledger.clone();
        let done = tokio::task::spawn_blocking(move || {
            ledger.transaction(|tx| {
                let mut all = names(tx.meta(ENFORCED_KEY)?.as_deref());
                match enforced {
                    Enforced::Yes => all.insert(name),
                    Enforced::No => all.remove(&name),
                };
                let text = serde_json::to_string(&all).map_err(LedgerError::Unwritable)?;
                tx.set_meta(ENFORCED_KEY, &text)
            })
        });
        log_failure(
            done.await,
            "the list of enforced controls could not be written",
        );
    }
}

/// Notes that these are no longer in force. Blocks.
pub(crate) fn note_released(ledger: &Ledger, released: &[ControlName]) -> Result<(), LedgerError> {
    ledger.transaction(|tx| {
        let mut all = names(tx.meta(ENFORCED_KEY)?.as_deref());
        all.retain(|name| !released.contains(name));
        let text = serde_json::to_string(&all).map_err(LedgerError::Unwritable)?;
        tx.set_meta(ENFORCED_KEY, &text)
    })
}

#[derive(Clone, Copy)]
enum Enforced {
    Yes,
    No,
}

/// What a control's wish depends on, without what changes from minute to minute.
#[derive(Clone, Debug, PartialEq)]
struct Fingerprint {
    in_contact_hours: bool,
    within_margin: bool,
    session_open: bool,
    locked: Option<Because>,
    capture_suspended: bool,
    passcode_change_asked_at: Option<Timestamp>,
    policy: nestwarden_policy_schema::policy::Policy,
    exceptions: usize,
}

impl Fingerprint {
    fn of(situation: &Situation) -> Self {
        let margin = situation.policy.hours.as_ref().map(|h| h.margin_minutes);
        Self {
            in_contact_hours: situation.in_contact_hours,
            within_margin: margin
                .zip(situation.minutes_from_contact)
                .is_some_and(|(margin, minutes)| minutes <= u32::from(margin)),
            session_open: situation.session_open,
            locked: situation.locked,
            capture_suspended: situation.capture_suspended,
            passcode_change_asked_at: situation.passcode_change_asked_at,
            policy: situation.policy.clone(),
            exceptions: situation.exceptions.len(),
        }
    }
}

fn names(text: Option<&str>) -> BTreeSet<ControlName> {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn once_for(
    ledger: &Ledger,
    key: &str,
    generation: u64,
    at: Timestamp,
    body: impl FnOnce() -> EventBody,
) -> Result<(), LedgerError> {
    ledger.transaction(|tx| {
        let number = generation.to_string();
        if tx.meta(key)?.as_deref() != Some(&number) {
            tx.set_meta(key, &number)?;
            tx.record(at, &body())?;
        }
        Ok(())
    })
}

fn log_failure(done: Result<Result<(), LedgerError>, tokio::task::JoinError>, what: &str) {
    match done {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(error = %crate::whole_text(&error), "{what}"),
        Err(error) => tracing::error!(%error, "{what}"),
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests;
