//! Where one's alerts go, and whether e-mail goes out at all.

use super::form::{Form, refused};
use super::gate::Visitor;
use super::layout::{Tone, badge, field, token};
use super::page::see;
use super::when::When;
use crate::domain::account::session;
use crate::domain::alert::{self, AddressError, troubled};
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::error::ApiError;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

pub(in crate::http) async fn set(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let (who, now) = (&visitor.operator, app.now());
    if !session::is_fresh(visitor.begun_at, now) {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "To change where alerts go, sign in afresh: you did more than a quarter of an hour ago.",
        ));
    }
    let address = Some(form.text("address").trim()).filter(|text| !text.is_empty());
    alert::set_address(&app.storage, who, address, &who.name, now)
        .await
        .map_err(failed)?;
    Ok(see("/account"))
}

fn failed(error: AddressError) -> ApiError {
    match error {
        AddressError::Storage(error) => ApiError::internal(error),
        error @ AddressError::NotOne(_) => refused(StatusCode::UNPROCESSABLE_ENTITY, error),
        error @ AddressError::Nobody => refused(StatusCode::NOT_FOUND, error),
    }
}

/// Of one's own account.
pub(super) async fn section(app: &App, visitor: &Visitor, when: &When) -> Result<Markup, ApiError> {
    let addresses = app.storage.address_list().await;
    let addresses = addresses.map_err(ApiError::internal)?;
    let address = addresses.get(&visitor.operator.id);
    let is_fresh = session::is_fresh(visitor.begun_at, when.now);
    Ok(html! {
        section.card {
            h2 { "Alerts by e-mail" }
            @if !app.console.has_mail {
                p { "This server sends no e-mail: whoever runs it names a mail server in its settings. Until then everything waits here." }
            }
            p {
                @match address {
                    Some(address) => { "What cannot wait goes to " strong { (address) } " at once, and the rest once in the morning of each day you are open. No name is in it." }
                    None => "You are told nothing by e-mail.",
                }
            }
            @if is_fresh {
                form method="post" action="/account/address" {
                    (token(visitor))
                    (field("Your e-mail address", "One that nobody else reads. Leave it empty to be told nothing.", &html! {
                        input type="email" name="address" maxlength="254" autocomplete="email" value=[address];
                    }))
                    button { "Save the address" }
                }
            } @else {
                p.soft { "To change it, sign in afresh: you did more than a quarter of an hour ago." }
            }
        }
    })
}

/// For whoever can do something about it; `None`: e-mail goes out, or none was to be sent yet.
pub(super) async fn trouble(
    app: &App,
    visitor: &Visitor,
    when: &When,
) -> Result<Option<Markup>, ApiError> {
    if !visitor.may(Area::Enrol) && !visitor.may(Area::People) {
        return Ok(None);
    }
    let found = troubled(&app.storage, Some(&visitor.operator), when.now).await;
    let Some(trouble) = found.map_err(ApiError::internal)? else {
        return Ok(None);
    };
    Ok(Some(html! {
        section.card {
            p {
                (badge(Tone::Bad, "E-mail")) " "
                strong { "Alerts do not arrive" } " (" (trouble.count) " since " (when.local.at(trouble.since)) "): " (trouble.problem) ". "
                "Look here every day until it is put right; whoever runs the server finds more with " code { "nestwarden-server mail list" } "."
            }
        }
    }))
}
