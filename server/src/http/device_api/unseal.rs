//! A tablet asks for the key of one sealed file.

use crate::domain::unseal::{self, UnsealError};
use crate::http::app::App;
use crate::http::auth::Caller;
use crate::http::body;
use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use nestwarden_policy_schema::device_api::{UnsealAnswer, UnsealRequest, code};

pub(in crate::http) async fn unseal(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    body: Body,
) -> Result<Json<UnsealAnswer>, ApiError> {
    let request: UnsealRequest = body::json(&app, body).await?;
    if !app.unseals.permits(device) {
        return Err(ApiError::too_many(
            "this tablet asked for too many keys; try again in an hour",
        ));
    }
    let answered = unseal::answer(&app.storage, &app.release, device, &request, app.now()).await;
    let file_key = answered.map_err(refusal)?;
    tracing::info!(device.id = %device, photo.id = %request.photo, "a sealed photo may be opened");
    Ok(Json(UnsealAnswer { file_key }))
}

/// By table: what each refusal is on the wire.
fn refusal(error: UnsealError) -> ApiError {
    let (status, code) = match &error {
        UnsealError::PhotoUnknown(_) => (StatusCode::NOT_FOUND, code::PHOTO_UNKNOWN),
        UnsealError::Refused(_) => (StatusCode::FORBIDDEN, code::UNSEAL_NOT_AUTHORISED),
        UnsealError::Stanzas => (StatusCode::BAD_REQUEST, code::BODY_INVALID),
        UnsealError::Storage(_) => return ApiError::internal(error),
    };
    ApiError::new(status, code, error.to_string())
}
