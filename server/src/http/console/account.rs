//! One's own account.

use super::form::Form;
use super::gate::{self, Visitor};
use super::layout::{page, token};
use super::page::{Page, see};
use super::when::When;
use super::{alerts, passkeys};
use crate::domain::account::session;
use crate::http::app::App;
use crate::http::error::ApiError;
use axum::extract::{Extension, State};
use axum::response::Response;
use maud::html;

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    let second_factor = passkeys::section(&app, &visitor, &when).await?;
    let alerts = alerts::section(&app, &visitor, &when).await?;
    let roles: Vec<&str> = visitor
        .operator
        .roles
        .iter()
        .map(|role| super::words::role(*role))
        .collect();
    Ok(page(
        &visitor,
        "/account",
        "Your account",
        &html! {
            dl {
                dt { "Name" } dd { (visitor.operator.name) }
                dt { "Signs in as" } dd { (roles.join(", ")) }
            }
            (second_factor)
            (alerts)
            p { "You are signed out after half an hour without a page, and after ten hours in any case." }
            form.actions method="post" action="/account/sign-out-everywhere" {
                (token(&visitor))
                button.stop { "Sign out everywhere" }
            }
            p.soft {
                "For a new password, authenticator or new recovery codes, whoever runs the server makes you a link with "
                code { "nestwarden-server operator invite" } ". Your old ones hold until you use it; then your keys end, too."
            }
        },
    ))
}

pub(in crate::http) async fn sign_out_everywhere(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(_): Extension<Form>,
) -> Result<Response, ApiError> {
    let (who, now) = (&visitor.operator, app.now());
    session::end_all(&app.storage, who, &who.name, now)
        .await
        .map_err(ApiError::internal)?;
    Ok(gate::without_session(see("/sign-in")))
}
