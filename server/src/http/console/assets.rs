//! Style, script and sign of the pages. Their addresses change with their content, so that browsers may keep them.

use crate::paper::REPORT_STYLE;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use nestwarden_policy_schema::bytes::Digest;
use std::sync::LazyLock;

/// Reports look in the console as they do by themselves.
static STYLE: LazyLock<String> =
    LazyLock::new(|| format!("{}{REPORT_STYLE}", include_str!("console.css")));
const SCRIPT: &str = include_str!("console.js");
const SIGN: &str = include_str!("console.svg");

pub(super) fn address(path: &str) -> String {
    let content = match path {
        "/console.css" => STYLE.as_str(),
        "/console.js" => SCRIPT,
        _ => SIGN,
    };
    let digest = Digest::sha256(content.as_bytes()).to_string();
    format!("{path}?v={}", &digest[..12])
}

pub(in crate::http) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE.as_str())
}

pub(in crate::http) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

pub(in crate::http) async fn sign() -> Response {
    asset("image/svg+xml", SIGN)
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    let mut response = content.into_response();
    super::page::protect(&mut response);
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        ),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
