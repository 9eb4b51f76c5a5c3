//! What a person agrees to before a mapping counts: what its words mean, and some children as they would be read.

use super::ImportError;
use super::cell::Said;
use super::layout::{Field, Layout, Words};
use super::mapping::{Mapping, word_of};
use super::rows::{self, File};
use super::table::Table;
use crate::storage::{Acceptance, AuditEntry, Changed, SavedMapping, Storage};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{Purpose, RoomName};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const SAMPLES: usize = 3;
/// Where more words than that mean Yes.
const MAX_SAMPLES: usize = 12;

/// How a mapping reads one file.
#[derive(Clone, Debug, Serialize)]
pub struct Reading {
    pub mapping: String,
    /// Whether a person agreed to this mapping before, with another header or other words.
    pub changed: bool,
    pub purposes: Vec<PurposeReading>,
    /// Purposes that no column answers.
    pub unasked: Vec<Purpose>,
    /// Headings the mapping does not look at.
    pub ignored: Vec<String>,
    pub samples: Vec<Sample>,
    #[serde(skip)]
    digest: Digest,
}

#[derive(Clone, Debug, Serialize)]
pub struct PurposeReading {
    pub purpose: Purpose,
    pub column: String,
    /// By what it means: the words that say so.
    pub words: BTreeMap<&'static str, Vec<String>>,
}

/// A child as they would be read. No name: initials are enough to recognise them.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub reference: String,
    pub initials: String,
    pub rooms: String,
    pub leave: Option<Date>,
    pub answers: BTreeMap<Purpose, &'static str>,
    /// Something in the row cannot be read.
    pub refused: bool,
}

impl Reading {
    /// `None`: a person agreed to just this mapping for files with this header.
    pub(super) fn unless_accepted(
        saved: &SavedMapping,
        mapping: &Mapping,
        table: &Table,
    ) -> Result<Option<Self>, ImportError> {
        let digest = digest(&saved.source, &table.header);
        let accepted = saved.accepted.as_ref().map(|a| a.digest);
        if accepted == Some(digest) {
            return Ok(None);
        }
        let layout = Layout::mapped(&table.header, mapping).map_err(ImportError::refused)?;
        // Only what is read is shown, whatever the day.
        let file = rows::read(table, &layout, Date::MAX).map_err(ImportError::refused)?;
        Ok(Some(Self {
            mapping: saved.name.clone(),
            changed: accepted.is_some(),
            purposes: purposes(&layout, table),
            unasked: Purpose::ALL
                .into_iter()
                .filter(|purpose| !layout.purposes().contains(purpose))
                .collect(),
            ignored: ignored(&layout, table),
            samples: samples(&file, &saying_yes(&layout, table)),
            digest,
        }))
    }
}

fn digest(source: &str, header: &[String]) -> Digest {
    let parts: Vec<&[u8]> = std::iter::once(source.as_bytes())
        .chain(header.iter().map(String::as_bytes))
        .collect();
    Digest::of_parts("nestwarden/mapping/v1", &parts)
}

fn purposes(layout: &Layout, table: &Table) -> Vec<PurposeReading> {
    let mut found = Vec::new();
    for column in &layout.answers {
        for &purpose in &column.purposes {
            let mut words: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
            if let Words::Mapped(mapped) = &column.words {
                for (word, meaning) in mapped {
                    let said = meaning.get(&purpose).copied().unwrap_or(Said::Unclear);
                    words.entry(word_of(said)).or_default().push(word.clone());
                }
            }
            found.push(PurposeReading {
                purpose,
                column: table.header.get(column.index).cloned().unwrap_or_default(),
                words,
            });
        }
    }
    found.sort_by_key(|reading| reading.purpose);
    found
}

fn ignored(layout: &Layout, table: &Table) -> Vec<String> {
    let of_answers = layout.answers.iter().flat_map(|a| {
        std::iter::once(&a.index)
            .chain(&a.answered)
            .chain(&a.valid_until)
            .copied()
    });
    let read: Vec<usize> = layout.fields.values().copied().chain(of_answers).collect();
    (0..)
        .zip(&table.header)
        .filter(|(index, _)| !read.contains(index))
        .map(|(_, heading)| heading.clone())
        .collect()
}

