//! Importing a register from the booking system's CSV file.
//!
//! The mapping of columns, in any order, with upper or lower case, spaces or underscores:
//!
//! | Column | Meaning |
//! |---|---|
//! | `reference` | the booking system's own key for the child; never empty, never twice |
//! | `first_name`, `last_name` | kept on the server only |
//! | `family` | optional; equal for siblings, who are offered at a withdrawal |
//! | `room` | one or more, separated by `/`, `\|` or `;`; empty: any room |
//! | `days` | booked weekdays, `Mon Tue` or `monday/tuesday`; empty: any day |
//! | `start`, `leave` | first and last day |
//! | a purpose, such as `website` | Yes: given. No: refused. Withdrawn: withdrawn. Empty: not given. Anything else: not given, and the row is refused: no Yes of it counts |
//! | `answered`, `valid_until` | optional dates for every purpose of the row |
//! | `website_answered`, `website_valid_until` | optional dates for one purpose |
//!
//! Dates are `2026-03-31` or `31/03/2026`. A Yes holds from the beginning of the day it was answered on, a No from its
//! end, so that of two answers on one day the stricter stands.

//!
//! A booking system with other headings or words is read by a [`Mapping`], which a person accepts first.

mod cell;
mod changes;
mod json;
mod layout;
mod mapping;
mod plan;
mod propose;
mod reading;
mod rows;
mod table;
mod words;

pub use cell::Said;
pub use changes::{AnswerChange, ChildChange, FieldChange, Kind};
pub use json::{Sent, run_json};
pub use mapping::{EXAMPLE, Mapping, MappingError};
pub use plan::{Concern, Counts, NotRestored, Plan};
pub use propose::{Proposal, propose};
pub use reading::{Reading, accept, apply as mapping_apply, find as mapping_find};
pub use words::{Meant, set_words};

use super::photo;
use super::profile::{ProfileChangeError, find as find_profile};
use super::register::Register;
use super::returning::returning;
use super::role::{self, NotAllowed};
use crate::storage::{AuditEntry, ImportKey, Operator, RegisterPut, Storage, StorageError};
use jiff::Timestamp;
use layout::Layout;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::text::visible;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use table::Table;

/// The largest file that is read.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// More refusals than this are counted and not listed.
const MAX_REFUSALS: usize = 50;

/// How often an import is thought over again because somebody else changed the register meanwhile.
const TRIES: usize = 5;

/// One reason why the file was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// As a spreadsheet counts: the header is row 1. `None`: the whole file.
    pub row: Option<usize>,
    /// Where the import was JSON: the place in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The child's, where the row has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    pub column: Option<String>,
    pub value: Option<String>,
    pub remedy: String,
}

impl Refusal {
    fn file(remedy: impl Into<String>) -> Self {
        Self {
            row: None,
            path: None,
            reference: None,
            column: None,
            value: None,
            remedy: remedy.into(),
        }
    }

    /// About a heading.
    fn heading(name: &str, remedy: impl Into<String>) -> Self {
        Self {
            row: Some(1),
            column: Some(name.to_owned()),
            ..Self::file(remedy)
        }
    }

    fn cell(row: usize, column: &str, value: &str, remedy: impl Into<String>) -> Self {
        Self {
            row: Some(row),
            column: Some(column.to_owned()),
            value: Some(value.chars().take(60).collect()),
            ..Self::file(remedy)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, "row {row}")?;
            if let Some(reference) = &self.reference {
                write!(f, " ({})", visible(reference))?;
            }
            if let Some(column) = &self.column {
                write!(f, ", column `{}`", visible(column))?;
            }
            if let Some(value) = &self.value {
                write!(f, ": \"{}\"", visible(value))?;
            }
            f.write_str(": ")?;
        } else if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
            if let Some(value) = &self.value {
                write!(f, "\"{}\": ", visible(value))?;
            }
        }
        f.write_str(&visible(&self.remedy))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(
        "the file was refused and the register stays as it was:\n{}{}",
        .refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        if *.more > 0 { format!("\nand {more} more") } else { String::new() }
    )]
    Refused { refusals: Vec<Refusal>, more: usize },
    #[error("the register changed while the file was read; nothing was imported, run it again")]
    ChangedMeanwhile,
    #[error(
        "there is no mapping \"{0}\"; `consent mapping list` shows those there are, `consent mapping make FILE --name {0}` proposes one"
    )]
    NoMapping(String),
    #[error("the mapping \"{0}\" was changed while it was read; run it again")]
    MappingChanged(String),
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    #[error(
        "no profile is applied yet, so the setting's calendar is not known; run `profile apply FILE` first"
    )]
    None,
    #[error("the live profile cannot be read: {0}")]
    Profile(#[from] ProfileChangeError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ImportError {
    fn refused(mut refusals: Vec<Refusal>) -> Self {
        let more = refusals.len().saturating_sub(MAX_REFUSALS);
        refusals.truncate(MAX_REFUSALS);
        Self::Refused { refusals, more }
    }
}

