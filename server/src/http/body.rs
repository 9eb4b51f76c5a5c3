//! Reading a request body: bounded in size and time.

use super::app::App;
use super::error::ApiError;
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use nestwarden_policy_schema::device_api::{MAX_BODY_BYTES, code};
use serde::de::DeserializeOwned;

/// How much of an oversized body is read and dropped, so that its sender gets to read the answer.
const MAX_DROPPED_BYTES: usize = 4 * MAX_BODY_BYTES;

/// Reads a JSON body. Fields it does not know are ignored.
pub(super) async fn json<T: DeserializeOwned>(app: &App, body: Body) -> Result<T, ApiError> {
    let bytes = tokio::time::timeout(app.limits.body, read(body))
        .await
        .map_err(|_| {
            ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                code::BODY_TOO_SLOW,
                "the body did not arrive in time; try again, on a better network if there is one",
            )
        })??;
    serde_json::from_slice(&bytes).map_err(|e| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            code::BODY_INVALID,
            format!("the body is not the JSON this path expects: {e}"),
        )
    })
}

async fn read(body: Body) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                code::BODY_INVALID,
                "the body ended before it was whole",
            )
        })?;
        length = length.saturating_add(chunk.len());
        if length <= MAX_BODY_BYTES {
            bytes.extend_from_slice(&chunk);
        } else if length > MAX_DROPPED_BYTES {
            break;
        }
    }
    if length > MAX_BODY_BYTES {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            code::BODY_TOO_LARGE,
            format!("the body is larger than {MAX_BODY_BYTES} bytes; send less at once"),
        ));
    }
    Ok(bytes)
}
