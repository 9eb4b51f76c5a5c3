//! A first mapping for a file, from its headings and the words in it. It is careful: what it does not know it reads as
//! not given, and nothing of it counts before a person agreed.

use super::cell::{self, DateOrder, Said};
use super::layout::{Column, Field, column};
use super::mapping::{MappedAnswer, Mapping, is_name};
use super::table::{self, Table};
use super::{ImportError, Refusal};
use nestwarden_policy_schema::consent::Purpose;
use std::collections::{BTreeMap, BTreeSet};

/// A column with more different words holds no answers.
const MOST_WORDS: usize = 12;

pub struct Proposal {
    pub mapping: Mapping,
    /// As TOML, with remarks for the person who reads it.
    pub text: String,
    /// Headings that are not read.
    pub ignored: Vec<String>,
}

pub fn propose(bytes: &[u8], name: &str) -> Result<Proposal, ImportError> {
    if !is_name(name) {
        return Err(ImportError::refused(vec![Refusal::file(
            "a mapping's name has 1 to 60 letters, digits, hyphens or underscores; choose another",
        )]));
    }
    let table = table::read(bytes).map_err(ImportError::refused)?;
    let mut columns: BTreeMap<Field, String> = BTreeMap::new();
    let mut answers: Vec<MappedAnswer> = Vec::new();
    let mut unknown = BTreeSet::new();
    let mut ignored = Vec::new();
    let mut dates: Vec<(Purpose, bool, String)> = Vec::new();
    for (index, heading) in table.header.iter().enumerate() {
        match guess(heading) {
            Some(Guess::Field(field)) if !columns.contains_key(&field) => {
                columns.insert(field, heading.clone());
            }
            Some(Guess::Date(purpose, is_end)) => dates.push((purpose, is_end, heading.clone())),
            Some(Guess::Answer(purposes)) => {
                let taken = |p: &Purpose| answers.iter().any(|a| a.purposes.contains(p));
                let purposes: BTreeSet<Purpose> =
                    purposes.into_iter().filter(|p| !taken(p)).collect();
                match words(&table, index) {
                    Some(found) if !purposes.is_empty() => {
                        answers.push(answer(heading, purposes, &found, &mut unknown));
                    }
                    Some(_) | None => ignored.push(heading.clone()),
                }
            }
            Some(Guess::Field(_)) | None => ignored.push(heading.clone()),
        }
    }
    for (purpose, is_end, heading) in dates {
        let found = answers.iter_mut().find(|a| a.purposes.contains(&purpose));
        match found {
            Some(answer) if is_end => answer.valid_until = Some(heading),
            Some(answer) => answer.answered = Some(heading),
            None => ignored.push(heading),
        }
    }
    let mut missing: Vec<Refusal> = Field::NEEDED
        .into_iter()
        .filter(|field| !columns.contains_key(field))
        .map(|field| {
            Refusal::heading(
                field.as_str(),
                format!(
                    "no column looks like this; the file has {}. Write the mapping by hand, from `consent mapping example`",
                    table.header.join(", ")
                ),
            )
        })
        .collect();
    if answers.is_empty() {
        missing.push(Refusal::file(
            "no column looks like an answer about photos; write the mapping by hand, from `consent mapping example`",
        ));
    }
    if !missing.is_empty() {
        return Err(ImportError::refused(missing));
    }
    let mapping = Mapping {
        name: name.to_owned(),
        dates: date_order(&table),
        columns,
        answers,
    };
    Ok(Proposal {
        text: mapping.write(&unknown),
        mapping,
        ignored,
    })
}

enum Guess {
    Field(Field),
    /// The day an answer was given, or with `true` its last.
    Date(Purpose, bool),
    Answer(Vec<Purpose>),
}

