//! The fields of a form (application/x-www-form-urlencoded).

use crate::http::error::ApiError;
use axum::http::StatusCode;
use nestwarden_policy_schema::device_api::code;
use std::str::FromStr;
use zeroize::Zeroizing;

/// More fields than any page has.
const MOST_FIELDS: usize = 200;

/// Fields in the order they were sent.
#[derive(Clone, Default)]
pub(in crate::http) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let fields = form_urlencoded::parse(bytes).into_owned().take(MOST_FIELDS);
        Self(
            fields
                .map(|(key, value)| (key, Zeroizing::new(value)))
                .collect(),
        )
    }

    /// Empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(key, _)| key == name);
        field.map_or("", |(_, value)| value.as_str())
    }

    pub(super) fn secret(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(self.text(name).to_owned())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
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
