//! Who may come in, and as what; and who the DSL is today.
//!
//! Those on whom an act of two people rests are added, invited, changed and removed with the command: whoever makes a link
//! here could open it, and would be two people.

use super::form::{Form, no_such_page, parsed, refused};
use super::gate::Visitor;
use super::layout::{alert, field, page, table, token};
use super::page::{Page, see};
use super::when::{When, day};
use super::words;
use crate::domain::account::invitation::{self, NewInvitation};
use crate::domain::people::{self, PeopleError};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::{Cover, Operator, Role};
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::civil::Date;
use maud::{Markup, html};
use nestwarden_policy_schema::id::OperatorId;
use std::collections::BTreeSet;

/// Those that are ticked here.
const ROLES: [(Role, &str); 2] = [(Role::ItAdmin, "it_admin"), (Role::Auditor, "auditor")];

/// Who the DSL is today, by name.
pub(super) async fn dsl(app: &App, when: &When) -> Result<Option<people::Lead>, ApiError> {
    people::dsl_today(&app.storage, when.today())
        .await
        .map_err(ApiError::internal)
}

/// In the middle of a page; nothing where nobody is.
pub(super) fn says_dsl(lead: Option<&people::Lead>) -> Markup {
    html! {
        @if let Some(lead) = lead {
            p { "The DSL today is " strong { (lead.operator.name) }
                @if let Some(until) = lead.covers_until { ", who covers until " (day(until)) } "." }
        }
    }
}

fn named(roles: &BTreeSet<Role>) -> String {
    let names: Vec<&str> = roles.iter().map(|role| words::role(*role)).collect();
    names.join(", ")
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    listed(&app, &visitor, &html! {}).await
}

async fn listed(app: &App, visitor: &Visitor, first: &Markup) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let people = app
        .storage
        .operator_list()
        .await
        .map_err(ApiError::internal)?;
    let covers = app.storage.cover_list().await.map_err(ApiError::internal)?;
    let rows: Vec<Vec<Markup>> = people
        .iter()
        .map(|person| {
            vec![
                html! { a href={ "/people/" (person.id) } { (person.name) } },
                html! { (named(&person.roles)) },
                covers_on(&covers, person.id),
            ]
        })
        .collect();
    let content = html! {
        (first)
        (says_dsl(dsl(app, &when).await?.as_ref()))
        (table("Everybody who runs this setting.", &["Name", "Signs in as", "Covers for the DSL"], &rows))
        section.card {
            h2 { "Add somebody" }
            p { "Managers and deputies are added by whoever runs the server: " code { "nestwarden-server operator add" } "." }
            form method="post" action="/people" {
                (token(visitor))
                (field("Name", "As colleagues know them. It stays theirs in the record.", &html! {
                    input name="name" maxlength="80" autocomplete="off" required;
                }))
                (ticks(&BTreeSet::new()))
                button.main { "Add and make their link" }
            }
        }
    };
    Ok(page(visitor, "/people", "People", &content))
}

fn covers_on(covers: &[Cover], person: OperatorId) -> Markup {
    let cover = covers.iter().find(|cover| cover.operator == person);
    html! { @if let Some(cover) = cover { (day(cover.first)) " to " (day(cover.last)) } }
}

fn ticks(roles: &BTreeSet<Role>) -> Markup {
    html! {
        fieldset {
            legend { "Signs in as" }
            @for (role, value) in ROLES {
                label.choice { input type="checkbox" name="role" value=(value) checked[roles.contains(&role)]; (words::role(role)) }
            }
        }
    }
}

fn ticked(form: &Form) -> BTreeSet<Role> {
    let is_ticked = |value: &str| form.fields().any(|field| field == ("role", value));
    ROLES
        .into_iter()
        .filter(|(_, value)| is_ticked(value))
        .map(|(role, _)| role)
        .collect()
}

async fn found(app: &App, id: &str) -> Result<Operator, ApiError> {
    let id: OperatorId = parsed(id)?;
    let people = app
        .storage
        .operator_list()
        .await
        .map_err(ApiError::internal)?;
    people
        .into_iter()
        .find(|person| person.id == id)
        .ok_or_else(no_such_page)
}

