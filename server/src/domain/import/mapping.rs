//! A mapping: how the headings and words of one booking system's export are read. A person writes it as TOML.

use super::cell::{DateOrder, Said};
use super::layout::Field;
use nestwarden_policy_schema::consent::Purpose;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use toml::Spanned;

const MAX_MAPPING_BYTES: usize = 64 * 1024;
const NAME_CHARS: usize = 60;
const WORD_CHARS: usize = 60;
const MAX_WORDS: usize = 200;

/// To begin with, by hand.
pub const EXAMPLE: &str = r#"name = "booking"
# How dates such as 03/04/2026 are written: day_first or month_first. 2026-04-03 is always read.
dates = "day_first"

# Ours = theirs. Needed: reference, first_name, last_name. There are also family, room, days, start, leave, answered and
# valid_until. Columns that no line names are not looked at.
[columns]
reference = "Child ID"
first_name = "First name"
last_name = "Surname"
room = "Room"
leave = "Leaving date"

# One for each column with an answer. Which purposes were parents asked about there?
[[answers]]
column = "Photo permission"
purposes = ["own_learning_journal", "display_in_setting", "website"]
answered = "Permission signed on"

# given, refused, withdrawn or not_given, for all purposes of the column or for each. Other words count as not given.
[answers.words]
"Y" = "given"
"N" = "refused"
"Internal only" = { own_learning_journal = "given", display_in_setting = "given", website = "refused" }
"#;

#[derive(Clone, Debug)]
pub struct Mapping {
    pub name: String,
    pub(super) dates: DateOrder,
    /// The heading of each field.
    pub(super) columns: BTreeMap<Field, String>,
    pub(super) answers: Vec<MappedAnswer>,
}

#[derive(Clone, Debug)]
pub(super) struct MappedAnswer {
    pub column: String,
    pub purposes: BTreeSet<Purpose>,
    /// Headings of the dates of this answer.
    pub answered: Option<String>,
    pub valid_until: Option<String>,
    /// By word in lower case.
    pub words: BTreeMap<String, BTreeMap<Purpose, Said>>,
}

/// One mistake in a mapping.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MappingRefusal {
    pub line: Option<usize>,
    pub key: String,
    pub message: String,
}

impl fmt::Display for MappingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the mapping was refused:\n{}",
    .refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
)]
pub struct MappingError {
    pub refusals: Vec<MappingRefusal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Spanned<String>,
    #[serde(default)]
    dates: Option<Spanned<String>>,
    columns: BTreeMap<String, Spanned<String>>,
    answers: Vec<WrittenAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAnswer {
    column: Spanned<String>,
    purposes: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    answered: Option<Spanned<String>>,
    #[serde(default)]
    valid_until: Option<Spanned<String>>,
    words: BTreeMap<String, Spanned<Meaning>>,
}

/// One meaning for every purpose of the column, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Meaning {
    Same(String),
    Each(BTreeMap<String, String>),
}

impl Mapping {
    /// Reads and validates the whole; every mistake names its line and key.
    pub fn read(text: &str) -> Result<Self, MappingError> {
        if text.len() > MAX_MAPPING_BYTES {
            return Err(MappingError {
                refusals: vec![MappingRefusal {
                    line: None,
                    key: String::new(),
                    message: format!(
                        "the mapping has {} bytes; write at most {MAX_MAPPING_BYTES}",
                        text.len()
                    ),
                }],
            });
        }
        let written: Written = toml::from_str(text).map_err(|error| MappingError {
            refusals: vec![MappingRefusal {
                line: error.span().map(|span| line_at(text, span.start)),
                key: String::new(),
                message: error.message().to_owned(),
            }],
        })?;
        let mut reader = Reader {
            text,
            refusals: Vec::new(),
        };
        let mapping = reader.mapping(&written);
        if reader.refusals.is_empty() {
            return Ok(mapping);
        }
        reader.refusals.sort_by_key(|refusal| refusal.line);
        Err(MappingError {
            refusals: reader.refusals,
        })
    }

