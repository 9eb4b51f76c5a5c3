//! The setting's registers. Each has a list with a filter, a form that begins an entry, and a page for one entry with its
//! history and the forms for what may be written next; all are made of the few parts in [`filled`] and [`parts`].

pub(in crate::http) mod concern;
pub(in crate::http) mod concerns;
mod filled;
pub(in crate::http) mod illegal;
pub(in crate::http) mod incident;
pub(in crate::http) mod incidents;
pub(in crate::http::console) mod matters;
mod parts;

use super::gate::Visitor;
use super::layout::page;
use super::page::Page;
use crate::domain::registers::{Hand, Registers};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::Which;
use axum::extract::{Extension, State};
use maud::html;

/// In the menu.
const PLACE: &str = "/registers";

fn registers(app: &App) -> Registers<'_> {
    Registers {
        storage: &app.storage,
        release: &app.release,
        recipient: &app.keys.public.release_recipient,
    }
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
    };
    Ok(page(&visitor, PLACE, "Registers", &content))
}
