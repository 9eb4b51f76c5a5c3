//! The setting's registers. Each has a list with a filter, a form that begins an entry, and a page for one entry with its
//! history and the forms for what may be written next; all are made of the few parts in [`filled`] and [`parts`].

pub(in crate::http) mod app;
pub(in crate::http) mod apps;
pub(in crate::http) mod aup;
pub(in crate::http) mod concern;
pub(in crate::http) mod concerns;
pub(in crate::http) mod custody;
mod filled;
pub(in crate::http) mod illegal;
pub(in crate::http) mod incident;
pub(in crate::http) mod incidents;
pub(in crate::http::console) mod matters;
mod parts;
mod pin;
mod search;
pub(in crate::http) mod staff;
pub(in crate::http) mod video;
pub(in crate::http) mod videos;

use super::form::{no_such_page, parsed};
use super::gate::Visitor;
use super::layout::page;
use super::page::Page;
use super::when::When;
use crate::domain::hold::of_incident;
use crate::domain::local_time::LocalTime;
use crate::domain::registers::{Entry, Hand, Kept, Registers, find};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::{StorageError, Which};
use axum::extract::{Extension, State};
use maud::html;
use nestwarden_policy_schema::id::HoldId;
use std::collections::BTreeSet;

/// In the menu.
const PLACE: &str = "/registers";

pub(super) fn registers(app: &App) -> Registers<'_> {
    Registers {
        storage: &app.storage,
        release: &app.release,
        recipient: &app.keys.public.release_recipient,
    }
}

/// Holds this person is not told of.
pub(super) async fn hidden_holds(
    app: &App,
    visitor: &Visitor,
) -> Result<BTreeSet<HoldId>, ApiError> {
    of_incident::hidden_from(&registers(app), &visitor.operator)
        .await
        .map_err(ApiError::internal)
}

/// One that this person may read; to anybody else there is none.
async fn found<E: Entry>(app: &App, visitor: &Visitor, id: &str) -> Result<Kept<E>, ApiError> {
    let found = find::<E>(&app.storage, parsed(id)?).await;
    found
        .map_err(ApiError::internal)?
        .filter(|kept| registers(app).may_read(kept, &visitor.operator))
        .ok_or_else(no_such_page)
}

/// For what is judged in the setting's time.
async fn when(app: &App) -> Result<When, StorageError> {
    Ok(When {
        local: LocalTime::load(&app.storage).await?,
        now: app.now(),
    })
}

fn hand<'a>(app: &App, visitor: &'a Visitor) -> Hand<'a> {
    Hand {
        by: &visitor.operator,
        now: app.now(),
    }
}

pub(in crate::http) async fn index(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    let open = incidents::readable(&app, &visitor, Which::Open)
        .await?
        .len();
    let content = html! {
        p { "What is written here is never changed: a correction is a line of its own, with who wrote it and when." }
        section.card {
            h2 { a href="/incidents" { "Incidents" } }
            p { "What happened, what was done, what came of it and what was learnt; personal-data breaches with their clock, and illegal content step by step. " (open) " open." }
        }
        section.card {
            h2 { a href="/staff" { "Staff and training" } }
            p { "Who works here, what they were trained in and until when, which policy they acknowledged, and when they leave." }
        }
        section.card {
            h2 { a href="/aup" { "Acceptable use policy" } }
            p { "Its versions, from when each is in force, and how many acknowledged it." }
        }
        section.card {
            h2 { a href="/custody" { "Custody" } }
            p { "Who has which tablet until when, and the count at closing." }
        }
        section.card {
            h2 { a href="/apps" { "Apps" } }
            p { "Which apps were asked for, what was decided on each and until when, and which a profile allows although nobody decided." }
        }
        section.card {
            h2 { a href="/videos" { "Approved videos" } }
            p { "Which videos somebody watched in full, for whom each was approved, and until when." }
        }
    };
    Ok(page(&visitor, PLACE, "Registers", &content))
}
