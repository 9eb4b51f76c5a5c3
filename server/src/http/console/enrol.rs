//! Letting a tablet in: a form, then a sheet with a code to scan, which says when the tablet has arrived.

use super::form::{Form, parsed, refused};
use super::gate::Visitor;
use super::layout::{field, notice, page, token};
use super::page::Page;
use super::set_up::qr;
use super::tablets::{self, badge_of};
use super::when::When;
use crate::domain::fleet;
use crate::domain::token::{self, NewToken, TokenError, TokenRequest};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::token::token_hash;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use maud::{Markup, html};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::enrol_link::EnrolLink;
use std::collections::BTreeSet;

pub(in crate::http) async fn form(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    let profiles = app
        .storage
        .profile_list()
        .await
        .map_err(ApiError::internal)?;
    let content = html! {
        p { "The next page shows a code that lets one tablet in. It is good once, for a day." }
        form method="post" action="/enrol" {
            (token(&visitor))
            (field("Name", "What staff call the tablet, such as Ladybird-1.", &html! {
                input name="name" maxlength="60" required autocomplete="off";
            }))
            (field("Rooms", "Where it is used, separated by commas. Empty: the whole setting.", &html! {
                input name="rooms" autocomplete="off";
            }))
            (field("Profile", "What it will be held to.", &html! {
                select name="profile" { @for profile in &profiles { option value=(profile.name) { (profile.name) } } }
            }))
            button.main { "Show the code" }
        }
    };
    Ok(page(&visitor, "/enrol", "Add a tablet", &content))
}

pub(in crate::http) async fn create(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Page, ApiError> {
    let rooms: BTreeSet<RoomName> = form
        .text("rooms")
        .split(',')
        .filter(|room| !room.trim().is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    let request = TokenRequest {
        name: form.text("name").to_owned(),
        profile: form.text("profile").to_owned(),
        rooms,
    };
    let by = &visitor.operator.name;
    let new = token::create(&app.storage, &request, by, app.now())
        .await
        .map_err(|error| match error {
            TokenError::Name(_) => refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Write what staff call the tablet, 1 to 60 characters on one line. Go back and correct it.",
            ),
            error @ TokenError::Profile { .. } => refused(StatusCode::UNPROCESSABLE_ENTITY, error),
            error @ (TokenError::Random | TokenError::Storage(_)) => ApiError::internal(error),
        })?;
    sheet(&app, &visitor, request.name.trim(), &new).await
}

async fn sheet(app: &App, visitor: &Visitor, name: &str, new: &NewToken) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let link = EnrolLink {
        server: app.console.tablets_address.clone(),
        pin: app.keys.public.tablet_tls_pin,
        token: new.text.clone(),
    };
    let code = qr(&link.to_string(), "The enrolment code")?;
    let hash = token_hash(&new.text);
    let content = html! {
        div.two {
            div.sheet {
                h2 { "Let " (name) " in" }
                ol {
                    li { "On the tablet, as its administrator, install the package " code { "nestwarden-agent" } "." }
                    li { "Scan this code, or give the line below it." }
                    li { "Start " code { "nestwarden-agent" } "." }
                }
                (code)
                p { code { "nestwarden-agent enrol '" (link) "'" } }
                p.soft { "Good once, until " (when.at(new.expires_at)) ". Whoever has this sheet can let one tablet in: destroy it afterwards." }
            }
            section.screen {
                h2 { "Has it arrived?" }
                (live(app, hash, &when).await?)
                div.actions {
                    a.button href={ "/enrol/" (hash) } { "Look again" }
                    button data-print hidden { "Print the sheet" }
                }
            }
        }
    };
    Ok(page(visitor, "/enrol", "Add a tablet", &content))
}

pub(in crate::http) async fn waiting(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(hash): Path<String>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    let hash: Digest = parsed(&hash)?;
    let content = html! {
        (live(&app, hash, &when).await?)
        div.actions { a.button href={ "/enrol/" (hash) } { "Look again" } a.button href="/enrol" { "Add another" } }
    };
    Ok(page(&visitor, "/enrol", "Has it arrived?", &content))
}

/// What a page that waits shows, and asks for again.
async fn live(app: &App, hash: Digest, when: &When) -> Result<Markup, ApiError> {
    let storage = &app.storage;
    let token = storage
        .token_find(hash)
        .await
        .map_err(ApiError::internal)?
        .ok_or_else(super::form::no_such_page)?;
    let path = format!("/enrol/{hash}");
    let Some(used_at) = token.used_at else {
        let over = token.expires_at <= when.now;
        return Ok(html! {
            div data-live=(path) data-over[over] aria-live="polite" {
                @if over {
                    (notice(&html! { p { "The code is too old. " a href="/enrol" { "Make a new one" } "." } }))
                } @else {
                    (notice(&html! { p { "Waiting for " strong { (token.name) } ". This page looks every few seconds." } }))
                }
            }
        });
    };
    let arrived = match token.used_by {
        Some(device) => fleet::one(storage, device, when.now)
            .await
            .map_err(ApiError::internal)?,
        None => None,
    };
    Ok(html! {
        div data-live=(path) aria-live="polite" {
            (notice(&html! {
                p { strong { (token.name) } " has arrived, " (when.at(used_at)) "." }
                @if let Some(tablet) = arrived {
                    p { (badge_of(tablet.standing)) " " (tablets::what_to_do(&tablet.compliance(when.now), &when.local)) }
                    p { a href=(tablets::path(tablet.device().id)) { "To its page" } }
                }
            }))
        }
    })
}
