//! The lines of a report: each figure as a person reads it, how it is judged, and what it rests on.

mod of_one;
mod of_registers;
mod of_tablets;
mod of_work;

use super::coverage::{self, Row};
use super::figures::Report;
use super::thresholds::Thresholds;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a figure is judged. Only what is known may be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A figure that is neither good nor bad.
    Plain,
    Good,
    NotKnown,
    Amber,
    Red,
}

impl Level {
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "✓",
            Self::NotKnown => "○",
            Self::Amber => "△",
            Self::Red => "◆",
        }
    }

    pub const fn says(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "as wanted",
            Self::NotKnown => "not known",
            Self::Amber => "look at this",
            Self::Red => "act now",
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::NotKnown => "not_known",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }
}

/// What is held to a threshold. Part of signed reports: names are added, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    Silent,
    Readable,
    Incomplete,
    Untagged,
    Passcode,
    RadioDrift,
    AppsRefused,
    AppsRan,
    Custody,
    HoldReview,
    ImportAge,
    Aup,
}

/// What a line rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Events of tablets, which anybody can check.
    Events,
    /// What this server alone has on record.
    Server,
    /// Nobody.
    Nothing,
}

impl Source {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Server => "server",
            Self::Nothing => "nothing",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub value: String,
    pub level: Level,
    /// Which tablets, why it is not known, what it does not say. May be empty.
    pub note: String,
    pub source: Source,
    /// `None`: no threshold is about it.
    pub held: Option<Held>,
}

impl Line {
    fn held(self, held: Held) -> Self {
        Self {
            held: Some(held),
            ..self
        }
    }
}

#[derive(Clone, Debug)]
pub struct Section {
    pub title: String,
    pub lines: Vec<Line>,
}

/// How the figures are judged by the thresholds of the report.
pub fn judged(report: &Report) -> BTreeMap<Held, Level> {
    let lines = sections(report).into_iter().flat_map(|one| one.lines);
    lines
        .filter_map(|line| Some((line.held?, line.level)))
        .collect()
}

/// Those a report was held to; before they were in reports there was one set of them.
pub fn thresholds(report: &Report) -> Thresholds {
    let held_to = report.held_to.as_ref();
    held_to.map_or_else(Thresholds::default, |held| held.thresholds.clone())
}

/// Away from its section: a line about one tablet says of which.
pub fn named(report: &Report, section: &Section, line: &Line) -> String {
    let mut tablets = report.server.tablets.iter();
    if report.inspection && tablets.any(|tablet| tablet.name == section.title) {
        format!("{}: {}", section.title, line.name)
    } else {
        line.name.clone()
    }
}

/// In the order they are read in.
pub fn sections(report: &Report) -> Vec<Section> {
    let rows = coverage::rows(report);
    let seen = Seen::of(report, &rows);
    let held_to = thresholds(report);
    let mut sections = vec![
        of_tablets::coverage(report, &rows, &held_to),
        of_work::needs_you(report),
        of_work::photos(report, &seen, &held_to),
        of_work::register(report, &held_to),
        of_tablets::tablets(report, &rows, &seen, &held_to),
        of_tablets::apps(report, &rows, &seen, &held_to),
        of_registers::people(report, &held_to),
        Section {
            title: "Filtering and monitoring".to_owned(),
            lines: vec![unknown(
                "Filtering and monitoring",
                "not checked",
                "Nestwarden does not test filtering yet.",
            )],
        },
        not_recorded(),
        of_tablets::limits(report, &rows),
    ];
    if report.inspection {
        let each = rows.iter().map(|row| of_one::tablet(report, row));
        sections.splice(1..1, each);
    }
    sections
}

fn not_recorded() -> Section {
    let lines = [
        "Outings",
        "Concerns and incidents",
        "Training, visitor agreements",
        "Policy reviews",
        "Alerts nobody opened",
        "Age of the operating system",
    ];
    Section {
        title: "Not recorded by Nestwarden yet".to_owned(),
        lines: lines
            .into_iter()
            .map(|name| unknown(name, "not recorded by Nestwarden yet", ""))
            .collect(),
    }
}

