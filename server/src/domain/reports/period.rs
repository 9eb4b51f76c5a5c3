//! The local days a report is about, and the instants at which they begin and end.

use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// Longer than any report is read.
const MOST_DAYS: usize = 366;
const TERM_WEEKS: i32 = 12;
const YEAR_MONTHS: i32 = 12;

/// What was asked for.
/// No tablet was there before it, and nothing that could be reported.
const FIRST_YEAR: i16 = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The last whole week, Monday to Sunday.
    Week,
    /// The last whole calendar month.
    Month,
    /// The last twelve whole weeks.
    Term,
    /// The last twelve whole calendar months.
    Year,
    Days(Period),
    /// How everything stood at the end of one day.
    Inspection(Date),
}

/// Local days of the setting, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Period {
    pub first: Date,
    pub last: Date,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PeriodError {
    #[error(
        "\"{0}\" is no period; write week, month, term, year, or two days such as 2026-03-02..2026-03-08"
    )]
    Unreadable(String),
    #[error("{first} to {last} ends before it begins; put the earlier day first")]
    Backward { first: Date, last: Date },
    #[error("{first} to {last} is longer than {MOST_DAYS} days; ask for a shorter period")]
    TooLong { first: Date, last: Date },
    #[error("{0} has not begun yet; ask for days that have")]
    Future(Date),
    #[error("{0} is before the year {FIRST_YEAR}; ask for later days")]
    Early(Date),
}

