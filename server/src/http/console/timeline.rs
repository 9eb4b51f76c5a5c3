//! Everything a tablet told, the newest first.

use super::form::{no_such_page, parsed};
use super::gate::Visitor;
use super::layout::{empty, page};
use super::page::Page;
use super::when::{When, day};
use super::{tablets, words};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::StoredEvent;
use axum::extract::{Extension, Path, Query, State};
use maud::{Markup, html};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::DeviceId;
use serde::Deserialize;

/// Events on a page, counted before those are left out of which there is nothing to say.
const ON_ONE: u32 = 200;

#[derive(Deserialize)]
pub(in crate::http) struct Asked {
    /// Up to this number, in place of the newest.
    until: Option<u64>,
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(device): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, ApiError> {
    let id: DeviceId = parsed(&device)?;
    let when = When::of(&app).await?;
    let storage = &app.storage;
    let found = storage.device_find(id).await;
    let device = found
        .map_err(ApiError::internal)?
        .ok_or_else(no_such_page)?;
    let last = storage.event_position(id).await;
    let last = last.map_err(ApiError::internal)?.seq;
    let until = asked.until.map_or(last, |until| until.min(last));
    let after = until.saturating_sub(ON_ONE.into());
    let most = u32::try_from(until - after).unwrap_or(ON_ONE);
    let events = storage.event_list(id, after, most).await;
    let events = events.map_err(ApiError::internal)?;
    let path = format!("{}/timeline", tablets::path(id));
    let content = html! {
        p { "What " a href=(tablets::path(id)) { (device.name) } " told, the newest first, by its own clock. Photos that were seen and tagged are left out; they are in " code { "events export" } "." }
        @if last == 0 { (empty(&html! { p { "It told nothing yet. It does as soon as it reaches the nursery's network." } })) }
        (by_day(&events, &when))
        p.actions {
            @if until < last { a.button href={ (path) "?until=" (until.saturating_add(ON_ONE.into())) } { "Newer" } " " }
            @if after > 0 { a.button href={ (path) "?until=" (after) } { "Older" } }
        }
    };
    let title = format!("Timeline of {}", device.name);
    Ok(page(&visitor, "/tablets", &title, &content))
}

fn by_day(events: &[StoredEvent], when: &When) -> Markup {
    let said: Vec<(&StoredEvent, String)> = events
        .iter()
        .rev()
        .filter_map(|stored| Some((stored, says(stored)?)))
        .collect();
    let date = |stored: &StoredEvent| when.local.date(stored.event.at);
    let days = said.chunk_by(|a, b| date(a.0) == date(b.0));
    html! {
        @for of_day in days {
            @if let Some((first, _)) = of_day.first() {
                h2 { (day(date(first))) }
                ul.todo { @for (stored, says) in of_day { li { span.soft { (when.at(stored.event.at)) } " " (says) } } }
            }
        }
    }
}

/// `None`: it is left out.
fn says(stored: &StoredEvent) -> Option<String> {
    let Some(body) = stored.event.body.as_deref() else {
        return Some("What it said was erased; that it was said stays in the record.".to_owned());
    };
    match serde_json::from_str::<EventBody>(body) {
        Ok(body) => words::event(&body),
        Err(_) => {
            Some("It said something that this version of the server does not know.".to_owned())
        }
    }
}