    /// As a person reads and edits it. `unknown` marks words whose meaning was only guessed.
    pub(super) fn write(&self, unknown: &BTreeSet<String>) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "name = {}", quoted(&self.name));
        let _ = writeln!(
            text,
            "# How dates such as 03/04/2026 are written: day_first or month_first. 2026-04-03 is always read.\ndates = \"{}\"\n",
            self.dates.as_str()
        );
        text.push_str("# Ours = theirs. Needed: reference, first_name, last_name.\n[columns]\n");
        for (field, column) in &self.columns {
            let _ = writeln!(text, "{} = {}", field.as_str(), quoted(column));
        }
        for answer in &self.answers {
            let purposes: Vec<String> =
                answer.purposes.iter().map(|p| quoted(p.as_str())).collect();
            let _ = writeln!(
                text,
                "\n# One for each column with an answer. Which purposes were parents asked about there?\n[[answers]]\ncolumn = {}\npurposes = [{}]",
                quoted(&answer.column),
                purposes.join(", ")
            );
            for (key, column) in [
                ("answered", &answer.answered),
                ("valid_until", &answer.valid_until),
            ] {
                if let Some(column) = column {
                    let _ = writeln!(text, "{key} = {}", quoted(column));
                }
            }
            text.push_str("# given, refused, withdrawn or not_given; or for each purpose: { website = \"refused\", … }\n[answers.words]\n");
            for (word, meaning) in &answer.words {
                let note = if unknown.contains(word) {
                    "  # we do not know this word: say what it means"
                } else {
                    ""
                };
                let _ = writeln!(text, "{} = {}{note}", quoted(word), written(meaning));
            }
        }
        text
    }
}

/// On one line, as keys must be.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

fn written(meaning: &BTreeMap<Purpose, Said>) -> String {
    let mut said: Vec<Said> = meaning.values().copied().collect();
    said.dedup();
    if let [one] = said[..] {
        return format!("\"{}\"", word_of(one));
    }
    let each: Vec<String> = meaning
        .iter()
        .map(|(purpose, said)| format!("{purpose} = \"{}\"", word_of(*said)))
        .collect();
    format!("{{ {} }}", each.join(", "))
}

pub(super) const fn word_of(said: Said) -> &'static str {
    match said {
        Said::Given => "given",
        Said::Refused => "refused",
        Said::Withdrawn => "withdrawn",
        Said::Nothing | Said::Unclear => "not_given",
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}

fn shown(text: &str) -> String {
    text.chars().take(WORD_CHARS).collect()
}

struct Reader<'t> {
    text: &'t str,
    refusals: Vec<MappingRefusal>,
}

