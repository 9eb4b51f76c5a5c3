//! What single cells mean.

use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Day;
use nestwarden_policy_schema::consent::RoomName;
use std::collections::BTreeSet;

/// What a booking system says about one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
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

pub(super) const DATE_REMEDY: &str =
    "write a date between 2000 and 2100, as 2026-03-31 or 31/03/2026";

/// `None`: not a date we are sure of.
pub(super) fn date(text: &str) -> Option<Date> {
    let found = if let [day, month, year] = text.split('/').collect::<Vec<_>>()[..] {
        from_parts(year, month, day)
    } else if let [year, month, day] = text.split('-').collect::<Vec<_>>()[..] {
        from_parts(year, month, day)
    } else {
        None
    };
    found.filter(|date| (2000..=2100).contains(&date.year()))
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
