//! Dates written as digits, for cracklib to refuse: birthdays are the first thing people make passcodes of.

use super::tablet::Tablet;
use crate::control::EnforceError;
use jiff::civil::Date;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// One of the directories of words that update-cracklib gathers.
const WORDS_PATH: &str = "/usr/local/share/dict/nestwarden-dates";
const PACKED_PATH: &str = "/var/cache/cracklib/cracklib_dict.pwd";
/// What update-cracklib gathered last; without it, it gathers again.
const SOURCES_PATH: &str = "/var/cache/cracklib/src-dicts";

const FIRST_YEAR: i16 = 1940;
const LAST_YEAR: i16 = 2039;

/// Whether the dates are among the words that are refused.
pub(super) fn is_in_force(tablet: &Tablet) -> Result<bool, EnforceError> {
    let (Ok(words), Ok(packed)) = (
        fs::metadata(tablet.path(WORDS_PATH)),
        fs::metadata(tablet.path(PACKED_PATH)),
    ) else {
        return Ok(false);
    };
    let is_whole = usize::try_from(words.size()) == Ok(words_bytes());
    let is_gathered = tablet
        .read(SOURCES_PATH)?
        .is_some_and(|sources| sources.split_whitespace().any(|path| path == WORDS_PATH));
    Ok(is_whole && is_gathered && packed.mtime() >= words.mtime())
}

pub(super) fn put_in_force(tablet: &Tablet) -> Result<(), EnforceError> {
    if is_in_force(tablet)? {
        return Ok(());
    }
    tablet.write(WORDS_PATH, &words(), 0o644)?;
    gather(tablet)
}

pub(super) fn withdraw(tablet: &Tablet) -> Result<(), EnforceError> {
    if !tablet.exists(WORDS_PATH) {
        return Ok(());
    }
    tablet.remove(WORDS_PATH)?;
    if tablet.is_whole_machine() {
        gather(tablet)?;
    }
    Ok(())
}

fn gather(tablet: &Tablet) -> Result<(), EnforceError> {
    tablet.needs_machine("running `update-cracklib`")?;
    tablet.remove(SOURCES_PATH)?;
    tablet.run("update-cracklib", &[], &[]).map(|_| ())
}

/// Every date in every order of day, month and year, with two and with four digits for the year.
fn words() -> String {
    let mut text = String::with_capacity(words_bytes());
    for (day, month, year) in dates() {
        let short = year % 100;
        for word in [
            format!("{day:02}{month:02}{short:02}\n"),
            format!("{month:02}{day:02}{short:02}\n"),
            format!("{short:02}{month:02}{day:02}\n"),
            format!("{day:02}{month:02}{year}\n"),
            format!("{month:02}{day:02}{year}\n"),
            format!("{year}{month:02}{day:02}\n"),
        ] {
            text += &word;
        }
    }
    text
}

fn words_bytes() -> usize {
    dates().count() * 3 * ("ddmmyy\n".len() + "ddmmyyyy\n".len())
}

fn dates() -> impl Iterator<Item = (i8, i8, i16)> {
    (FIRST_YEAR..=LAST_YEAR)
        .flat_map(|year| (1..=12).map(move |month| (year, month)))
        .flat_map(|(year, month)| (1..=31).map(move |day| (day, month, year)))
        .filter(|(day, month, year)| Date::new(*year, *month, *day).is_ok())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::paths::Paths;

    #[test]
    fn birthdays_are_words_and_days_that_never_were_are_not() {
        let words = words();
        assert_eq!(words.len(), words_bytes());
        let has = |word: &str| words.lines().any(|line| line == word);
        assert!(has("240589") && has("052489") && has("890524") && has("24051989"));
        assert!(has("29022000") && !has("29021999"));
    }

    #[test]
    fn words_that_were_not_gathered_are_not_in_force() {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        assert!(!is_in_force(&tablet).unwrap());
        tablet.write(WORDS_PATH, &words(), 0o644).unwrap();
        assert!(!is_in_force(&tablet).unwrap());
        let sources = format!(" /usr/share/dict/cracklib-small {WORDS_PATH}\n");
        tablet.write(SOURCES_PATH, &sources, 0o644).unwrap();
        tablet.write(PACKED_PATH, "packed", 0o644).unwrap();
        assert!(is_in_force(&tablet).unwrap());
        tablet.write(WORDS_PATH, "", 0o644).unwrap();
        assert!(!is_in_force(&tablet).unwrap());
    }
}
