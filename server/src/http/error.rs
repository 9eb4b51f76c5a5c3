//! How a request fails: status, stable code, a message for the person who reads it, and a cause for the log.

use super::console::{layout as console, page};
use crate::storage::{Trouble, trouble};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use nestwarden_policy_schema::device_api::{ErrorBody, code};
use nestwarden_policy_schema::id::RequestId;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use uuid::Uuid;

/// Codes that only people's listener uses; tablets' are in the device API.
pub(super) const OPERATOR_REQUIRED: &str = "operator_required";
/// On both listeners: the database cannot be used now. Tablets act by the status.
const STORAGE_UNAVAILABLE: &str = "storage_unavailable";
const REFUSED: &str = "refused";
/// For whoever tries by itself.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("60");

const DEVICE_PATHS: &str = "/device/";
/// What tokens are for.
const ADMIN_PATHS: &str = "/admin/";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// More for programs, beside the three fields every error has.
    details: Option<serde_json::Value>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: None,
            cause: None,
        }
    }

    /// `details`: an object.
    pub(super) fn with(self, details: serde_json::Value) -> Self {
        Self {
            details: Some(details),
            ..self
        }
    }

    /// Somebody must act; the client learns nothing but that, and what to do where the database cannot be used now.
    pub(super) fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let says = match trouble(&cause) {
            Some(Trouble::Busy) => {
                "nothing was changed: the server's database is busy; try again in a minute"
            }
            Some(Trouble::Full) => {
                "nothing was changed: the disk of the server is full; whoever runs it has to make room there first"
            }
            Some(Trouble::Unusable) => {
                "the server cannot write to its disk; tell whoever runs it, and look whether this was kept before you do it again"
            }
            None => {
                return Self {
                    cause: Some(Arc::new(cause)),
                    ..Self::new(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        code::INTERNAL,
                        "the server failed; whoever runs it finds the cause in its log under this request's id",
                    )
                };
            }
        };
        Self {
            cause: Some(Arc::new(cause)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, STORAGE_UNAVAILABLE, says)
        }
    }

    pub(super) fn signer(cause: impl Error + Send + Sync + 'static) -> Self {
        Self {
            cause: Some(Arc::new(cause)),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                code::SIGNER_UNAVAILABLE,
                "the signer cannot be used now; what is in force stays in force, try again later",
            )
        }
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    pub(super) fn too_many(message: &'static str) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            code::TOO_MANY_REQUESTS,
            message,
        )
    }
}

/// Leaves status and error in the response; [`observe`] writes the body.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Around every request: gives it an id, writes the body of its error, and logs its cause once.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let id = RequestId::from_uuid(Uuid::new_v4());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let reads_pages = wants_page(request.headers());
    let reader = if path.starts_with(DEVICE_PATHS) && !reads_pages {
        Reader::Tablet
    } else {
        Reader::Browser
    };
    let mut response = next.run(request).await;
    let error = response.extensions_mut().remove::<ApiError>();
    if let Some(error) = error.or_else(|| of_framework(&response)) {
        log(&error, id, method.as_str(), &path);
        if reads_pages {
            response = console::problem(error.status, &error.message, id).into_response();
            return finish(response, id, reader);
        }
        let body = ErrorBody {
            request_id: id,
            code: error.code.to_owned(),
            message: error.message,
        };
        let mut body = serde_json::json!(body);
        if let (Some(body), Some(serde_json::Value::Object(details))) =
            (body.as_object_mut(), error.details)
        {
            body.extend(details);
        }
        response = (error.status, axum::Json(body)).into_response();
        if error.status == StatusCode::UNAUTHORIZED && path.starts_with(ADMIN_PATHS) {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
    }
    finish(response, id, reader)
}

/// What was refused before a handler saw it: an address or a form that cannot be read. The framework's own words are for
/// programmers.
fn of_framework(response: &Response) -> Option<ApiError> {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let message = match status {
        StatusCode::NOT_FOUND => return Some(nothing_here()),
        StatusCode::BAD_REQUEST => {
            "nothing was changed: this address cannot be read; check it, or start from the overview"
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            "nothing was changed: this is more than is taken here at once; send less"
        }
        _ => {
            "nothing was changed: this could not be read; go back, open the page again, and send it again"
        }
    };
    Some(ApiError::new(status, REFUSED, message))
}

/// A browser that was sent somewhere by a person; programs get JSON.
fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

#[derive(Clone, Copy)]
enum Reader {
    /// Knows none of what protects a browser, and pays for every byte, hundreds of times a day.
    Tablet,
    Browser,
}

/// Every answer leaves with this, whoever made it.
fn finish(mut response: Response, id: RequestId, reader: Reader) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_S);
    }
    match reader {
        Reader::Tablet => return response,
        Reader::Browser => page::protect(&mut response),
    }
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

pub(super) async fn no_such_path() -> ApiError {
    nothing_here()
}

fn nothing_here() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        code::NOT_FOUND,
        "there is nothing at this address; check it, or start from the overview",
    )
}

pub(super) async fn no_such_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        code::NOT_FOUND,
        "nothing at this address is called by this method; open it from the page it belongs to",
    )
}

fn log(error: &ApiError, id: RequestId, method: &str, path: &str) {
    let status = error.status.as_u16();
    let code = error.code;
    if error.status.is_server_error() {
        let cause = error.cause.as_deref().map(chain).unwrap_or_default();
        tracing::error!(request.id = %id, method, path, status, code, cause, "a request failed");
    } else {
        tracing::info!(request.id = %id, method, path, status, code, "a request was refused");
    }
}

fn chain(error: &(dyn Error + Send + Sync)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
