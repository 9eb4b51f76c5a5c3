//! Every tablet.

use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::Revocation;
use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::DeviceId;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Serialize)]
pub(in crate::http) struct DeviceList {
    devices: Vec<DeviceRow>,
}

#[derive(Serialize)]
struct DeviceRow {
    id: DeviceId,
    name: String,
    profile: String,
    rooms: BTreeSet<RoomName>,
    platform: String,
    agent_version: String,
    enrolled_at: Timestamp,
    last_seen_at: Option<Timestamp>,
    revoked: Option<Revocation>,
}

pub(in crate::http) async fn list(State(app): State<App>) -> Result<Json<DeviceList>, ApiError> {
    let devices = app
        .storage
        .device_list()
        .await
        .map_err(ApiError::internal)?
        .into_iter()
        .map(|device| DeviceRow {
            id: device.id,
            name: device.name,
            profile: device.profile,
            rooms: device.rooms,
            platform: device.platform,
            agent_version: device.agent_version,
            enrolled_at: device.enrolled_at,
            last_seen_at: device.last_seen_at,
            revoked: device.revoked,
        })
        .collect();
    Ok(Json(DeviceList { devices }))
}
