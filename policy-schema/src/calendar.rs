//! Contact hours and opening days in the setting's time zone.
//!
//! Dates are local days of the setting; instants are UTC. Where a local time does not exist or exists twice
//! (daylight saving), the stricter reading holds: contact hours begin at the earlier instant and end at the later.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

/// Days of the week, written `monday` … `sunday`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    pub fn of(date: Date) -> Self {
        match date.weekday() {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        })
    }
}

/// A stretch of one local day, `from` included, `to` excluded.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct TimeRange {
    pub from: Time,
    pub to: Time,
}

/// Local days on which the setting is closed, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Closure {
    pub from: Date,
    pub to: Date,
    /// Why, as staff would say it: "Christmas", "boiler repair".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// When the setting is open and when staff are with children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Calendar {
    /// IANA name, for example `Europe/London`.
    pub time_zone: String,
    /// Contact hours by weekday. A weekday that is absent is not an opening day.
    pub contact_hours: BTreeMap<Day, Vec<TimeRange>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub closures: BTreeSet<Closure>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CalendarError {
    #[error(
        "`calendar.time_zone` is \"{0}\", which is not a time zone; write an IANA name such as \"Europe/London\""
    )]
    UnknownTimeZone(String),
    #[error(
        "`calendar.contact_hours.{day}`: {from} to {to} ends before it begins; put the earlier time first"
    )]
    BackwardRange { day: Day, from: Time, to: Time },
    #[error(
        "`calendar.contact_hours.{day}`: two stretches both cover {at}; join them into one or let the later begin when the earlier ends"
    )]
    OverlappingRanges { day: Day, at: Time },
    #[error(
        "`calendar.closures`: {from} to {to} ends before it begins; put the earlier date first"
    )]
    BackwardClosure { from: Date, to: Date },
    #[error(
        "`calendar.contact_hours` names no day; without an opening day nothing could ever be counted in opening days"
    )]
    NeverOpen,
}

impl CalendarError {
    /// The key at fault, from the top of a profile.
    pub fn key(&self) -> String {
        match self {
            Self::UnknownTimeZone(_) => "calendar.time_zone".to_owned(),
            Self::BackwardRange { day, .. } | Self::OverlappingRanges { day, .. } => {
                format!("calendar.contact_hours.{day}")
            }
            Self::BackwardClosure { .. } => "calendar.closures".to_owned(),
            Self::NeverOpen => "calendar.contact_hours".to_owned(),
        }
    }
}

/// The furthest that opening days are searched; a setting closed for longer is treated as opening then.
const SEARCH_DAYS: i32 = 750;

impl Calendar {
    pub fn validate(&self) -> Result<(), CalendarError> {
        self.zone()?;
        if self.contact_hours.values().all(Vec::is_empty) {
            return Err(CalendarError::NeverOpen);
        }
        for (day, ranges) in &self.contact_hours {
            if let Some(r) = ranges.iter().find(|r| r.from >= r.to) {
                return Err(CalendarError::BackwardRange {
                    day: *day,
                    from: r.from,
                    to: r.to,
                });
            }
            let mut in_order = ranges.clone();
            in_order.sort_unstable();
            if let Some(pair) = in_order.windows(2).find(|pair| pair[1].from < pair[0].to) {
                return Err(CalendarError::OverlappingRanges {
                    day: *day,
                    at: pair[1].from,
                });
            }
        }
        match self.closures.iter().find(|c| c.from > c.to) {
            Some(c) => Err(CalendarError::BackwardClosure {
                from: c.from,
                to: c.to,
            }),
            None => Ok(()),
        }
    }

    /// The zone from the bundled database: tablet and server use the data they were released with.
    pub fn zone(&self) -> Result<TimeZone, CalendarError> {
        jiff_zone(&self.time_zone)
            .ok_or_else(|| CalendarError::UnknownTimeZone(self.time_zone.clone()))
    }

    /// The local day of `at`; UTC where the zone is unknown, which `validate` refuses.
    pub fn local_date(&self, at: Timestamp) -> Date {
        self.zone_or_utc().to_datetime(at).date()
    }

    /// `at` as staff read it, for screens and reports.
    pub fn local(&self, at: Timestamp) -> DateTime {
        self.zone_or_utc().to_datetime(at)
    }

    pub fn is_opening_day(&self, date: Date) -> bool {
        self.contact_hours
            .get(&Day::of(date))
            .is_some_and(|ranges| !ranges.is_empty())
            && !self.closures.iter().any(|c| c.from <= date && date <= c.to)
    }

