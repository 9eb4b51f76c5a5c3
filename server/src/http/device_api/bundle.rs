//! The hanging fetch: answers when there is something newer, when the wait is over, or when the device is no longer
//! welcome.

use crate::http::app::{App, stopping};
use crate::http::auth::{Caller, admitted};
use crate::http::error::ApiError;
use crate::storage::{BundleReport, IssuedBundle, Reported};
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::{Extension, Json};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::device_api::{BundleAnswer, MAX_NONCE_CHARS, MAX_WAIT_S, code};
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::put_back::PutBack;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Deserialize)]
struct Ask {
    after: Generation,
    nonce: String,
    #[serde(default)]
    wait_s: u32,
    /// Of the bundle in force; older agents do not say.
    digest: Option<Digest>,
}

/// For a bundle above what a tablet had before this server's data was put back.
const ISSUING: Duration = Duration::from_secs(10);
/// No copy is so old that a tablet is further ahead of it; a larger number is a mistake.
const FURTHEST_AHEAD: u64 = 1_000_000;

pub(in crate::http) async fn fetch(
    State(app): State<App>,
    Extension(Caller(device)): Extension<Caller>,
    uri: Uri,
) -> Result<Json<BundleAnswer>, ApiError> {
    let ask = ask(&uri)?;
    let report = BundleReport {
        generation: ask.after,
        digest: ask.digest,
        reported_at: app.now(),
    };
    let had = reported(&app, device, &report).await?;
    let mut wait = jittered(ask.wait_s.min(MAX_WAIT_S));
    if had.is_some() {
        app.nudge.now();
        wait = wait.max(ISSUING);
    }
    let deadline = Instant::now() + wait;
    let newest = newest_after(&app, device, ask.after, had, deadline).await?;
    let (generation, holds_digest) = newest
        .as_ref()
        .map_or((Generation::NONE, Digest::ZERO), |bundle| {
            (bundle.generation, bundle.holds_digest)
        });
    let statement = app
        .signer
        .sign_time(device, generation, holds_digest, ask.nonce)
        .await
        .map_err(ApiError::signer)?;
    let bundle = newest
        .filter(|bundle| may_have(bundle, ask.after, had))
        .map(|bundle| bundle.signed);
    Ok(Json(BundleAnswer { statement, bundle }))
}

/// What the tablet had that this server never issued, as long as nobody settled it.
async fn reported(
    app: &App,
    device: DeviceId,
    report: &BundleReport,
) -> Result<Option<PutBack>, ApiError> {
    let newest = app.storage.bundle_newest(device).await;
    let issued = newest
        .map_err(ApiError::internal)?
        .map_or(0, |bundle| bundle.generation.get());
    if report.generation.get().saturating_sub(issued) > FURTHEST_AHEAD {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            code::QUERY_INVALID,
            format!(
                "`after` is {}; this server is at {issued}",
                report.generation
            ),
        ));
    }
    let reported = app.storage.bundle_report(device, report).await;
    match reported.map_err(ApiError::internal)? {
        Reported::Known => Ok(None),
        Reported::NeverIssued(had) => {
            tracing::warn!(device.id = %device, policy.generation = %had.generation, "a tablet had a bundle that was never issued here: this server's data was put back from an earlier copy");
            Ok(Some(had))
        }
    }
}

/// Newer than what the tablet has; and after the data was put back only one that holds it to what it had.
fn may_have(bundle: &IssuedBundle, after: Generation, had: Option<PutBack>) -> bool {
    #[derive(Deserialize)]
    struct Named {
        put_back: Option<PutBack>,
    }
    let names = |had: PutBack| {
        let read = serde_json::from_str::<Named>(&bundle.signed.payload);
        read.is_ok_and(|named| named.put_back == Some(had))
    };
    bundle.generation > after && had.is_none_or(names)
}

/// The newest bundle, as soon as it is newer than `after`, and else when the wait is over.
async fn newest_after(
    app: &App,
    device: DeviceId,
    after: Generation,
    had: Option<PutBack>,
    deadline: Instant,
) -> Result<Option<IssuedBundle>, ApiError> {
    let mut wakes = app.wakes.subscribe(device);
    let mut closing = app.closing.clone();
    loop {
        // Marked as seen before storage is read: what happens from here on wakes again.
        wakes.borrow_and_update();
        admitted(app, device).await?;
        let newest = app
            .storage
            .bundle_newest(device)
            .await
            .map_err(ApiError::internal)?;
        if newest.as_ref().is_some_and(|b| may_have(b, after, had)) {
            return Ok(newest);
        }
        tokio::select! {
            // The sender lives as long as the server.
            _ = wakes.changed() => {}
            () = tokio::time::sleep_until(deadline) => return Ok(newest),
            () = stopping(&mut closing) => return Ok(newest),
        }
    }
}

fn ask(uri: &Uri) -> Result<Ask, ApiError> {
    let invalid =
        |problem: String| ApiError::new(StatusCode::BAD_REQUEST, code::QUERY_INVALID, problem);
    let Query(ask) = Query::<Ask>::try_from_uri(uri).map_err(|e| {
        invalid(format!(
            "write ?after=GENERATION&nonce=TEXT&wait_s=SECONDS: {e}"
        ))
    })?;
    let is_printable = ask.nonce.bytes().all(|b| b.is_ascii_graphic());
    if ask.nonce.is_empty() || ask.nonce.len() > MAX_NONCE_CHARS || !is_printable {
        return Err(invalid(format!(
            "`nonce` must be 1 to {MAX_NONCE_CHARS} printable ASCII characters"
        )));
    }
    Ok(ask)
}

/// Up to a tenth shorter, so that tablets which came back together do not ask again together.
fn jittered(wait_s: u32) -> Duration {
    let mut random = [0; 1];
    // Without randomness there is no jitter, and nothing else is lost.
    let _ = SystemRandom::new().fill(&mut random);
    let whole = Duration::from_secs(u64::from(wait_s));
    whole.saturating_sub(whole / 10 * u32::from(random[0]) / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_shortened_by_at_most_a_tenth() {
        for wait_s in [0, 1, 60, MAX_WAIT_S] {
            let whole = Duration::from_secs(u64::from(wait_s));
            for _ in 0..100 {
                let wait = jittered(wait_s);
                assert!(wait <= whole && wait >= whole * 9 / 10);
            }
        }
    }
}
