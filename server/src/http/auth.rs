//! Who makes a request: a tablet by its certificate, an operator by a token. The router's table says which is needed.

use super::app::{App, Rate};
use super::error::{ApiError, OPERATOR_REQUIRED};
use crate::domain::api_token::{self, Judged};
use crate::signing::ca::Peer;
use crate::storage::{Device, Operator, Scope};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use nestwarden_policy_schema::device_api::code;
use nestwarden_policy_schema::enrol_link::is_token;
use nestwarden_policy_schema::id::DeviceId;
use std::net::IpAddr;

/// What is known of a connection before its first request.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) address: IpAddr,
    /// Its certificate chains to the device CA. It may have expired since, and the device may be revoked.
    pub(super) peer: Option<Peer>,
}

/// The device that makes the request: known, not revoked, its certificate in date.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller(pub(super) DeviceId);

/// The operator whose token came with the request.
#[derive(Clone, Debug)]
pub(super) struct Person(pub(super) Operator);

/// Where the request comes from, as far as it can be believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientAddress(pub(super) Option<IpAddr>);

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Around every request. What a header says of an address counts only from the proxy that was named in the settings, and of
/// what it says only what it added itself, which is the last.
pub(super) async fn know_client(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = client_address(&app, &request);
    request.extensions_mut().insert(ClientAddress(address));
    next.run(request).await
}

fn client_address(app: &App, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<Connection>().map(|c| c.address);
    if peer.is_none() || peer != app.console.proxy {
        return peer;
    }
    let headers = request.headers().get_all(FORWARDED_FOR).into_iter();
    let said = headers
        .filter_map(|header| header.to_str().ok())
        .next_back();
    let last = said.and_then(|said| said.rsplit(',').next());
    last.and_then(|last| last.trim().parse().ok()).or(peer)
}

/// What people try to come in by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    SignIn,
    Link,
    Token,
}

/// A try while it is judged: of an address not many at once, and after too many refused ones none for a while.
pub(super) struct Caught {
    app: App,
    door: Door,
    address: Option<IpAddr>,
}

impl Caught {
    pub(super) fn of(
        app: &App,
        door: Door,
        ClientAddress(address): ClientAddress,
    ) -> Result<Self, ApiError> {
        if let Some(address) = address {
            if door.refused(app).is_exhausted(&address) {
                return Err(ApiError::too_many(
                    "too many refused tries from this address; try again in an hour",
                ));
            }
            if !app.judging.begin(address) {
                return Err(ApiError::too_many(
                    "others are trying from this address at this moment; try again in a few seconds",
                ));
            }
        }
        Ok(Self {
            app: app.clone(),
            door,
            address,
        })
    }

    pub(super) fn count(&self) {
        if let Some(address) = self.address {
            self.door.refused(&self.app).permits(address);
        }
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.app.judging.end(address);
        }
    }
}

impl Door {
    fn refused(self, app: &App) -> &Rate<IpAddr> {
        match self {
            Self::SignIn => &app.refused_sign_ins,
            Self::Link => &app.refused_links,
            Self::Token => &app.refused_tokens,
        }
    }
}

pub(super) async fn require_device(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let peer = request
        .extensions()
        .get::<Connection>()
        .and_then(|connection| connection.peer.clone())
        .ok_or_else(|| certificate_required("send the certificate given at enrolment"))?;
    let now = app.now();
    if peer.not_after <= now {
        return Err(certificate_required(
            "the certificate has expired; renew it with its key",
        ));
    }
    admitted(&app, peer.device).await?;
    if let Err(error) = app.storage.device_seen(peer.device, now).await {
        tracing::warn!(device.id = %peer.device, %error, "failed to note that a device was heard from");
    }
    request.extensions_mut().insert(Caller(peer.device));
    Ok(next.run(request).await)
}

/// Whether a device may be answered at this moment.
pub(super) async fn admitted(app: &App, device: DeviceId) -> Result<Device, ApiError> {
    let found = app.storage.device_find(device).await;
    match found.map_err(ApiError::internal)? {
        None => Err(device_unknown()),
        Some(device) if device.revoked.is_some() => Err(device_revoked()),
        Some(device) => Ok(device),
    }
}

pub(super) fn device_unknown() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        code::DEVICE_UNKNOWN,
        "this device is not enrolled here; enrol it again with a new token",
    )
}

pub(super) fn device_revoked() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        code::DEVICE_REVOKED,
        "this device was revoked; enrol it again with a new token",
    )
}

pub(super) async fn require_token(
    State((app, scope)): State<(App, Scope)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let address = request.extensions().get::<ClientAddress>().copied();
    let tries = Caught::of(&app, Door::Token, address.unwrap_or(ClientAddress(None)))?;
    // Found by digest: how long that takes says nothing about the token.
    let judged = match bearer_token(request.headers()) {
        Some(token) => api_token::judge(&app.storage, token, scope, app.now())
            .await
            .map_err(ApiError::internal)?,
        None => Judged::Unknown,
    };
    // Who shows a token that was good once, guessed nothing.
    let operator = match judged {
        Judged::Good(operator) => operator,
        Judged::Unknown => {
            tries.count();
            return Err(unauthorized(
                OPERATOR_REQUIRED,
                "send an operator's token as `Authorization: Bearer TOKEN`",
            ));
        }
        Judged::Revoked => {
            return Err(unauthorized(
                "token_revoked",
                "this token was revoked; `nestwarden-server operator token create` makes another",
            ));
        }
        Judged::Expired => {
            return Err(unauthorized(
                "token_expired",
                "this token has expired; `nestwarden-server operator token create` makes another",
            ));
        }
        Judged::OutOfScope => {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "token_scope",
                format!(
                    "this token is not for this; it takes one with `--scope {}`",
                    scope.as_str()
                ),
            ));
        }
    };
    drop(tries);
    request.extensions_mut().insert(Person(operator));
    Ok(next.run(request).await)
}

fn unauthorized(code: &'static str, message: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, message)
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value
        .strip_prefix("Bearer ")
        .filter(|token| is_token(token))
}

fn certificate_required(what: &str) -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        code::CERTIFICATE_REQUIRED,
        format!("a device certificate is needed: {what}"),
    )
}