    /// The first closure from whose beginning on the setting is closed for more than `days` days on end.
    pub fn closed_for_longer_than(&self, days: u16) -> Option<&Closure> {
        self.closures.iter().find(|closure| {
            let mut date = closure.from;
            for _ in 0..=days {
                if self.is_opening_day(date) {
                    return false;
                }
                date = Self::plus_days(date, 1);
            }
            true
        })
    }

    /// Whether `at` lies in contact hours.
    pub fn in_contact_hours(&self, at: Timestamp) -> bool {
        let today = self.local_date(at);
        // A range around a change of clocks may reach into the neighbouring local day.
        [today.yesterday(), Ok(today), today.tomorrow()]
            .into_iter()
            .flatten()
            .flat_map(|date| self.contact_on(date))
            .any(|(from, to)| from <= at && at < to)
    }

    /// The contact stretches of a local day as instants, in order; empty on a closed day.
    pub fn contact_on(&self, date: Date) -> Vec<(Timestamp, Timestamp)> {
        if !self.is_opening_day(date) {
            return Vec::new();
        }
        let mut stretches: Vec<_> =
            self.contact_hours
                .get(&Day::of(date))
                .map_or_else(Vec::new, |ranges| {
                    ranges
                        .iter()
                        .filter_map(|r| {
                            Some((
                                self.earliest(date.to_datetime(r.from))?,
                                self.latest(date.to_datetime(r.to))?,
                            ))
                        })
                        .collect()
                });
        stretches.sort_unstable();
        stretches
    }

    /// The next instant after `at` at which contact hours begin or end; `None` when nothing is planned for two years.
    pub fn next_contact_change(&self, at: Timestamp) -> Option<Timestamp> {
        let mut date = self.local_date(at).yesterday().ok()?;
        for _ in 0..SEARCH_DAYS {
            let next = self
                .contact_on(date)
                .into_iter()
                .flat_map(|(from, to)| [from, to])
                .filter(|t| *t > at)
                .min();
            if next.is_some() {
                return next;
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The end of the `days`-th opening day after the local day of `from`; of that day itself for 0 days.
    ///
    /// Counting whole days after the event gives people the full days they were promised; so where midnight is
    /// ambiguous it is the later one.
    pub fn after_opening_days(&self, from: Timestamp, days: u32) -> Timestamp {
        let mut date = self.local_date(from);
        let mut left = days;
        for _ in 0..SEARCH_DAYS {
            if left == 0 {
                break;
            }
            date = date.tomorrow().unwrap_or(Date::MAX);
            if self.is_opening_day(date) {
                left -= 1;
            }
        }
        date.tomorrow()
            .map_or(Timestamp::MAX, |next| self.start_of(next))
    }

    /// The first instant of a local day; the later one where midnight is ambiguous.
    pub fn start_of(&self, date: Date) -> Timestamp {
        self.latest(date.to_datetime(Time::midnight()))
            .unwrap_or(Timestamp::MAX)
    }

    /// The instant at which a local day is over; the earlier one where midnight is ambiguous.
    pub fn end_of(&self, date: Date) -> Timestamp {
        date.tomorrow()
            .ok()
            .and_then(|next| self.earliest(next.to_datetime(Time::midnight())))
            .unwrap_or(Timestamp::MAX)
    }

    /// `date` plus calendar days, held at the end of the calendar.
    pub fn plus_days(date: Date, days: u32) -> Date {
        Span::new()
            .try_days(days)
            .ok()
            .and_then(|span| date.checked_add(span).ok())
            .unwrap_or(Date::MAX)
    }

    fn zone_or_utc(&self) -> TimeZone {
        self.zone().unwrap_or(TimeZone::UTC)
    }

    fn earliest(&self, local: DateTime) -> Option<Timestamp> {
        self.readings(local).into_iter().flatten().min()
    }

    fn latest(&self, local: DateTime) -> Option<Timestamp> {
        self.readings(local).into_iter().flatten().max()
    }

    fn readings(&self, local: DateTime) -> [Option<Timestamp>; 2] {
        match self.zone_or_utc().to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(local).ok(), None],
            AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after } => [
                before.to_timestamp(local).ok(),
                after.to_timestamp(local).ok(),
            ],
        }
    }
}

/// `at` as people of a zone read it, on screens and in answers of commands: `9 Jul 2026, 08:05 BST`. UTC where the zone is
/// unknown, or there is none yet.
pub fn shown(at: Timestamp, time_zone: Option<&str>) -> String {
    let zone = time_zone.and_then(jiff_zone).unwrap_or(TimeZone::UTC);
    let local = at.to_zoned(zone);
    local.strftime("%-d %b %Y, %H:%M %Z").to_string()
}

/// Parsing a zone costs more than everything that is asked of it, so the database keeps those it was asked for.
fn jiff_zone(name: &str) -> Option<TimeZone> {
    static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    DATABASE.get(name).ok()
}
