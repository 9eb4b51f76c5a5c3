//! Renewing the tablet's certificate: from half its life on with the certificate itself, after its end with a nonce that
//! the old key signs.

use super::{Connected, SyncContext, SyncError, blocking};
use crate::identity::{DeviceKey, NewIdentity, tls_config};
use crate::sync::server::Server;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::device_api::{
    RENEW_EXPIRED_PATH, RENEW_NONCE_PATH, RENEW_PATH, RenewAnswer, RenewExpiredRequest, RenewNonce,
    RenewRequest, renewal_message,
};
use std::sync::Arc;

/// This long before the end somebody is told that renewing does not work.
const WARN_BEFORE: SignedDuration = SignedDuration::from_hours(14 * 24);
const WARNED_KEY: &str = "warned_of_certificate";

/// Renews if it is time. A failure is an error only once the certificate is no longer good for anything else.
pub(super) async fn when_due(context: &SyncContext) -> Result<(), SyncError> {
    let connection = Arc::clone(&context.connection);
    let connected = blocking(move || connection.connected()).await?;
    let now = context.clock.now().at;
    let identity = &connected.identity;
    if now >= identity.not_after {
        return renew_expired(context, &connected).await;
    }
    if now < identity.renew_from() {
        return Ok(());
    }
    if let Err(error) = renew(context, &connected).await {
        tracing::warn!(%error, "the certificate could not be renewed yet");
        if identity.not_after.duration_since(now) < WARN_BEFORE {
            warn_once(context, identity.not_after, &error).await?;
        }
    }
    Ok(())
}

async fn renew(context: &SyncContext, connected: &Connected) -> Result<(), SyncError> {
    let key = DeviceKey::generate()?;
    let request = RenewRequest {
        csr: Base64(key.request()?),
    };
    let answer: RenewAnswer = connected.server.post(RENEW_PATH, &request).await?;
    install(context, key, answer).await
}

async fn renew_expired(context: &SyncContext, connected: &Connected) -> Result<(), SyncError> {
    let tls = tls_config(connected.anchors.server_pins.clone(), None)?;
    let server = Server::new(&connected.identity.enrolment.server, tls)?;
    let nonce: RenewNonce = server.post_empty(RENEW_NONCE_PATH).await?;
    let key = DeviceKey::generate()?;
    let csr = key.request()?;
    let signature = connected
        .identity
        .key
        .sign(&renewal_message(&nonce.nonce, &csr))?;
    let request = RenewExpiredRequest {
        device: connected.identity.enrolment.device,
        csr: Base64(csr),
        nonce: nonce.nonce,
        signature: Base64(signature),
    };
    let answer: RenewAnswer = server.post(RENEW_EXPIRED_PATH, &request).await?;
    install(context, key, answer).await
}

async fn install(
    context: &SyncContext,
    key: DeviceKey,
    answer: RenewAnswer,
) -> Result<(), SyncError> {
    let connection = Arc::clone(&context.connection);
    blocking(move || {
        let old = connection.connected()?;
        connection.store().install(&NewIdentity {
            key: &key,
            certificate: &answer.certificate.0,
            ca_certificate: &answer.ca_certificate.0,
            enrolment: &old.identity.enrolment,
        })?;
        connection.renew();
        Ok::<_, SyncError>(())
    })
    .await?;
    tracing::info!("the certificate was renewed");
    Ok(())
}

async fn warn_once(
    context: &SyncContext,
    end: Timestamp,
    error: &SyncError,
) -> Result<(), SyncError> {
    let what = format!("the tablet's certificate ends at {end} and could not be renewed: {error}");
    let (ledger, now) = (context.ledger.clone(), context.clock.now().at);
    blocking(move || {
        ledger.transaction(|tx| {
            let end = end.to_string();
            if tx.meta(WARNED_KEY)?.as_deref() != Some(&end) {
                tx.set_meta(WARNED_KEY, &end)?;
                let alarm = nestwarden_policy_schema::event::EventBody::Alarm { what };
                tx.record(now, &alarm)?;
            }
            Ok::<_, SyncError>(())
        })
    })
    .await
}
