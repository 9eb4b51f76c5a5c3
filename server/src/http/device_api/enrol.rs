//! A tablet becomes known.

use super::{enrolment_error, is_guess};
use crate::domain::enrolment;
use crate::http::app::App;
use crate::http::auth::Connection;
use crate::http::body;
use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::device_api::{EnrolAnswer, EnrolRequest};

pub(in crate::http) async fn enrol(
    State(app): State<App>,
    Extension(connection): Extension<Connection>,
    body: Body,
) -> Result<Json<EnrolAnswer>, ApiError> {
    if app.failures.is_exhausted(&connection.address) {
        return Err(ApiError::too_many(
            "too many refused enrolments from this address; try again in an hour",
        ));
    }
    let request: EnrolRequest = body::json(&app, body).await?;
    let now = app.now();
    let enrolled = enrolment::enrol(&app.storage, &app.ca, &request, now)
        .await
        .map_err(|error| {
            if is_guess(&error) {
                app.failures.permits(connection.address);
            }
            enrolment_error(error)
        })?;
    app.nudge.now();
    tracing::info!(device.id = %enrolled.device.id, "a device enrolled");
    Ok(Json(EnrolAnswer {
        device: enrolled.device.id,
        setting: app.keys.public.setting,
        device_name: enrolled.device.name,
        certificate: Base64(enrolled.issued.certificate),
        ca_certificate: Base64(app.ca.certificate().to_vec()),
        anchors: app.keys.public.anchors(),
        time: now,
    }))
}
