//! Times as people in the setting read them. Whatever is kept or sent is in UTC.

use super::task::local_calendar;
use crate::storage::{Storage, StorageError};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The setting's time zone; UTC until a profile names one.
#[derive(Clone, Debug)]
pub struct LocalTime {
    zone: TimeZone,
}

impl LocalTime {
    pub async fn load(storage: &Storage) -> Result<Self, StorageError> {
        let calendar = local_calendar(storage).await?;
        let zone = calendar.and_then(|calendar| TimeZone::get(&calendar.time_zone).ok());
        Ok(Self {
            zone: zone.unwrap_or(TimeZone::UTC),
        })
    }

    pub fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    #[cfg(test)]
    pub const fn utc() -> Self {
        Self {
            zone: TimeZone::UTC,
        }
    }

    pub fn date(&self, at: Timestamp) -> Date {
        self.local(at).date()
    }

    /// `9 Jul 2026, 08:05 BST`.
    pub fn at(&self, at: Timestamp) -> String {
        self.local(at).strftime("%-d %b %Y, %H:%M %Z").to_string()
    }

    pub fn at_or(&self, at: Option<Timestamp>, absent: &str) -> String {
        at.map_or_else(|| absent.to_owned(), |at| self.at(at))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_time_says_its_zone_on_both_sides_of_a_change_of_clocks() {
        let local = LocalTime {
            zone: TimeZone::get("Europe/London").unwrap(),
        };
        let at = |text: &str| local.at(text.parse().unwrap());
        assert_eq!(at("2026-07-09T07:05:59Z"), "9 Jul 2026, 08:05 BST");
        assert_eq!(at("2026-10-25T00:30:00Z"), "25 Oct 2026, 01:30 BST");
        assert_eq!(at("2026-10-25T01:30:00Z"), "25 Oct 2026, 01:30 GMT");
        assert_eq!(local.at_or(None, "never"), "never");
        let midnight = "2026-07-09T23:30:00Z".parse().unwrap();
        assert_eq!(local.date(midnight), jiff::civil::date(2026, 7, 10));
    }
}