impl Reader<'_> {
    fn refuse<T>(&mut self, at: &Spanned<T>, key: impl Into<String>, message: impl fmt::Display) {
        let key = key.into();
        self.refusals.push(MappingRefusal {
            line: Some(line_at(self.text, at.span().start)),
            message: format!("`{key}` {message}"),
            key,
        });
    }

    fn mapping(&mut self, written: &Written) -> Mapping {
        let name = written.name.get_ref().trim();
        if !is_name(name) {
            let message = format!(
                "is \"{}\"; write 1 to {NAME_CHARS} letters, digits, hyphens or underscores",
                shown(name)
            );
            self.refuse(&written.name, "name", message);
        }
        let mapping = Mapping {
            name: name.to_owned(),
            dates: self.dates(written.dates.as_ref()),
            columns: self.columns(written),
            answers: (0..)
                .zip(&written.answers)
                .map(|(index, answer)| self.answer(index, answer))
                .collect(),
        };
        let mut answered = BTreeSet::new();
        for (index, answer) in written.answers.iter().enumerate() {
            for purpose in answer.purposes.get_ref() {
                if let Ok(known) = purpose.get_ref().parse::<Purpose>()
                    && !answered.insert(known)
                {
                    let key = format!("answers.{index}.purposes");
                    let message = format!(
                        "has {known}, which another column answers already; take it out of one of the two"
                    );
                    self.refuse(purpose, key, message);
                }
            }
        }
        if written.answers.is_empty() {
            self.refuse(
                &written.name,
                "answers",
                "is empty; say at least of one column which purposes it answers",
            );
        }
        mapping
    }

    fn dates(&mut self, written: Option<&Spanned<String>>) -> DateOrder {
        match written.map(|w| (w, w.get_ref().as_str())) {
            None | Some((_, "day_first")) => DateOrder::DayFirst,
            Some((_, "month_first")) => DateOrder::MonthFirst,
            Some((place, other)) => {
                let message = format!("is \"{}\"; write day_first or month_first", shown(other));
                self.refuse(place, "dates", message);
                DateOrder::DayFirst
            }
        }
    }

    fn columns(&mut self, written: &Written) -> BTreeMap<Field, String> {
        let mut columns = BTreeMap::new();
        for (key, column) in &written.columns {
            let path = format!("columns.{key}");
            let Some(field) = Field::of(key) else {
                let message = format!(
                    "is not a field of a register; write one of {}",
                    Field::ALL.map(Field::as_str).join(", ")
                );
                self.refuse(column, path, message);
                continue;
            };
            self.heading(column, &path);
            columns.insert(field, column.get_ref().trim().to_owned());
        }
        for field in Field::NEEDED {
            if !columns.contains_key(&field) {
                let key = format!("columns.{}", field.as_str());
                let message = "is missing; name the column it is read from";
                self.refuse(&written.name, key, message);
            }
        }
        columns
    }

    fn heading(&mut self, column: &Spanned<String>, key: &str) {
        if column.get_ref().trim().is_empty() {
            self.refuse(
                column,
                key,
                "is empty; write the heading as the export has it",
            );
        }
    }

    fn answer(&mut self, index: usize, written: &WrittenAnswer) -> MappedAnswer {
        let key = |field: &str| format!("answers.{index}.{field}");
        self.heading(&written.column, &key("column"));
        for (field, heading) in [
            ("answered", &written.answered),
            ("valid_until", &written.valid_until),
        ] {
            if let Some(heading) = heading {
                self.heading(heading, &key(field));
            }
        }
        let mut purposes = BTreeSet::new();
        for purpose in written.purposes.get_ref() {
            match purpose.get_ref().parse::<Purpose>() {
                Ok(purpose) => {
                    purposes.insert(purpose);
                }
                Err(error) => self.refuse(purpose, key("purposes"), format!("has {error}")),
            }
        }
        if written.purposes.get_ref().is_empty() {
            let message = "is empty; say which purposes parents were asked about";
            self.refuse(&written.purposes, key("purposes"), message);
        }
        if written.words.len() > MAX_WORDS {
            let message = format!("has more than {MAX_WORDS} words; is that a column of answers?");
            self.refuse(&written.column, key("words"), message);
        }
        let words = written
            .words
            .iter()
            .map(|(word, meaning)| {
                let path = key(&format!("words.\"{}\"", shown(word)));
                let said = self.meaning(meaning, &path, &purposes);
                (word.trim().to_lowercase(), said)
            })
            .collect();
        let text = |heading: &Spanned<String>| heading.get_ref().trim().to_owned();
        MappedAnswer {
            column: text(&written.column),
            purposes,
            answered: written.answered.as_ref().map(text),
            valid_until: written.valid_until.as_ref().map(text),
            words,
        }
    }

    fn meaning(
        &mut self,
        written: &Spanned<Meaning>,
        key: &str,
        purposes: &BTreeSet<Purpose>,
    ) -> BTreeMap<Purpose, Said> {
        let each: Vec<(Purpose, &str)> = match written.get_ref() {
            Meaning::Same(said) => purposes.iter().map(|p| (*p, said.as_str())).collect(),
            Meaning::Each(each) => {
                let mut found = Vec::new();
                for (name, said) in each {
                    match name.parse::<Purpose>() {
                        Ok(purpose) if purposes.contains(&purpose) => {
                            found.push((purpose, said.as_str()));
                        }
                        Ok(purpose) => {
                            let message = format!(
                                "has {purpose}, which is not among the purposes of the column"
                            );
                            self.refuse(written, key, message);
                        }
                        Err(error) => self.refuse(written, key, format!("has {error}")),
                    }
                }
                for purpose in purposes {
                    if found.iter().all(|(known, _)| known != purpose) {
                        let message = format!("does not say what it means for {purpose}; add it");
                        self.refuse(written, key, message);
                    }
                }
                found
            }
        };
        let mut meanings = BTreeMap::new();
        for (purpose, word) in each {
            let said = match word {
                "given" => Said::Given,
                "refused" => Said::Refused,
                "withdrawn" => Said::Withdrawn,
                "not_given" => Said::Nothing,
                other => {
                    let message = format!(
                        "is \"{}\"; write given, refused, withdrawn or not_given",
                        shown(other)
                    );
                    self.refuse(written, key, message);
                    return meanings;
                }
            };
            meanings.insert(purpose, said);
        }
        meanings
    }
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS).contains(&name.chars().count())
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
}
