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
//! | a purpose, such as `website` | Yes: given. No: refused. Withdrawn: withdrawn. Empty or anything else: not given |
//! | `answered`, `valid_until` | optional dates for every purpose of the row |
//! | `website_answered`, `website_valid_until` | optional dates for one purpose |
//!
//! Dates are `2026-03-31` or `31/03/2026`. A Yes holds from the beginning of the day it was answered on, a No from its
//! end, so that of two answers on one day the stricter stands.

mod cell;
mod plan;
mod rows;
mod table;

pub use plan::{Concern, Counts, Plan};
pub use rows::Unreadable;

use super::profile::{ProfileChangeError, find as find_profile};
use super::register::Register;
use crate::storage::{AuditEntry, RegisterPut, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::calendar::Calendar;
use serde::Serialize;
use std::fmt;

/// The largest file that is read.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// More refusals than this are counted and not listed.
const MAX_REFUSALS: usize = 50;

/// One reason why the file was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// As a spreadsheet counts: the header is row 1. `None`: the whole file.
    pub row: Option<usize>,
    pub column: Option<String>,
    pub value: Option<String>,
    pub remedy: String,
}

impl Refusal {
    fn file(remedy: impl Into<String>) -> Self {
        Self {
            row: None,
            column: None,
            value: None,
            remedy: remedy.into(),
        }
    }

    fn cell(row: usize, column: &str, value: &str, remedy: impl Into<String>) -> Self {
        Self {
            row: Some(row),
            column: Some(column.to_owned()),
            value: Some(value.chars().take(60).collect()),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, "row {row}")?;
            if let Some(column) = &self.column {
                write!(f, ", column `{column}`")?;
            }
            if let Some(value) = &self.value {
                write!(f, ": \"{value}\"")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.remedy)
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

/// Reads the file and works out what it would change; nothing is written.
pub async fn plan(storage: &Storage, bytes: &[u8], now: Timestamp) -> Result<Plan, ImportError> {
    let calendar = calendar(storage).await?;
    let register = Register::load(storage).await?;
    plan_for(&register, &calendar, bytes, now)
}

/// Writes what was planned. The caller has had its concerns confirmed.
pub async fn apply(
    storage: &Storage,
    plan: &Plan,
    file: &[u8],
    who: &str,
    now: Timestamp,
) -> Result<(), ImportError> {
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "consent.import".to_owned(),
        subject: Digest::sha256(file).to_string(),
        detail: serde_json::json!({ "counts": plan.counts, "concerns": plan.concerns }),
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
    bytes: &[u8],
    now: Timestamp,
) -> Result<Plan, ImportError> {
    let table = table::read(bytes).map_err(ImportError::refused)?;
    let file = rows::read(&table, calendar.local_date(now)).map_err(ImportError::refused)?;
    let missing = plan::purposes_gone(register, &file);
    if !missing.is_empty() {
        return Err(ImportError::refused(missing));
    }
    Ok(plan::make(register, calendar, file, now))
}

#[cfg(test)]
mod tests;
