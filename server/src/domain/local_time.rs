//! Times as people in the setting read them. Whatever is kept or sent is in UTC.

use super::task::local_calendar;
use crate::storage::{Storage, StorageError};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use nestwarden_policy_schema::calendar::{Calendar, shown};

/// The setting's time zone; UTC until a profile names one.
#[derive(Clone, Debug)]
pub struct LocalTime {
    calendar: Option<Calendar>,
}

impl LocalTime {
    pub async fn load(storage: &Storage) -> Result<Self, StorageError> {
        let calendar = local_calendar(storage).await?;
        Ok(Self { calendar })
    }

    pub fn local(&self, at: Timestamp) -> Zoned {
        let zone = self.calendar.as_ref().and_then(|known| known.zone().ok());
        at.to_zoned(zone.unwrap_or(TimeZone::UTC))
    }

    #[cfg(test)]
    pub const fn utc() -> Self {
        Self { calendar: None }
    }

    pub fn date(&self, at: Timestamp) -> Date {
        self.local(at).date()
    }

    /// What a clock on the wall here said. In the hour that clocks skip, the later reading; in the one they repeat, the
    /// earlier. `None`: beyond any time we know.
    pub fn instant(&self, wall: DateTime) -> Option<Timestamp> {
        let zoned = self.local(Timestamp::UNIX_EPOCH).time_zone().clone();
        let at = zoned.to_ambiguous_timestamp(wall).compatible().ok()?;
        Some(at)
    }

    /// `9 Jul 2026, 08:05 BST`.
    pub fn at(&self, at: Timestamp) -> String {
        let calendar = self.calendar.as_ref();
        shown(at, calendar.map(|known| known.time_zone.as_str()))
    }

    pub fn at_or(&self, at: Option<Timestamp>, absent: &str) -> String {
        at.map_or_else(|| absent.to_owned(), |at| self.at(at))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use nestwarden_policy_schema::profile::{EARLY_YEARS, PolicyProfile};

    #[test]
    fn a_day_begins_at_the_settings_midnight() {
        let profile = PolicyProfile::from_toml(EARLY_YEARS).unwrap();
        let calendar = Some(profile.calendar);
        let local = LocalTime { calendar };
        let midnight = "2026-07-09T23:30:00Z".parse().unwrap();
        assert_eq!(local.date(midnight), jiff::civil::date(2026, 7, 10));
        assert_eq!(local.at(midnight), "10 Jul 2026, 00:30 BST");
        assert_eq!(local.at_or(None, "never"), "never");
        assert_eq!(LocalTime::utc().at(midnight), "9 Jul 2026, 23:30 UTC");
    }
}