/// Who imports, as the audit log names them, and as the roles know them.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub who: &'a str,
    pub operator: Option<&'a Operator>,
}

/// How far an import may go by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent {
    /// A person has seen the concerns.
    pub confirmed: bool,
    /// A person has seen how the mapping reads.
    pub mapping_accepted: bool,
    /// Change nothing.
    pub dry_run: bool,
    /// What a person saw beforehand, as [`Outcome::seen`] had it. Where it would turn out otherwise, nothing is written.
    pub seen: Option<Digest>,
}

/// What became of an import.
#[derive(Debug)]
pub struct Outcome {
    pub plan: Plan,
    /// The register is as the plan says.
    pub imported: bool,
    /// How the mapping reads, where nobody has agreed to that yet.
    pub reading: Option<Reading>,
    /// Whether it waits for a person.
    pub stopped: bool,
    /// Stands for the file, the mapping and everything the import would change.
    pub seen: Digest,
}

impl Outcome {
    pub fn to_json(&self) -> Value {
        summary(
            &self.plan,
            self.imported,
            self.stopped,
            self.reading.as_ref(),
        )
    }
}

/// What is told of an import: counts, references and ids, no names.
fn summary(plan: &Plan, imported: bool, stopped: bool, reading: Option<&Reading>) -> Value {
    json!({
        "imported": imported,
        "needs_confirmation": !plan.concerns.is_empty() && stopped,
        "needs_mapping_accepted": reading.is_some() && stopped,
        "reading": reading,
        "counts": plan.counts,
        "concerns": plan.concerns,
        "changes": plan.changes,
        "refused": plan.refused,
        "in_no_room": plan.in_no_room,
        "not_restored": plan.not_restored,
        "returning": plan.returning,
        "missing": plan.missing,
        "photos": {
            "withheld": plan.photos.withheld,
            "sealed": plan.photos.sealed,
            "tablets": plan.photos.devices.len(),
        },
    })
}

/// Imports a file: reads it by the mapping, stops where a person is needed, and writes otherwise.
pub async fn run(
    storage: &Storage,
    bytes: &[u8],
    mapping: Option<&str>,
    consent: Consent,
    by: By<'_>,
    now: Timestamp,
) -> Result<Outcome, ImportError> {
    let table = table::read(bytes).map_err(ImportError::refused)?;
    let digest = Digest::sha256(bytes);
    for _ in 0..TRIES {
        let done = run_table(storage, &table, digest, mapping, consent, by, None, now).await;
        // What a person saw is not thought over again without them.
        if !matches!(done, Err(ImportError::ChangedMeanwhile)) || consent.seen.is_some() {
            return done;
        }
    }
    Err(ImportError::ChangedMeanwhile)
}

