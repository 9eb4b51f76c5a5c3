//! Making an account with the link of an invitation.

use super::form::Form;
use super::gate::{self, Carried};
use super::layout::{alert, field, hidden, outside};
use super::once;
use super::page::Page;
use super::passkeys;
use crate::domain::account::ceremony::Owner;
use crate::domain::account::passkey::{NAME_CHARS, Offered, PasskeyError};
use crate::domain::account::set_up::{
    House, Ready, SecondAs, SetUpError, Wanted, WantedFactor, carried_totp, needs_second, new_totp,
    set_up,
};
use crate::domain::account::{LEAST_CHARS, invitation, totp};
use crate::http::app::App;
use crate::http::auth::{Caught, ClientAddress, Door};
use crate::http::error::ApiError;
use crate::storage::Operator;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, PreEscaped, html};
use nestwarden_policy_schema::bytes::Secret;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;

const PATH: &str = "/set-up";

#[derive(Deserialize)]
pub(in crate::http) struct Link {
    #[serde(default)]
    token: String,
}

/// What is filled in again after a mistake; passwords and code are not.
struct Filled<'a> {
    link: &'a str,
    totp: Secret,
    /// A key that answered already, and its name.
    passkey: &'a str,
    key_name: &'a str,
    second_name: &'a str,
    second_as: &'a str,
    mistake: Option<String>,
}

pub(in crate::http) async fn page(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Query(link): Query<Link>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let tries = Caught::of(&app, Door::Link, address)?;
    let Some(operator) = invitation::open(&app.storage, &link.token, app.now())
        .await
        .map_err(ApiError::internal)?
    else {
        tries.count();
        return Ok(dead_link());
    };
    let filled = Filled {
        link: &link.token,
        totp: new_totp().ok_or_else(gate::no_random)?,
        passkey: "",
        key_name: "",
        second_name: "",
        second_as: "owner",
        mistake: None,
    };
    let (carried, cookie) = gate::open_carried(&app, &headers)?;
    let page = Page::from(markup(&app, &operator, &filled, &carried).await?);
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
    let making = make(app.clone(), address, headers, form);
    Ok(once::answer(&app, act, async { making.await.into_response() }).await)
}

async fn make(
    app: App,
    address: ClientAddress,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    let tries = Caught::of(&app, Door::Link, address)?;
    let second_as = match form.text("second_as") {
        "deputy" => SecondAs::Deputy,
        _ => SecondAs::Owner,
    };
    let answer = form.text(passkeys::FIELD);
    let factor = if answer.is_empty() {
        WantedFactor::Totp {
            base32: form.text("totp"),
            code: form.text("code"),
        }
    } else {
        let secret = gate::form_secret(&headers)?;
        let offered = Offered {
            ceremonies: &app.ceremonies,
            owner: Owner::setting_up(&secret, form.text("token")),
            answer,
        };
        WantedFactor::Passkey {
            name: form.text("key_name"),
            offered,
        }
    };
    let house = House {
        setting_name: &app.console.setting_name,
        recipient: &app.keys.public.release_recipient,
    };
    let wanted = Wanted {
        token: form.text("token"),
        password: form.secret("password"),
        repeated: form.secret("repeated"),
        factor,
        second: form
            .has("second_name")
            .then(|| (form.text("second_name"), second_as)),
    };
    match set_up(&app.storage, house, wanted, app.now()).await {
        Ok(ready) => Ok(Page::from(done(&app, &ready)).into_response()),
        Err(SetUpError::Link) => {
            tries.count();
            Ok(dead_link())
        }
        Err(SetUpError::Passkey(PasskeyError::Storage(error))) => Err(ApiError::internal(error)),
        Err(error @ (SetUpError::Random | SetUpError::Seal | SetUpError::Storage(_))) => {
            Err(ApiError::internal(error))
        }
        // Before the key was looked at: it needs not answer again.
        Err(
            error @ (SetUpError::Password(_)
            | SetUpError::NoSecond
            | SetUpError::SecondName
            | SetUpError::Passkey(PasskeyError::Name)),
        ) => again(&app, &form, &headers, error.to_string(), answer).await,
        Err(error @ (SetUpError::Code | SetUpError::SecondTaken(_) | SetUpError::Passkey(_))) => {
            again(&app, &form, &headers, error.to_string(), "").await
        }
    }
}

async fn again(
    app: &App,
    form: &Form,
    headers: &HeaderMap,
    mistake: String,
    passkey: &str,
) -> Result<Response, ApiError> {
    let link = form.text("token");
    let Some(operator) = invitation::open(&app.storage, link, app.now())
        .await
        .map_err(ApiError::internal)?
    else {
        return Ok(dead_link());
    };
    let filled = Filled {
        link,
        totp: carried_totp(form.text("totp")).ok_or_else(gate::no_random)?,
        passkey,
        key_name: form.text("key_name"),
        second_name: form.text("second_name"),
        second_as: form.text("second_as"),
        mistake: Some(mistake),
    };
    let (carried, _) = gate::open_carried(app, headers)?;
    let page = Page {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        markup: markup(app, &operator, &filled, &carried).await?,
    };
    Ok(page.into_response())
}

fn dead_link() -> Response {
    let page = Page {
        status: StatusCode::GONE,
        markup: outside(
            "This link cannot be used",
            &html! {
                (alert(&SetUpError::Link.to_string()))
                p { a.button href="/sign-in" { "Sign in instead" } }
            },
        ),
    };
    page.into_response()
}

