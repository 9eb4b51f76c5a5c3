//! Which column of a file says what: by the names this register uses, or by a mapping.

use super::Refusal;
use super::cell::{self, DateOrder, Said};
use super::mapping::Mapping;
use nestwarden_policy_schema::consent::Purpose;
use std::collections::{BTreeMap, BTreeSet};

/// What a column may be, apart from answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Reference,
    FirstName,
    LastName,
    Family,
    Room,
    Days,
    Start,
    Leave,
    Answered,
    ValidUntil,
}

impl Field {
    pub(super) const ALL: [Self; 10] = [
        Self::Reference,
        Self::FirstName,
        Self::LastName,
        Self::Family,
        Self::Room,
        Self::Days,
        Self::Start,
        Self::Leave,
        Self::Answered,
        Self::ValidUntil,
    ];
    pub(super) const NEEDED: [Self; 3] = [Self::Reference, Self::FirstName, Self::LastName];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Family => "family",
            Self::Room => "room",
            Self::Days => "days",
            Self::Start => "start",
            Self::Leave => "leave",
            Self::Answered => "answered",
            Self::ValidUntil => "valid_until",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}

/// A column with an answer to one or more purposes.
#[derive(Clone, Debug)]
pub(super) struct AnswerColumn {
    pub index: usize,
    pub purposes: BTreeSet<Purpose>,
    pub words: Words,
    /// Where the dates of the answer are; the first that is not empty counts.
    pub answered: Vec<usize>,
    pub valid_until: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Words {
    /// Yes, No, Withdrawn and what is commonly written for them.
    Common,
    /// By word in lower case.
    Mapped(BTreeMap<String, BTreeMap<Purpose, Said>>),
}

impl Words {
    pub(super) fn said(&self, word: &str, purpose: Purpose) -> Said {
        match self {
            Self::Common => cell::said(word),
            Self::Mapped(words) => {
                let word = word.trim().to_lowercase();
                match words
                    .get(&word)
                    .and_then(|by_purpose| by_purpose.get(&purpose))
                {
                    Some(said) => *said,
                    None if word.is_empty() => Said::Nothing,
                    None => Said::Unclear,
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub fields: BTreeMap<Field, usize>,
    pub answers: Vec<AnswerColumn>,
    pub dates: DateOrder,
}

impl Layout {
    pub(super) fn purposes(&self) -> BTreeSet<Purpose> {
        self.answers
            .iter()
            .flat_map(|a| a.purposes.iter().copied())
            .collect()
    }

    /// By the names of a register's own columns.
    pub(super) fn common(header: &[String]) -> Result<Self, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut is_advised = false;
        let mut found: BTreeMap<Column, usize> = BTreeMap::new();
        for (index, name) in header.iter().enumerate() {
            let Some(column) = column(name) else {
                // What can be done is the same for each, and said once.
                let remedy = if std::mem::replace(&mut is_advised, true) {
                    "is not a column of a register, either".to_owned()
                } else {
                    format!(
                        "is not a column of a register; remove it, name it {}, or a purpose ({}), or say with a mapping how to read it: `consent mapping make FILE --name NAME`",
                        Field::ALL.map(Field::as_str).join(", "),
                        Purpose::ALL.map(Purpose::as_str).join(", ")
                    )
                };
                refusals.push(Refusal {
                    value: Some(name.chars().take(60).collect()),
                    ..Refusal::heading(name, remedy)
                });
                continue;
            };
            if found.insert(column, index).is_some() {
                refusals.push(Refusal {
                    value: Some(name.chars().take(60).collect()),
                    ..Refusal::heading(name, "is there twice; remove one of the two")
                });
            }
        }
        for field in Field::NEEDED {
            if !found.contains_key(&Column::Field(field)) {
                let remedy = "is missing; add it to the export";
                refusals.push(Refusal::heading(field.as_str(), remedy));
            }
        }
        if refusals.is_empty() && !found.keys().any(|c| matches!(c, Column::Answer(_))) {
            refusals.push(Refusal {
                row: Some(1),
                ..Refusal::file(format!(
                    "there is no column for any purpose; add at least one of {}",
                    Purpose::ALL.map(Purpose::as_str).join(", ")
                ))
            });
        }
        for column in found.keys() {
            if let Column::Answered(purpose) | Column::ValidUntil(purpose) = column
                && !found.contains_key(&Column::Answer(*purpose))
            {
                refusals.push(Refusal::heading(
                    purpose.as_str(),
                    "is missing, but there is a date for it; add it to the export",
                ));
            }
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let places = |columns: [Column; 2]| {
            columns
                .iter()
                .filter_map(|c| found.get(c).copied())
                .collect()
        };
        let answer = |purpose: Purpose| {
            let index = *found.get(&Column::Answer(purpose))?;
            Some(AnswerColumn {
                index,
                purposes: BTreeSet::from([purpose]),
                words: Words::Common,
                answered: places([Column::Answered(purpose), Column::Field(Field::Answered)]),
                valid_until: places([
                    Column::ValidUntil(purpose),
                    Column::Field(Field::ValidUntil),
                ]),
            })
        };
        Ok(Self {
            answers: Purpose::ALL.into_iter().filter_map(answer).collect(),
            fields: found
                .iter()
                .filter_map(|(column, index)| match column {
                    Column::Field(field) => Some((*field, *index)),
                    Column::Answered(_) | Column::ValidUntil(_) | Column::Answer(_) => None,
                })
                .collect(),
            dates: DateOrder::DayFirst,
        })
    }

    /// By a mapping; columns it does not name are not looked at.
    pub(super) fn mapped(header: &[String], mapping: &Mapping) -> Result<Self, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut place = |name: &str| {
            let mut found = header
                .iter()
                .enumerate()
                .filter(|(_, written)| same(written, name));
            let first = found.next().map(|(index, _)| index);
            let remedy = match (first, found.next()) {
                (Some(index), None) => return Some(index),
                (Some(_), Some(_)) => "is there twice, and the mapping reads one; rename the other",
                (None, _) => {
                    "is missing, and the mapping reads it; add it to the export, or change the mapping"
                }
            };
            refusals.push(Refusal::heading(name, remedy));
            None
        };
        let fields = mapping
            .columns
            .iter()
            .filter_map(|(field, name)| Some((*field, place(name)?)))
            .collect::<BTreeMap<_, _>>();
        let mut answers = Vec::new();
        for answer in &mapping.answers {
            let row_wide = |field| fields.get(&field).copied();
            let answered = answer.answered.as_deref().and_then(&mut place);
            let until = answer.valid_until.as_deref().and_then(&mut place);
            if let Some(index) = place(&answer.column) {
                answers.push(AnswerColumn {
                    index,
                    purposes: answer.purposes.clone(),
                    words: Words::Mapped(answer.words.clone()),
                    answered: answered
                        .into_iter()
                        .chain(row_wide(Field::Answered))
                        .collect(),
                    valid_until: until
                        .into_iter()
                        .chain(row_wide(Field::ValidUntil))
                        .collect(),
                });
            }
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        Ok(Self {
            fields,
            answers,
            dates: mapping.dates,
        })
    }
}

/// Headings are compared without regard to case and outer spaces.
fn same(written: &str, name: &str) -> bool {
    written.trim().to_lowercase() == name.trim().to_lowercase()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Field(Field),
    Answered(Purpose),
    ValidUntil(Purpose),
    Answer(Purpose),
}

/// What a heading means by itself.
pub(super) fn column(name: &str) -> Option<Column> {
    let name = name
        .to_lowercase()
        .replace('\'', "")
        .split(|c: char| c.is_whitespace() || c == '_' || c == '-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("_");
    let field = match name.as_str() {
        "child_reference" => Some(Field::Reference),
        "forename" => Some(Field::FirstName),
        "surname" => Some(Field::LastName),
        "rooms" => Some(Field::Room),
        "start_date" => Some(Field::Start),
        "leave_date" => Some(Field::Leave),
        other => Field::of(other),
    };
    Some(if let Some(field) = field {
        Column::Field(field)
    } else if let Some(purpose) = name.strip_suffix("_answered") {
        Column::Answered(purpose.parse().ok()?)
    } else if let Some(purpose) = name.strip_suffix("_valid_until") {
        Column::ValidUntil(purpose.parse().ok()?)
    } else {
        Column::Answer(name.parse().ok()?)
    })
}
