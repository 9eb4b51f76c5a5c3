//! Policy profiles: what each holds tablets to, its versions, and a change that is looked at before it is live.

use super::form::{Form, no_such_page, parsed, refused};
use super::gate::Visitor;
use super::layout::{Tone, alert, badge, field, page, sentence, table, token};
use super::page::{Page, see};
use super::registers::apps::everything;
use super::when::When;
use super::{rollout, words};
use crate::domain::profile::allowlist::{self, AllowlistError};
use crate::domain::profile::{self, Difference, ProfileChange, ProfileChangeError};
use crate::domain::registers::app::allowed::newly_unapproved;
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::ProfileVersion;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::policy::{AppId, Mode};
use nestwarden_policy_schema::profile::PolicyProfile;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Versions shown; every one is kept.
const VERSIONS_SHOWN: usize = 20;

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    let live = app.storage.profile_list().await;
    let devices = app.storage.device_list().await;
    let devices = devices.map_err(ApiError::internal)?;
    let live = live.map_err(ApiError::internal)?;
    let rows: Vec<Vec<Markup>> = live
        .iter()
        .map(|live| {
            let in_use = devices.iter().filter(|d| d.revoked.is_none());
            let count = in_use.filter(|d| d.profile == live.name).count();
            vec![
                html! { a href={ "/profiles/" (live.name) } { (live.name) } },
                html! { (count) },
                html! { (live.version) },
                html! { (when.at(live.applied_at)) " by " (live.applied_by) },
            ]
        })
        .collect();
    let heads = ["Profile", "Tablets", "Version", "Made live"];
    let content = html! {
        p { "A profile says what tablets are held to. Every tablet has one; overrides hold one tablet tighter." }
        p { "Which of the apps it allows were approved, by whom and until when stands under " a href="/apps" { "Apps" } "." }
        (table("The live version of each profile", &heads, &rows))
    };
    Ok(page(&visitor, "/profiles", "Profiles", &content))
}

