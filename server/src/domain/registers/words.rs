//! Names and free text of a line: what people typed into the fields of a form.

use super::Refused;
use jiff::Timestamp;
use nestwarden_policy_schema::text::is_unseen;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of a field in which people tell something.
pub const TEXT_CHARS: usize = 8_000;
/// Of a field that is one line.
pub const LINE_CHARS: usize = 120;

/// By field.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Words(BTreeMap<String, String>);

impl Drop for Words {
    fn drop(&mut self) {
        self.0.values_mut().for_each(zeroize::Zeroize::zeroize);
    }
}

/// Never printed.
impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Words(…)")
    }
}

impl Words {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Empty where nothing was written.
    pub fn of(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// What must not be empty, in several lines if wanted. Characters nobody can see are left out.
    pub fn text(mut self, field: &'static str, text: &str) -> Result<Self, Refused> {
        let seen: String = text
            .chars()
            .filter(|c| !is_unseen(*c) || matches!(c, '\n' | '\t'))
            .collect();
        self.put(field, seen.trim(), TEXT_CHARS)?;
        Ok(self)
    }

    /// Likewise, and may be left out.
    pub fn text_if_any(self, field: &'static str, text: &str) -> Result<Self, Refused> {
        if text.trim().is_empty() {
            return Ok(self);
        }
        self.text(field, text)
    }

    /// One line that must not be empty.
    pub fn line(mut self, field: &'static str, text: &str) -> Result<Self, Refused> {
        let seen: String = text.chars().filter(|c| !is_unseen(*c)).collect();
        self.put(field, seen.trim(), LINE_CHARS)?;
        Ok(self)
    }

    /// Likewise, and may be left out.
    pub fn line_if_any(self, field: &'static str, text: &str) -> Result<Self, Refused> {
        if text.trim().is_empty() {
            return Ok(self);
        }
        self.line(field, text)
    }

    fn put(&mut self, field: &'static str, text: &str, most: usize) -> Result<(), Refused> {
        if text.is_empty() {
            return Err(Refused::at(field, "Fill this in."));
        }
        if text.chars().count() > most {
            return Err(Refused::at(
                field,
                format!("Shorten this to {most} characters."),
            ));
        }
        self.0.insert(field.to_owned(), text.to_owned());
        Ok(())
    }
}

/// What opening a line's words came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    Words(Words),
    Erased {
        at: Timestamp,
        why: String,
    },
    /// The key is another one, or the row was damaged.
    Unreadable,
}

impl Read {
    /// Empty where nothing was written, or it cannot be read.
    pub fn of(&self, field: &str) -> &str {
        match self {
            Self::Words(words) => words.of(field),
            Self::Erased { .. } | Self::Unreadable => "",
        }
    }
}