/// Whether everything that counts in a period reached this server: a zero is good only then.
pub(super) struct Seen {
    /// Why not everything did; empty: it did.
    why: String,
    /// Why it is not known either how things stood when the period began.
    why_before: String,
}

impl Seen {
    fn of(report: &Report, rows: &[Row<'_>]) -> Self {
        let silent = rows.iter().filter(|row| row.missing().next().is_some());
        let (silent, counts) = (silent.count(), &report.events.setting);
        let gaps = rows.iter().any(|row| !row.events.range.gaps.is_empty());
        let refused = rows.iter().any(|row| row.server.refused_since.is_some());
        let mut why = Vec::new();
        if rows.is_empty() {
            why.push("no tablet was in use".to_owned());
        }
        if silent > 0 {
            why.push(format!(
                "{} did not report on every day",
                tablets(silent as u64)
            ));
        }
        if report.server.closed_days.is_none() {
            why.push("there is no calendar, so nobody knows which days count".to_owned());
        }
        if gaps || refused {
            why.push("events are missing".to_owned());
        }
        if counts.erased + counts.unread > 0 {
            why.push("some events are erased or cannot be read".to_owned());
        }
        let in_period = why.join("; ");
        if counts.erased_before > 0 {
            why.push("some events of before are erased".to_owned());
        }
        Self {
            why: in_period,
            why_before: why.join("; "),
        }
    }

    /// A count of what should not be there: judged as `worst` says, and none is good only where everything was seen.
    fn judge(&self, name: &str, count: u64, worst: Level, note: String) -> Line {
        let level = match count {
            1.. => worst,
            0 if self.why.is_empty() => Level::Good,
            0 => Level::NotKnown,
        };
        let line = self.count(name, count, note);
        Line { level, ..line }
    }

    /// The same of how things stood at the end, which rests on what was before the period, too.
    fn judge_at_end(&self, name: &str, count: u64, worst: Level, note: String) -> Line {
        let whole = Self {
            why: self.why_before.clone(),
            why_before: String::new(),
        };
        whole.judge(name, count, worst, note)
    }

    /// A count that is neither good nor bad; a zero says what it does not know.
    fn count(&self, name: &str, count: u64, note: String) -> Line {
        let is_open = count == 0 && !self.why.is_empty();
        Line {
            name: name.to_owned(),
            value: if is_open {
                "none told".to_owned()
            } else {
                count.to_string()
            },
            level: if is_open {
                Level::NotKnown
            } else {
                Level::Plain
            },
            note: if is_open { sentence(&self.why) } else { note },
            source: Source::Events,
            held: None,
        }
    }
}

fn plain(name: &str, value: impl Into<String>, note: &str, source: Source) -> Line {
    Line {
        name: name.to_owned(),
        value: value.into(),
        level: Level::Plain,
        note: note.to_owned(),
        source,
        held: None,
    }
}

fn unknown(name: &str, value: &str, note: &str) -> Line {
    Line {
        level: Level::NotKnown,
        ..plain(name, value, note, Source::Nothing)
    }
}

pub fn tablets(count: u64) -> String {
    match count {
        1 => "1 tablet".to_owned(),
        count => format!("{count} tablets"),
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    match first {
        Some(first) => format!("{first}{}.", chars.as_str()),
        None => String::new(),
    }
}

/// From here on hours say nothing to anybody.
const DAYS_FROM_HOURS: u64 = 72;

/// `40 min`, `3 h 05 min`, `4 days 2 h`.
fn span(minutes: u64) -> String {
    let hours = minutes / 60;
    if hours >= DAYS_FROM_HOURS {
        return format!("{} days {} h", hours / 24, hours % 24);
    }
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}

pub fn when(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%-d %b %Y, %H:%M")
        .to_string()
}
