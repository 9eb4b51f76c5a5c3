//! One pass over the controls: what the policy enforces is held first, what it let go of is given back afterwards, so that
//! a crash in between leaves the tablet stricter.

use super::hold::hold;
use crate::control::{Control, EnforceError, Enforcer, Situation};
use nestwarden_policy_schema::bundle::{Bundle, FEATURES, Feature};
use nestwarden_policy_schema::control::{ControlName, Outcome};
use nestwarden_policy_schema::policy::Mode;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

/// A control that has not answered for this long is unknown. The machine's own time: a thread hangs in no other.
const DEADLINE: Duration = Duration::from_secs(45);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One control with the enforcer of this platform, its types put away.
pub struct HeldControl {
    name: ControlName,
    hold: Box<dyn Fn(Situation, Mode) -> Pending<Outcome> + Send + Sync>,
    release: Box<dyn Fn() -> Pending<Result<(), EnforceError>> + Send + Sync>,
}

impl HeldControl {
    pub fn new<C: Control + 'static, E: Enforcer<C> + 'static>(enforcer: E) -> Self {
        let enforcer = Arc::new(Mutex::new(enforcer));
        let to_release = Arc::clone(&enforcer);
        Self {
            name: C::NAME,
            hold: Box::new(move |situation, mode| {
                Box::pin(off_the_loop(
                    Arc::clone(&enforcer),
                    move |enforcer| hold::<C, E>(&situation, mode, enforcer),
                    |error| Outcome::Unknown { error },
                ))
            }),
            release: Box::new(move || {
                Box::pin(off_the_loop(Arc::clone(&to_release), E::release, |error| {
                    Err(EnforceError::Unreadable(error))
                }))
            }),
        }
    }

    pub fn name(&self) -> ControlName {
        self.name
    }

    /// Holds the control to the bundle; what came of it.
    pub async fn hold(&self, bundle: &Bundle, situation: Situation) -> Outcome {
        let missing = missing_features(bundle, self.name);
        if !missing.is_empty() {
            return Outcome::Unsupported {
                reason: too_old(&missing),
            };
        }
        match situation.policy.mode(self.name) {
            Some(mode) => (self.hold)(situation, mode).await,
            None => Outcome::Unmanaged,
        }
    }

    /// Gives back what the policy let go of.
    pub async fn release(&self) -> Result<(), EnforceError> {
        (self.release)().await
    }
}

/// What a bundle needs of a control that this agent lacks.
pub fn missing_features(bundle: &Bundle, control: ControlName) -> BTreeSet<Feature> {
    let needed = bundle.requires.get(&control);
    needed
        .into_iter()
        .flatten()
        .filter(|feature| !FEATURES.contains(&feature.as_str()))
        .cloned()
        .collect()
}

/// As people read it.
pub fn too_old(missing: &BTreeSet<Feature>) -> String {
    let names: Vec<&str> = missing.iter().map(String::as_str).collect();
    format!(
        "agent too old: the policy needs {}; update the agent",
        names.join(", ")
    )
}

/// Runs `work` on a thread of its own; `failed` when it does not end in time. It is then left to end by itself, and the
/// control stays unknown until it has.
async fn off_the_loop<E: Send + 'static, T: Send + 'static>(
    enforcer: Arc<Mutex<E>>,
    work: impl FnOnce(&mut E) -> T + Send + 'static,
    failed: impl FnOnce(String) -> T + Send,
) -> T {
    let task = tokio::task::spawn_blocking(move || {
        let mut enforcer = match enforcer.try_lock() {
            Ok(enforcer) => enforcer,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(work(&mut enforcer))
    });
    match tokio::time::timeout(DEADLINE, task).await {
        Ok(Ok(Some(done))) => done,
        Ok(Ok(None)) => failed("an earlier attempt to read it has not come back yet".to_owned()),
        Ok(Err(error)) => failed(format!("reading it failed in the agent itself: {error}")),
        Err(_) => failed(format!(
            "it did not answer within {} seconds",
            DEADLINE.as_secs()
        )),
    }
}
