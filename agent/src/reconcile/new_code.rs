//! Passcodes that are set in the console. The tablet fetches each when its time has come, holds it to what was signed, and has
//! it set; then, and only after it was seen to open the accounts, it says that it is done. Until then the passcode in use
//! stays as overdue as it is.

use super::{commands, handback, limit};
use crate::clock::TrustedClock;
use crate::control::code::{CodeError, CodeOrder, CodeRefusal, CodeSetter};
use crate::ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::code::{Code, CodeReason, commitment};
use nestwarden_policy_schema::command::{Command, CommandKind};
use nestwarden_policy_schema::device_api::PasscodeAnswer;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::policy::{Mode, SetBy};
use nestwarden_policy_schema::trust::Anchors;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use zeroize::Zeroizing;

const FIRST_RETRY: Duration = Duration::from_secs(15);
const LAST_RETRY: Duration = Duration::from_mins(10);
/// Trusted time may be put right meanwhile.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

const DONE: &str = "done: the new passcode is set";

/// Asks the server for one command's code.
pub type CodeSource = Arc<
    dyn Fn(CommandId) -> Pin<Box<dyn Future<Output = Result<PasscodeAnswer, CodeWithheld>> + Send>>
        + Send
        + Sync,
>;

/// Why the server gave no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeWithheld {
    /// The command has ended there; the next bundle is without it.
    Over,
    NotNow(String),
}

/// Carries out the commands to set a passcode.
pub struct NewCodeTask {
    pub ledger: Ledger,
    pub clock: TrustedClock,
    pub setter: Arc<dyn CodeSetter>,
    pub source: CodeSource,
    pub handing_back: watch::Receiver<bool>,
}

/// A command that is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    command: CommandId,
    issued_at: Timestamp,
    expires_at: Timestamp,
    reason: CodeReason,
    commitment: Digest,
}

impl Order {
    fn kind(&self) -> CommandKind {
        CommandKind::SetPasscode {
            reason: self.reason,
            commitment: self.commitment,
        }
    }
}

/// What came of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// There is nothing to do before the next bundle.
    Nothing,
    /// Before then nothing is to be done.
    Until(Timestamp),
    Failed,
}

impl NewCodeTask {
    /// Runs until dropped.
    pub async fn run(self) {
        let mut bundles = self.ledger.watch_bundle();
        let mut handing_back = self.handing_back.clone();
        let door = self.clock.door();
        let mut retry = FIRST_RETRY;
        loop {
            if *handing_back.borrow_and_update() {
                return std::future::pending().await;
            }
            let bundle = bundles.borrow_and_update().clone();
            let look = match &bundle {
                Some(bundle) => self.look(bundle.bundle()).await,
                None => Look::Nothing,
            };
            let wait = match look {
                Look::Nothing => None,
                Look::Until(at) => {
                    let until = Duration::try_from(at.duration_since(self.clock.now().at));
                    Some(until.unwrap_or_default().min(LONGEST_WAIT))
                }
                Look::Failed => Some(retry),
            };
            retry = match look {
                Look::Failed => (retry * 2).min(LAST_RETRY),
                Look::Nothing | Look::Until(_) => FIRST_RETRY,
            };
            tokio::select! {
                changed = bundles.changed() => if changed.is_err() {
                    return std::future::pending().await;
                },
                _ = handing_back.changed() => {}
                () = async { match wait {
                    Some(wait) => door.sleep(wait).await,
                    None => std::future::pending().await,
                } } => {}
            }
        }
    }

    async fn look(&self, bundle: &Bundle) -> Look {
        let now = self.clock.now().at;
        let prepared = {
            let (ledger, bundle) = (self.ledger.clone(), bundle.clone());
            tokio::task::spawn_blocking(move || prepare(&ledger, &bundle, now))
        };
        let order = match prepared.await {
            Ok(Ok(Some(order))) => order,
            Ok(Ok(None)) => return Look::Nothing,
            Ok(Err(error)) => {
                tracing::error!(error = %crate::whole_text(&error), "the commands to set a passcode could not be read");
                return Look::Failed;
            }
            Err(error) => {
                tracing::error!(%error, "reading the commands to set a passcode failed");
                return Look::Failed;
            }
        };
        match waits_until(&order, bundle, now) {
            Some(at) => Look::Until(at.min(order.expires_at)),
            None => self.carry_out(&order).await,
        }
    }

    async fn carry_out(&self, order: &Order) -> Look {
        let answer = match (self.source)(order.command).await {
            Ok(answer) => answer,
            Err(CodeWithheld::Over) => {
                tracing::info!(command.id = %order.command, "the server no longer has this passcode; it was taken back or replaced");
                return Look::Until(order.expires_at);
            }
            Err(CodeWithheld::NotNow(problem)) => {
                tracing::warn!(command.id = %order.command, problem, "a new passcode could not be fetched; it stays overdue, and is asked for again");
                return Look::Failed;
            }
        };
        let Some(code) = opened(&answer, order.commitment) else {
            return self.other_than_signed(order).await;
        };
        let (setter, now) = (Arc::clone(&self.setter), self.clock.now().at);
        let to_set = CodeOrder {
            command: order.command,
            issued_at: order.issued_at,
            now,
            code,
        };
        let outcome = match tokio::task::spawn_blocking(move || setter.set(&to_set)).await {
            Ok(Ok(())) => DONE.to_owned(),
            Ok(Err(CodeError::Refused(refusal))) => refused(&refusal),
            Ok(Err(CodeError::NotYet(error))) => {
                let problem = error.whole_text();
                tracing::warn!(command.id = %order.command, problem, "a new passcode could not be set yet");
                return Look::Failed;
            }
            Err(error) => {
                tracing::error!(%error, "setting a passcode failed in the agent itself");
                return Look::Failed;
            }
        };
        tracing::info!(command.id = %order.command, outcome, "a command to set a passcode was carried out");
        self.record(order, outcome, None).await
    }