/// By reference, a child for each word that means Yes to something.
fn saying_yes<'a>(layout: &Layout, table: &'a Table) -> BTreeSet<&'a str> {
    let mut shown = BTreeSet::new();
    let mut children = BTreeSet::new();
    let Some(reference) = layout.fields.get(&Field::Reference) else {
        return children;
    };
    for row in &table.rows {
        for column in &layout.answers {
            let word = row.cells.get(column.index).map_or("", String::as_str);
            let mut purposes = column.purposes.iter();
            let means_yes = purposes.any(|p| column.words.said(word, *p) == Said::Given);
            if means_yes && shown.insert((column.index, word.trim().to_lowercase())) {
                children.extend(row.cells.get(*reference).map(|cell| cell.trim()));
            }
        }
    }
    children
}

/// A child for each word that lets photos be used first, so that a mistaken one is seen, and then children who answered
/// differently.
fn samples(file: &File, saying_yes: &BTreeSet<&str>) -> Vec<Sample> {
    let mut all: Vec<Sample> = file
        .children
        .iter()
        .map(|listed| Sample {
            reference: listed.reference.clone(),
            initials: initials(&listed.first_name, &listed.last_name),
            rooms: listed
                .rooms
                .as_ref()
                .map(|rooms| {
                    rooms
                        .iter()
                        .map(RoomName::as_str)
                        .collect::<Vec<_>>()
                        .join("/")
                })
                .unwrap_or_default(),
            leave: listed
                .facts
                .as_ref()
                .and_then(|facts| facts.leave.flatten()),
            answers: listed
                .answers
                .iter()
                .map(|(purpose, answered)| (*purpose, word_of(answered.said)))
                .collect(),
            refused: listed.facts.is_none(),
        })
        .collect();
    let mut seen = Vec::new();
    all.sort_by_cached_key(|sample| {
        let is_repeat = seen.contains(&sample.answers);
        seen.push(sample.answers.clone());
        (!saying_yes.contains(sample.reference.as_str()), is_repeat)
    });
    all.truncate(saying_yes.len().clamp(SAMPLES, MAX_SAMPLES));
    all
}

fn initials(first: &str, last: &str) -> String {
    let initial = |name: &str| name.chars().next().map(|c| format!("{c}."));
    [initial(first), initial(last)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

pub async fn find(storage: &Storage, name: &str) -> Result<SavedMapping, ImportError> {
    let found = storage.mapping_find(name).await?;
    found.ok_or_else(|| ImportError::NoMapping(name.chars().take(60).collect()))
}

/// Keeps a mapping, which nobody has agreed to yet; saving the same again changes nothing.
pub async fn apply(
    storage: &Storage,
    source: &str,
    who: &str,
    now: Timestamp,
) -> Result<Mapping, ImportError> {
    let mapping = Mapping::read(source)?;
    let known = storage.mapping_find(&mapping.name).await?;
    if known.is_some_and(|known| known.source == source) {
        return Ok(mapping);
    }
    let saved = SavedMapping {
        name: mapping.name.clone(),
        source: source.to_owned(),
        saved_at: now,
        saved_by: who.to_owned(),
        accepted: None,
    };
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "mapping.apply".to_owned(),
        subject: mapping.name.clone(),
        detail: serde_json::json!({ "digest": Digest::sha256(source.as_bytes()) }),
    };
    storage.mapping_put(&saved, &audit).await?;
    Ok(mapping)
}

/// Notes that a person agreed to how a mapping reads.
pub async fn accept(
    storage: &Storage,
    saved: &SavedMapping,
    reading: &Reading,
    who: &str,
    now: Timestamp,
) -> Result<(), ImportError> {
    let digest = reading.digest;
    let acceptance = Acceptance {
        digest,
        at: now,
        by: who.to_owned(),
    };
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "mapping.accept".to_owned(),
        subject: saved.name.clone(),
        detail: serde_json::json!({ "digest": digest }),
    };
    let done = storage
        .mapping_accept(&saved.name, &saved.source, &acceptance, &audit)
        .await?;
    match done {
        Changed::Yes => Ok(()),
        Changed::Already | Changed::Missing => Err(ImportError::MappingChanged(saved.name.clone())),
    }
}