/// Drawn by us: what is in it goes to no one else.
pub(super) fn qr(text: &str, says: &str) -> Result<Markup, ApiError> {
    let code = QrCode::new(text).map_err(ApiError::internal)?;
    let drawn = code
        .render::<svg::Color<'_>>()
        .min_dimensions(240, 240)
        .quiet_zone(true)
        .build();
    // Without its declaration, which has no place inside a page.
    let drawn = drawn.find("<svg").map_or("", |at| &drawn[at..]);
    let drawn = drawn.replacen("<svg", "<svg class=\"qr\"", 1);
    Ok(html! { div role="img" aria-label=(says) { (PreEscaped(drawn)) } })
}

async fn markup(
    app: &App,
    operator: &Operator,
    filled: &Filled<'_>,
    carried: &Carried,
) -> Result<Markup, ApiError> {
    let needs_second = needs_second(&app.storage, operator.id)
        .await
        .map_err(ApiError::internal)?;
    let base32 = totp::to_base32(&filled.totp);
    let groups: Vec<&str> = (0..8).map(|group| &base32[group * 4..][..4]).collect();
    let link = totp::link(&filled.totp, &app.console.setting_name, &operator.name);
    let code = qr(&link, "The authenticator's code")?;
    let radio = |value: &str, says: &str| {
        html! {
            label.choice {
                input type="radio" name="second_as" value=(value) checked[filled.second_as == value];
                (says)
            }
        }
    };
    Ok(outside(
        &format!("Welcome, {}", operator.name),
        &html! {
            p { "This makes your account for " strong { (app.console.setting_name) } ". The link is good once." }
            @if let Some(mistake) = &filled.mistake { (alert(mistake)) }
            form method="post" action=(PATH) {
                (hidden(carried))
                input type="hidden" name="token" value=(filled.link);
                input type="hidden" name="totp" value=(base32);
                input type="hidden" name="username" value=(operator.name) autocomplete="username";
                fieldset {
                    legend { "1. A password" }
                    (field("Password", &format!("At least {LEAST_CHARS} characters. Three random words make a good one."), &html! {
                        input name="password" type="password" autocomplete="new-password" required;
                    }))
                    (field("The same again", "", &html! {
                        input name="repeated" type="password" autocomplete="new-password" required;
                    }))
                }
                (second_factor(app, filled, &code, &groups.join(" ")))
                @if needs_second {
                    fieldset {
                        legend { "3. A second person" }
                        p { "Some acts need two people, such as releasing a hold. Name an owner of the nursery, or your deputy. They get a link of their own." }
                        (field("Their name", "", &html! {
                            input name="second_name" value=(filled.second_name) autocomplete="off" required;
                        }))
                        (radio("owner", "An owner (signs in as manager)"))
                        (radio("deputy", "A deputy of the safeguarding lead"))
                    }
                }
                button.main { "Make my account" }
            }
        },
    ))
}

const KEY_READY: &str = "Your key is ready. It is added when you make your account.";

fn second_factor(app: &App, filled: &Filled<'_>, code: &Markup, groups: &str) -> Markup {
    let is_ready = !filled.passkey.is_empty();
    let may_have_key = app.ceremonies.party().is_ok();
    let mut options = form_urlencoded::Serializer::new("/set-up/passkey?".to_owned());
    let options = options.append_pair("token", filled.link).finish();
    html! {
        fieldset {
            legend { @if may_have_key { "2. An authenticator or a key" } @else { "2. An authenticator" } }
            @if is_ready { p.notice role="status" { (KEY_READY) } }
            p { "No telephone is needed: a password manager on the office computer shows such codes too. Let it scan this, or type the key." }
            (code)
            p { "Key: " code { (groups) } }
            (field("The code it shows now", "Six digits.", &html! {
                input name="code" inputmode="numeric" autocomplete="one-time-code" required[!is_ready];
            }))
            @if may_have_key {
                h3 { "Or a passkey or security key" }
                input type="hidden" name=(passkeys::FIELD) value=(filled.passkey);
                (field("Name of the key", "By which you know it again, such as \"Blue key\". Leave it empty with an authenticator.", &html! {
                    input name="key_name" value=(filled.key_name) maxlength=(NAME_CHARS) autocomplete="off";
                }))
                (passkeys::asks("create", options.as_str(), "Use a key instead", Some(KEY_READY)))
            }
        }
    }
}

fn done(app: &App, ready: &Ready) -> Markup {
    outside(
        "Your account is ready",
        &html! {
            div.sheet {
                h2 { "Recovery codes of " (ready.operator.name) }
                p { "Print these and lock them away. Each takes the authenticator's place once. They are not shown again." }
                ol.codes { @for code in &ready.recovery_codes { li { (code) } } }
            }
            @if let Some((name, link)) = &ready.second {
                div.sheet {
                    h2 { "For " (name) }
                    p { "Print this and hand it over unopened. It is good once, for three days, and not shown again." }
                    p { "Who opens it is the second of two people for every act that needs two. That it was shown to " (ready.operator.name) " is in the audit log, and so is when it was used." }
                    p { code { (app.console.origin) "/set-up?token=" (link.token) } }
                }
            }
            div.actions {
                button data-print hidden { "Print" }
                a.button.main href="/sign-in" { "I have kept them. Sign in" }
            }
        },
    )
}
