//! What a command answers, as text for people or JSON for programs.

use super::delivery::Delivery;
use crate::domain::import::ImportError;
use nestwarden_policy_schema::text::visible_lines;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::ExitCode;

pub(super) struct Reply {
    json: Value,
    text: String,
    /// Takes the text's place, byte by byte.
    document: Vec<u8>,
    /// For stderr, before the answer.
    narration: String,
    code: u8,
}

impl Reply {
    pub(super) fn new(json: Value, text: impl Into<String>) -> Self {
        Self {
            json,
            text: text.into(),
            document: Vec::new(),
            narration: String::new(),
            code: 0,
        }
    }

    /// A document for a file or another program.
    pub(super) fn document(json: Value, document: Vec<u8>) -> Self {
        Self {
            document,
            ..Self::new(json, String::new())
        }
    }

    /// How far what was done has got, after everything else.
    pub(super) fn delivered(mut self, delivery: &Delivery) -> Self {
        self.json["tablets"] = json!(delivery);
        self.text = format!("{}\n{}", self.text.trim_end(), delivery.words());
        self
    }

    /// The command was understood, and its answer is No.
    pub(super) fn negative(self) -> Self {
        Self { code: 1, ..self }
    }

    pub(super) fn narrate(self, narration: impl Into<String>) -> Self {
        Self {
            narration: narration.into(),
            ..self
        }
    }

    pub(super) fn failure(error: &anyhow::Error) -> Self {
        let mut said = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // A transparent error repeats its source.
            if !said.contains(&cause) {
                said = format!("{said}: {cause}");
            }
        }
        let mut json = json!({ "error": said });
        if let Some(ImportError::Refused { refusals, .. }) = error.downcast_ref() {
            json["refusals"] = json!(refusals);
        }
        Self {
            json,
            text: String::new(),
            document: Vec::new(),
            narration: format!("error: {said}"),
            code: 1,
        }
    }

    /// Nothing is left to do where neither stream can be written.
    pub(super) fn print(self, json: bool) -> ExitCode {
        if !self.narration.is_empty() {
            let narration = visible_lines(&self.narration);
            let _ = writeln!(std::io::stderr().lock(), "{narration}");
        }
        if json {
            line(&self.json.to_string());
        } else if !self.document.is_empty() {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&self.document).and_then(|()| out.flush());
        } else if !self.text.is_empty() {
            line(&visible_lines(self.text.trim_end()));
        }
        ExitCode::from(self.code)
    }
}

/// One line of an answer that comes in several.
pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Rows in columns as wide as they need.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A row of a table.
macro_rules! row {
    ($($cell:expr),+ $(,)?) => { vec![$($cell.to_string()),+] };
}
pub(super) use row;
