//! From rows of text to what the file says about each child; every mistake is collected before anything is refused.

use super::Refusal;
use super::cell::{self, DATE_REMEDY, DAYS_REMEDY, ROOM_REMEDY, Said};
use super::table::{Row, Table};
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Day;
use nestwarden_policy_schema::consent::{Purpose, RoomName};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const REFERENCE_CHARS: usize = 80;
const NAME_CHARS: usize = 120;

#[derive(Debug)]
pub(super) struct File {
    pub children: Vec<Listed>,
    /// Purposes that have a column.
    pub purposes: BTreeSet<Purpose>,
    pub unreadable: Vec<Unreadable>,
}

/// A consent value nobody can tell the meaning of: it counts as not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    pub row: usize,
    pub reference: String,
    pub purpose: Purpose,
    pub value: String,
}

#[derive(Debug)]
pub(super) struct Listed {
    pub reference: String,
    pub first_name: String,
    pub last_name: String,
    /// Of this and what follows, `None`: the file has no such column and says nothing.
    pub family: Option<Option<String>>,
    pub rooms: Option<BTreeSet<RoomName>>,
    pub days: Option<BTreeSet<Day>>,
    pub start: Option<Option<Date>>,
    pub leave: Option<Option<Date>>,
    pub answers: BTreeMap<Purpose, Answered>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub said: Said,
    pub on: Option<Date>,
    pub valid_until: Option<Date>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Reference,
    FirstName,
    LastName,
    Family,
    Room,
    Days,
    Start,
    Leave,
    Answered(Option<Purpose>),
    ValidUntil(Option<Purpose>),
    Answer(Purpose),
}

pub(super) fn read(table: &Table, today: Date) -> Result<File, Vec<Refusal>> {
    let columns = columns(&table.header)?;
    let mut refusals = Vec::new();
    let mut unreadable = Vec::new();
    let mut first_rows: BTreeMap<String, usize> = BTreeMap::new();
    let mut children = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let reader = RowReader {
            row,
            header: &table.header,
            columns: &columns,
            today,
        };
        let child = reader.child(&mut refusals, &mut unreadable);
        if let Some(first) = first_rows.insert(child.reference.clone(), row.number)
            && !child.reference.is_empty()
        {
            refusals.push(Refusal::cell(
                row.number,
                reader.name(Column::Reference),
                &child.reference,
                format!("row {first} has the same; every child needs a reference of its own"),
            ));
        }
        children.push(child);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let purposes = columns
        .keys()
        .filter_map(|column| match column {
            Column::Answer(purpose) => Some(*purpose),
            Column::Reference
            | Column::FirstName
            | Column::LastName
            | Column::Family
            | Column::Room
            | Column::Days
            | Column::Start
            | Column::Leave
            | Column::Answered(_)
            | Column::ValidUntil(_) => None,
        })
        .collect();
    Ok(File {
        children,
        purposes,
        unreadable,
    })
}

/// Which column is where.
fn columns(header: &[String]) -> Result<BTreeMap<Column, usize>, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut found: BTreeMap<Column, usize> = BTreeMap::new();
    for (index, name) in header.iter().enumerate() {
        let Some(column) = column(name) else {
            refusals.push(Refusal::cell(
                1,
                name,
                name,
                format!(
                    "is not a column of a register; remove it, or name it reference, first_name, last_name, family, room, days, start, leave, answered, valid_until, or a purpose ({})",
                    Purpose::ALL.map(Purpose::as_str).join(", ")
                ),
            ));
            continue;
        };
        if found.insert(column, index).is_some() {
            refusals.push(Refusal::cell(
                1,
                name,
                name,
                "is there twice; remove one of the two",
            ));
        }
    }
    for (column, name) in [
        (Column::Reference, "reference"),
        (Column::FirstName, "first_name"),
        (Column::LastName, "last_name"),
    ] {
        if !found.contains_key(&column) {
            refusals.push(Refusal {
                row: Some(1),
                column: Some(name.to_owned()),
                value: None,
                remedy: "is missing; add it to the export".to_owned(),
            });
        }
    }
    if refusals.is_empty() && !found.keys().any(|c| matches!(c, Column::Answer(_))) {
        refusals.push(Refusal {
            row: Some(1),
            column: None,
            value: None,
            remedy: format!(
                "there is no column for any purpose; add at least one of {}",
                Purpose::ALL.map(Purpose::as_str).join(", ")
            ),
        });
    }
    for column in found.keys() {
        if let Column::Answered(Some(purpose)) | Column::ValidUntil(Some(purpose)) = column
            && !found.contains_key(&Column::Answer(*purpose))
        {
            refusals.push(Refusal {
                row: Some(1),
                column: Some(purpose.to_string()),
                value: None,
                remedy: "is missing, but there is a date for it; add it to the export".to_owned(),
            });
        }
    }
    if refusals.is_empty() {
        Ok(found)
    } else {
        Err(refusals)
    }
}