fn guess(heading: &str) -> Option<Guess> {
    match column(heading) {
        Some(Column::Field(field)) => return Some(Guess::Field(field)),
        Some(Column::Answer(purpose)) => return Some(Guess::Answer(vec![purpose])),
        Some(Column::Answered(purpose)) => return Some(Guess::Date(purpose, false)),
        Some(Column::ValidUntil(purpose)) => return Some(Guess::Date(purpose, true)),
        None => {}
    }
    let lower = heading.to_lowercase();
    let words: BTreeSet<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let is_date = has(&[
        "date", "on", "signed", "answered", "expiry", "expires", "until", "since",
    ]);
    let purposes = purposes_of(&words);
    if is_date {
        let is_end = has(&["expiry", "expires", "until"]);
        return match purposes.first() {
            Some(purpose) => Some(Guess::Date(*purpose, is_end)),
            None if has(&["start", "started", "joined"]) => Some(Guess::Field(Field::Start)),
            None if has(&["leave", "leaving", "left", "end", "leaver"]) => {
                Some(Guess::Field(Field::Leave))
            }
            None if has(&["consent", "permission", "permissions", "signed", "answered"]) => {
                Some(Guess::Field(if is_end {
                    Field::ValidUntil
                } else {
                    Field::Answered
                }))
            }
            None => None,
        };
    }
    if !purposes.is_empty() {
        return Some(Guess::Answer(purposes));
    }
    let field = if has(&["forename"]) || (has(&["first", "given"]) && has(&["name"])) {
        Field::FirstName
    } else if has(&["surname"]) || (has(&["last", "family"]) && has(&["name"])) {
        Field::LastName
    } else if has(&["id", "ref", "reference", "number", "upn"]) && !has(&["family", "phone"]) {
        Field::Reference
    } else if has(&["room", "rooms", "group", "class"]) {
        Field::Room
    } else if has(&["family", "household", "account"]) {
        Field::Family
    } else if has(&["days", "attendance", "attends", "sessions"]) {
        Field::Days
    } else if has(&["starts", "start"]) {
        Field::Start
    } else if has(&["leaves", "leaving", "leaver"]) {
        Field::Leave
    } else {
        return None;
    };
    Some(Guess::Field(field))
}

/// A general "photo permission" is read as the least it can mean: the child's own learning journal.
fn purposes_of(words: &BTreeSet<&str>) -> Vec<Purpose> {
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let named: Vec<Purpose> = [
        (
            Purpose::OtherChildrensJournals,
            has(&["journal", "journals"]) && has(&["other", "others"]),
        ),
        (
            Purpose::OwnLearningJournal,
            has(&["journal", "journals", "diary"]) && !has(&["other", "others"]),
        ),
        (
            Purpose::DisplayInSetting,
            has(&["display", "displays", "wall"]),
        ),
        (Purpose::Website, has(&["website", "web"])),
        (
            Purpose::SocialMedia,
            has(&["social", "facebook", "instagram"]),
        ),
        (Purpose::Press, has(&["press", "newspaper", "newspapers"])),
        (
            Purpose::Marketing,
            has(&["marketing", "brochure", "prospectus"]),
        ),
        (Purpose::Training, has(&["training"])),
    ]
    .into_iter()
    .filter_map(|(purpose, is_named)| is_named.then_some(purpose))
    .collect();
    if named.is_empty()
        && has(&[
            "photo",
            "photos",
            "photograph",
            "photographs",
            "image",
            "images",
        ])
    {
        return vec![Purpose::OwnLearningJournal];
    }
    named
}

/// The different words of a column; `None`: too many for answers.
fn words(table: &Table, index: usize) -> Option<BTreeSet<String>> {
    let mut words = BTreeSet::new();
    for row in &table.rows {
        let word = row.cells.get(index)?.to_lowercase();
        if !word.is_empty() {
            words.insert(word);
        }
        if words.len() > MOST_WORDS {
            return None;
        }
    }
    Some(words)
}

fn answer(
    heading: &str,
    purposes: BTreeSet<Purpose>,
    words: &BTreeSet<String>,
    unknown: &mut BTreeSet<String>,
) -> MappedAnswer {
    let meaning = |word: &String| {
        let said = cell::said(word);
        if said == Said::Unclear {
            unknown.insert(word.clone());
        }
        let said = if said == Said::Unclear {
            Said::Nothing
        } else {
            said
        };
        (word.clone(), purposes.iter().map(|p| (*p, said)).collect())
    };
    MappedAnswer {
        column: heading.to_owned(),
        words: words.iter().map(meaning).collect(),
        purposes,
        answered: None,
        valid_until: None,
    }
}

/// Month first only where some date can be read in no other way, and none speaks against it.
fn date_order(table: &Table) -> DateOrder {
    let cells = || {
        table
            .rows
            .iter()
            .flat_map(|row| &row.cells)
            .filter(|cell| cell.contains('/'))
    };
    let only = |this, other| {
        cells().any(|cell| cell::date(cell, this).is_some() && cell::date(cell, other).is_none())
    };
    let (day, month) = (DateOrder::DayFirst, DateOrder::MonthFirst);
    if only(month, day) && !only(day, month) {
        DateOrder::MonthFirst
    } else {
        DateOrder::DayFirst
    }
}
