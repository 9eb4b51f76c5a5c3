//! The hanging fetch: the newest bundle, and the server's word on the time and the holds.

use super::schedule::{Attempt, Next, Schedule};
use super::{Connected, SyncContext, SyncError, blocking, is_revoked, jitter, nonce, renewal};
use jiff::Timestamp;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::{Bundle, TimeStatement};
use nestwarden_policy_schema::device_api::{BUNDLE_PATH, BundleAnswer};
use nestwarden_policy_schema::envelope::{Signed, verify_ed25519};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::HoldList;
use nestwarden_policy_schema::trust::SigningPublicKey;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Reasons for refusing a bundle that were told; more than this are no longer told apart.
const MAX_REASONS: usize = 50;

/// An answer that is this late, sleep included, comes from a connection of another day.
const OVERSLEPT: Duration = Duration::from_mins(2);

pub(super) async fn run(context: SyncContext) {
    let door = context.clock.door();
    let mut schedule = Schedule::default();
    let mut told = BTreeSet::new();
    // The first answer is wanted at once: it is what confirms the clock.
    let mut next = Next {
        pause: Duration::ZERO,
        wait_s: 0,
    };
    loop {
        let started = door.since_boot();
        let attempt = match attempt(&context, next.wait_s).await {
            Ok(None) => Attempt::Overslept,
            Ok(Some(newer)) => {
                context.reached();
                match (newer, next.wait_s) {
                    // Asked not to hang, so it did not; the next one hangs, and until it does nobody is heard.
                    (true, _) | (false, 0) => Attempt::Progress,
                    (false, _) if door.since_boot().saturating_sub(started).as_secs() < 1 => {
                        Attempt::QuietAtOnce
                    }
                    (false, _) => Attempt::Quiet,
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a fetch failed");
                tell_refusal(&context, &error, &mut told).await;
                context.failed(&error);
                if is_revoked(&error) {
                    Attempt::Revoked
                } else {
                    let hung = if next.wait_s == 0 {
                        Duration::ZERO
                    } else {
                        door.since_boot().saturating_sub(started)
                    };
                    Attempt::Failed { hung }
                }
            }
        };
        next = schedule.next(attempt, jitter());
        door.sleep(next.pause).await;
    }
}

/// One fetch. Whether it brought a newer bundle; `None` when the tablet slept past the time for an answer.
pub(super) async fn attempt(context: &SyncContext, wait_s: u32) -> Result<Option<bool>, SyncError> {
    renewal::when_due(context).await?;
    let connection = Arc::clone(&context.connection);
    let connected = blocking(move || connection.connected()).await?;
    let in_force = context.ledger.bundle();
    let after = in_force
        .as_ref()
        .map_or(Generation::NONE, |bundle| bundle.generation());
    let digest = in_force.map_or_else(String::new, |bundle| format!("&digest={}", bundle.digest()));
    let nonce = nonce()?;
    let door = context.clock.door();
    let asked = door.since_boot();
    let hang = Duration::from_secs(u64::from(wait_s));
    let path = format!("{BUNDLE_PATH}?after={after}&nonce={nonce}&wait_s={wait_s}{digest}");
    let answer: BundleAnswer = tokio::select! {
        answer = connected.server.get(&path, hang) => answer?,
        // The connection's own timer stands still while the tablet sleeps.
        () = door.sleep(hang + OVERSLEPT) => return Ok(None),
    };
    let statement = checked(&answer.statement, &connected, &nonce)?;
    let context = context.clone();
    blocking(move || take_over(&context, answer.bundle, &statement, asked).map(Some)).await
}

fn checked(
    signed: &Signed,
    connected: &Connected,
    nonce: &str,
) -> Result<TimeStatement, SyncError> {
    let keys: Vec<&SigningPublicKey> = connected.anchors.signing.iter().collect();
    let statement: TimeStatement = verify_ed25519(signed, &keys)?;
    let enrolment = &connected.identity.enrolment;
    if statement.request_nonce != nonce {
        return Err(SyncError::OtherStatement("the answer to another request"));
    }
    if statement.device != enrolment.device || statement.setting != enrolment.setting {
        return Err(SyncError::OtherStatement("for another tablet"));
    }
    Ok(statement)
}

fn take_over(
    context: &SyncContext,
    bundle: Option<Signed>,
    statement: &TimeStatement,
    asked: Duration,
) -> Result<bool, SyncError> {
    context.clock.confirm_since(statement.time, asked)?;
    let newer = match bundle {
        Some(signed) => {
            if names_put_back(&signed) {
                // A hold that was forgotten must not be outrun: nothing is destroyed until a person settled it.
                context.clock.forget_holds()?;
            }
            context.ledger.accept_bundle(signed)?
        }
        None => false,
    };
    tell_put_back(context, newer)?;
    let newest = context.ledger.newest_generation()?;
    if statement.generation < newest {
        return Err(crate::ledger::BundleRefused::Bundle(
            nestwarden_policy_schema::envelope::BundleError::LowerGeneration {
                ours: newest,
                theirs: statement.generation,
            },
        )
        .into());
    }
    if !is_held_to_earlier(context) && holds_are_current(context, statement) {
        context.clock.confirm_holds(statement.time);
    }
    Ok(newer)
}

/// Before it is verified: a bundle that is refused afterwards only delays what may be destroyed.
fn names_put_back(signed: &Signed) -> bool {
    serde_json::from_str::<Bundle>(&signed.payload).is_ok_and(|bundle| bundle.put_back.is_some())
}

/// Whether the server's data was put back, and nobody settled that yet.
fn is_held_to_earlier(context: &SyncContext) -> bool {
    let bundle = context.ledger.bundle();
    bundle.is_some_and(|bundle| bundle.bundle().put_back.is_some())
}

/// Says once that the server's data was put back.
fn tell_put_back(context: &SyncContext, newer: bool) -> Result<(), SyncError> {
    const KEY: &str = "put_back_told";
    let put_back = context.ledger.bundle().and_then(|b| b.bundle().put_back);
    let Some(named) = put_back.filter(|_| newer) else {
        return Ok(());
    };
    let now = context.clock.now().at;
    context.ledger.transaction(|tx| {
        let name = named.generation.to_string();
        if tx.meta(KEY)?.as_deref() == Some(&name) {
            return Ok(());
        }
        tx.set_meta(KEY, &name)?;
        let what = format!(
            "the server's data was put back from an earlier copy: it does not know the bundle of generation {name} that this tablet had; the stricter of both is enforced and nothing is destroyed until somebody settles it there"
        );
        tx.record(now, &EventBody::Alarm { what })?;
        Ok::<_, SyncError>(())
    })
}

fn holds_are_current(context: &SyncContext, statement: &TimeStatement) -> bool {
    context.ledger.bundle().is_some_and(|bundle| {
        let held = &bundle.bundle().holds;
        // Computed, not believed: the digest in the list is only what the list says of itself.
        HoldList::new(held.as_of, held.holds.clone()).digest == statement.holds_digest
    })
}

pub(super) async fn tell_refusal(
    context: &SyncContext,
    error: &SyncError,
    told: &mut BTreeSet<String>,
) {
    let SyncError::Bundle(refused) = error else {
        return;
    };
    let reason = refused.to_string();
    if told.len() >= MAX_REASONS || !told.insert(reason.clone()) {
        return;
    }
    tracing::warn!(
        reason,
        "a bundle was refused; the one before stays enforced"
    );
    let (ledger, at): (_, Timestamp) = (context.ledger.clone(), context.clock.now().at);
    let recorded: Result<u64, SyncError> =
        blocking(move || Ok(ledger.record(at, &EventBody::BundleRefused { reason })?)).await;
    if let Err(error) = recorded {
        tracing::error!(%error, "a refused bundle could not be recorded");
    }
}
