//! Who may have a page: somebody whose session goes on and whose role the router's table lets in, from our own pages.
//!
//! A form is taken only with a token worked out from what this browser alone has, and only where the browser says that it
//! was sent from here. Either would do; a mistake in one is not to be enough.

use super::form::Form;
use super::import;
use super::once;
use crate::domain::account::session::{self, form_token};
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::body;
use crate::http::error::ApiError;
use crate::storage::Operator;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use subtle::ConstantTimeEq as _;

/// The prefix has browsers refuse it without `Secure`, with a domain, and from anything but https.
const SESSION_COOKIE: &str = "__Host-nestwarden";
/// Before there is a session.
const FORM_COOKIE: &str = "__Host-nestwarden-form";
pub(super) const TOKEN_FIELD: &str = "form_token";
pub(super) const KEY_FIELD: &str = "form_key";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MAX_FORM_BYTES: usize = 64 * 1024;
const SECRET_CHARS: usize = 64;

/// Who makes the request.
#[derive(Clone)]
pub(in crate::http) struct Visitor {
    pub(super) operator: Operator,
    /// What their browser holds.
    pub(super) secret: String,
    /// When they signed in.
    pub(super) begun_at: Timestamp,
    app: App,
}

/// What every form brings back: that one of our pages sent it, and which.
pub(super) struct Carried {
    pub(super) token: String,
    pub(super) key: String,
}

impl Carried {
    fn new(app: &App, secret: &str) -> Self {
        Self {
            token: form_token(secret),
            key: app.once.key(secret),
        }
    }
}

impl Visitor {
    /// Another with every form.
    pub(super) fn carried(&self) -> Carried {
        Carried::new(&self.app, &self.secret)
    }

    pub(super) fn may(&self, area: Area) -> bool {
        area.admits(&self.operator.roles)
    }
}

pub(in crate::http) async fn require_person(
    State((app, area)): State<(App, Area)>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let secret = cookie(request.headers(), SESSION_COOKIE);
    let found = match &secret {
        Some(secret) => session::of(&app.storage, secret, app.now())
            .await
            .map_err(ApiError::internal)?,
        None => None,
    };
    let (Some(secret), Some(found)) = (secret, found) else {
        return Ok(to_sign_in(&request));
    };
    if !area.admits(&found.operator.roles) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "not_allowed",
            format!("This page is for {}.", area.who()),
        ));
    }
    let visitor = Visitor {
        operator: found.operator,
        secret,
        begun_at: found.begun_at,
        app: app.clone(),
    };
    let (mut parts, body) = request.into_parts();
    if matches!(parts.method, Method::GET | Method::HEAD) {
        parts.extensions.insert(visitor);
        return Ok(next.run(Request::from_parts(parts, body)).await);
    }
    let path = parts.uri.path();
    let most = if path == import::PATH {
        import::MAX_UPLOAD_BYTES
    } else {
        MAX_FORM_BYTES
    };
    let (form, act) = read_form(&app, &parts.headers, body, path, &visitor.secret, most).await?;
    parts.extensions.insert(form);
    parts.extensions.insert(visitor);
    let request = Request::from_parts(parts, Body::empty());
    Ok(once::answer(&app, act, next.run(request)).await)
}

/// A page is asked for again after signing in; what a form wanted is not done later by surprise.
fn to_sign_in(request: &Request) -> Response {
    let path = request.uri().path();
    if request.method() == Method::GET {
        let wanted = request.uri().path_and_query();
        let wanted = wanted.map_or(path, |wanted| wanted.as_str());
        return super::page::see(&super::sign_in::on_the_way_to(wanted));
    }
    // Pressed twice: the first ended the session.
    if path == "/sign-out" || path == "/account/sign-out-everywhere" {
        return super::page::see("/sign-in");
    }
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "sign_in_required",
        "You are no longer signed in, so nothing was changed. Sign in and do it again.",
    )
    .into_response()
}

/// The form of somebody who is not signed in.
pub(super) async fn open_form(
    app: &App,
    path: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Form, Digest), ApiError> {
    let secret = cookie(headers, FORM_COOKIE).ok_or_else(foreign)?;
    read_form(app, headers, body, path, &secret, MAX_FORM_BYTES).await
}

