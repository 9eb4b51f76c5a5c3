//! What people's listener shows to anyone: that the server runs.

use super::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Checking writes to the database, so nobody can make the server check more often than this.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// No secrets, no names, no counts.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Health {
    live: bool,
    database_writable: bool,
    signer_reachable: bool,
}

#[derive(Default)]
pub(super) struct LastHealth(Mutex<Option<(Instant, Health)>>);

impl Health {
    /// Seconds old at most.
    pub(super) async fn of(app: &App) -> Self {
        let mut last = app.health.0.lock().await;
        match *last {
            Some((at, health)) if at.elapsed() < CHECK_EVERY => health,
            Some(_) | None => {
                let health = check(app).await;
                *last = Some((Instant::now(), health));
                health
            }
        }
    }

    /// Why no tablet is told anything new; `None` where nothing is in the way.
    pub(super) const fn obstacle(self) -> Option<&'static str> {
        if !self.database_writable {
            Some("The server cannot write to its disk.")
        } else if !self.signer_reachable {
            Some("The server's signer does not run.")
        } else {
            None
        }
    }
}

pub(super) async fn health(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let health = Health::of(&app).await;
    let status = if health.database_writable && health.signer_reachable {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(health))
}

async fn check(app: &App) -> Health {
    let written = app.storage.check_writable().await;
    if let Err(error) = &written {
        tracing::error!(%error, "the database cannot be written");
    }
    let signer = app.signer.public_key().await;
    if let Err(error) = &signer {
        tracing::error!(%error, "the signer cannot be reached");
    }
    Health {
        live: true,
        database_writable: written.is_ok(),
        signer_reachable: signer.is_ok(),
    }
}