/// As [`run`]; the answer that `key` makes of the outcome is remembered with the change.
#[expect(clippy::too_many_arguments, reason = "one act, with all it rests on")]
async fn run_table(
    storage: &Storage,
    table: &Table,
    digest: Digest,
    mapping: Option<&str>,
    consent: Consent,
    by: By<'_>,
    key: Option<&(dyn Fn(&Plan) -> ImportKey + Send + Sync)>,
    now: Timestamp,
) -> Result<Outcome, ImportError> {
    let saved = match mapping {
        None => None,
        Some(name) => Some(reading::find(storage, name).await?),
    };
    let read_by = match &saved {
        None => None,
        Some(saved) => Some(Mapping::read(&saved.source)?),
    };
    let mut plan = plan_table(storage, table, read_by.as_ref(), now).await?;
    let reading = match (&saved, &read_by) {
        (Some(saved), Some(mapping)) => Reading::unless_accepted(saved, mapping, table)?,
        _ => None,
    };
    let source = saved.as_ref().map_or("", |saved| saved.source.as_str());
    let seen = seen(
        digest,
        source,
        &summary(&plan, false, false, reading.as_ref()),
    );
    if consent.seen.is_some_and(|before| before != seen) {
        return Err(ImportError::ChangedMeanwhile);
    }
    let accepts = consent.mapping_accepted || reading.is_none();
    let confirms = consent.confirmed || plan.concerns.is_empty();
    let stopped = !accepts || !confirms;
    let mut outcome = Outcome {
        imported: false,
        stopped,
        reading,
        plan: Plan::default(),
        seen,
    };
    if !stopped && !consent.dry_run {
        if outcome.reading.is_some() || !plan.concerns.is_empty() {
            role::require_person(by.operator, role::Act::ConfirmImport)?;
        }
        if let Some((saved, reading)) = saved.as_ref().zip(outcome.reading.as_ref()) {
            accept(storage, saved, reading, by.who, now).await?;
        }
        plan.change.import_key = key.map(|key| key(&plan));
        write(storage, &plan, digest, mapping, by.who, now).await?;
        outcome.imported = true;
    }
    outcome.plan = plan;
    Ok(outcome)
}

fn seen(file: Digest, mapping: &str, summary: &Value) -> Digest {
    let (file, summary) = (file.to_string(), summary.to_string());
    let parts = [file.as_bytes(), mapping.as_bytes(), summary.as_bytes()];
    Digest::of_parts("nestwarden/import-seen/v1", &parts)
}

/// Reads the file and works out what it would change; nothing is written.
pub async fn plan(storage: &Storage, bytes: &[u8], now: Timestamp) -> Result<Plan, ImportError> {
    let table = table::read(bytes).map_err(ImportError::refused)?;
    plan_table(storage, &table, None, now).await
}

/// Writes what was planned. The caller has had its concerns confirmed.
pub async fn apply(
    storage: &Storage,
    plan: &Plan,
    file: &[u8],
    who: &str,
    now: Timestamp,
) -> Result<(), ImportError> {
    write(storage, plan, Digest::sha256(file), None, who, now).await
}

async fn plan_table(
    storage: &Storage,
    table: &Table,
    mapping: Option<&Mapping>,
    now: Timestamp,
) -> Result<Plan, ImportError> {
    let calendar = calendar(storage).await?;
    let register = Register::load(storage).await?;
    let plan = plan_for(&register, &calendar, table, mapping, now)?;
    let after = register.with(&plan.change);
    let photos = photo::effect(storage, &after, now).await?;
    let returning = returning(storage, &register, &after).await?;
    Ok(plan.with_photos(photos, returning))
}

async fn write(
    storage: &Storage,
    plan: &Plan,
    digest: Digest,
    mapping: Option<&str>,
    who: &str,
    now: Timestamp,
) -> Result<(), ImportError> {
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "consent.import".to_owned(),
        subject: digest.to_string(),
        detail: json!({
            "counts": plan.counts, "concerns": plan.concerns, "mapping": mapping,
        }),
    };
    match storage
        .register_change(&plan.change, plan.based_on, &audit)
        .await?
    {
        RegisterPut::Done => Ok(()),
        RegisterPut::ChangedMeanwhile => Err(ImportError::ChangedMeanwhile),
    }
}

/// The setting's calendar: that of the live profile which comes first by name.
pub async fn calendar(storage: &Storage) -> Result<Calendar, CalendarError> {
    let profiles = storage.profile_list().await?;
    let first = profiles.first().ok_or(CalendarError::None)?;
    let (_, profile) = find_profile(storage, &first.name).await?;
    Ok(profile.calendar)
}

fn plan_for(
    register: &Register,
    calendar: &Calendar,
    table: &Table,
    mapping: Option<&Mapping>,
    now: Timestamp,
) -> Result<Plan, ImportError> {
    let layout = match mapping {
        None => Layout::common(&table.header),
        Some(mapping) => Layout::mapped(&table.header, mapping),
    }
    .map_err(ImportError::refused)?;
    let file =
        rows::read(table, &layout, calendar.local_date(now)).map_err(ImportError::refused)?;
    let mut wrong = plan::purposes_gone(register, &file);
    wrong.extend(plan::ambiguous(register, &file));
    if !wrong.is_empty() {
        return Err(ImportError::refused(wrong));
    }
    Ok(plan::make(register, calendar, file, now))
}

#[cfg(test)]
mod mapping_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unseen_tests;
