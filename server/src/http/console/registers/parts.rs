//! The parts of a register's pages: a filter, the forms of an entry, its history.

use super::filled::{Filled, Need};
use super::registers;
use crate::domain::registers::words::Read;
use crate::domain::registers::{Entry, Kept, Line, Refused, RegisterError};
use crate::domain::role::Area;
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
    show: String,
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

/// How the lines of a register are told.
pub(super) struct Telling<'a, A> {
    /// What a line did.
    pub(super) says: &'a dyn Fn(&A) -> Markup,
    /// Whether its words are not for this person.
    pub(super) hides: &'a dyn Fn(&A) -> bool,
    /// What its words are called, by field.
    pub(super) labels: &'a [(&'a str, &'a str)],
}

/// Every line of an entry, the newest first.
pub(super) fn history<E: Entry>(
    (app, visitor, when): (&App, &Visitor, &When),
    (path, kept): (&str, &Kept<E>),
    sent: Option<(&Form, &Refused)>,
    telling: &Telling<'_, E::Act>,
) -> Markup {
    let registers = registers(app);
    html! {
        section aria-labelledby="history" {
            h2 id="history" { "History" }
            ol.history reversed {
                @for line in kept.lines.iter().rev() {
                    @let read = registers.read(line);
                    li id={ "line-" (line.seq) } {
                        p { strong { ((telling.says)(&line.act)) } span.soft { " " (line.by) ", " (when.at(line.at)) } }
                        @if (telling.hides)(&line.act) {
                            p.soft { "Why is not shown to you." }
                        } @else {
                            (worded(&read, when, telling.labels))
                            @if visitor.may(Area::Register) && matches!(&read, Read::Words(words) if !words.is_empty()) {
                                (erasing(visitor, path, line, sent))
                            }
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

/// One person asks, another one does it.
fn erasing<A>(
    visitor: &Visitor,
    path: &str,
    line: &Line<A>,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let seq = line.seq.to_string();
    let of_this = sent.filter(|(form, _)| form.text("line") == seq);
    let which = html! { input type="hidden" name="line" value=(seq); };
    match &line.erase_asked {
        None => {
            let filled = Filled::new("ask_erase", of_this);
            let fields = html! {
                (which)
                p { "For the right to erasure, or a name that should not be here. A second person does it; then the words are gone for ever. That they were there, who erased them and why stays." }
                (filled.line("why", "Why", "Without names.", Need::Must))
            };
            let says = (
                "ask_erase",
                "Ask for these words to be erased",
                "Ask for it",
            );
            act(visitor, (path, &filled), says, &fields)
        }
        Some(asked) if asked.by == visitor.operator.name => html! {
            p.soft { "You asked for these words to be erased: " (asked.why) ". Somebody else does it." }
        },
        Some(asked) => {
            let filled = Filled::new("erase", of_this);
            let fields = html! { (which) p { (asked.by) " asks for it: " (asked.why) ". The words are gone for ever then." } };
            let says = (
                "erase",
                "Erase these words, as a second person",
                "Erase them",
            );
            act(visitor, (path, &filled), says, &fields)
        }
    }
}

/// Whether a form asks for words to be erased, or does it.
pub(super) fn is_erasing(form: &Form) -> bool {
    matches!(form.text("act"), "ask_erase" | "erase")
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

/// What comes of a form: on to where it leads, or the page again with what was wrong.
pub(super) async fn answered<F>(
    done: Result<String, RegisterError>,
    page: impl FnOnce(Refused) -> F + Send,
) -> Result<Response, ApiError>
where
    F: Future<Output = Result<Page, ApiError>> + Send,
{
    match done {
        Ok(path) => Ok(see(&path)),
        Err(RegisterError::Refused(refused)) => Ok(again(page(refused).await?)),
        Err(error) => Err(failed(error)),
    }
}

pub(super) fn again(page: Page) -> Response {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Page { status, ..page }.into_response()
}

pub(super) async fn erase<E: Entry>(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<E>,
    form: &Form,
) -> Result<(), RegisterError> {
    let (registers, hand) = (registers(app), super::hand(app, visitor));
    let seq = form.text("line").parse().unwrap_or(0);
    if form.text("act") == "ask_erase" {
        return registers
            .ask_erase::<E>(kept.id, seq, form.text("why"), hand)
            .await;
    }
    registers.erase::<E>(kept.id, seq, hand).await
}
