//! A tablet fetches a passcode that was set for it.

use crate::domain::passcode::{self, GiveError};
use crate::http::app::App;
use crate::http::auth::Caller;
use crate::http::error::ApiError;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use nestwarden_policy_schema::device_api::{PasscodeAnswer, code};
use nestwarden_policy_schema::id::CommandId;

pub(in crate::http) async fn give(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    Path(command): Path<String>,
) -> Result<Json<PasscodeAnswer>, ApiError> {
    let command: CommandId = command.parse().map_err(|_| refusal(GiveError::Missing))?;
    if !app.passcodes.permits(device) {
        return Err(ApiError::too_many(
            "this tablet asked for passcodes too often; try again in an hour",
        ));
    }
    let given = passcode::give(&app.storage, &app.release, device, command, app.now()).await;
    let answer = given.map_err(refusal)?;
    tracing::info!(device.id = %device, command.id = %command, "a tablet fetched its passcode");
    Ok(Json(answer))
}

/// By table: what each refusal is on the wire.
fn refusal(error: GiveError) -> ApiError {
    let (status, code) = match &error {
        GiveError::Missing => (StatusCode::NOT_FOUND, code::NOT_FOUND),
        GiveError::Over => (StatusCode::GONE, code::PASSCODE_OVER),
        GiveError::Unreadable | GiveError::Storage(_) => return ApiError::internal(error),
    };
    ApiError::new(status, code, error.to_string())
}
