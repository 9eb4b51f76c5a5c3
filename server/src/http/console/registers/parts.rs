//! The parts of a register's pages: a filter, the forms of an entry, its history.

use super::filled::{Filled, Need};
use super::registers;
use crate::domain::registers::words::Read;
use crate::domain::registers::{Entry, Kept, Line, Refused, RegisterError};
use crate::http::app::App;
use crate::http::console::form::{Form, no_such_page, refused};
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{field, token};
use crate::http::console::page::{Page, see};
use crate::http::console::when::When;
use crate::http::error::ApiError;
use crate::storage::Which;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;

/// What a list shows.
#[derive(Deserialize, Default)]
pub(in crate::http) struct Filter {
    #[serde(default)]
    pub(super) show: String,
}

impl Filter {
    pub(super) fn which(&self) -> Which {
        if self.show == "all" {
            Which::All
        } else {
            Which::Open
        }
    }

    /// `open`: how an entry is called that still needs somebody.
    pub(super) fn form(&self, place: &str, open: &str, all: &str) -> Markup {
        html! {
            form.filter method="get" action=(place) {
                (field("Show", "", &html! {
                    select name="show" {
                        option value="open" { (open) }
                        option value="all" selected[self.which() == Which::All] { (all) }
                    }
                }))
                button { "Show" }
            }
        }
    }
}

/// A form that writes a line, folded away until somebody wants it.
pub(super) fn act(
    visitor: &Visitor,
    (path, filled): (&str, &Filled<'_>),
    (name, summary, button): (&str, &str, &str),
    fields: &Markup,
) -> Markup {
    html! {
        details open[filled.came_back()] {
            summary { (summary) }
            form method="post" action=(path) {
                (token(visitor))
                input type="hidden" name="act" value=(name);
                (filled.problem())
                (fields)
                button.main { (button) }
            }
        }
    }
}

/// Every line of an entry, the newest first. `says`: what a line did; `labels`: what its words are called.
pub(super) fn history<E: Entry>(
    (app, visitor, when): (&App, &Visitor, &When),
    (path, kept): (&str, &Kept<E>),
    sent: Option<(&Form, &Refused)>,
    says: impl Fn(&E::Act) -> Markup,
    labels: &[(&str, &str)],
) -> Markup {
    let registers = registers(app);
    html! {
        section aria-labelledby="history" {
            h2 id="history" { "History" }
            ol.history reversed {
                @for line in kept.lines.iter().rev() {
                    @let read = registers.read(line);
                    li id={ "line-" (line.seq) } {
                        p { strong { (says(&line.act)) } span.soft { " " (line.by) ", " (when.at(line.at)) } }
                        (worded(&read, when, labels))
                        @if matches!(&read, Read::Words(words) if !words.is_empty()) {
                            (erasing(visitor, path, line, sent))
                        }
                    }
                }
            }
        }
    }
}

fn worded(read: &Read, when: &When, labels: &[(&str, &str)]) -> Markup {
    html! {
        @match read {
            Read::Words(words) => {
                @for (field, label) in labels {
                    @let text = words.of(field);
                    @if !text.is_empty() {
                        p.soft { (label) }
                        p.told { (text) }
                    }
                }
            }
            Read::Erased { at, why } => p.soft { "Erased " (when.at(*at)) ": " (why) }
            Read::Unreadable => p.notice.bad { "These words cannot be opened: the server's release key is not the one they were sealed to. Restore " code { "keys" } " from a backup." }
        }
    }
}

fn erasing<A>(
    visitor: &Visitor,
    path: &str,
    line: &Line<A>,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let seq = line.seq.to_string();
    let of_this = sent.filter(|(form, _)| form.text("line") == seq);
    let filled = Filled::new("erase", of_this);
    let fields = html! {
        input type="hidden" name="line" value=(seq);
        p { "For the right to erasure, or a name that should not be here. What was written goes for ever; that it was there, who erased it and why stays." }
        (filled.line("why", "Why", "Without names.", Need::Must))
    };
    act(
        visitor,
        (path, &filled),
        ("erase", "Erase these words", "Erase them"),
        &fields,
    )
}

pub(super) fn failed(error: RegisterError) -> ApiError {
    match error {
        RegisterError::Refused(problem) => refused(StatusCode::UNPROCESSABLE_ENTITY, problem),
        RegisterError::Missing(_) => no_such_page(),
        RegisterError::Meanwhile => refused(
            StatusCode::CONFLICT,
            "Somebody else wrote about this at the same time, so nothing was written. Go back, open the page again and look.",
        ),
        error @ (RegisterError::Seal | RegisterError::Storage(_)) => ApiError::internal(error),
    }
}

pub(super) fn again(page: Page) -> Response {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Page { status, ..page }.into_response()
}

pub(super) fn on(path: &str) -> Response {
    see(path)
}

pub(super) async fn erase<E: Entry>(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<E>,
    form: &Form,
) -> Result<(), RegisterError> {
    let hand = super::hand(app, visitor);
    let seq = form.text("line").parse().unwrap_or(0);
    registers(app)
        .erase::<E>(kept.id, seq, form.text("why"), hand)
        .await
}
