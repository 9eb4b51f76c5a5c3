//! A register as JSON, as another program sends it. It is read by the rules of the CSV file: each child becomes a row.
//!
//! `{"children": [{"reference", "first_name", "last_name", "family"?, "rooms"?: [], "days"?: [], "start"?, "leave"?,
//! "answers": {"website": {"answer", "answered"?, "valid_until"?}}}]}`. An answer may be its word alone. Where no child
//! has a key, the import says nothing about it; where some have, it is empty for the others.

use super::table::{Row, Table};
use super::{By, Consent, ImportError, Outcome, Refusal, run_table, summary};
use crate::storage::{ImportKey, Storage};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::Purpose;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// As in a CSV file.
const MAX_CHILDREN: usize = 20_000;
const MAX_CELL_CHARS: usize = 1_000;
const TEXTS: [&str; 6] = [
    "reference",
    "first_name",
    "last_name",
    "family",
    "start",
    "leave",
];
const LISTS: [(&str, &str); 2] = [("rooms", "room"), ("days", "days")];
const ANSWER_KEYS: [&str; 3] = ["answer", "answered", "valid_until"];

/// What became of an import under a key.
#[derive(Debug)]
pub enum Sent {
    Now(Box<Outcome>),
    /// It was made before; this was the answer.
    Before(Value),
    /// Something else was imported under this key.
    KeyReused,
}

/// Imports what was sent. The same body under the same key is imported once.
pub async fn run_json(
    storage: &Storage,
    body: &[u8],
    key: &str,
    consent: Consent,
    by: By<'_>,
    now: Timestamp,
) -> Result<Sent, ImportError> {
    let digest = Digest::sha256(body);
    if let Some(made) = storage.import_key_find(key).await? {
        if made.body != digest {
            return Ok(Sent::KeyReused);
        }
        // What is only tried is not said to be made, although it was before.
        if !consent.dry_run {
            return Ok(Sent::Before(made.answer));
        }
    }
    let table = table_of(body).map_err(ImportError::refused)?;
    let remembered = |plan: &super::Plan| ImportKey {
        key: key.to_owned(),
        body: digest,
        at: now,
        answer: {
            let mut told = plan.clone();
            told.refused = told.refused.into_iter().map(placed).collect();
            summary(&told, true, false, None)
        },
    };
    let done = run_table(
        storage,
        &table,
        digest,
        None,
        consent,
        by,
        Some(&remembered),
        now,
    )
    .await;
    match done {
        Ok(mut outcome) => {
            outcome.plan.refused = outcome.plan.refused.into_iter().map(placed).collect();
            Ok(Sent::Now(Box::new(outcome)))
        }
        Err(ImportError::Refused { refusals, more }) => Err(ImportError::Refused {
            refusals: refusals.into_iter().map(placed).collect(),
            more,
        }),
        Err(other) => Err(other),
    }
}

/// With a path in the body instead of row and column.
fn placed(refusal: Refusal) -> Refusal {
    let place = refusal.column.as_deref().map(place_of).unwrap_or_default();
    let path = match refusal.row {
        // Of the header: about every child.
        Some(1) => Some(format!("children[]{place}")),
        Some(row) => Some(format!("children[{}]{place}", row.saturating_sub(2))),
        None => refusal.path.clone(),
    };
    Refusal {
        path,
        row: None,
        column: None,
        ..refusal
    }
}

fn place_of(column: &str) -> String {
    let list = LISTS.iter().find(|(_, name)| *name == column);
    if let Some((key, _)) = list {
        return format!(".{key}");
    }
    for (ending, key) in [("_answered", "answered"), ("_valid_until", "valid_until")] {
        if let Some(purpose) = column.strip_suffix(ending) {
            return format!(".answers.{purpose}.{key}");
        }
    }
    if column.parse::<Purpose>().is_ok() {
        return format!(".answers.{column}");
    }
    format!(".{column}")
}

fn at(path: impl Into<String>, value: &Value, remedy: impl Into<String>) -> Refusal {
    let shown = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    Refusal {
        path: Some(path.into()),
        value: Some(shown.chars().take(60).collect()),
        ..Refusal::file(remedy)
    }
}

