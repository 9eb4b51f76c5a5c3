//! From where on a figure is amber, and from where on red. Part of every report, so that a reader sees what it was held to.

use super::lines::Level;
use serde::{Deserialize, Serialize};

const MOST_HOURS: u64 = 24 * 366;
const MOST_DAYS: u64 = 366;
const MOST_COUNT: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmberRed {
    pub amber: u64,
    pub red: u64,
}

/// Fields are added, never given another meaning: reports that were signed name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thresholds {
    /// Of contact time without a report from a tablet, or more.
    pub silent_contact_hours: AmberRed,
    /// For more than so long a lapsed photo can still be read; 0: at all.
    pub readable_hours: AmberRed,
    /// For more than so long a photo could not be put away; 0: at all.
    pub incomplete_hours: AmberRed,
    /// For more than so long nobody said who is in a photo; 0: at all.
    pub untagged_days: AmberRed,
    /// More untagged photos than this are amber, however new.
    pub untagged_photos: u64,
    /// For more than so long; 0: at all.
    pub passcode_overdue_days: AmberRed,
    /// Of one tablet within seven days, or more. One that is not put back is red, whatever this says.
    pub radio_drift_a_week: AmberRed,
    /// Refused starts of unapproved programs from which on it is amber.
    pub apps_refused: u64,
    /// Unapproved programs that ran from which on it is red.
    pub apps_ran: u64,
    /// A tablet that is signed out is amber so long after it should be back, and red once that day closed.
    pub custody_overdue_minutes: u64,
    /// Holds past their review from which on it is red.
    pub holds_past_review: u64,
    /// Or more.
    pub import_age_days: AmberRed,
    /// Of the staff who acknowledged the acceptable use policy, less than this.
    pub aup_percent: AmberRed,
}

impl Default for Thresholds {
    fn default() -> Self {
        let of = |amber, red| AmberRed { amber, red };
        Self {
            silent_contact_hours: of(24, 72),
            readable_hours: of(0, 24),
            incomplete_hours: of(0, 24),
            untagged_days: of(3, 7),
            untagged_photos: 10,
            passcode_overdue_days: of(0, 14),
            radio_drift_a_week: of(1, 3),
            apps_refused: 1,
            apps_ran: 1,
            custody_overdue_minutes: 15,
            holds_past_review: 1,
            import_age_days: of(7, 14),
            aup_percent: of(100, 90),
        }
    }
}

impl AmberRed {
    /// Of what is worse the more there is of it; `Plain`: below both.
    pub(super) fn from(self, count: u64) -> Level {
        if count >= self.red {
            Level::Red
        } else if count >= self.amber {
            Level::Amber
        } else {
            Level::Plain
        }
    }

    /// Of an age in minutes, rounded up, where `unit` minutes are one of these. What has no age is `Plain`.
    pub(super) fn older(self, minutes: Option<u64>, unit: u64) -> Level {
        let Some(minutes) = minutes else {
            return Level::Plain;
        };
        let is_older = |than: u64| than == 0 || minutes > than.saturating_mul(unit);
        if is_older(self.red) {
            Level::Red
        } else if is_older(self.amber) {
            Level::Amber
        } else {
            Level::Plain
        }
    }

    /// Of what is worse the less there is of it.
    pub(super) fn below(self, percent: u64) -> Level {
        if percent < self.red {
            Level::Red
        } else if percent < self.amber {
            Level::Amber
        } else {
            Level::Good
        }
    }
}

impl Thresholds {
    /// The error names key, value and remedy.
    pub fn validate(&self) -> Result<(), String> {
        let rising = [
            (
                "silent_contact_hours",
                self.silent_contact_hours,
                1,
                MOST_HOURS,
            ),
            ("readable_hours", self.readable_hours, 0, MOST_HOURS),
            ("incomplete_hours", self.incomplete_hours, 0, MOST_HOURS),
            ("untagged_days", self.untagged_days, 0, MOST_DAYS),
            (
                "passcode_overdue_days",
                self.passcode_overdue_days,
                0,
                MOST_DAYS,
            ),
            ("radio_drift_a_week", self.radio_drift_a_week, 1, MOST_COUNT),
            ("import_age_days", self.import_age_days, 1, MOST_DAYS),
        ];
        for (key, AmberRed { amber, red }, least, most) in rising {
            let is_sound = least <= amber && amber <= red && red <= most;
            if !is_sound {
                return Err(format!(
                    "`reports.thresholds.{key}` is {{ amber = {amber}, red = {red} }}; write {least} to {most}, with red not below amber"
                ));
            }
        }
        let counts = [
            ("untagged_photos", self.untagged_photos),
            ("apps_refused", self.apps_refused),
            ("apps_ran", self.apps_ran),
            ("custody_overdue_minutes", self.custody_overdue_minutes),
            ("holds_past_review", self.holds_past_review),
        ];
        for (key, value) in counts {
            if !(1..=MOST_COUNT).contains(&value) {
                return Err(format!(
                    "`reports.thresholds.{key}` is {value}; write 1 to {MOST_COUNT}"
                ));
            }
        }
        let AmberRed { amber, red } = self.aup_percent;
        if amber > 100 || red > amber {
            return Err(format!(
                "`reports.thresholds.aup_percent` is {{ amber = {amber}, red = {red} }}; write 0 to 100, with red not above amber"
            ));
        }
        Ok(())
    }