    /// Whoever gave it is not who had it signed.
    async fn other_than_signed(&self, order: &Order) -> Look {
        let what = "the server gave another passcode than the one that was signed; it was not set";
        tracing::error!(command.id = %order.command, "{what}");
        let outcome = format!("refused: {what}. Tell your IT admin, and set another one");
        let alarm = EventBody::Alarm {
            what: what.to_owned(),
        };
        self.record(order, outcome, Some(alarm)).await
    }

    async fn record(&self, order: &Order, outcome: String, alarm: Option<EventBody>) -> Look {
        let (command, kind) = (order.command, order.kind());
        let (ledger, at) = (self.ledger.clone(), self.clock.now().at);
        let done = tokio::task::spawn_blocking(move || {
            ledger.transaction(|tx| {
                if let Some(alarm) = &alarm {
                    tx.record(at, alarm)?;
                }
                if outcome == DONE {
                    limit::count(tx, &kind, at)?;
                }
                commands::note_outcome(tx, command, outcome, at)
            })
        });
        match done.await {
            Ok(Ok(())) => Look::Nothing,
            // The same command again finds what was done.
            Ok(Err(error)) => {
                tracing::error!(error = %crate::whole_text(&error), "what came of a passcode could not be recorded");
                Look::Failed
            }
            Err(error) => {
                tracing::error!(%error, "recording what came of a passcode failed");
                Look::Failed
            }
        }
    }
}

/// From when somebody set another one because the passcode in use is known to others, that one is a bad one.
pub(super) fn note_overdue(
    ledger: &Ledger,
    bundle: &Bundle,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let verified = bundle
        .passcode_orders
        .iter()
        .filter_map(|approved| approved.verified(anchors, bundle.device, now).ok());
    let since = verified
        .filter_map(order)
        .filter(|order| order.reason.makes_overdue())
        .map(|order| order.issued_at)
        .max();
    match since {
        Some(since) => ledger.transaction(|tx| commands::ask_for_new_passcode(tx, since)),
        None => Ok(()),
    }
}

/// The command to carry out; those that never will be are declined, and told of. Blocks.
fn prepare(ledger: &Ledger, bundle: &Bundle, now: Timestamp) -> Result<Option<Order>, LedgerError> {
    if bundle.passcode_orders.is_empty() || handback::asked(ledger)?.is_some() {
        return Ok(None);
    }
    let anchors = ledger.anchors()?;
    ledger.transaction(|tx| {
        let mut newest: Option<Order> = None;
        for approved in &bundle.passcode_orders {
            let id = approved.command.id;
            if commands::is_done(tx, id)? {
                continue;
            }
            let decline =
                |why: &str| commands::note_outcome(tx, id, format!("declined: {why}"), now);
            match approved.verified(&anchors, bundle.device, now) {
                Err(error) => decline(&error.to_string())?,
                Ok(_) if !is_managers(bundle) => {
                    decline("by the profile in force here a passcode is not set in the console")?;
                }
                Ok(_) if commands::is_frozen(bundle) => {
                    decline("a hold freezes this tablet, and nothing on it may change")?;
                }
                Ok(command) => match (order(command), limit::refusal(tx, &command.kind, now)?) {
                    (None, _) => decline("it is no command to set a passcode")?,
                    (Some(_), Some(why)) => decline(&why)?,
                    (Some(this), None) => match newest.replace(this.clone()) {
                        Some(other) if other.issued_at > this.issued_at => {
                            newest = Some(other);
                            decline("a newer one took its place")?;
                        }
                        Some(other) => {
                            let why = "declined: a newer one took its place".to_owned();
                            commands::note_outcome(tx, other.command, why, now)?;
                        }
                        None => {}
                    },
                },
            }
        }
        Ok(newest)
    })
}

fn order(command: &Command) -> Option<Order> {
    let CommandKind::SetPasscode { reason, commitment } = &command.kind else {
        return None;
    };
    Some(Order {
        command: command.id,
        issued_at: command.issued_at,
        expires_at: command.expires_at,
        reason: *reason,
        commitment: *commitment,
    })
}

fn is_managers(bundle: &Bundle) -> bool {
    let policy = bundle.policy.passcode.as_ref();
    policy.is_some_and(|policy| policy.set_by == SetBy::Manager && policy.mode == Mode::Enforce)
}

/// `None`: it may be set now. Staff are with children in contact hours, and only what cannot wait interrupts them.
fn waits_until(order: &Order, bundle: &Bundle, now: Timestamp) -> Option<Timestamp> {
    if order.reason.interrupts() || !bundle.calendar.in_contact_hours(now) {
        return None;
    }
    let end = bundle.calendar.next_contact_change(now);
    Some(end.unwrap_or(order.expires_at))
}

/// The code, if it is the one that was signed.
fn opened(answer: &PasscodeAnswer, signed: Digest) -> Option<Code> {
    let text = std::str::from_utf8(answer.code.expose()).ok()?;
    let code = Code::new(Zeroizing::new(text.to_owned())).ok()?;
    (commitment(answer.nonce.expose(), &code) == signed).then_some(code)
}

fn refused(refusal: &CodeRefusal) -> String {
    format!("refused: {refusal}")
}

#[cfg(test)]
#[path = "new_code_tests.rs"]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests;