#[derive(Deserialize)]
pub(in crate::http) struct Asked {
    /// To begin with an earlier version.
    version: Option<u64>,
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, ApiError> {
    let (live, earlier) = history(&app, &name).await?;
    let every = || std::iter::once(&live).chain(&earlier);
    let shown = match asked.version {
        None => &live,
        Some(number) => every()
            .find(|version| version.version == number)
            .ok_or_else(no_such_page)?,
    };
    let when = When::of(&app).await?;
    let content = html! {
        (holds_to(&live.source))
        (rollout::section(&app, &visitor, &name, &when).await?)
        (form(&visitor, &name, &shown.source, (shown.version != live.version).then_some(shown.version)))
        h2 { "Versions" }
        ul.todo {
            @for version in every().take(VERSIONS_SHOWN) {
                li { "Version " (version.version) ", " (when.at(version.applied_at)) " by " (version.applied_by)
                    @if version.version == live.version { " " (badge(Tone::Good, "Live")) }
                    @else { ": " a href={ "/profiles/" (name) "?version=" (version.version) "#change" } { "begin with this one" } } }
            }
        }
    };
    Ok(page(&visitor, "/profiles", &name, &content))
}

/// The live version, and those before it.
async fn history(app: &App, name: &str) -> Result<(ProfileVersion, Vec<ProfileVersion>), ApiError> {
    let versions = app.storage.profile_history(name).await;
    let mut versions = versions.map_err(ApiError::internal)?.into_iter();
    let live = versions.next().ok_or_else(no_such_page)?;
    Ok((live, versions.collect()))
}

/// Each control, and how far it goes.
fn holds_to(source: &str) -> Markup {
    let read = PolicyProfile::from_toml(source);
    let Ok(profile) = read else {
        return html! { p.notice.bad { "The live version cannot be read by this version of the server. Its tablets keep what they have; write it anew below." } };
    };
    let rows: Vec<Vec<Markup>> = ControlName::ALL
        .into_iter()
        .map(|control| {
            let says = match profile.policy.mode(control) {
                Some(Mode::Enforce) => badge(Tone::Good, "Enforced"),
                Some(Mode::Observe) => badge(Tone::Watched, "Watched only"),
                None => badge(Tone::Open, "Left alone"),
            };
            vec![html! { (words::control(control)) }, says]
        })
        .collect();
    html! {
        p { (profile.title) }
        (table("What its tablets are held to", &["Control", "How far"], &rows))
    }
}

/// With the text to change, for whoever may.
fn form(visitor: &Visitor, name: &str, source: &str, earlier: Option<u64>) -> Markup {
    let lines = source.lines().count().clamp(12, 40);
    html! {
        h2 id="change" { "Its text" }
        @if let Some(version) = earlier { p.notice { "This is version " (version) ", as it was. Nothing changes until you looked at the difference and agreed." } }
        @if visitor.may(Area::Enrol) {
            form method="post" action={ "/profiles/" (name) "/preview" } {
                (token(visitor))
                (field("Profile in TOML", "Lines that begin with # explain what each setting does, and which requirement asks for it.", &html! {
                    textarea name="source" rows=(lines) spellcheck="false" autocomplete="off" { (source) }
                }))
                button.main { "Show what would change" }
            }
        } @else {
            pre { (source) }
            p.soft { "IT admins and managers change it." }
        }
    }
}

/// As a browser sends lines, and as they are kept.
pub(super) fn source(form: &Form) -> String {
    form.text("source").replace("\r\n", "\n")
}

pub(in crate::http) async fn preview(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(sent): Extension<Form>,
) -> Result<Response, ApiError> {
    let (live, _) = history(&app, &name).await?;
    let source = match wanted(&sent, &live.source)? {
        Ok(source) => source,
        Err(not) => return Ok(not_changed(&visitor, &live, not)),
    };
    let change = match profile::diff(&app.storage, &source).await {
        Ok(change) => change,
        Err(error) => {
            let content = html! { (reasons(error)?) (form(&visitor, &name, &source, None)) };
            return Ok(unprocessable(page(&visitor, "/profiles", &name, &content)));
        }
    };
    let apps = everything(&app).await?;
    let content = html! {
        (what_changes(&change))
        (nobody_approved(&newly_unapproved(&live, &source, &apps)))
        @if !change.differences.is_empty() || change.live.is_none() {
            form method="post" action={ "/profiles/" (name) "/apply" } {
                (token(&visitor))
                input type="hidden" name="source" value=(source);
                input type="hidden" name="live" value=(change.live.unwrap_or(0));
                p { (concerns(&change)) }
                button.main { "Make it live" }
            }
            (rollout::offer(&app, &visitor, &source, &change).await?)
        }
        p { a.button href={ "/profiles/" (name) } { "Leave it as it is" } }
        details { summary { "Go on writing" } (form(&visitor, &name, &source, None)) }
    };
    let title = format!("Change to {}", change.name);
    Ok(page(&visitor, "/profiles", &title, &content).into_response())
}

/// The text somebody wrote; or the live one with an app added or taken out, as its page asks for.
fn wanted(form: &Form, live: &str) -> Result<Result<String, AllowlistError>, ApiError> {
    if form.has("allow") {
        return Ok(allowlist::with(live, &parsed(form.text("allow"))?));
    }
    if form.has("take_out") {
        return Ok(allowlist::without(live, &parsed(form.text("take_out"))?));
    }
    Ok(Ok(source(form)))
}

fn not_changed(visitor: &Visitor, live: &ProfileVersion, not: AllowlistError) -> Response {
    let content = html! {
        (alert(&sentence(&not.to_string())))
        (form(visitor, &live.name, &live.source, None))
    };
    unprocessable(page(visitor, "/profiles", &live.name, &content))
}

fn unprocessable(page: Page) -> Response {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Page { status, ..page }.into_response()
}

fn nobody_approved(apps: &BTreeSet<AppId>) -> Markup {
    html! {
        @if !apps.is_empty() {
            div.notice.bad {
                p { "Nobody approved these apps, which it would allow:" }
                ul { @for app in apps { li { code { (app) } } } }
                p { "Have them decided first, on the page " a href="/apps" { "Apps" } "." }
            }
        }
    }
}

fn what_changes(change: &ProfileChange) -> Markup {
    let shown = |value: &Option<serde_json::Value>| match value {
        None => html! { span.soft { "not there" } },
        Some(serde_json::Value::String(text)) => html! { (text) },
        Some(value) => html! { (value) },
    };
    let rows: Vec<Vec<Markup>> = change
        .differences
        .iter()
        .map(|Difference { key, was, becomes }| {
            vec![html! { code { (key) } }, shown(was), shown(becomes)]
        })
        .collect();
    html! {
        @if change.live.is_none() { p.notice { "There is no profile of this name yet: this makes a new one, which no tablet has." } }
        @else if rows.is_empty() { p { "Nothing differs from what is live." } }
        @else { (table("What differs from what is live", &["Setting", "Is", "Becomes"], &rows)) }
        @if change.live_unreadable { p.notice.bad { "What is live cannot be read by this version of the server, so nothing can be compared with it: whether this loosens anything is not known." } }
        @if change.loosens { p.notice.bad { "This makes something looser than it is now." } }
    }
}

fn concerns(change: &ProfileChange) -> String {
    match change.devices {
        0 => "No tablet has this profile.".to_owned(),
        1 => "It concerns 1 tablet, which takes it over at its next contact.".to_owned(),
        more => format!("It concerns {more} tablets, which take it over at their next contact."),
    }
}

pub(in crate::http) async fn apply(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(sent): Extension<Form>,
) -> Result<Response, ApiError> {
    history(&app, &name).await?;
    let looked_at: u64 = parsed(sent.text("live"))?;
    let who = &visitor.operator.name;
    let source = source(&sent);
    let applied = profile::apply_over(&app.storage, &source, looked_at, who, app.now()).await;
    let (change, _) = applied.map_err(failed)?;
    app.nudge.now();
    Ok(see(&format!("/profiles/{}", change.name)))
}

/// What is wrong with a text, line by line.
fn reasons(error: ProfileChangeError) -> Result<Markup, ApiError> {
    if let ProfileChangeError::Storage(error) = error {
        return Err(ApiError::internal(error));
    }
    let lines = error.to_string();
    Ok(html! {
        div.notice.bad role="alert" {
            p { "Nothing was changed, because:" }
            ul { @for line in lines.lines() { li { (line) } } }
        }
    })
}

pub(super) fn failed(error: ProfileChangeError) -> ApiError {
    match error {
        ProfileChangeError::Storage(error) => ApiError::internal(error),
        error @ ProfileChangeError::Overtaken(_) => refused(StatusCode::CONFLICT, error),
        error @ (ProfileChangeError::Refused(_)
        | ProfileChangeError::WithOverrides { .. }
        | ProfileChangeError::Closed { .. }
        | ProfileChangeError::Missing(_)
        | ProfileChangeError::Override(_)
        | ProfileChangeError::NoDevice(_)) => refused(StatusCode::UNPROCESSABLE_ENTITY, error),
    }
}
