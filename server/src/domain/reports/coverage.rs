//! What was seen of each tablet on each day: what its events say, and what this server heard.

use super::figures::{DayEvents, Heard, OnDay, Report, TabletEvents, TabletOnServer};
use jiff::civil::Date;

/// One tablet on one day. Only what was measured on the day may read as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    AsWanted,
    Watched,
    Attention,
    /// It told something, and nothing says what was measured that day.
    NotMeasured,
    NoReport,
    /// Before hours were noted, and no event is of that day.
    NotRecorded,
    /// The setting was closed, and nothing was heard.
    Closed,
    NotInUse,
    Ahead,
}

impl Cell {
    pub const fn mark(self) -> &'static str {
        match self {
            Self::AsWanted => "✓",
            Self::Watched => "◔",
            Self::Attention => "!",
            Self::NotMeasured => "○",
            Self::NoReport => "?",
            Self::NotRecorded => "·",
            Self::Closed | Self::NotInUse | Self::Ahead => "",
        }
    }

    pub const fn says(self) -> &'static str {
        match self {
            Self::AsWanted => "measured, as the profile wants it",
            Self::Watched => "measured, watched only",
            Self::Attention => "something was not as the profile wants it, or could not be read",
            Self::NotMeasured => "told something, not measured",
            Self::NoReport => "no report",
            Self::NotRecorded => "not on record",
            Self::Closed => "closed, nothing heard",
            Self::NotInUse => "not in use",
            Self::Ahead => "not over",
        }
    }

    /// Whether nothing is known of a day that should have been covered.
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::NoReport | Self::NotRecorded)
    }

    pub const fn is_covered(self) -> bool {
        matches!(
            self,
            Self::AsWanted | Self::Watched | Self::Attention | Self::NotMeasured
        )
    }
}

/// A tablet, with a cell for each day.
pub struct Row<'a> {
    pub events: &'a TabletEvents,
    pub server: &'a TabletOnServer,
    pub cells: Vec<(Date, Cell)>,
}

/// By name.
pub fn rows(report: &Report) -> Vec<Row<'_>> {
    let pairs = report.events.tablets.iter().zip(&report.server.tablets);
    let mut rows: Vec<Row<'_>> = pairs
        .map(|(events, server)| Row {
            events,
            server,
            cells: cells(report, events, server),
        })
        .collect();
    rows.sort_by(|a, b| (&a.server.name, a.server.device).cmp(&(&b.server.name, b.server.device)));
    rows
}

impl Row<'_> {
    pub fn missing(&self) -> impl Iterator<Item = Date> {
        let missing = self.cells.iter().filter(|(_, cell)| cell.is_missing());
        missing.map(|(day, _)| *day)
    }

    pub fn count(&self, is: impl Fn(Cell) -> bool) -> u64 {
        let counted = self.cells.iter().filter(|(_, cell)| is(*cell));
        counted.count() as u64
    }

    /// Whether any control was measured within the period.
    pub fn is_measured(&self) -> bool {
        self.server.days.contains(&Heard::Measured)
    }
}

fn cells(report: &Report, events: &TabletEvents, server: &TabletOnServer) -> Vec<(Date, Cell)> {
    let closed = |day: &Date| {
        let days = report.server.closed_days.as_ref();
        days.is_some_and(|days| days.contains(day))
    };
    let days = events.days.iter().zip(&server.days);
    days.map(|(day, heard)| (day.day, cell(day, *heard, closed(&day.day))))
        .collect()
}

fn cell(day: &DayEvents, heard: Heard, is_closed: bool) -> Cell {
    let told = day.events > 0;
    let covered = told || matches!(heard, Heard::Measured | Heard::Told);
    let trouble = day.controls == OnDay::Attention || day.radio_drift > 0 || day.apps_blocked > 0;
    match heard {
        Heard::Ahead => Cell::Ahead,
        Heard::Measured | Heard::Told | Heard::Nothing | Heard::NotRecorded | Heard::NotInUse
            if covered && trouble =>
        {
            Cell::Attention
        }
        Heard::Measured => match day.controls {
            OnDay::AsWanted => Cell::AsWanted,
            OnDay::Watched => Cell::Watched,
            OnDay::Attention => Cell::Attention,
            OnDay::NotKnown => Cell::NotMeasured,
        },
        Heard::Told => Cell::NotMeasured,
        Heard::Nothing | Heard::NotRecorded | Heard::NotInUse if told => Cell::NotMeasured,
        Heard::NotInUse => Cell::NotInUse,
        Heard::Nothing | Heard::NotRecorded if is_closed => Cell::Closed,
        Heard::Nothing => Cell::NoReport,
        Heard::NotRecorded => Cell::NotRecorded,
    }
}

/// Days as a person reads them: `2–4 Mar, 7 Mar`.
pub fn stretches(days: impl IntoIterator<Item = Date>) -> String {
    let mut found: Vec<(Date, Date)> = Vec::new();
    for day in days {
        match found.last_mut() {
            Some((_, last)) if last.tomorrow().is_ok_and(|next| next == day) => *last = day,
            _ => found.push((day, day)),
        }
    }
    let shown = found.into_iter().map(|(first, last)| {
        if first == last {
            first.strftime("%-d %b").to_string()
        } else if (first.year(), first.month()) == (last.year(), last.month()) {
            format!("{}–{}", first.day(), last.strftime("%-d %b"))
        } else {
            format!("{} – {}", first.strftime("%-d %b"), last.strftime("%-d %b"))
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}
