//! From rows of text to what the file says about each child.
//!
//! Where it is not clear which child a row is about, the file is refused. A row with a value that cannot be read is
//! refused by itself: it may take consent away and gives none. Where it says the child is, the child may be, besides where
//! they were known to be; everything else about them stays as it was.

use super::Refusal;
use super::cell::{self, DAYS_REMEDY, ROOM_REMEDY, Said};
use super::layout::{AnswerColumn, Field, Layout};
use super::table::{Row, Table};
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Day;
use nestwarden_policy_schema::consent::{Purpose, RoomName};
use nestwarden_policy_schema::text::{is_unseen, visible};
use std::collections::{BTreeMap, BTreeSet};

const REFERENCE_CHARS: usize = 80;
const NAME_CHARS: usize = 120;
const UNSEEN_REMEDY: &str = "has characters that cannot be seen, or that turn the reading round; type it again in the booking system";
/// More rows than this with a mistake are more often a wrong file than wrong rows.
const MOST_MISREAD_ROWS: usize = 5;

#[derive(Debug)]
pub(super) struct File {
    pub children: Vec<Listed>,
    /// Purposes that have a column.
    pub purposes: BTreeSet<Purpose>,
    /// Why rows were refused.
    pub refused: Vec<Refusal>,
}

#[derive(Debug)]
pub(super) struct Listed {
    pub row: usize,
    pub reference: String,
    /// `None`: the row was refused.
    pub facts: Option<Facts>,
    /// Rooms and days as far as they can be read, of a refused row, too.
    pub rooms: Option<BTreeSet<RoomName>>,
    pub days: Option<BTreeSet<Day>>,
    /// As written, for a child nobody knows yet.
    pub first_name: String,
    pub last_name: String,
    pub answers: BTreeMap<Purpose, Answered>,
}

/// Where `None`, the file has no such column and says nothing.
#[derive(Clone, Debug)]
#[expect(
    clippy::option_option,
    reason = "a column that is absent and a cell that is empty say different things"
)]
pub(super) struct Facts {
    pub family: Option<Option<String>>,
    pub start: Option<Option<Date>>,
    pub leave: Option<Option<Date>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub said: Said,
    pub on: Option<Date>,
    pub valid_until: Option<Date>,
}

pub(super) fn read(table: &Table, layout: &Layout, today: Date) -> Result<File, Vec<Refusal>> {
    let mut fatal = Vec::new();
    let mut refused = Vec::new();
    let mut misread = 0;
    let mut first_rows: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut children = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let mut reader = RowReader {
            row,
            header: &table.header,
            layout,
            today,
            reference: String::new(),
            misread: Vec::new(),
            unclear: Vec::new(),
        };
        if let Some(refusal) = reader.find_reference() {
            fatal.push(refusal);
            continue;
        }
        let reference = reader.reference.clone();
        let key = reference.to_lowercase();
        if let Some((first, as_written)) = first_rows.get(&key) {
            let remedy = if *as_written == reference {
                format!("row {first} has the same; every child needs a reference of its own")
            } else {
                format!(
                    "row {first} has \"{as_written}\"; references that differ only in upper and lower case cannot be told apart"
                )
            };
            fatal.push(reader.refusal(Field::Reference, remedy));
            continue;
        }
        first_rows.insert(key, (row.number, reference));
        children.push(reader.child());
        misread += usize::from(!reader.misread.is_empty());
        refused.append(&mut reader.misread);
        refused.append(&mut reader.unclear);
    }
    let rows = table.rows.len();
    let wrong_file = misread == rows || (misread > MOST_MISREAD_ROWS && misread * 5 > rows);
    if !fatal.is_empty() || wrong_file {
        fatal.append(&mut refused);
        fatal.sort_by_key(|refusal| refusal.row);
        return Err(fatal);
    }
    Ok(File {
        children,
        purposes: layout.purposes(),
        refused,
    })
}

struct RowReader<'a> {
    row: &'a Row,
    header: &'a [String],
    layout: &'a Layout,
    today: Date,
    reference: String,
    /// Values that are wrong.
    misread: Vec<Refusal>,
    /// Answers nobody can tell the meaning of.
    unclear: Vec<Refusal>,
}

