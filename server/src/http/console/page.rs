//! Answers with a page, and the headers that keep it to this browser and this console.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::Markup;

/// Nothing from anywhere else, shown in no frame. The browser still names this origin to this origin: without that a
/// form's `Origin` would read `null`.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

pub(in crate::http) struct Page {
    pub(super) status: StatusCode,
    pub(super) markup: Markup,
}

impl From<Markup> for Page {
    fn from(markup: Markup) -> Self {
        Self {
            status: StatusCode::OK,
            markup,
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        let mut response = (self.status, self.markup.into_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, html);
        protect(&mut response);
        response
    }
}

pub(in crate::http) fn protect(response: &mut Response) {
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
}

/// Sends the browser on.
pub(super) fn see(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    protect(&mut response);
    response
}
