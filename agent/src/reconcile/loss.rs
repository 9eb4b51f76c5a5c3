//! Lost and found. Of all words the newest by its own date holds: one that is sent again later changes nothing.
//!
//! A lost tablet is locked and stays so, its camera is off, every photo is out of sight (`photos`), and a new passcode is due.

use super::commands::{ask_for_new_passcode, note_outcome};
use super::handback;
use crate::ledger::{Ledger, LedgerError, LedgerTx, LossWord};
use crate::photos::catalogue;
use jiff::Timestamp;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::command::Command;
use nestwarden_policy_schema::command::said::{DECLINED, DONE};
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::policy::Mode;
use std::collections::BTreeSet;

/// What becomes of a word.
pub(super) enum Heard {
    /// It holds from now on, and is told of once the controls were measured; or it holds already.
    Holds,
    /// This came of it.
    Said(String),
}

/// Takes a word that the tablet is lost.
pub(super) fn lost(
    tx: &LedgerTx<'_>,
    command: &Command,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<Heard, LedgerError> {
    let known = tx.loss()?;
    if known
        .as_ref()
        .is_some_and(|known| known.command == *command)
    {
        return Ok(Heard::Holds);
    }
    if let Some(newer) = newer_than(known.as_ref(), command) {
        return Ok(Heard::Said(newer));
    }
    let lost_before = known.filter(|known| known.lost_since.is_some());
    let (lost_since, withheld_before) = match &lost_before {
        Some(before) => (before.lost_since, before.withheld_before.clone()),
        None => (Some(now), withheld_before(tx, bundle)?),
    };
    if let Some(before) = lost_before {
        close(tx, &before, now)?;
    }
    ask_for_new_passcode(tx, command.issued_at)?;
    tx.set_loss(LossWord {
        command: command.clone(),
        lost_since,
        told: false,
        withheld_before,
    })?;
    Ok(Heard::Holds)
}

/// Takes a word that the tablet was found.
pub(super) fn found(
    tx: &LedgerTx<'_>,
    command: &Command,
    now: Timestamp,
) -> Result<Heard, LedgerError> {
    let known = tx.loss()?;
    if let Some(newer) = newer_than(known.as_ref(), command) {
        return Ok(Heard::Said(newer));
    }
    let was_lost = known
        .as_ref()
        .is_some_and(|known| known.lost_since.is_some());
    if let Some(before) = &known {
        close(tx, before, now)?;
    }
    tx.set_loss(LossWord {
        command: command.clone(),
        lost_since: None,
        told: true,
        withheld_before: known.and_then(|known| known.withheld_before),
    })?;
    Ok(Heard::Said(if was_lost {
        format!("{DONE}: no longer held as lost; what was withheld only for that comes back")
    } else {
        format!("{DONE}: it was not held as lost")
    }))
}

/// Tells the server what was measured since the tablet is lost; once.
pub(super) fn tell(
    ledger: &Ledger,
    reports: &[ControlReport],
    now: Timestamp,
) -> Result<(), LedgerError> {
    let is_untold = |word: &LossWord| !word.told && word.lost_since.is_some();
    if !ledger.loss().is_some_and(|word| is_untold(&word)) {
        return Ok(());
    }
    let photos = handback::photos_left(ledger).map_or_else(
        |_| "photos could not be counted".to_owned(),
        |left| {
            let count = |stage| left.get(&stage).copied().unwrap_or(0);
            let out = count(Stage::Withheld) + count(Stage::Sealed);
            format!(
                "{out} photos out of sight so far and {} in use",
                count(Stage::Live)
            )
        },
    );
    let said = format!(
        "{DONE}: held as lost until it is found; {}; {}; {photos}",
        measured(reports, ControlName::Hours, "locked"),
        measured(reports, ControlName::Camera, "camera off"),
    );
    ledger.transaction(|tx| {
        let Some(word) = tx.loss()?.filter(is_untold) else {
            return Ok(());
        };
        note_outcome(tx, word.command.id, said, now)?;
        tx.set_loss(LossWord { told: true, ..word })
    })
}

/// Only a later word than the one that holds counts, whenever it comes.
fn newer_than(known: Option<&LossWord>, command: &Command) -> Option<String> {
    let known = known.filter(|known| known.command.issued_at >= command.issued_at)?;
    let state = if known.lost_since.is_some() {
        "lost"
    } else {
        "found"
    };
    Some(format!(
        "{DECLINED}: it was marked as {state} since this was issued, and the later word holds"
    ))
}

/// Of a word that a later one takes the place of before it was told of.
fn close(tx: &LedgerTx<'_>, word: &LossWord, now: Timestamp) -> Result<(), LedgerError> {
    if word.told {
        return Ok(());
    }
    let said = format!("{DONE}: was held as lost, until a later word took its place");
    note_outcome(tx, word.command.id, said, now)
}

/// Where the profile only observes photos nothing else would tell them from those that the loss puts out of sight.
fn withheld_before(
    tx: &LedgerTx<'_>,
    bundle: &Bundle,
) -> Result<Option<BTreeSet<PhotoId>>, LedgerError> {
    let photos = bundle.policy.photos.as_ref();
    if photos.is_none_or(|photos| photos.mode == Mode::Enforce) {
        return Ok(None);
    }
    catalogue::withheld(tx.sql()).map(Some)
}

/// What was seen of a control, as it stands in a line.
fn measured(reports: &[ControlReport], name: ControlName, good: &str) -> String {
    let outcome = reports
        .iter()
        .find(|report| report.control == name)
        .map(|report| &report.outcome);
    match outcome {
        Some(Outcome::Compliant | Outcome::Corrected { .. }) => good.to_owned(),
        Some(outcome) => format!("{name}: {}", outcome.name()),
        None => format!("{name}: not measured"),
    }
}
