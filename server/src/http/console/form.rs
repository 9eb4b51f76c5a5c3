//! The fields of a form, and the file of one that has a file.

use super::multipart;
use crate::http::error::ApiError;
use axum::http::StatusCode;
use nestwarden_policy_schema::device_api::code;
use std::str::FromStr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// More fields than any page has.
const MOST_FIELDS: usize = 2_000;

/// Fields in the order they were sent.
#[derive(Clone, Default)]
pub(in crate::http) struct Form {
    fields: Vec<(String, Zeroizing<String>)>,
    file: Option<Arc<Vec<u8>>>,
}

impl Form {
    /// Without anything in it where no browser writes it so, or where it has more fields than any page: a part of them
    /// could say something else than all do.
    pub(super) fn read(content_type: Option<&str>, bytes: &[u8]) -> Self {
        match content_type.and_then(multipart::boundary) {
            Some(boundary) => Self::read_parts(bytes, boundary).unwrap_or_default(),
            None if form_urlencoded::parse(bytes).nth(MOST_FIELDS).is_some() => Self::default(),
            None => Self {
                fields: form_urlencoded::parse(bytes)
                    .into_owned()
                    .map(|(key, value)| (key, Zeroizing::new(value)))
                    .collect(),
                file: None,
            },
        }
    }

    fn read_parts(bytes: &[u8], boundary: &str) -> Option<Self> {
        let mut form = Self::default();
        for part in multipart::parts(bytes, boundary, MOST_FIELDS)? {
            if !part.is_file {
                let text = std::str::from_utf8(part.content).ok()?.to_owned();
                form.fields
                    .push((part.name.to_owned(), Zeroizing::new(text)));
            } else if !part.content.is_empty() {
                form.file = Some(Arc::new(part.content.to_vec()));
            }
        }
        Some(form)
    }

    /// `None`: none was chosen, or it is empty.
    pub(super) fn file(&self) -> Option<Arc<Vec<u8>>> {
        self.file.clone()
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.fields.iter();
        fields.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(key, _)| key == name);
        field.map_or("", |(_, value)| value.as_str())
    }

    pub(super) fn secret(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(self.text(name).to_owned())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(key, _)| key == name)
    }
}

/// An id or word in an address or a form; what cannot be read is a request no page makes.
pub(super) fn parsed<T: FromStr>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| no_such_page())
}

pub(super) fn no_such_page() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        code::NOT_FOUND,
        "There is no such page. Go back, or start from the overview.",
    )
}

pub(super) fn refused(status: StatusCode, error: impl std::fmt::Display) -> ApiError {
    ApiError::new(status, "refused", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_with_more_fields_than_any_page_has_says_nothing_at_all() {
        let form = |fields: usize| Form::read(None, "a=b&".repeat(fields).as_bytes());
        assert_eq!(form(MOST_FIELDS).text("a"), "b");
        assert_eq!(form(MOST_FIELDS + 1).fields().count(), 0);
    }
}
