//! What every page has around it, and the few parts pages are made of.

use super::assets;
use super::gate::{Carried, KEY_FIELD, TOKEN_FIELD, Visitor};
use super::page::Page;
use crate::domain::role::Area;
use axum::http::StatusCode;
use maud::{DOCTYPE, Markup, html};
use nestwarden_policy_schema::id::RequestId;

/// What the menu leads to, and who finds it there.
const MENU: [(&str, &str, Area); 12] = [
    ("/", "Overview", Area::House),
    ("/tablets", "Tablets", Area::House),
    ("/enrol", "Add a tablet", Area::Enrol),
    ("/profiles", "Profiles", Area::House),
    ("/consents", "Children", Area::Register),
    ("/tasks", "Tasks", Area::Register),
    ("/holds", "Holds", Area::Register),
    ("/registers", "Registers", Area::Register),
    ("/concerns", "Concerns", Area::House),
    ("/receipts", "Receipts", Area::Evidence),
    ("/reports", "Reports", Area::Evidence),
    ("/people", "People", Area::People),
];

/// How good or bad something is; each is said in words and by shape, never by colour alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Watched,
    Open,
    Bad,
}

/// A page of somebody who is signed in. `place`: the menu's path it belongs to.
pub(super) fn page(visitor: &Visitor, place: &str, title: &str, content: &Markup) -> Page {
    let menu = MENU.iter().filter(|(_, _, area)| visitor.may(*area));
    let body = html! {
        a.skip href="#main" { "Skip to the page" }
        header.top {
            p.brand { "Nestwarden" }
            nav aria-label="Main" {
                @for (path, name, _) in menu {
                    a href=(path) aria-current=[(*path == place).then_some("page")] { (name) }
                }
            }
            div.who {
                a href="/account" aria-current=[(place == "/account").then_some("page")] { (visitor.operator.name) }
                form method="post" action="/sign-out" {
                    (token(visitor))
                    button.quiet { "Sign out" }
                }
            }
        }
        main id="main" tabindex="-1" {
            h1 { (title) }
            (content)
        }
    };
    document(title, &body).into()
}

/// A page of somebody who is not.
pub(super) fn outside(title: &str, content: &Markup) -> Markup {
    let body = html! {
        header.top { p.brand { "Nestwarden" } }
        main.narrow id="main" tabindex="-1" {
            h1 { (title) }
            (content)
        }
    };
    document(title, &body)
}

/// What is shown where a page cannot be.
pub(in crate::http) fn problem(status: StatusCode, message: &str, id: RequestId) -> Page {
    let content = html! {
        p.notice.bad role="alert" { (sentence(message)) }
        p { a.button href="/" { "To the overview" } }
        p.soft { "If somebody helps you with this, tell them: request " code { (id) } "." }
    };
    Page {
        status,
        markup: outside("That did not work", &content),
    }
}

/// Messages for programs begin small and end without a stop.
pub(super) fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    let mut text = first.unwrap_or_default() + chars.as_str();
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Nestwarden" }
                link rel="icon" href=(assets::address("/console.svg"));
                link rel="stylesheet" href=(assets::address("/console.css"));
                script src=(assets::address("/console.js")) defer {}
            }
            body { (body) }
        }
    }
}

/// Goes into every form.
pub(super) fn token(visitor: &Visitor) -> Markup {
    hidden(&visitor.carried())
}

pub(super) fn hidden(carried: &Carried) -> Markup {
    html! {
        input type="hidden" name=(TOKEN_FIELD) value=(carried.token);
        input type="hidden" name=(KEY_FIELD) value=(carried.key);
    }
}

pub(super) fn badge(tone: Tone, words: &str) -> Markup {
    let (class, mark) = match tone {
        Tone::Good => ("good", "✓"),
        Tone::Watched => ("watched", "◔"),
        Tone::Open => ("open", "○"),
        Tone::Bad => ("bad", "!"),
    };
    html! { span.badge.(class) { span.mark aria-hidden="true" { (mark) } " " (words) } }
}

pub(super) fn alert(message: &str) -> Markup {
    html! { p.notice.bad role="alert" { (message) } }
}

pub(super) fn notice(content: &Markup) -> Markup {
    html! { div.notice role="status" { (content) } }
}

/// Where there is nothing yet: what to do first.
pub(super) fn empty(content: &Markup) -> Markup {
    html! { div.empty { (content) } }
}

/// A table that a narrow screen shows as a card for each row: cells carry the head of their column.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        table {
            caption { (caption) }
            thead { tr { @for head in heads { th scope="col" { (head) } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (cell, head) in row.iter().zip(heads) {
                            td data-label=(head) { div { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn field(label: &str, hint: &str, input: &Markup) -> Markup {
    html! {
        label.field {
            span.label { (label) }
            @if !hint.is_empty() { span.hint { (hint) } }
            (input)
        }
    }
}