fn table_of(body: &[u8]) -> Result<Table, Vec<Refusal>> {
    let whole = |remedy: String| vec![Refusal::file(remedy)];
    let value: Value = serde_json::from_slice(body).map_err(|e| {
        whole(format!(
            "the body is not JSON: {e}; send {{\"children\": […]}}"
        ))
    })?;
    let Value::Object(top) = &value else {
        return Err(whole("send an object: {\"children\": […]}".to_owned()));
    };
    if let Some((key, value)) = top.iter().find(|(key, _)| *key != "children") {
        return Err(vec![at(
            key,
            value,
            "is not a key of an import; send `children` only",
        )]);
    }
    let Some(Value::Array(children)) = top.get("children") else {
        return Err(whole(
            "`children` is missing or no list; send {\"children\": […]}".to_owned(),
        ));
    };
    if children.is_empty() {
        return Err(whole(
            "`children` is empty; send every child of the setting".to_owned(),
        ));
    }
    if children.len() > MAX_CHILDREN {
        return Err(whole(format!(
            "`children` has {} entries; send at most {MAX_CHILDREN}",
            children.len()
        )));
    }
    let mut refusals = Vec::new();
    let cells: Vec<BTreeMap<String, String>> = children
        .iter()
        .enumerate()
        .map(|(index, child)| {
            let mut reader = ChildReader {
                path: format!("children[{index}]"),
                cells: BTreeMap::new(),
                refusals: &mut refusals,
            };
            reader.child(child);
            reader.cells
        })
        .collect();
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let header: BTreeSet<String> = cells
        .iter()
        .flat_map(|cells| cells.keys().cloned())
        .collect();
    let rows = (2..)
        .zip(&cells)
        .map(|(number, cells)| Row {
            number,
            cells: header
                .iter()
                .map(|h| cells.get(h).cloned().unwrap_or_default())
                .collect(),
        })
        .collect();
    Ok(Table {
        header: header.into_iter().collect(),
        rows,
    })
}

struct ChildReader<'a> {
    path: String,
    /// By the column that a file would have it in.
    cells: BTreeMap<String, String>,
    refusals: &'a mut Vec<Refusal>,
}

impl ChildReader<'_> {
    fn refuse(&mut self, place: &str, value: &Value, remedy: impl Into<String>) {
        self.refusals
            .push(at(format!("{}{place}", self.path), value, remedy));
    }

    fn child(&mut self, child: &Value) {
        let Value::Object(child) = child else {
            self.refuse("", child, "is not a child; send an object");
            return;
        };
        for (key, value) in child {
            if TEXTS.contains(&key.as_str()) {
                self.text(&format!(".{key}"), key, value);
            } else if let Some((_, column)) = LISTS.iter().find(|(name, _)| name == key) {
                self.list(key, column, value);
            } else if key == "answers" {
                self.answers(value);
            } else {
                let known = TEXTS.iter().copied().chain(["rooms", "days", "answers"]);
                let known = known.collect::<Vec<_>>().join(", ");
                self.refuse(
                    &format!(".{key}"),
                    value,
                    format!("is not a key of a child; send {known}"),
                );
            }
        }
    }

    fn text(&mut self, place: &str, column: &str, value: &Value) {
        let text = if value.is_null() {
            Some("")
        } else {
            value.as_str()
        };
        let Some(text) = text.filter(|text| text.chars().count() <= MAX_CELL_CHARS) else {
            let remedy = format!("send a text of at most {MAX_CELL_CHARS} characters");
            self.refuse(place, value, remedy);
            return;
        };
        self.cells.insert(column.to_owned(), text.trim().to_owned());
    }

    fn list(&mut self, key: &str, column: &str, value: &Value) {
        let place = format!(".{key}");
        let Value::Array(items) = value else {
            self.refuse(&place, value, "send a list of texts");
            return;
        };
        let mut texts = Vec::new();
        for item in items {
            match item.as_str() {
                Some(text) if !text.contains(['/', '|', ';']) => texts.push(text),
                Some(_) | None => {
                    self.refuse(&place, item, "send a list of texts without / | or ;");
                    return;
                }
            }
        }
        self.text(&place, column, &Value::String(texts.join("/")));
    }

    fn answers(&mut self, value: &Value) {
        let Value::Object(answers) = value else {
            self.refuse(".answers", value, "send an object: {\"website\": \"Yes\"}");
            return;
        };
        for (name, answer) in answers {
            let place = format!(".answers.{name}");
            match name.parse::<Purpose>() {
                Ok(purpose) => self.answer(&place, purpose, answer),
                Err(error) => self.refuse(&place, answer, error.to_string()),
            }
        }
    }

    fn answer(&mut self, place: &str, purpose: Purpose, value: &Value) {
        let Value::Object(answer) = value else {
            self.text(place, purpose.as_str(), value);
            return;
        };
        self.unknown_keys(place, answer);
        for key in ANSWER_KEYS {
            let column = match key {
                "answer" => purpose.to_string(),
                date => format!("{purpose}_{date}"),
            };
            match answer.get(key) {
                Some(value) => self.text(&format!("{place}.{key}"), &column, value),
                None if key == "answer" => self.text(place, &column, &Value::Null),
                None => {}
            }
        }
    }

    fn unknown_keys(&mut self, place: &str, answer: &Map<String, Value>) {
        for (key, value) in answer {
            if !ANSWER_KEYS.contains(&key.as_str()) {
                let remedy = format!("is not a key of an answer; send {}", ANSWER_KEYS.join(", "));
                self.refuse(&format!("{place}.{key}"), value, remedy);
            }
        }
    }
}