/// Somebody who may be changed here.
async fn found_alone(app: &App, id: &str) -> Result<Operator, ApiError> {
    let person = found(app, id).await?;
    if people::can_approve(&person) {
        return Err(refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!(
                "{} is one of those who act together with a second person. Whoever runs the server does this: nestwarden-server operator. Nothing was changed.",
                person.name
            ),
        ));
    }
    Ok(person)
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Page, ApiError> {
    let person = found(&app, &id).await?;
    let covers = app.storage.cover_list().await.map_err(ApiError::internal)?;
    let cover = covers.iter().find(|cover| cover.operator == person.id);
    let post = |act: &str, inside: &Markup| {
        html! { form method="post" action={ "/people/" (person.id) "/" (act) } { (token(&visitor)) (inside) } }
    };
    let is_alone = !people::can_approve(&person);
    let content = html! {
        p { "Signs in as: " (named(&person.roles)) "." }
        @if is_alone {
            section.card {
                h2 { "What they may do" }
                (post("roles", &html! { (ticks(&person.roles)) button { "Save" } }))
            }
        } @else {
            p { "Managers, the DSL and deputies act together with a second person. So that nobody can be both, they are invited, changed and removed, and the lead is handed over, by whoever runs the server: " code { "nestwarden-server operator" } "." }
        }
        @if person.roles.contains(&Role::Deputy) {
            section.card {
                h2 { "Covers for the DSL" }
                p { "On these days " (person.name) " is the DSL. Leave both empty to end it." }
                (post("cover", &html! {
                    (field("First day", "", &html! { input type="date" name="first" value=[cover.map(|c| c.first)]; }))
                    (field("Last day", "", &html! { input type="date" name="last" value=[cover.map(|c| c.last)]; }))
                    button { "Save" }
                }))
            }
        }
        @if is_alone {
            section.card {
                h2 { "Their link" }
                p { "For a first account, or a new password, authenticator and recovery codes. An account they have goes on until the link is used." }
                (post("invite", &html! { button { "Make a link" } }))
            }
            section.card {
                h2 { "Remove" }
                p { "Their account and everything they are signed in to end at once. What they did stays in the record under their name." }
                (post("remove", &html! {
                    label.choice { input type="checkbox" name="sure" value="yes" required; "Yes, remove " (person.name) }
                    button.stop { "Remove" }
                }))
            }
        }
    };
    Ok(page(&visitor, "/people", &person.name, &content))
}

pub(in crate::http) async fn add(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let who = &visitor.operator.name;
    let added = people::add(
        &app.storage,
        form.text("name"),
        ticked(&form),
        who,
        app.now(),
    )
    .await;
    match added {
        Ok(person) => link(&app, &visitor, &person).await,
        Err(error) => {
            let says = alert(&said(error)?);
            let page = listed(&app, &visitor, &says).await?;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(Page { status, ..page }.into_response())
        }
    }
}

pub(in crate::http) async fn invite(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(_): Extension<Form>,
) -> Result<Response, ApiError> {
    let person = found_alone(&app, &id).await?;
    link(&app, &visitor, &person).await
}

/// Shown once; another press makes another one, which ends this.
async fn link(app: &App, visitor: &Visitor, person: &Operator) -> Result<Response, ApiError> {
    let who = &visitor.operator.name;
    let NewInvitation { token, expires_at } =
        invitation::invite(&app.storage, person, who, app.now())
            .await
            .map_err(ApiError::internal)?;
    let when = When::of(app).await?;
    let content = html! {
        div.sheet {
            h2 { "For " (person.name) }
            p { "Give them this link, and nobody else: whoever opens it first makes the account. It is good once, until " (when.at(expires_at)) ", and not shown again. That you made it is on record." }
            p { code { (app.console.origin) "/set-up?token=" (token) } }
        }
        div.actions {
            button data-print hidden { "Print" }
            a.button href="/people" { "To everybody" }
        }
    };
    Ok(page(visitor, "/people", "A link", &content).into_response())
}

pub(in crate::http) async fn roles(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let person = found_alone(&app, &id).await?;
    let who = &visitor.operator.name;
    people::set_roles(&app.storage, &person.name, ticked(&form), who, app.now())
        .await
        .map_err(failed)?;
    Ok(see("/people"))
}

pub(in crate::http) async fn cover(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let person = found(&app, &id).await?;
    let days = match (form.text("first"), form.text("last")) {
        ("", "") => None,
        (first, last) => first
            .parse::<Date>()
            .ok()
            .zip(last.parse::<Date>().ok())
            .map(Some)
            .ok_or_else(|| {
                refused(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Fill in the first and the last day, or leave both empty. Nothing was changed.",
                )
            })?,
    };
    let who = &visitor.operator.name;
    people::set_cover(&app.storage, &person.name, days, who, app.now())
        .await
        .map_err(failed)?;
    Ok(see("/people"))
}

pub(in crate::http) async fn remove(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let person = found_alone(&app, &id).await?;
    if !form.has("sure") {
        return Err(refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Tick that you are sure. Nothing was changed.",
        ));
    }
    let who = &visitor.operator.name;
    people::remove(&app.storage, &person.name, who, app.now())
        .await
        .map_err(failed)?;
    Ok(see("/people"))
}

fn failed(error: PeopleError) -> ApiError {
    match said(error) {
        Ok(says) => refused(StatusCode::UNPROCESSABLE_ENTITY, says),
        Err(error) => error,
    }
}

fn said(error: PeopleError) -> Result<String, ApiError> {
    match error {
        PeopleError::Storage(error) => Err(ApiError::internal(error)),
        PeopleError::Nobody(_) => Err(no_such_page()),
        error @ (PeopleError::Name
        | PeopleError::Taken(_)
        | PeopleError::NoRole
        | PeopleError::NoLead
        | PeopleError::TwoLeads(_)
        | PeopleError::NoSecond
        | PeopleError::Oneself
        | PeopleError::NotDeputy(_)
        | PeopleError::Backwards { .. }
        | PeopleError::Covered(_)
        | PeopleError::ChangedMeanwhile) => Ok(super::layout::sentence(&error.to_string())),
    }
}
