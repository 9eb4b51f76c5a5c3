//! A tablet sends the ciphertext of one reviewed photo.

use crate::domain::subject_access::sending::{self, SendError};
use crate::http::app::App;
use crate::http::auth::Caller;
use crate::http::error::ApiError;
use crate::storage::access::Received;
use crate::storage::received::Incoming;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::device_api::code;
use nestwarden_policy_schema::id::{AccessRequestId, DeviceId, PhotoId};
use serde::Deserialize;
use std::io;
use std::time::Duration;

/// However slow the network: a video of the greatest length at 300 kB a second.
const LONGEST: Duration = Duration::from_hours(1);

#[derive(Deserialize)]
pub(in crate::http) struct Asked {
    request: AccessRequestId,
    photo: PhotoId,
    sha256: Digest,
}

pub(in crate::http) async fn take_in(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let Query(asked) = asked.map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            code::QUERY_INVALID,
            format!("the query is not what this path expects: {error}"),
        )
    })?;
    if !app.exports.permits(device) {
        return Err(ApiError::too_many(
            "this tablet sent too many photos; try again in an hour",
        ));
    }
    let (storage, now) = (&app.storage, app.now());
    let row = sending::authorise(storage, asked.request, device, asked.photo, now)
        .await
        .map_err(refusal)?;
    let most = sending::room(storage, &row, device, asked.photo)
        .await
        .map_err(refusal)?
        .min(app.limits.export_bytes);
    let taken = tokio::time::timeout(LONGEST, read(&app, &asked, device, body, most)).await;
    let incoming = taken.map_err(|_| too_slow())??;
    let received = Received {
        bytes: incoming.bytes(),
        sha256: incoming.digest(),
        at: app.now(),
    };
    if received.sha256 != asked.sha256 {
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            code::EXPORT_DAMAGED,
            "what arrived has another digest than was announced; send it again",
        ));
    }
    on_disk(move || incoming.finish()).await?;
    let kept = sending::received(storage, asked.request, device, asked.photo, received).await;
    if let Err(error) = kept {
        let files = app.files.clone();
        on_disk(move || files.remove(asked.request, device, asked.photo)).await?;
        return Err(refusal(error));
    }
    tracing::info!(device.id = %device, photo.id = %asked.photo, request.id = %asked.request, "a photo was received, encrypted");
    Ok(StatusCode::NO_CONTENT)
}

async fn read(
    app: &App,
    asked: &Asked,
    device: DeviceId,
    body: Body,
    most: u64,
) -> Result<Incoming, ApiError> {
    let (files, request, photo) = (app.files.clone(), asked.request, asked.photo);
    let mut incoming = on_disk(move || files.begin(request, device, photo)).await?;
    let mut chunks = body.into_data_stream();
    loop {
        let next = tokio::time::timeout(app.limits.body, chunks.next()).await;
        let Some(chunk) = next.map_err(|_| too_slow())? else {
            return Ok(incoming);
        };
        let chunk = chunk.map_err(|_| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                code::BODY_INVALID,
                "the body ended before it was whole",
            )
        })?;
        if incoming.bytes() + chunk.len() as u64 > most {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                code::BODY_TOO_LARGE,
                format!("the photo has more than the {most} bytes that may still come"),
            ));
        }
        incoming = on_disk(move || incoming.write(&chunk).map(|()| incoming)).await?;
    }
}

/// Nothing that waits for the disk may hold up other requests.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| {
            let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
            if full.contains(&error.kind()) {
                ApiError::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    code::ACCESS_FULL,
                    "the server's disk is nearly full; it keeps what is left for its records",
                )
            } else {
                ApiError::internal(error)
            }
        })
}

fn too_slow() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        code::BODY_TOO_SLOW,
        "the photo did not arrive in time; try again, on a better network if there is one",
    )
}

/// By table: what each refusal is on the wire.
fn refusal(error: SendError) -> ApiError {
    let (status, code) = match &error {
        SendError::NotOpen(_) => (StatusCode::FORBIDDEN, code::ACCESS_NOT_OPEN),
        SendError::PhotoUnknown(_) => (StatusCode::NOT_FOUND, code::PHOTO_UNKNOWN),
        SendError::NotAsked(_) | SendError::Frozen(_) => {
            (StatusCode::FORBIDDEN, code::PHOTO_NOT_ASKED)
        }
        SendError::Full { .. } => (StatusCode::INSUFFICIENT_STORAGE, code::ACCESS_FULL),
        SendError::Storage(_) => return ApiError::internal(error),
    };
    ApiError::new(status, code, error.to_string())
}
