//! Safeguarding reports: what a period came to, from what was on record at its end.
//!
//! Whatever tablets' events tell is computed from the events alone, so that somebody with an export of them can work it out
//! again. What only this server has on record is kept apart. What is not known is said, and
//! never a zero.

pub mod check;
pub mod coverage;
pub mod figures;
pub mod lines;
mod merkle;
mod on_server;
pub mod period;
mod photos;
pub mod print;
mod reading;
mod registers;
mod signed;
pub mod table;
mod tablet;
pub mod thresholds;
pub mod trend;

pub use figures::Report;
pub use period::{Asked, Days, Period, PeriodError};
pub use signed::{SignReportError, sign};
pub use tablet::{Tallied, Tally};
pub use thresholds::Thresholds;

use super::task::local_calendar;
use crate::storage::{Storage, StorageError};
use figures::{Destruction, EventFigures, TabletCounts, VERSION};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use period::zone;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Period(#[from] PeriodError),
    #[error("failed to read what the report rests on")]
    Storage(#[from] StorageError),
}

/// Computes a report at `now`, held to the thresholds there are without settings. `until`: as [`Asked::period`] has it.
pub async fn make(
    storage: &Storage,
    setting_name: &str,
    asked: Asked,
    until: Option<Date>,
    now: Timestamp,
) -> Result<Report, ReportError> {
    let calendar = local_calendar(storage).await?;
    let time_zone = calendar.as_ref().map_or("UTC", |c| c.time_zone.as_str());
    let zone = zone(Some(time_zone));
    let today = now.to_zoned(zone.clone()).date();
    let period = asked.period(today, until)?;
    let days = Days::of(period, &zone, now);
    let mut tallied = Vec::new();
    let mut late = Vec::new();
    let mut devices = storage.device_list().await?;
    devices.retain(|device| {
        let revoked_before = device
            .revoked
            .as_ref()
            .is_some_and(|r| r.at < days.begins());
        device.enrolled_at < days.ends() && !revoked_before
    });
    devices.sort_by_key(|device| device.id);
    for device in &devices {
        let (of_tablet, came_late) = reading::tablet(storage, device.id, &days).await?;
        tallied.push(of_tablet);
        late.push(came_late);
    }
    let withdrawn = tallied.iter().flat_map(|t| t.withdrawn.iter().copied());
    let server = on_server::gather(
        storage,
        &on_server::Asked {
            devices: &devices,
            late: &late,
            calendar: calendar.as_ref(),
            days: &days,
            last_day: period.last.min(today),
            withdrawn: withdrawn.collect(),
        },
    )
    .await?;
    let report = Report {
        version: VERSION,
        setting: storage.setting(),
        setting_name: setting_name.to_owned(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: now,
        period,
        time_zone: time_zone.to_owned(),
        begins: days.begins(),
        ends: days.ends(),
        events: together(tallied),
        server,
        inspection: matches!(asked, Asked::Inspection(_)),
        held_to: None,
    };
    Ok(report.held_to(&Thresholds::default()))
}

/// What several tablets come to, in the order they are given.
pub fn together(tallied: Vec<Tallied>) -> EventFigures {
    let mut setting = TabletCounts::default();
    let mut destructions = Vec::new();
    let mut tablets = Vec::new();
    for one in tallied {
        setting.add(&one.events.counts);
        destructions.extend(one.destructions);
        tablets.push(one.events);
    }
    destructions.sort_unstable();
    EventFigures {
        setting,
        destruction: Destruction {
            photos: destructions.len() as u64,
            median_minutes: median(&destructions),
            longest_minutes: destructions.last().copied().map(minutes),
        },
        tablets,
    }
}

/// Of what is in order; of an even number the lower middle.
fn median(sorted: &[SignedDuration]) -> Option<u64> {
    let middle = sorted.len().checked_sub(1)? / 2;
    sorted.get(middle).copied().map(minutes)
}

/// Whole ones; what goes backwards is none.
fn minutes(took: SignedDuration) -> u64 {
    u64::try_from(took.as_mins()).unwrap_or(0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
pub(crate) mod tests;
