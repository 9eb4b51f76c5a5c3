//! Signing in and out.

use super::form::Form;
use super::gate::{self, Visitor};
use super::layout::{alert, field, open_token, outside};
use super::page::{Page, see};
use crate::domain::account::session;
use crate::domain::account::sign_in::{SignInError, sign_in};
use crate::http::app::App;
use crate::http::auth::{Caught, ClientAddress, Door};
use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

pub(in crate::http) async fn page(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (token, cookie) = gate::open_token(&headers)?;
    let page = Page::from(markup(&app, &token, None));
    Ok(gate::with_form_cookie(
        page.into_response(),
        cookie.as_deref(),
    ))
}

pub(in crate::http) async fn submit(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let form = gate::open_form(&app, &headers, body).await?;
    let tries = Caught::of(&app, Door::SignIn, address)?;
    let signed_in = sign_in(
        &app.storage,
        form.text("name"),
        form.secret("password"),
        form.text("code"),
        app.now(),
    );
    match signed_in.await {
        Ok(signed_in) => Ok(gate::with_session(see("/"), &signed_in.secret)),
        Err(error @ SignInError::Refused) => {
            tries.count();
            let (token, _) = gate::open_token(&headers)?;
            let page = Page {
                status: StatusCode::UNAUTHORIZED,
                markup: markup(&app, &token, Some((form.text("name"), &error.to_string()))),
            };
            Ok(page.into_response())
        }
        Err(error @ (SignInError::Random | SignInError::Storage(_))) => {
            Err(ApiError::internal(error))
        }
    }
}

pub(in crate::http) async fn out(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(_): Extension<Form>,
) -> Result<Response, ApiError> {
    session::end(&app.storage, &visitor.secret, &visitor.operator, app.now())
        .await
        .map_err(ApiError::internal)?;
    Ok(gate::without_session(see("/sign-in")))
}

fn markup(app: &App, token: &str, refused: Option<(&str, &str)>) -> Markup {
    let name = refused.map_or("", |(name, _)| name);
    outside(
        "Sign in",
        &html! {
            p.soft { (app.console.setting_name) }
            @if let Some((_, message)) = refused { (alert(message)) }
            form method="post" action="/sign-in" {
                (open_token(token))
                (field("Name", "", &html! { input name="name" value=(name) autocomplete="username" required; }))
                (field("Password", "", &html! {
                    input name="password" type="password" autocomplete="current-password" required;
                }))
                (field("Code", "The six digits your authenticator shows now, or one of your printed recovery codes.", &html! {
                    input name="code" autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" required;
                }))
                button.main { "Sign in" }
            }
            details {
                summary { "Password, authenticator and recovery codes lost?" }
                p {
                    "Whoever runs the server makes you a new link with "
                    code { "nestwarden-server operator invite NAME" }
                    ". Tablets keep to their policy meanwhile."
                }
            }
        },
    )
}
