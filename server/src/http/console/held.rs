//! What one tablet is held to, setting by setting, and where each comes from.

use super::form::{no_such_page, parsed};
use super::gate::Visitor;
use super::layout::{Tone, badge, page, table};
use super::page::Page;
use super::tablets;
use super::when::{When, day};
use crate::domain::profile::effective::{Effective, SaidBy, effective};
use crate::domain::rollout::InForce;
use crate::http::app::App;
use crate::http::error::ApiError;
use axum::extract::{Extension, Path, State};
use maud::{Markup, html};
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::policy::{DatedException, Loosening};
use nestwarden_policy_schema::profile::PolicyProfile;
use serde_json::Value;

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(device): Path<String>,
) -> Result<Page, ApiError> {
    let id: DeviceId = parsed(&device)?;
    let when = When::of(&app).await?;
    let found = app.storage.device_find(id).await;
    let device = found
        .map_err(ApiError::internal)?
        .ok_or_else(no_such_page)?;
    let in_force = InForce::load(&app.storage).await;
    let in_force = in_force.map_err(ApiError::internal)?;
    let content = match in_force.text_of(&device) {
        None => html! {
            p.notice.bad { "Its profile \"" (device.profile) "\" is not there, or cannot be read by this version of the server. The tablet keeps what it has." }
        },
        Some((source, profile)) => {
            let all = effective(source, profile, &device.overrides);
            html! {
                p { "From profile " a href={ "/profiles/" (profile.name) } { (profile.name) } ". An override holds this tablet tighter than its profile; what neither says has its default. Whether the tablet is so stands on "
                    a href=(tablets::path(id)) { "its own page" } "." }
                (by_part(&all))
                h2 { "Exceptions" }
                (exceptions(profile, &when))
            }
        }
    };
    let title = format!("What {} is held to", device.name);
    Ok(page(&visitor, "/tablets", &title, &content))
}

/// A table for each control, and one for the calendar.
fn by_part(all: &[Effective]) -> Markup {
    let part = |one: &Effective| {
        let mut keys = one.key.split('.');
        match (keys.next(), keys.next()) {
            (Some("policy"), Some(control)) => control.to_owned(),
            (first, _) => first.unwrap_or_default().to_owned(),
        }
    };
    let parts = all.chunk_by(|a, b| part(a) == part(b));
    html! {
        @for of_part in parts {
            @if let Some(first) = of_part.first() {
                h2 { (heading(&part(first))) }
                (table("Each setting by its key in the profile.", &["Setting", "Is", "Said by"], &rows(of_part)))
            }
        }
    }
}

/// Without what the heading says already.
fn within(key: &str) -> &str {
    let key = key.strip_prefix("policy.").unwrap_or(key);
    key.split_once('.').map_or(key, |(_, rest)| rest)
}

fn heading(part: &str) -> String {
    let mut letters = part.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

fn rows(of_part: &[Effective]) -> Vec<Vec<Markup>> {
    let row = |one: &Effective| {
        vec![
            html! { code { (within(&one.key)) } },
            value(&one.value),
            match one.said_by {
                SaidBy::Profile => html! { "Profile" },
                SaidBy::Default => html! { span.soft { "Default" } },
                SaidBy::Override => badge(Tone::Watched, "Override of this tablet"),
            },
        ]
    };
    of_part.iter().map(row).collect()
}

fn value(value: &Value) -> Markup {
    match value {
        Value::Null => html! { span.soft { "not set" } },
        Value::Bool(true) => html! { "yes" },
        Value::Bool(false) => html! { "no" },
        Value::String(text) => html! { (text) },
        Value::Array(all) if all.is_empty() => html! { span.soft { "none" } },
        Value::Array(all) if all.iter().all(|one| stretch(one).is_some()) => html! {
            @for (at, one) in all.iter().filter_map(stretch).enumerate() {
                @if at > 0 { ", " } (one)
            }
        },
        Value::Array(all) if all.iter().all(Value::is_string) => html! {
            @for (at, one) in all.iter().filter_map(Value::as_str).enumerate() {
                @if at > 0 { ", " } (one)
            }
        },
        Value::Number(_) | Value::Array(_) | Value::Object(_) => html! { (value) },
    }
}

/// "07:30 to 18:30".
fn stretch(value: &Value) -> Option<String> {
    let time = |key| value.get(key)?.as_str()?.get(..5);
    Some(format!("{} to {}", time("from")?, time("to")?))
}

fn exceptions(profile: &PolicyProfile, when: &When) -> Markup {
    let state = |exception: &DatedException| {
        if exception.is_active(&profile.calendar, when.now) {
            badge(Tone::Watched, "Holds now")
        } else if when.today() < exception.from {
            badge(Tone::Open, "To come")
        } else {
            badge(Tone::Open, "Over")
        }
    };
    let rows: Vec<Vec<Markup>> = profile
        .exceptions
        .iter()
        .map(|exception| {
            vec![
                html! { (allowed(&exception.allow)) },
                html! { (day(exception.from)) " to " (day(exception.until)) @if exception.medical { ", and on until somebody decides" } },
                html! { (exception.reason) ", approved by " (exception.approved_by) },
                state(exception),
            ]
        })
        .collect();
    html! {
        @if rows.is_empty() { p { "None: nothing is loosened for a time." } }
        @else { (table("The only way in which anything is loosened.", &["Allows", "Days", "Why", "Now"], &rows)) }
    }
}

fn allowed(allow: &Loosening) -> String {
    match allow {
        Loosening::BluetoothService(service) => format!("Bluetooth service {service}"),
        Loosening::App(app) => format!("the app {app}"),
        Loosening::RemovableMedia => "removable media".to_owned(),
        Loosening::Camera => "the camera outside a session".to_owned(),
        Loosening::OpenOutsideContactHours => "use out of contact hours".to_owned(),
    }
}
