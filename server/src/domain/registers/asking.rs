//! What anybody who signs in may ask for, and who decides on it.

use super::{Entry, Hand, Kept, Refused, RegisterError, has_one_of};
use crate::domain::people;
use crate::storage::{Operator, Role, Storage, StorageError};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// Of one person within a day, in one register: so many that nobody fills a list alone.
pub const ASKED_A_DAY: usize = if cfg!(test) { 3 } else { 20 };

const DECIDERS: [Role; 2] = [Role::Manager, Role::Dsl];

/// Managers, the DSL, and the deputy who is the DSL on this day.
pub async fn decides(
    storage: &Storage,
    person: &Operator,
    today: Date,
) -> Result<bool, StorageError> {
    if has_one_of(person, &DECIDERS) {
        return Ok(true);
    }
    let dsl = people::dsl_today(storage, today).await?;
    Ok(dsl.is_some_and(|lead| lead.operator.id == person.id))
}

/// Refuses whoever does not decide.
pub async fn require_decider(
    storage: &Storage,
    hand: Hand<'_>,
    today: Date,
) -> Result<(), RegisterError> {
    if decides(storage, hand.by, today).await? {
        return Ok(());
    }
    let says = "A manager or the DSL decides on this. What you can write down is further below.";
    Err(Refused::whole(says).into())
}

/// Refuses whoever asked for too much since yesterday.
pub(super) fn may_ask<E: Entry>(
    all: &[Kept<E>],
    asks: impl Fn(&E::Act) -> bool,
    hand: Hand<'_>,
) -> Result<(), Refused> {
    let day = SignedDuration::from_hours(24);
    let since = hand.now.checked_sub(day).unwrap_or(Timestamp::MIN);
    let lines = all.iter().flat_map(|kept| &kept.lines);
    let asked = lines.filter(|line| line.by == hand.by.name && line.at > since && asks(&line.act));
    if asked.count() < ASKED_A_DAY {
        return Ok(());
    }
    Err(Refused::whole(format!(
        "You have asked for {ASKED_A_DAY} since yesterday, and nothing was written. Go on tomorrow, when some of these are decided."
    )))
}
