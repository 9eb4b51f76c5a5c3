//! Signing in and out.

use super::form::Form;
use super::gate::{self, Carried, Visitor};
use super::layout::{alert, field, hidden, outside};
use super::once;
use super::page::{Page, see};
use super::passkeys;
use crate::domain::account::ceremony::Owner;
use crate::domain::account::passkey::Offered;
use crate::domain::account::session;
use crate::domain::account::sign_in::{Shown, SignInError, sign_in};
use crate::http::app::App;
use crate::http::auth::{Caught, ClientAddress, Door};
use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;

const PATH: &str = "/sign-in";
const MAX_WANTED_CHARS: usize = 512;

#[derive(Deserialize)]
pub(in crate::http) struct Asked {
    /// Where somebody wanted to go when they were sent here.
    #[serde(default)]
    next: String,
}

/// The address of this page for somebody who wanted another.
pub(super) fn on_the_way_to(wanted: &str) -> String {
    if wanted == "/" || own(wanted).is_none() {
        return PATH.to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", wanted);
    format!("{PATH}?{}", query.finish())
}

/// A page of this console; `None`: it may lead elsewhere.
fn own(wanted: &str) -> Option<&str> {
    let is_own = wanted.len() <= MAX_WANTED_CHARS
        && wanted.starts_with('/')
        && !wanted.starts_with("//")
        && wanted.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    is_own.then_some(wanted)
}

pub(in crate::http) async fn page(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (carried, cookie) = gate::open_carried(&app, &headers)?;
    let page = Page::from(markup(&app, &carried, &asked.next, None));
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
    let (form, act) = gate::open_form(&app, PATH, &headers, body).await?;
    let judging = judge(app.clone(), address, headers, form);
    Ok(once::answer(&app, act, async { judging.await.into_response() }).await)
}

async fn judge(
    app: App,
    address: ClientAddress,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    let tries = Caught::of(&app, Door::SignIn, address)?;
    let answer = form.text(passkeys::FIELD);
    let shown = if answer.is_empty() {
        Shown::Code(form.text("code"))
    } else {
        Shown::Passkey(Offered {
            ceremonies: &app.ceremonies,
            owner: Owner::signing_in(&gate::form_secret(&headers)?),
            answer,
        })
    };
    let signed_in = sign_in(
        &app.storage,
        &app.release,
        form.text("name"),
        form.secret("password"),
        shown,
        app.now(),
    );
    match signed_in.await {
        Ok(signed_in) => {
            if let Some(before) = gate::session_cookie(&headers) {
                session::end_replaced(&app.storage, &before, app.now())
                    .await
                    .map_err(ApiError::internal)?;
            }
            let to = see(own(form.text("next")).unwrap_or("/"));
            Ok(gate::with_session(to, &signed_in.secret))
        }
        Err(error @ SignInError::Refused) => {
            tries.count();
            let (carried, _) = gate::open_carried(&app, &headers)?;
            let says = error.to_string();
            let refused = Some((form.text("name"), says.as_str()));
            let page = Page {
                status: StatusCode::UNAUTHORIZED,
                markup: markup(&app, &carried, form.text("next"), refused),
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

fn markup(app: &App, carried: &Carried, next: &str, refused: Option<(&str, &str)>) -> Markup {
    let name = refused.map_or("", |(name, _)| name);
    outside(
        "Sign in",
        &html! {
            p.soft { (app.console.setting_name) }
            @if let Some((_, message)) = refused { (alert(message)) }
            form method="post" action=(PATH) {
                (hidden(carried))
                @if let Some(next) = own(next) { input type="hidden" name="next" value=(next); }
                (field("Name", "", &html! { input name="name" value=(name) autocomplete="username" required; }))
                (field("Password", "", &html! {
                    input name="password" type="password" autocomplete="current-password" required;
                }))
                (field("Code", "The six digits your authenticator shows now, or one of your printed recovery codes.", &html! {
                    input name="code" autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" required;
                }))
                div.actions {
                    button.main { "Sign in" }
                    @if app.ceremonies.party().is_ok() {
                        input type="hidden" name=(passkeys::FIELD);
                        (passkeys::asks("get", "/sign-in/passkey", "Sign in with a key instead of a code", None))
                    }
                }
            }
            details {
                summary { "Password, authenticator, keys and recovery codes lost?" }
                p {
                    "Whoever runs the server makes you a new link with "
                    code { "nestwarden-server operator invite NAME" }
                    ". Tablets keep to their policy meanwhile."
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_this_console_is_gone_on_to() {
        assert_eq!(on_the_way_to("/"), "/sign-in");
        let consents = on_the_way_to("/consents?room=Owls&state=given");
        assert_eq!(
            consents,
            "/sign-in?next=%2Fconsents%3Froom%3DOwls%26state%3Dgiven"
        );
        for elsewhere in [
            "",
            "consents",
            "https://example.org",
            "//example.org",
            "/\\example.org",
            "/\t/example.org",
            "/ä",
            &format!("/{}", "x".repeat(MAX_WANTED_CHARS)),
        ] {
            assert_eq!(own(elsewhere), None, "{elsewhere}");
            assert_eq!(on_the_way_to(elsewhere), "/sign-in");
        }
    }
}