impl RowReader<'_> {
    /// Why there is none.
    fn find_reference(&mut self) -> Option<Refusal> {
        let text = self.cell(Field::Reference).unwrap_or_default();
        let reference = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if reference.is_empty() {
            let remedy =
                "is empty; every child needs the reference the booking system has for them";
            return Some(self.refusal(Field::Reference, remedy));
        }
        if reference.chars().any(is_unseen) {
            return Some(self.refusal(Field::Reference, UNSEEN_REMEDY));
        }
        if reference.chars().count() > REFERENCE_CHARS {
            let remedy = format!("write at most {REFERENCE_CHARS} characters");
            return Some(self.refusal(Field::Reference, remedy));
        }
        self.reference = reference;
        None
    }

    fn child(&mut self) -> Listed {
        let first_name = self.text(Field::FirstName, NAME_CHARS);
        let last_name = self.text(Field::LastName, NAME_CHARS);
        if first_name.is_empty() && last_name.is_empty() {
            let remedy = "is empty, and so is the last name; write at least one of them";
            self.misread(Field::FirstName, remedy);
        }
        let start = self.date(Field::Start);
        let leave = self.date(Field::Leave);
        if let Some((start, leave)) = start.flatten().zip(leave.flatten())
            && leave < start
        {
            let remedy = format!("is before the start on {start}; correct one of the two");
            self.misread(Field::Leave, remedy);
        }
        let family = self.has(Field::Family).then(|| {
            let family = self.text(Field::Family, REFERENCE_CHARS);
            Some(family).filter(|family| !family.is_empty())
        });
        let rooms = self.parsed(Field::Room, cell::rooms, ROOM_REMEDY);
        let days = self.parsed(Field::Days, cell::days, DAYS_REMEDY);
        let mut answers = self.answers();
        let refused = !self.misread.is_empty() || !self.unclear.is_empty();
        if refused {
            answers.retain(|_, answered| answered.said != Said::Given);
        }
        Listed {
            row: self.row.number,
            reference: self.reference.clone(),
            facts: (!refused).then_some(Facts {
                family,
                start,
                leave,
            }),
            rooms,
            days,
            first_name,
            last_name,
            answers,
        }
    }

    fn answers(&mut self) -> BTreeMap<Purpose, Answered> {
        let mut answers = BTreeMap::new();
        for column in &self.layout.answers {
            let answered = self.first_date(&column.answered);
            if answered.is_some_and(|(_, date)| date > self.today)
                && let Some((index, _)) = answered
            {
                let remedy = "is in the future; write the day on which the answer was given";
                self.misread_at(index, remedy);
            }
            let on = answered
                .map(|(_, date)| date)
                .filter(|date| *date <= self.today);
            let valid_until = self.first_date(&column.valid_until).map(|(_, date)| date);
            for &purpose in &column.purposes {
                let said = self.said(column, purpose);
                answers.insert(
                    purpose,
                    Answered {
                        said,
                        on,
                        valid_until,
                    },
                );
            }
        }
        answers
    }

    fn said(&mut self, column: &AnswerColumn, purpose: Purpose) -> Said {
        let word = self.row.cells.get(column.index).map_or("", String::as_str);
        let said = column.words.said(word, purpose);
        if said == Said::Unclear {
            let refusal = self.refusal_at(
                column.index,
                "is not a word we know, so it counts as not given; write Yes, No, Withdrawn or nothing, or say in a mapping what it means",
            );
            // Said once, however many purposes the column answers.
            if !self.unclear.contains(&refusal) {
                self.unclear.push(refusal);
            }
        }
        said
    }

    fn has(&self, field: Field) -> bool {
        self.layout.fields.contains_key(&field)
    }

    fn cell(&self, field: Field) -> Option<&str> {
        let index = self.layout.fields.get(&field)?;
        self.row.cells.get(*index).map(String::as_str)
    }

    fn refusal(&self, field: Field, remedy: impl Into<String>) -> Refusal {
        match self.layout.fields.get(&field) {
            Some(index) => self.refusal_at(*index, remedy),
            None => Refusal::heading(field.as_str(), remedy),
        }
    }

    fn refusal_at(&self, index: usize, remedy: impl Into<String>) -> Refusal {
        let column = self.header.get(index).map_or("", String::as_str);
        let value = self.row.cells.get(index).map_or("", String::as_str);
        Refusal {
            reference: Some(self.reference.clone()).filter(|r| !r.is_empty()),
            ..Refusal::cell(self.row.number, column, value, remedy)
        }
    }

    fn misread(&mut self, field: Field, remedy: impl Into<String>) {
        let refusal = self.refusal(field, remedy);
        self.misread.push(refusal);
    }

    /// Said once, however many answers rest on the cell.
    fn misread_at(&mut self, index: usize, remedy: impl Into<String>) {
        let refusal = self.refusal_at(index, remedy);
        if !self.misread.contains(&refusal) {
            self.misread.push(refusal);
        }
    }

    fn text(&mut self, field: Field, most: usize) -> String {
        let text = self.cell(field).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().any(is_unseen) {
            self.misread(field, UNSEEN_REMEDY);
            return visible(&text).chars().take(most).collect();
        }
        if text.chars().count() > most {
            self.misread(field, format!("write at most {most} characters"));
            return text.chars().take(most).collect();
        }
        text
    }

    #[expect(clippy::option_option, reason = "as in the facts")]
    fn date(&mut self, field: Field) -> Option<Option<Date>> {
        let index = *self.layout.fields.get(&field)?;
        Some(self.date_at(index))
    }

    fn date_at(&mut self, index: usize) -> Option<Date> {
        let text = self.row.cells.get(index).filter(|text| !text.is_empty())?;
        let date = cell::date(text, self.layout.dates);
        if date.is_none() {
            self.misread_at(index, self.layout.dates.remedy());
        }
        date
    }

    fn first_date(&mut self, indices: &[usize]) -> Option<(usize, Date)> {
        // Each is read, so that a mistake in one that does not count is told, too.
        let dates: Vec<(usize, Option<Date>)> = indices
            .iter()
            .map(|index| (*index, self.date_at(*index)))
            .collect();
        dates
            .into_iter()
            .find_map(|(index, date)| Some((index, date?)))
    }

    fn parsed<T>(&mut self, field: Field, parse: fn(&str) -> Option<T>, remedy: &str) -> Option<T> {
        let parsed = parse(self.cell(field)?);
        if parsed.is_none() {
            self.misread(field, remedy);
        }
        parsed
    }
}
