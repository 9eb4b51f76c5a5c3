//! Passkeys: what the console's script asks an authenticator, and one's own keys on one's own account.

use super::form::{Form, parsed, refused};
use super::gate::{self, Visitor};
use super::layout::{Tone, badge, field, table, token};
use super::page::see;
use super::when::When;
use crate::domain::account::ceremony::{CeremonyError, Owner};
use crate::domain::account::passkey::{self, NAME_CHARS, Offered, PasskeyError};
use crate::domain::account::{invitation, session};
use crate::http::app::App;
use crate::http::auth::{Caught, ClientAddress, Door};
use crate::http::error::ApiError;
use crate::storage::Passkey;
use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

/// What a browser brought back from its authenticator.
pub(super) const FIELD: &str = "passkey";

#[derive(Deserialize)]
pub(in crate::http) struct Link {
    #[serde(default)]
    token: String,
}

pub(in crate::http) async fn ask_sign_in(
    State(app): State<App>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let secret = gate::form_secret(&headers)?;
    let owner = Owner::signing_in(&secret);
    app.ceremonies
        .begin_sign_in(owner, address, app.now())
        .map(Json)
        .map_err(not_begun)
}

pub(in crate::http) async fn ask_set_up(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    Query(link): Query<Link>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let secret = gate::form_secret(&headers)?;
    let tries = Caught::of(&app, Door::Link, client)?;
    let operator = invitation::open(&app.storage, &link.token, app.now())
        .await
        .map_err(ApiError::internal)?;
    let Some(operator) = operator else {
        tries.count();
        return Err(refused(
            StatusCode::GONE,
            "This link cannot be used any more.",
        ));
    };
    let owner = Owner::setting_up(&secret, &link.token);
    app.ceremonies
        .begin_adding(owner, &operator, Vec::new(), client.0, app.now())
        .map(Json)
        .map_err(not_begun)
}

pub(in crate::http) async fn ask_adding(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    gate::check_asked_from_here(&headers)?;
    if !session::is_fresh(visitor.begun_at, app.now()) {
        return Err(failed(PasskeyError::NotFresh));
    }
    let known = keys_of(&app, &visitor).await?;
    let known = known.into_iter().map(|key| key.credential).collect();
    let owner = Owner::signed_in(&visitor.secret);
    app.ceremonies
        .begin_adding(owner, &visitor.operator, known, address, app.now())
        .map(Json)
        .map_err(not_begun)
}

pub(in crate::http) async fn add(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let offered = Offered {
        ceremonies: &app.ceremonies,
        owner: Owner::signed_in(&visitor.secret),
        answer: form.text(FIELD),
    };
    let who = (&visitor.operator, visitor.begun_at);
    passkey::add(&app.storage, offered, who, form.text("key_name"), app.now())
        .await
        .map_err(failed)?;
    Ok(see("/account"))
}

pub(in crate::http) async fn remove(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(_): Extension<Form>,
) -> Result<Response, ApiError> {
    let who = (&visitor.operator, visitor.begun_at);
    passkey::remove(&app.storage, who, parsed(&id)?, app.now())
        .await
        .map_err(failed)?;
    Ok(see("/account"))
}