    /// What each figure is held to, as a person reads it.
    pub fn says(&self) -> Vec<(&'static str, String)> {
        let Self {
            silent_contact_hours: silent,
            readable_hours: readable,
            incomplete_hours: incomplete,
            untagged_days: untagged,
            passcode_overdue_days: passcode,
            radio_drift_a_week: drift,
            import_age_days: import,
            aup_percent: aup,
            ..
        } = self;
        let from = |one: &AmberRed, unit: &str| {
            let AmberRed { amber, red } = one;
            format!("look at this from {amber}{unit}, act now from {red}{unit}")
        };
        let older = |one: &AmberRed, unit: &str| {
            let after = |count: u64| match count {
                0 => "at once".to_owned(),
                count => format!("after {count} {unit}"),
            };
            format!(
                "look at this {}, act now {}",
                after(one.amber),
                after(one.red)
            )
        };
        vec![
            ("Without a report, contact time", from(silent, " h")),
            ("Lapsed and still readable", older(readable, "h")),
            ("Could not be put away", older(incomplete, "h")),
            (
                "Untagged",
                format!(
                    "{}; look at this above {} photos",
                    older(untagged, "days"),
                    self.untagged_photos
                ),
            ),
            ("Passcode overdue", older(passcode, "days")),
            (
                "Bluetooth or sharing switched on, of one tablet in a week",
                format!("{}, or if it was not put back", from(drift, "")),
            ),
            (
                "Unapproved programs",
                format!(
                    "look at this from {} refused, act now from {} that ran",
                    self.apps_refused, self.apps_ran
                ),
            ),
            (
                "Tablets signed out and not back",
                format!(
                    "look at this after {} min, act now once the day closed",
                    self.custody_overdue_minutes
                ),
            ),
            (
                "Holds past their review",
                format!("act now from {}", self.holds_past_review),
            ),
            ("Last import", from(import, " days")),
            (
                "Acceptable use policy acknowledged",
                format!(
                    "look at this below {} %, act now below {} %",
                    aup.amber, aup.red
                ),
            ),
        ]
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_met_at_its_value_and_not_before() {
        let week = AmberRed { amber: 7, red: 14 };
        let from = [6, 7, 13, 14].map(|count| week.from(count));
        assert_eq!(from, [Level::Plain, Level::Amber, Level::Amber, Level::Red]);
        let day = AmberRed { amber: 0, red: 24 };
        let older = [None, Some(0), Some(24 * 60), Some(24 * 60 + 1)].map(|age| day.older(age, 60));
        assert_eq!(
            older,
            [Level::Plain, Level::Amber, Level::Amber, Level::Red]
        );
        let most = AmberRed {
            amber: 100,
            red: 90,
        };
        let below = [100, 99, 90, 89].map(|percent| most.below(percent));
        assert_eq!(below, [Level::Good, Level::Amber, Level::Amber, Level::Red]);
    }

    #[test]
    fn thresholds_that_cannot_be_meant_are_refused_with_what_to_write() {
        assert_eq!(Thresholds::default().validate(), Ok(()));
        let refused = |change: fn(&mut Thresholds)| {
            let mut thresholds = Thresholds::default();
            change(&mut thresholds);
            thresholds.validate().unwrap_err()
        };
        insta::assert_snapshot!(refused(|t| t.untagged_days = AmberRed { amber: 7, red: 3 }), @"`reports.thresholds.untagged_days` is { amber = 7, red = 3 }; write 0 to 366, with red not below amber");
        insta::assert_snapshot!(refused(|t| t.import_age_days.amber = 0), @"`reports.thresholds.import_age_days` is { amber = 0, red = 14 }; write 1 to 366, with red not below amber");
        insta::assert_snapshot!(refused(|t| t.apps_ran = 0), @"`reports.thresholds.apps_ran` is 0; write 1 to 1000000");
        insta::assert_snapshot!(refused(|t| t.aup_percent.red = 101), @"`reports.thresholds.aup_percent` is { amber = 100, red = 101 }; write 0 to 100, with red not above amber");
    }
}
