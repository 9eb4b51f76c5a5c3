//! A tablet tells how it stands.

use crate::http::app::App;
use crate::http::auth::Caller;
use crate::http::body;
use crate::http::error::ApiError;
use crate::storage::StoredInventory;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use nestwarden_policy_schema::device_api::{Inventory, code};
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::inventory::InventoryAgain;

/// More than there are controls, so that a newer agent may report what this server does not know.
const MAX_CONTROLS: usize = 64;
/// Fifty years.
const MAX_MONTHS: usize = 600;
const MAX_VERSION_CHARS: usize = 120;

pub(in crate::http) async fn put(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let inventory: Inventory = body::json(&app, body).await?;
    check(&inventory)?;
    keep(&app, device, inventory).await
}

/// What the tablet told last still holds, with newer readings.
pub(in crate::http) async fn again(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let again: InventoryAgain = body::json(&app, body).await?;
    let known = app
        .storage
        .inventory_find(device)
        .await
        .map_err(ApiError::internal)?;
    let Some(inventory) = known.and_then(|known| known.inventory.with_readings(&again)) else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            code::INVENTORY_OTHER,
            "these readings are not of what this server has; send the whole inventory",
        ));
    };
    keep(&app, device, inventory).await
}

async fn keep(app: &App, device: DeviceId, inventory: Inventory) -> Result<StatusCode, ApiError> {
    let stored = StoredInventory {
        received_at: app.now(),
        inventory,
    };
    app.storage
        .inventory_put(device, &stored)
        .await
        .map_err(ApiError::internal)?;
    Ok(StatusCode::NO_CONTENT)
}

fn check(inventory: &Inventory) -> Result<(), ApiError> {
    let long = |text: &str| text.chars().nth(MAX_VERSION_CHARS).is_some();
    let problem = if inventory.controls.len() > MAX_CONTROLS {
        "`controls` has more than 64 entries"
    } else if inventory.found_at_enrolment.len() > MAX_MONTHS
        || inventory.found_at_enrolment.keys().any(|key| long(key))
    {
        "`found_at_enrolment` has more than 600 months, or one that is none"
    } else if long(&inventory.agent_version) || long(&inventory.time_zone_data) {
        "`agent_version` or `time_zone_data` is longer than 120 characters"
    } else {
        return Ok(());
    };
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        code::BODY_INVALID,
        problem,
    ))
}
