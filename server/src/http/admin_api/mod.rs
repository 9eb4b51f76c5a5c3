//! What an operator's token may ask for.

pub(super) mod device;
pub(super) mod import;

use axum::http::{HeaderName, header};

/// OpenAPI 3.1. A test holds it against the router's table.
const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) async fn describe() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION)
}
