//! A tablet gets its next certificate: with the one in use, or, past its expiry, by proving that it has its key.

use super::{enrolment_error, is_guess};
use crate::domain::enrolment;
use crate::http::app::App;
use crate::http::auth::{Caller, Connection};
use crate::http::body;
use crate::http::error::ApiError;
use crate::signing::ca::Issued;
use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::device_api::{
    RenewAnswer, RenewExpiredRequest, RenewNonce, RenewRequest,
};
use nestwarden_policy_schema::id::DeviceId;

const TOO_MANY_RENEWALS: &str = "this device renewed too often; try again in an hour";

pub(in crate::http) async fn renew(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    body: Body,
) -> Result<Json<RenewAnswer>, ApiError> {
    let request: RenewRequest = body::json(&app, body).await?;
    if !app.renewals.permits(device) {
        return Err(ApiError::too_many(TOO_MANY_RENEWALS));
    }
    let issued = enrolment::renew(&app.storage, &app.ca, device, &request.csr.0, app.now())
        .await
        .map_err(enrolment_error)?;
    Ok(answer(&app, device, issued))
}

pub(in crate::http) async fn nonce(
    State(app): State<App>,
    Extension(connection): Extension<Connection>,
) -> Result<Json<RenewNonce>, ApiError> {
    if !app.nonces.permits(connection.address) {
        return Err(ApiError::too_many(
            "too many renewals from this address; try again in an hour",
        ));
    }
    let nonce = enrolment::renewal_nonce(&app.storage, app.now())
        .await
        .map_err(enrolment_error)?;
    Ok(Json(RenewNonce { nonce }))
}

pub(in crate::http) async fn renew_expired(
    State(app): State<App>,
    Extension(connection): Extension<Connection>,
    body: Body,
) -> Result<Json<RenewAnswer>, ApiError> {
    if app.failures.is_exhausted(&connection.address) {
        return Err(ApiError::too_many(
            "too many refused renewals from this address; try again in an hour",
        ));
    }
    let request: RenewExpiredRequest = body::json(&app, body).await?;
    let issued = enrolment::renew_expired(&app.storage, &app.ca, &request, app.now())
        .await
        .map_err(|error| {
            if is_guess(&error) {
                app.failures.permits(connection.address);
            }
            enrolment_error(error)
        })?;
    Ok(answer(&app, request.device, issued))
}

fn answer(app: &App, device: DeviceId, issued: Issued) -> Json<RenewAnswer> {
    tracing::info!(device.id = %device, "a device renewed its certificate");
    Json(RenewAnswer {
        certificate: Base64(issued.certificate),
        ca_certificate: Base64(app.ca.certificate().to_vec()),
    })
}
