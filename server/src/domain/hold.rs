//! Legal holds: the DSL opens them, and two people release them.

pub mod coverage;
pub mod of_incident;

use super::fresh;
use crate::storage::hold::HoldAct;
use crate::storage::{AuditEntry, Changed, HoldRow, Operator, Role, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldScope};
use nestwarden_policy_schema::id::HoldId;

/// A hold is looked at again within this time.
pub const REVIEW_WITHIN_DAYS: i64 = 28;

#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error(
        "{name} is neither DSL nor deputy; a hold is opened and reviewed by one of them: say who with `--as NAME`"
    )]
    NotDsl { name: String },
    #[error("`--review-days` is {days}; write 1 to {REVIEW_WITHIN_DAYS}")]
    Review { days: i64 },
    #[error("the window ends at {to}, before it begins at {from}; put the earlier time first")]
    Backwards { from: Timestamp, to: Timestamp },
    #[error("there is no hold {0}; `hold list` shows those there are")]
    Missing(HoldId),
    #[error("hold {0} is released already")]
    Released(HoldId),
    #[error(
        "hold {0} freezes a tablet for an incident that is still open; finish that first: in the console the DSL or a deputy does its steps, writes the debrief and closes it"
    )]
    Wanted(HoldId),
    #[error(
        "a release needs two people, and {name} asked for it already; somebody else must run the same command, with their own name after `--as`"
    )]
    SamePerson { name: String },
    #[error(
        "neither {first} nor {second} is DSL or deputy; one of the two people who release a hold must be"
    )]
    NoDslAmongTwo { first: String, second: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How far a release got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// The first of two people asked.
    Requested,
    Released,
}

pub fn is_dsl(operator: &Operator) -> bool {
    operator.roles.contains(&Role::Dsl) || operator.roles.contains(&Role::Deputy)
}

pub async fn open(
    storage: &Storage,
    scope: HoldScope,
    category: HoldCategory,
    review_days: i64,
    by: &Operator,
    now: Timestamp,
) -> Result<Hold, HoldError> {
    if !is_dsl(by) {
        return Err(HoldError::NotDsl {
            name: by.name.clone(),
        });
    }
    let review_by = review_by(review_days, now)?;
    if let HoldScope::Window { from, to } = scope
        && to <= from
    {
        return Err(HoldError::Backwards { from, to });
    }
    let hold = Hold {
        id: HoldId::from_uuid(fresh::ordered(now)),
        scope,
        category,
        opened_at: now,
        review_by,
    };
    let audit = audit(&hold, "hold.open", by, now);
    let row = HoldRow {
        hold: hold.clone(),
        opened_by: by.name.clone(),
        release_requested: None,
        released: None,
    };
    storage.hold_open(&row, &audit).await?;
    Ok(hold)
}

/// Somebody looked, and it stays: the new day for the next look.
pub async fn review(
    storage: &Storage,
    id: HoldId,
    review_days: i64,
    by: &Operator,
    now: Timestamp,
) -> Result<Timestamp, HoldError> {
    if !is_dsl(by) {
        return Err(HoldError::NotDsl {
            name: by.name.clone(),
        });
    }
    let review_by = review_by(review_days, now)?;
    let row = storage.hold_find(id).await?.ok_or(HoldError::Missing(id))?;
    let audit = audit(&row.hold, "hold.review", by, now);
    match storage.hold_review(id, review_by, &audit).await? {
        Changed::Yes => Ok(review_by),
        Changed::Already => Err(HoldError::Released(id)),
        Changed::Missing => Err(HoldError::Missing(id)),
    }
}

fn review_by(review_days: i64, now: Timestamp) -> Result<Timestamp, HoldError> {
    if !(1..=REVIEW_WITHIN_DAYS).contains(&review_days) {
        return Err(HoldError::Review { days: review_days });
    }
    Ok(now
        .checked_add(SignedDuration::from_hours(24 * review_days))
        .unwrap_or(Timestamp::MAX))
}

/// The first call notes the wish, a second one by somebody else releases. Neither while an incident is open that it stands for.
pub async fn release(
    storage: &Storage,
    id: HoldId,
    by: &Operator,
    now: Timestamp,
) -> Result<Release, HoldError> {
    let row = storage.hold_find(id).await?.ok_or(HoldError::Missing(id))?;
    if row.released.is_some() {
        return Err(HoldError::Released(id));
    }
    if of_incident::is_wanted(storage, &row).await? {
        return Err(HoldError::Wanted(id));
    }
    let act = HoldAct {
        by: by.name.clone(),
        at: now,
    };
    let Some(asked) = row.release_requested else {
        let audit = audit(&row.hold, "hold.request_release", by, now);
        return match storage.hold_request_release(id, &act, &audit).await? {
            Changed::Yes => Ok(Release::Requested),
            // Somebody else was faster; running the command again releases.
            Changed::Already => Err(HoldError::SamePerson {
                name: "somebody".to_owned(),
            }),
            Changed::Missing => Err(HoldError::Missing(id)),
        };
    };
    if asked.by == by.name {
        return Err(HoldError::SamePerson {
            name: by.name.clone(),
        });
    }
    let first = storage.operator_by_name(&asked.by).await?;
    if !is_dsl(by) && !first.as_ref().is_some_and(is_dsl) {
        return Err(HoldError::NoDslAmongTwo {
            first: asked.by,
            second: by.name.clone(),
        });
    }
    let audit = audit(&row.hold, "hold.release", by, now);
    match storage.hold_release(id, &act, &audit).await? {
        Changed::Yes => Ok(Release::Released),
        Changed::Already => Err(HoldError::Released(id)),
        Changed::Missing => Err(HoldError::Missing(id)),
    }
}

fn audit(hold: &Hold, act: &str, by: &Operator, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        who: by.name.clone(),
        act: act.to_owned(),
        subject: hold.id.to_string(),
        detail: serde_json::json!({ "category": hold.category, "scope": hold.scope }),
    }
}