impl FromStr for Asked {
    type Err = PeriodError;
    fn from_str(text: &str) -> Result<Self, PeriodError> {
        match text.trim() {
            "week" => Ok(Self::Week),
            "month" => Ok(Self::Month),
            "term" => Ok(Self::Term),
            "year" => Ok(Self::Year),
            days => days.parse().map(Self::Days),
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;
    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let unreadable = || PeriodError::Unreadable(text.chars().take(80).collect());
        let (first, last) = text.split_once("..").ok_or_else(unreadable)?;
        let day = |text: &str| text.trim().parse::<Date>().map_err(|_| unreadable());
        Self::new(day(first)?, day(last)?)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

impl Asked {
    /// `until`: the last of them that was over by the end of this day; absent: by yesterday.
    pub fn period(self, today: Date, until: Option<Date>) -> Result<Period, PeriodError> {
        let by = until.unwrap_or_else(|| today.yesterday().unwrap_or(today));
        let period = match self {
            Self::Days(period) => period,
            Self::Inspection(day) => Period {
                first: day,
                last: day,
            },
            Self::Week => weeks(by, 1),
            Self::Term => weeks(by, TERM_WEEKS),
            Self::Month => months(by, 1),
            Self::Year => months(by, YEAR_MONTHS),
        };
        if period.first > today {
            return Err(PeriodError::Future(period.first));
        }
        if period.first.year() < FIRST_YEAR {
            return Err(PeriodError::Early(period.first));
        }
        Ok(period)
    }
}

/// The last that were over by the end of a day.
fn weeks(by: Date, count: i32) -> Period {
    let since_sunday = i32::from(by.weekday().since(Weekday::Sunday));
    let last = by.saturating_sub(since_sunday.days());
    Period {
        first: last.saturating_sub((7 * count - 1).days()),
        last,
    }
}

/// Likewise.
fn months(by: Date, count: i32) -> Period {
    let last = if by == by.last_of_month() {
        by
    } else {
        by.first_of_month().yesterday().unwrap_or(by)
    };
    let first = last.first_of_month().saturating_sub((count - 1).months());
    Period { first, last }
}

impl Period {
    pub fn new(first: Date, last: Date) -> Result<Self, PeriodError> {
        if first > last {
            return Err(PeriodError::Backward { first, last });
        }
        let period = Self { first, last };
        if period.days().count() > MOST_DAYS {
            return Err(PeriodError::TooLong { first, last });
        }
        Ok(period)
    }

    pub fn days(self) -> impl Iterator<Item = Date> {
        let days = std::iter::successors(Some(self.first), |day| day.tomorrow().ok());
        days.take_while(move |day| *day <= self.last)
            .take(MOST_DAYS + 1)
    }
}

/// The days of a period as instants of one time zone, up to the moment the report is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    days: Vec<(Date, Timestamp)>,
    ends: Timestamp,
}

impl Days {
    /// A period that is not over ends at `now`, to the second.
    pub fn of(period: Period, zone: &TimeZone, now: Timestamp) -> Self {
        let begins = |day: Date| {
            let midnight = day.to_zoned(zone.clone());
            midnight.map_or(Timestamp::MAX, |midnight| midnight.timestamp())
        };
        let over = period.last.tomorrow().map_or(Timestamp::MAX, begins);
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            days: period.days().map(|day| (day, begins(day))).collect(),
            ends: over.min(now),
        }
    }

    pub fn begins(&self) -> Timestamp {
        self.days.first().map_or(self.ends, |(_, begins)| *begins)
    }

    /// Nothing from here on counts.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }

    pub fn iter(&self) -> impl Iterator<Item = (Date, Timestamp, Timestamp)> {
        self.days.iter().enumerate().map(|(index, (day, begins))| {
            let next = self
                .days
                .get(index + 1)
                .map_or(self.ends, |(_, next)| *next);
            (*day, *begins, next.min(self.ends))
        })
    }

    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// A period has a day at least.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Which of the days `at` lies in; `None`: before or after them.
    pub fn index_of(&self, at: Timestamp) -> Option<usize> {
        if at >= self.ends {
            return None;
        }
        self.days
            .partition_point(|(_, begins)| *begins <= at)
            .checked_sub(1)
    }
}

/// By its IANA name, from the bundled database; UTC without one, and where it is unknown.
pub fn zone(name: Option<&str>) -> TimeZone {
    static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    name.and_then(|name| DATABASE.get(name).ok())
        .unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    fn asked(what: &str, today: &str, until: Option<&str>) -> Result<String, PeriodError> {
        let asked: Asked = what.parse()?;
        let until = until.map(|day| day.parse().unwrap());
        let period = asked.period(today.parse().unwrap(), until)?;
        Ok(period.to_string())
    }

    #[test]
    fn the_week_and_the_month_are_the_last_that_are_over() {
        for (what, today, until, period) in [
            ("week", "2026-03-09", None, "2026-03-02..2026-03-08"),
            ("week", "2026-03-08", None, "2026-02-23..2026-03-01"),
            (
                "week",
                "2026-05-01",
                Some("2026-03-08"),
                "2026-03-02..2026-03-08",
            ),
            (
                "week",
                "2026-05-01",
                Some("2026-03-07"),
                "2026-02-23..2026-03-01",
            ),
            ("month", "2026-03-31", None, "2026-02-01..2026-02-28"),
            ("month", "2026-04-01", None, "2026-03-01..2026-03-31"),
            ("term", "2026-04-01", None, "2026-01-05..2026-03-29"),
            (
                "term",
                "2026-04-01",
                Some("2026-03-22"),
                "2025-12-29..2026-03-22",
            ),
            ("year", "2026-04-01", None, "2025-04-01..2026-03-31"),
            ("year", "2024-03-01", None, "2023-03-01..2024-02-29"),
            (
                "month",
                "2026-04-15",
                Some("2026-03-30"),
                "2026-02-01..2026-02-28",
            ),
            (
                "2026-03-03..2026-03-03",
                "2026-03-03",
                None,
                "2026-03-03..2026-03-03",
            ),
        ] {
            assert_eq!(asked(what, today, until).unwrap(), period, "{what} {today}");
        }
    }

    #[test]
    fn what_is_no_period_is_refused_with_what_to_write() {
        let refused = |what| asked(what, "2026-03-09", None).unwrap_err().to_string();
        insta::assert_snapshot!(refused("fortnight"), @r#""fortnight" is no period; write week, month, term, year, or two days such as 2026-03-02..2026-03-08"#);
        insta::assert_snapshot!(refused("2026-03-08..2026-03-02"), @"2026-03-08 to 2026-03-02 ends before it begins; put the earlier day first");
        insta::assert_snapshot!(refused("2026-03-10..2026-03-12"), @"2026-03-10 has not begun yet; ask for days that have");
        insta::assert_snapshot!(refused("2025-01-01..2026-03-02"), @"2025-01-01 to 2026-03-02 is longer than 366 days; ask for a shorter period");
        assert!(refused("0001-01-01..9999-12-31").contains("longer"));
    }

    #[test]
    fn days_are_local_and_meet_without_a_gap_also_where_the_clocks_change() {
        let period: Period = "2026-03-28..2026-03-30".parse().unwrap();
        let late = "2026-05-01T00:00:00Z".parse().unwrap();
        let days = Days::of(period, &zone(Some("Europe/London")), late);
        let all: Vec<_> = days.iter().collect();
        assert_eq!(all[1].2.duration_since(all[1].1).as_hours(), 23);
        assert!(all.windows(2).all(|pair| pair[0].2 == pair[1].1));
        assert_eq!(days.ends().to_string(), "2026-03-30T23:00:00Z");
        let at = |text: &str| days.index_of(text.parse().unwrap());
        assert_eq!(at("2026-03-27T23:59:59Z"), None);
        assert_eq!(at("2026-03-29T23:00:00Z"), Some(2));
        assert_eq!(at("2026-03-30T23:00:00Z"), None);
    }

    #[test]
    fn a_period_that_is_not_over_ends_now() {
        let period: Period = "2026-03-02..2026-03-08".parse().unwrap();
        let now = "2026-03-04T10:00:00.9Z".parse().unwrap();
        let days = Days::of(period, &TimeZone::UTC, now);
        assert_eq!(days.ends().to_string(), "2026-03-04T10:00:00Z");
        assert_eq!(days.len(), 7);
        assert!(days.iter().skip(3).all(|(_, begins, ends)| ends <= begins));
    }
}
