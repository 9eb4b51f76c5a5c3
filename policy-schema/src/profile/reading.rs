//! Reads a profile from TOML. A refusal names the line, the key and its value, and says what to write instead.

use super::{MAX_PROFILE_BYTES, PolicyProfile, ProfileError, Refusal, remedy};
use serde_ignored::Path;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) fn read(text: &str) -> Result<PolicyProfile, ProfileError> {
    if text.len() > MAX_PROFILE_BYTES {
        return Err(one(Refusal {
            line: None,
            key: String::new(),
            message: format!(
                "the profile has {} bytes; write at most {MAX_PROFILE_BYTES}",
                text.len()
            ),
        }));
    }
    let places = Places::of(text).map_err(|error| one(not_toml(text, &error)))?;
    let mut unknown = Vec::new();
    let profile: PolicyProfile = toml::Deserializer::parse(text)
        .and_then(|deserializer| {
            serde_ignored::deserialize(deserializer, |path| unknown.push(key_of(&path)))
        })
        .map_err(|error| one(places.wrong_value(&error)))?;
    let mut refusals: Vec<Refusal> = unknown
        .into_iter()
        .map(|key| Refusal {
            line: places.line_of(&key),
            message: format!(
                "`{key}` is not a key of a profile; look for a misspelling, or take it out"
            ),
            key,
        })
        .collect();
    refusals.extend(profile.refusals().into_iter().map(|refusal| Refusal {
        line: places.line_of(&refusal.key),
        ..refusal
    }));
    if refusals.is_empty() {
        return Ok(profile);
    }
    refusals.sort_by_key(|refusal| refusal.line);
    Err(ProfileError { refusals })
}

fn one(refusal: Refusal) -> ProfileError {
    ProfileError {
        refusals: vec![refusal],
    }
}

fn not_toml(text: &str, error: &toml::de::Error) -> Refusal {
    let line = error.span().map(|span| line_at(text, span.start));
    let written = line
        .and_then(|line| text.lines().nth(line - 1))
        .map(|written| format!("`{}`: ", shortened(written.trim())))
        .unwrap_or_default();
    Refusal {
        line,
        key: String::new(),
        message: format!(
            "{written}this is not TOML ({}); write `key = value`, texts in quotes",
            error.message()
        ),
    }
}

/// The key as written, without the steps that only Rust's types have.
fn key_of(path: &Path<'_>) -> String {
    let below = |parent: &Path<'_>, part: &str| {
        let parent = key_of(parent);
        if parent.is_empty() {
            part.to_owned()
        } else {
            format!("{parent}.{part}")
        }
    };
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => below(parent, &index.to_string()),
        Path::Map { parent, key } => below(parent, key),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => key_of(parent),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

fn shortened(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    if first.chars().count() > 60 {
        first.chars().take(60).chain("…".chars()).collect()
    } else {
        first.to_owned()
    }
}

/// Where each key stands in the text.
struct Places<'t> {
    text: &'t str,
    all: Vec<Place>,
}

struct Place {
    key: String,
    name: Range<usize>,
    value: Range<usize>,
}

impl<'t> Places<'t> {
    fn of(text: &'t str) -> Result<Self, toml::de::Error> {
        let mut all = Vec::new();
        collect_table(DeTable::parse(text)?.get_ref(), "", &mut all);
        Ok(Self { text, all })
    }

    /// The line of a key, or of the nearest one above it.
    fn line_of(&self, key: &str) -> Option<usize> {
        std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0))
            .find_map(|key| self.all.iter().find(|place| place.key == key))
            .map(|place| line_at(self.text, place.name.start))
    }

    /// The smallest key or value around a stretch of the text.
    fn around(&self, span: &Range<usize>) -> Option<&Place> {
        let holds = |outer: &Range<usize>| outer.start <= span.start && span.end <= outer.end;
        self.all
            .iter()
            .filter_map(|place| {
                let around = [&place.value, &place.name];
                let length = around.into_iter().filter(|r| holds(r)).map(Range::len);
                Some((length.min()?, place))
            })
            .min_by_key(|(length, _)| *length)
            .map(|(_, place)| place)
    }

    /// The text below `place` that `message` quotes: errors in lists only know where the list is.
    fn within(&self, place: &Place, message: &str) -> Option<&Place> {
        let below = format!("{}.", place.key);
        self.all
            .iter()
            .filter(|inner| inner.key.starts_with(&below))
            .find(|inner| {
                self.text
                    .get(inner.value.clone())
                    .is_some_and(|value| value.starts_with('"') && message.contains(value))
            })
    }

    fn wrong_value(&self, error: &toml::de::Error) -> Refusal {
        let place = error.span().and_then(|span| self.around(&span));
        let above = place.map_or("", |place| place.key.as_str());
        let missing = error
            .message()
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        if let Some(field) = missing {
            let key = [above, field].join(".").trim_matches('.').to_owned();
            let remedy = remedy::of(&key).unwrap_or("write it");
            return Refusal {
                line: self.line_of(&key),
                message: format!("`{key}` is missing: {remedy}"),
                key,
            };
        }
        let Some(place) = place else {
            return Refusal {
                line: error.span().map(|span| line_at(self.text, span.start)),
                key: String::new(),
                message: error.message().to_owned(),
            };
        };
        let (place, span) = match self.within(place, error.message()) {
            Some(inner) => (inner, inner.value.clone()),
            None => (place, error.span().unwrap_or_default()),
        };
        // An item of a list has no name of its own.
        let name_is_wrong = place.name != place.value
            && place.name.start <= span.start
            && span.end <= place.name.end;
        let message = if name_is_wrong {
            format!("`{}`: {}", place.key, error.message())
        } else {
            let value = self.text.get(place.value.clone()).unwrap_or_default();
            let remedy = remedy::of(&place.key).unwrap_or_else(|| error.message());
            format!("`{}` is {}: {remedy}", place.key, shortened(value))
        };
        Refusal {
            line: Some(line_at(self.text, span.start)),
            key: place.key.clone(),
            message,
        }
    }
}

fn collect_table(table: &DeTable<'_>, above: &str, all: &mut Vec<Place>) {
    for (name, value) in table {
        let key = match above {
            "" => name.get_ref().to_string(),
            above => format!("{above}.{}", name.get_ref()),
        };
        collect(key, name.span(), value, all);
    }
}

fn collect(key: String, name: Range<usize>, value: &Spanned<DeValue<'_>>, all: &mut Vec<Place>) {
    match value.get_ref() {
        DeValue::Table(table) => collect_table(table, &key, all),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(format!("{key}.{index}"), item.span(), item, all);
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
    all.push(Place {
        key,
        name,
        value: value.span(),
    });
}
