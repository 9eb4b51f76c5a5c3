//! Days of the setting, by walking them one after another.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

pub(super) const HOUR: i64 = 3600;

pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

pub(super) fn plus(date: Date, days: i64) -> Date {
    date.checked_add(Span::new().days(days)).unwrap()
}

pub(super) struct Days {
    pub(super) zone: TimeZone,
    pub(super) closures: Vec<(Date, Date)>,
}

impl Days {
    pub(super) fn date(&self, seconds: i64) -> Date {
        self.zone.to_datetime(instant(seconds)).date()
    }

    /// Monday to Friday, unless closed.
    pub(super) fn is_open(&self, date: Date) -> bool {
        !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
            && !self
                .closures
                .iter()
                .any(|(from, to)| *from <= date && date <= *to)
    }

    /// Both readings of the local midnight with which `date` begins; they differ where clocks change at midnight.
    fn midnights(&self, date: Date) -> (i64, i64) {
        let wall = date.at(0, 0, 0, 0);
        let as_if_utc = TimeZone::UTC.to_timestamp(wall).unwrap().as_second();
        let reading = |near: i64| {
            let offset = self.zone.to_offset(instant(near)).seconds();
            as_if_utc - i64::from(offset)
        };
        let readings = [as_if_utc - 26 * HOUR, as_if_utc + 26 * HOUR].map(reading);
        let true_ones: Vec<i64> = readings
            .into_iter()
            .filter(|seconds| self.zone.to_datetime(instant(*seconds)) == wall)
            .collect();
        let of = if true_ones.is_empty() {
            readings.to_vec()
        } else {
            true_ones
        };
        (*of.iter().min().unwrap(), *of.iter().max().unwrap())
    }

    /// Whether `date` has begun, read late: what becomes allowed with it waits.
    pub(super) fn has_begun(&self, date: Date, now: i64) -> bool {
        now >= self.midnights(date).1
    }

    /// Whether `date` is over, read early: what ends with it ends.
    pub(super) fn is_over(&self, date: Date, now: i64) -> bool {
        now >= self.end_of(date)
    }

    pub(super) fn end_of(&self, date: Date) -> i64 {
        self.midnights(plus(date, 1)).0
    }

    /// When so many whole opening days have gone by after the day of `from`, read late.
    pub(super) fn after_opening_days(&self, from: i64, count: u16) -> i64 {
        let mut day = self.date(from);
        let mut left = count;
        while left > 0 {
            day = plus(day, 1);
            if self.is_open(day) {
                left -= 1;
            }
        }
        self.midnights(plus(day, 1)).1
    }
}