/// What somebody signs in with beside their password, and how to change it.
pub(super) async fn section(app: &App, visitor: &Visitor, when: &When) -> Result<Markup, ApiError> {
    let account = app
        .storage
        .account_find(visitor.operator.id)
        .await
        .map_err(ApiError::internal)?;
    let has_authenticator = account.is_some_and(|account| account.totp.is_some());
    let keys = keys_of(app, visitor).await?;
    let is_fresh = session::is_fresh(visitor.begun_at, when.now);
    let rows: Vec<Vec<Markup>> = keys
        .iter()
        .map(|key| row(visitor, key, is_fresh, when))
        .collect();
    Ok(html! {
        section.card {
            h2 { "Second factor" }
            p {
                (match (has_authenticator, keys.iter().any(|key| key.copied_at.is_none())) {
                    (true, true) => "Your authenticator, one of your keys below, or one of your printed codes.",
                    (true, false) => "Your authenticator, or one of your printed codes.",
                    (false, true) => "One of your keys below, or one of your printed codes.",
                    (false, false) => "One of your printed codes.",
                })
            }
            @if keys.iter().any(|key| key.copied_at.is_some()) {
                p.notice.bad role="alert" {
                    "A key counted backwards, which says that somebody may have a copy of it. It opens nothing any more. Remove it, and tell whoever runs the server if you do not know why."
                }
            }
            @if !keys.is_empty() {
                (table("Your passkeys and security keys.", &["Key", "Added", "Last used", ""], &rows))
            }
            @if let Err(error) = app.ceremonies.party() {
                p.soft { (error) }
            } @else if is_fresh {
                (adding(visitor))
            } @else {
                p { "To add or remove a key, sign in afresh: you did more than a quarter of an hour ago." }
                form method="post" action="/sign-out" {
                    (token(visitor))
                    button { "Sign out, to sign in afresh" }
                }
            }
        }
    })
}

fn row(visitor: &Visitor, key: &Passkey, is_fresh: bool, when: &When) -> Vec<Markup> {
    vec![
        html! {
            (key.name)
            @if key.copied_at.is_some() { " " (badge(Tone::Bad, "May have been copied")) }
        },
        when.at(key.added_at),
        when.or_never(key.last_used_at),
        html! {
            @if is_fresh {
                form method="post" action={ "/account/passkeys/" (key.id) "/remove" } {
                    (token(visitor))
                    button.stop { "Remove " (key.name) }
                }
            }
        },
    ]
}

fn adding(visitor: &Visitor) -> Markup {
    html! {
        form method="post" action="/account/passkeys" {
            (token(visitor))
            input type="hidden" name=(FIELD);
            (field("Name of the key", "By which you know it again, such as \"Blue key\" or \"Office computer\".", &html! {
                input name="key_name" maxlength=(NAME_CHARS) autocomplete="off" required;
            }))
            (asks("create", "/account/passkeys/options", "Add a passkey or security key", None))
        }
    }
}

/// A button for the console's script. `ready`: what is said once the key answered; `None`: the form is sent.
pub(super) fn asks(act: &str, options: &str, words: &str, ready: Option<&str>) -> Markup {
    html! {
        button type="button" hidden data-passkey=(act) data-options=(options) data-ready=[ready] { (words) }
        p.soft data-without { "Keys need this browser to run scripts. Without them, use a code." }
        p.notice hidden role="status" data-says {}
    }
}

async fn keys_of(app: &App, visitor: &Visitor) -> Result<Vec<Passkey>, ApiError> {
    let keys = app.storage.passkey_list(visitor.operator.id).await;
    keys.map_err(ApiError::internal)
}

fn not_begun(error: CeremonyError) -> ApiError {
    match error {
        error @ CeremonyError::NoName => refused(StatusCode::CONFLICT, error),
        error @ CeremonyError::Options(_) => ApiError::internal(error),
    }
}

fn failed(error: PasskeyError) -> ApiError {
    match error {
        PasskeyError::Storage(error) => ApiError::internal(error),
        PasskeyError::Ceremony(error) => not_begun(error),
        error @ PasskeyError::NotFresh => refused(StatusCode::FORBIDDEN, error),
        error @ PasskeyError::Missing => refused(StatusCode::NOT_FOUND, error),
        error @ (PasskeyError::Name | PasskeyError::Answer | PasskeyError::NotAsked) => {
            refused(StatusCode::UNPROCESSABLE_ENTITY, error)
        }
        error @ (PasskeyError::Known | PasskeyError::TooMany | PasskeyError::LastFactor) => {
            refused(StatusCode::CONFLICT, error)
        }
    }
}
