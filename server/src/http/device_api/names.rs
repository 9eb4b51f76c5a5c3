//! A tablet asks for the names a session's screens need.

use crate::domain::names::{self, NamesError};
use crate::http::app::App;
use crate::http::auth::{self, Caller};
use crate::http::body;
use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use nestwarden_policy_schema::device_api::{NamesAnswer, NamesRequest, code};

pub(in crate::http) async fn of_session(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    body: Body,
) -> Result<Json<NamesAnswer>, ApiError> {
    let request: NamesRequest = body::json(&app, body).await?;
    if !app.names.permits(device) {
        return Err(ApiError::too_many(
            "this tablet asked for names too often; try again in an hour",
        ));
    }
    let device = auth::admitted(&app, device).await?;
    let children = names::of_session(&app.storage, &device, &request, app.now())
        .await
        .map_err(|error| match &error {
            NamesError::TooManyRooms(_) => ApiError::new(
                StatusCode::BAD_REQUEST,
                code::BODY_INVALID,
                error.to_string(),
            ),
            NamesError::Profile(_) | NamesError::Storage(_) => ApiError::internal(error),
        })?;
    Ok(Json(NamesAnswer { children }))
}
