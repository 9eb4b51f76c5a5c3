//! Reading a request body: bounded in size and time.

use super::app::App;
use super::error::ApiError;
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use nestwarden_policy_schema::device_api::{MAX_BODY_BYTES, code};
use serde::de::DeserializeOwned;

/// How many times the most that is read of an oversized body is dropped, so that its sender gets to read the answer.
const DROPPED_TIMES: usize = 4;

/// Reads a JSON body. Fields it does not know are ignored.
pub(super) async fn json<T: DeserializeOwned>(app: &App, body: Body) -> Result<T, ApiError> {
    let bytes = bytes(app, body, MAX_BODY_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|e| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            code::BODY_INVALID,
            format!("the body is not the JSON this path expects: {e}"),
        )
    })
}

/// Reads at most `most` bytes.
pub(super) async fn bytes(app: &App, body: Body, most: usize) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(app.limits.body, read(body, most))
        .await
        .map_err(|_| {
            ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                code::BODY_TOO_SLOW,
                "the body did not arrive in time; try again, on a better network if there is one",
            )
        })?
}

async fn read(body: Body, most: usize) -> Result<Vec<u8>, ApiError> {
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
        if length <= most {
            bytes.extend_from_slice(&chunk);
        } else if length > most.saturating_mul(DROPPED_TIMES) {
            break;
        }
    }
    if length > most {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            code::BODY_TOO_LARGE,
            format!("the body is larger than {most} bytes; send less at once"),
        ));
    }
    Ok(bytes)
}