fn column(name: &str) -> Option<Column> {
    let name = name
        .to_lowercase()
        .replace('\'', "")
        .split(|c: char| c.is_whitespace() || c == '_' || c == '-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("_");
    Some(match name.as_str() {
        "reference" | "child_reference" => Column::Reference,
        "first_name" | "forename" => Column::FirstName,
        "last_name" | "surname" => Column::LastName,
        "family" => Column::Family,
        "room" | "rooms" => Column::Room,
        "days" => Column::Days,
        "start" | "start_date" => Column::Start,
        "leave" | "leave_date" => Column::Leave,
        "answered" => Column::Answered(None),
        "valid_until" => Column::ValidUntil(None),
        other => {
            if let Some(purpose) = other.strip_suffix("_answered") {
                Column::Answered(Some(purpose.parse().ok()?))
            } else if let Some(purpose) = other.strip_suffix("_valid_until") {
                Column::ValidUntil(Some(purpose.parse().ok()?))
            } else {
                Column::Answer(other.parse().ok()?)
            }
        }
    })
}

struct RowReader<'a> {
    row: &'a Row,
    header: &'a [String],
    columns: &'a BTreeMap<Column, usize>,
    today: Date,
}

impl RowReader<'_> {
    fn child(&self, refusals: &mut Vec<Refusal>, unreadable: &mut Vec<Unreadable>) -> Listed {
        let reference = self.text(Column::Reference, REFERENCE_CHARS, refusals);
        if reference.is_empty() {
            self.refuse(
                Column::Reference,
                "is empty; every child needs the reference the booking system has for them",
                refusals,
            );
        }
        let first_name = self.text(Column::FirstName, NAME_CHARS, refusals);
        let last_name = self.text(Column::LastName, NAME_CHARS, refusals);
        if first_name.is_empty() && last_name.is_empty() {
            self.refuse(
                Column::FirstName,
                "is empty, and so is the last name; write at least one of them",
                refusals,
            );
        }
        let start = self.date(Column::Start, refusals);
        let leave = self.date(Column::Leave, refusals);
        if let Some((start, leave)) = start.zip(leave)
            && leave < start
        {
            self.refuse(
                Column::Leave,
                format!("is before the start on {start}; correct one of the two"),
                refusals,
            );
        }
        let family = self.text(Column::Family, REFERENCE_CHARS, refusals);
        let answers = self.answers(&reference, refusals, unreadable);
        Listed {
            rooms: self.parsed(Column::Room, cell::rooms, ROOM_REMEDY, refusals),
            days: self.parsed(Column::Days, cell::days, DAYS_REMEDY, refusals),
            family: self
                .has(Column::Family)
                .then(|| Some(family).filter(|family| !family.is_empty())),
            reference,
            first_name,
            last_name,
            start: self.has(Column::Start).then_some(start),
            leave: self.has(Column::Leave).then_some(leave),
            answers,
        }
    }

    fn answers(
        &self,
        reference: &str,
        refusals: &mut Vec<Refusal>,
        unreadable: &mut Vec<Unreadable>,
    ) -> BTreeMap<Purpose, Answered> {
        let row_answered = self.answered_on(Column::Answered(None), refusals);
        let row_until = self.date(Column::ValidUntil(None), refusals);
        let mut answers = BTreeMap::new();
        for purpose in Purpose::ALL {
            let Some(value) = self.cell(Column::Answer(purpose)) else {
                continue;
            };
            let said = cell::said(value);
            if said == Said::Unclear {
                unreadable.push(Unreadable {
                    row: self.row.number,
                    reference: reference.to_owned(),
                    purpose,
                    value: value.chars().take(60).collect(),
                });
            }
            let on = self.answered_on(Column::Answered(Some(purpose)), refusals);
            let until = self.date(Column::ValidUntil(Some(purpose)), refusals);
            answers.insert(
                purpose,
                Answered {
                    said,
                    on: on.or(row_answered),
                    valid_until: until.or(row_until),
                },
            );
        }
        answers
    }

    fn has(&self, column: Column) -> bool {
        self.columns.contains_key(&column)
    }

    fn cell(&self, column: Column) -> Option<&str> {
        self.columns
            .get(&column)
            .and_then(|index| self.row.cells.get(*index))
            .map(String::as_str)
    }

    /// The column as the file calls it.
    fn name(&self, column: Column) -> &str {
        self.columns
            .get(&column)
            .and_then(|index| self.header.get(*index))
            .map_or("", String::as_str)
    }

    fn refuse(&self, column: Column, remedy: impl Into<String>, refusals: &mut Vec<Refusal>) {
        refusals.push(Refusal::cell(
            self.row.number,
            self.name(column),
            self.cell(column).unwrap_or_default(),
            remedy,
        ));
    }

    fn text(&self, column: Column, most: usize, refusals: &mut Vec<Refusal>) -> String {
        let text = self.cell(column).unwrap_or_default();
        if text.chars().count() > most {
            self.refuse(column, format!("write at most {most} characters"), refusals);
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn date(&self, column: Column, refusals: &mut Vec<Refusal>) -> Option<Date> {
        let text = self.cell(column).filter(|text| !text.is_empty())?;
        let date = cell::date(text);
        if date.is_none() {
            self.refuse(column, DATE_REMEDY, refusals);
        }
        date
    }

    fn answered_on(&self, column: Column, refusals: &mut Vec<Refusal>) -> Option<Date> {
        let date = self.date(column, refusals)?;
        if date > self.today {
            self.refuse(
                column,
                "is in the future; write the day on which the answer was given",
                refusals,
            );
        }
        Some(date)
    }

    fn parsed<T>(
        &self,
        column: Column,
        parse: fn(&str) -> Option<T>,
        remedy: &str,
        refusals: &mut Vec<Refusal>,
    ) -> Option<T> {
        let parsed = parse(self.cell(column)?);
        if parsed.is_none() {
            self.refuse(column, remedy, refusals);
        }
        parsed
    }
}
