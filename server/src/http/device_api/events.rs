//! A tablet tells what happened.

use crate::domain::ingest::{self, IngestError};
use crate::http::app::App;
use crate::http::auth::{self, Caller};
use crate::http::body;
use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use nestwarden_policy_schema::device_api::{EventBatch, EventsAck, code};

pub(in crate::http) async fn take_in(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    body: Body,
) -> Result<Json<EventsAck>, ApiError> {
    let batch: EventBatch = body::json(&app, body).await?;
    let end = ingest::take_in(&app.storage, device, batch, app.now())
        .await
        .map_err(ingest_error)?;
    Ok(Json(EventsAck {
        on_disk: end.seq,
        hash: Some(end.hash),
    }))
}

/// By table: what each refusal of a batch is on the wire.
fn ingest_error(error: IngestError) -> ApiError {
    let (status, code) = match &error {
        IngestError::TooManyEvents(_) => (StatusCode::PAYLOAD_TOO_LARGE, code::BATCH_TOO_LARGE),
        IngestError::Chain(_) => (StatusCode::UNPROCESSABLE_ENTITY, code::EVENT_CHAIN),
        IngestError::HeadMissing | IngestError::Head(_) => {
            (StatusCode::UNPROCESSABLE_ENTITY, code::EVENT_HEAD)
        }
        IngestError::Gap { .. } => (StatusCode::CONFLICT, code::EVENT_GAP),
        IngestError::Conflict { .. } => (StatusCode::CONFLICT, code::EVENT_CONFLICT),
        IngestError::DeviceMissing => return auth::device_unknown(),
        IngestError::Storage(_) => return ApiError::internal(error),
    };
    ApiError::new(status, code, error.to_string())
}
