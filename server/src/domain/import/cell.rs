//! What single cells mean.

use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Day;
use nestwarden_policy_schema::consent::RoomName;
use std::collections::BTreeSet;

/// What a booking system says about one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    Given,
    Refused,
    Withdrawn,
    /// Not given, and nothing wrong with that.
    Nothing,
    /// Not given, because nobody can tell what it means.
    Unclear,
}

pub(super) fn said(text: &str) -> Said {
    match text.trim().to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" | "given" | "granted" | "agreed" => Said::Given,
        "no" | "n" | "false" | "0" | "refused" | "declined" => Said::Refused,
        "withdrawn" | "revoked" => Said::Withdrawn,
        "" => Said::Nothing,
        _ => Said::Unclear,
    }
}

/// How dates with slashes, dots or hyphens are written. `2026-03-31` is always read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DateOrder {
    #[default]
    DayFirst,
    MonthFirst,
}

impl DateOrder {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::DayFirst => "day_first",
            Self::MonthFirst => "month_first",
        }
    }

    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::DayFirst => "write a date between 2000 and 2100, as 2026-03-31 or 31/03/2026",
            Self::MonthFirst => "write a date between 2000 and 2100, as 2026-03-31 or 03/31/2026",
        }
    }
}

/// `None`: not a date we are sure of. A time of day behind it is not looked at.
pub(super) fn date(text: &str, order: DateOrder) -> Option<Date> {
    let text = without_time(text)?;
    let year_first = text.split('-').next().is_some_and(|first| first.len() == 4);
    let parts: Vec<&str> = if year_first {
        text.split('-').collect()
    } else {
        text.split(['/', '.', '-']).collect()
    };
    let parts: [&str; 3] = parts.try_into().ok()?;
    let [year, month, day] = match (parts, order) {
        (ordered, _) if year_first => ordered,
        ([day, month, year], DateOrder::DayFirst) | ([month, day, year], DateOrder::MonthFirst) => {
            [year, month, day]
        }
    };
    let found = from_parts(year, month, day);
    found.filter(|date| (2000..=2100).contains(&date.year()))
}

/// Exports write midnight behind dates.
fn without_time(text: &str) -> Option<&str> {
    let Some((date, time)) = text.split_once([' ', 'T']) else {
        return Some(text);
    };
    let is_time = time
        .bytes()
        .all(|b| b.is_ascii_digit() || b":.".contains(&b));
    is_time.then_some(date)
}

/// Years have four digits: nobody can tell 03/04/26 from 26/04/03.
fn from_parts(year: &str, month: &str, day: &str) -> Option<Date> {
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if year.len() != 4 || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

pub(super) const ROOM_REMEDY: &str = "write room names of at most 60 characters, separated by /";

pub(super) fn rooms(text: &str) -> Option<BTreeSet<RoomName>> {
    text.split(['/', '|', ';'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| name.parse().ok())
        .collect()
}

pub(super) const DAYS_REMEDY: &str =
    "write weekdays such as Mon Tue Fri, or leave it empty for every day";

pub(super) fn days(text: &str) -> Option<BTreeSet<Day>> {
    text.split(|c: char| c.is_whitespace() || "/|;,".contains(c))
        .filter(|name| !name.is_empty())
        .map(day)
        .collect()
}

fn day(name: &str) -> Option<Day> {
    let name = name.trim_end_matches('.').to_lowercase();
    let names = [
        ("monday", Day::Monday),
        ("tuesday", Day::Tuesday),
        ("wednesday", Day::Wednesday),
        ("thursday", Day::Thursday),
        ("friday", Day::Friday),
        ("saturday", Day::Saturday),
        ("sunday", Day::Sunday),
    ];
    // Two letters are the fewest that tell every day apart.
    (name.len() >= 2)
        .then(|| {
            names
                .into_iter()
                .find(|(whole, _)| whole.starts_with(&name))
                .map(|(_, day)| day)
        })
        .flatten()
}
