//! A long period in steps: what each week, or each month of a year, came to.

use super::coverage::{Cell, Row, rows};
use super::figures::{DayEvents, Report};
use super::period::Period;

/// Up to here each day is a step of its own.
pub const MOST_DAYS: usize = 35;
/// Up to here each week is.
const MOST_DAYS_IN_WEEKS: usize = 100;
/// What a step says, in the order of [`Step::says`].
pub const COLUMNS: [&str; 8] = [
    "Tablet days covered",
    "Days not as wanted",
    "Taken",
    "Out of use",
    "Sealed",
    "Destroyed",
    "Bluetooth or sharing put back",
    "Programs refused",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub period: Period,
    /// Tablet days on which something should have been told.
    pub expected: u64,
    pub covered: u64,
    pub attention: u64,
    pub captured: u64,
    pub lapsed: u64,
    pub sealed: u64,
    pub destroyed: u64,
    pub radio_drift: u64,
    pub apps_refused: u64,
}

impl Step {
    /// A zero is one only where every day was covered.
    pub fn says(&self) -> [String; 8] {
        let is_whole = self.expected > 0 && self.covered == self.expected;
        let count = |count: u64| match count {
            0 if !is_whole => "none told".to_owned(),
            count => count.to_string(),
        };
        [
            format!("{} of {}", self.covered, self.expected),
            count(self.attention),
            count(self.captured),
            count(self.lapsed),
            count(self.sealed),
            count(self.destroyed),
            count(self.radio_drift),
            count(self.apps_refused),
        ]
    }
}

/// The stretches a period falls into, without a gap: days, weeks from its first day on, or calendar months.
pub fn stretches(period: Period) -> Vec<Period> {
    let count = period.days().count();
    let mut found: Vec<Period> = Vec::new();
    for (number, day) in period.days().enumerate() {
        let begins = if count <= MOST_DAYS {
            true
        } else if count <= MOST_DAYS_IN_WEEKS {
            number % 7 == 0
        } else {
            day == day.first_of_month()
        };
        match found.last_mut().filter(|_| !begins) {
            Some(stretch) => stretch.last = day,
            None => found.push(Period {
                first: day,
                last: day,
            }),
        }
    }
    found
}

/// Empty for a period whose days are shown one by one.
pub fn steps(report: &Report) -> Vec<Step> {
    if report.period.days().count() <= MOST_DAYS {
        return Vec::new();
    }
    let rows = rows(report);
    let stretches = stretches(report.period).into_iter();
    stretches.map(|stretch| step(stretch, &rows)).collect()
}

fn step(period: Period, rows: &[Row<'_>]) -> Step {
    let mut step = Step {
        period,
        expected: 0,
        covered: 0,
        attention: 0,
        captured: 0,
        lapsed: 0,
        sealed: 0,
        destroyed: 0,
        radio_drift: 0,
        apps_refused: 0,
    };
    for row in rows {
        for ((day, cell), events) in row.cells.iter().zip(&row.events.days) {
            if (period.first..=period.last).contains(day) {
                step.add(*cell, events);
            }
        }
    }
    step
}

impl Step {
    fn add(&mut self, cell: Cell, events: &DayEvents) {
        self.expected += u64::from(cell.is_covered() || cell.is_missing());
        self.covered += u64::from(cell.is_covered());
        self.attention += u64::from(cell == Cell::Attention);
        for (sum, one) in [
            (&mut self.captured, events.captured),
            (&mut self.lapsed, events.lapsed),
            (&mut self.sealed, events.sealed),
            (&mut self.destroyed, events.destroyed),
            (&mut self.radio_drift, events.radio_drift),
            (&mut self.apps_refused, events.apps_blocked),
        ] {
            *sum = sum.saturating_add(one);
        }
    }
}

/// The worst that was seen of a tablet in a stretch; what nobody saw outranks what was as wanted.
pub fn worst(row: &Row<'_>, stretch: Period) -> Cell {
    let of = row.cells.iter();
    let of = of.filter(|(day, _)| (stretch.first..=stretch.last).contains(day));
    let cells = of.map(|(_, cell)| *cell);
    cells.max_by_key(|cell| rank(*cell)).unwrap_or(Cell::Ahead)
}

const fn rank(cell: Cell) -> u8 {
    match cell {
        Cell::Attention => 8,
        Cell::NoReport => 7,
        Cell::NotRecorded => 6,
        Cell::NotMeasured => 5,
        Cell::Watched => 4,
        Cell::AsWanted => 3,
        Cell::Closed => 2,
        Cell::NotInUse => 1,
        Cell::Ahead => 0,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    fn of(period: &str) -> Vec<String> {
        let found = stretches(period.parse().unwrap());
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_term_falls_into_weeks_and_a_year_into_months_without_a_gap() {
        assert_eq!(of("2026-03-01..2026-03-31").len(), 31);
        let weeks = of("2026-01-05..2026-03-29");
        assert_eq!(
            (weeks.len(), weeks[11].as_str()),
            (12, "2026-03-23..2026-03-29")
        );
        let months = of("2025-04-01..2026-03-31");
        assert_eq!(
            (months.len(), months[10].as_str()),
            (12, "2026-02-01..2026-02-28")
        );
        let odd = of("2025-04-15..2026-03-31");
        assert_eq!(odd[0], "2025-04-15..2025-04-30");
    }
}