async fn read_form(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    path: &str,
    secret: &str,
    most: usize,
) -> Result<(Form, Digest), ApiError> {
    check_source(headers)?;
    let bytes = body::bytes(app, body, most).await.map_err(|error| {
        if error.is_too_large() {
            too_large(most)
        } else {
            error
        }
    })?;
    let form = Form::read(only(headers, &header::CONTENT_TYPE), &bytes);
    let wanted = form_token(secret);
    let is_ours = form.text(TOKEN_FIELD).as_bytes().ct_eq(wanted.as_bytes());
    if !bool::from(is_ours) {
        return Err(foreign());
    }
    let act = app.once.act(secret, path, &form).ok_or_else(stale)?;
    Ok((form, act))
}

/// Sent by one of our own pages, as the browser says.
fn check_source(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = only(headers, &header::HOST).ok_or_else(foreign)?;
    let is_ours = only(headers, &header::ORIGIN)
        .and_then(|origin| origin.strip_prefix("https://"))
        .is_some_and(|origin| origin.eq_ignore_ascii_case(host));
    if !is_ours {
        return Err(foreign());
    }
    check_asked_from_here(headers)
}

/// What the browser of somebody who is not signed in holds, of a page that asks for more than a page.
pub(super) fn form_secret(headers: &HeaderMap) -> Result<String, ApiError> {
    check_asked_from_here(headers)?;
    cookie(headers, FORM_COOKIE).ok_or_else(foreign)
}

/// Asked for by the script of one of our own pages, as far as the browser says where from.
pub(super) fn check_asked_from_here(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(&SEC_FETCH_SITE)
        && only(headers, &SEC_FETCH_SITE) != Some("same-origin")
    {
        return Err(foreign());
    }
    Ok(())
}

fn too_large(most: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "form_too_large",
        format!(
            "This is larger than the {} KiB that are taken here, so nothing was changed. If you chose a file, export the register only.",
            most / 1024
        ),
    )
}

fn foreign() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "form_refused",
        "This form was not sent from a page of this console, or the page is from before you signed in, so nothing was changed. Open the page again and send it again. Cookies have to be allowed.",
    )
}

fn stale() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "form_stale",
        "This page is hours old, or from before the server was started again, so nothing was changed now. Open the page again, look whether what you wanted was done before, and send it again.",
    )
}

/// The one value of a header; `None` where there are none or several.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    cookies
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split("; "))
        .filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .find(|value| value.len() == SECRET_CHARS && value.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(str::to_owned)
}

/// For a form of somebody who is not signed in, and the cookie it belongs to where there was none.
pub(super) fn open_carried(
    app: &App,
    headers: &HeaderMap,
) -> Result<(Carried, Option<String>), ApiError> {
    if let Some(secret) = cookie(headers, FORM_COOKIE) {
        return Ok((Carried::new(app, &secret), None));
    }
    let secret = session::new_secret().ok_or_else(no_random)?;
    Ok((Carried::new(app, &secret), Some(secret)))
}

/// The session a browser has, whether or not it is over.
pub(super) fn session_cookie(headers: &HeaderMap) -> Option<String> {
    cookie(headers, SESSION_COOKIE)
}

pub(super) fn no_random() -> ApiError {
    ApiError::internal(std::io::Error::other("the system gave no random bits"))
}

pub(super) fn with_form_cookie(response: Response, secret: Option<&str>) -> Response {
    match secret {
        Some(secret) => set_cookie(response, FORM_COOKIE, secret, ""),
        None => response,
    }
}

pub(super) fn with_session(response: Response, secret: &str) -> Response {
    set_cookie(response, SESSION_COOKIE, secret, "")
}

pub(super) fn without_session(response: Response) -> Response {
    set_cookie(response, SESSION_COOKIE, "", "; Max-Age=0")
}

fn set_cookie(mut response: Response, name: &str, value: &str, more: &str) -> Response {
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{more}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_form_from_anywhere_else_is_refused_whatever_it_carries() {
        let host = (header::HOST, "box:7444");
        let origin = |origin| (header::ORIGIN, origin);
        let ours = origin("https://box:7444");
        assert!(check_source(&headers(&[host.clone(), ours.clone()])).is_ok());
        for wrong in [
            vec![host.clone()],
            vec![ours.clone()],
            vec![host.clone(), origin("http://box:7444")],
            vec![host.clone(), origin("https://box:7444.example.org")],
            vec![host.clone(), origin("null")],
            vec![host.clone(), ours.clone(), (SEC_FETCH_SITE, "cross-site")],
            vec![host.clone(), ours.clone(), (SEC_FETCH_SITE, "same-site")],
        ] {
            assert!(check_source(&headers(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
