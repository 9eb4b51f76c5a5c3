//! The register: every child, and what may be done with photos of them.

use super::gate::Visitor;
use super::layout::{Tone, badge, empty, field, page, table};
use super::page::Page;
use super::when::When;
use super::words;
use crate::domain::register::Register;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::{AuditEntry, Child};
use axum::extract::{Extension, Query, State};
use maud::{Markup, html};
use nestwarden_policy_schema::consent::{ConsentState, Purpose, Restriction, RoomName};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Of one page; a filter finds the others.
const SHOWN: usize = 200;

#[derive(Deserialize, Default)]
pub(in crate::http) struct Filter {
    #[serde(default)]
    search: String,
    #[serde(default)]
    room: String,
    #[serde(default)]
    show: String,
}

impl Filter {
    fn admits(&self, register: &Register, child: &Child) -> bool {
        let words = self.search.to_lowercase();
        let name = format!(
            "{} {} {}",
            child.first_name, child.last_name, child.reference
        );
        let is_in =
            self.room.is_empty() || child.entry.rooms.iter().any(|r| r.as_str() == self.room);
        let any = |state| {
            register
                .standings(child.id)
                .values()
                .any(|s| s.state == state)
        };
        name.to_lowercase().contains(words.trim())
            && is_in
            && match self.show.as_str() {
                "withdrawn" => any(ConsentState::Withdrawn),
                "conflicted" => any(ConsentState::Conflicted),
                "restricted" => child.entry.restriction != Restriction::None,
                "missing" => child.entry.missing_since.is_some(),
                "left" => child.entry.leaves.is_some(),
                _ => child.entry.leaves.is_none(),
            }
    }
}

pub(super) fn name(child: &Child) -> String {
    format!("{} {}", child.first_name, child.last_name)
}

/// Views of children's records are on record.
pub(super) async fn viewed(
    app: &App,
    visitor: &Visitor,
    act: &str,
    subject: String,
) -> Result<(), ApiError> {
    let entry = AuditEntry {
        at: app.now(),
        who: visitor.operator.name.clone(),
        act: act.to_owned(),
        subject,
        detail: serde_json::json!({ "in": "console" }),
    };
    app.storage
        .audit_add(&entry)
        .await
        .map_err(ApiError::internal)
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(filter): Query<Filter>,
) -> Result<Page, ApiError> {
    let register = Register::load(&app.storage)
        .await
        .map_err(ApiError::internal)?;
    let when = When::of(&app).await?;
    viewed(&app, &visitor, "child.list", "register".to_owned()).await?;
    let mut found: Vec<&Child> = register
        .children
        .iter()
        .filter(|child| filter.admits(&register, child))
        .collect();
    found.sort_by_key(|child| (&child.first_name, &child.last_name));
    let rows: Vec<Vec<Markup>> = found
        .iter()
        .take(SHOWN)
        .map(|c| row(&register, c, &when))
        .collect();
    let content = html! {
        @if !register.children.is_empty() {
            div.actions { a.button href="/consents/import" { "Import a register" } }
            (filters(&register, &filter))
        }
        @if register.children.is_empty() {
            (empty(&html! {
                h2 { "No child yet" }
                p { "The register comes from your booking system: export it there, and see here what it would change, child by child." }
                p { a.button href="/consents/import" { "Import a register" } }
            }))
        } @else if rows.is_empty() {
            (empty(&html! { p { "No child fits. " a href="/consents" { "Show everybody" } } }))
        } @else {
            (table(&format!("{} of {} children.", found.len(), register.children.len()),
                &["Child", "Rooms", "Photos may be used for", "To know"], &rows))
            @if found.len() > SHOWN { p { "The first " (SHOWN) " are shown. Search for the others." } }
        }
    };
    Ok(page(&visitor, "/consents", "Children", &content))
}

fn filters(register: &Register, filter: &Filter) -> Markup {
    let rooms: BTreeSet<&str> = register
        .children
        .iter()
        .flat_map(|child| child.entry.rooms.iter().map(RoomName::as_str))
        .collect();
    let shows = [
        ("", "Children who attend"),
        ("withdrawn", "With a withdrawal"),
        ("conflicted", "Parents disagree"),
        ("restricted", "With a restriction"),
        ("missing", "Missing from the last file"),
        ("left", "Leaving, or left"),
    ];
    html! {
        form.filter method="get" action="/consents" {
            (field("Search", "", &html! { input type="search" name="search" value=(filter.search); }))
            (field("Room", "", &html! {
                select name="room" {
                    option value="" { "Every room" }
                    @for room in &rooms { option value=(room) selected[filter.room == *room] { (room) } }
                }
            }))
            (field("Show", "", &html! {
                select name="show" {
                    @for (value, says) in shows { option value=(value) selected[filter.show == value] { (says) } }
                }
            }))
            button { "Filter" }
        }
    }
}

fn row(register: &Register, child: &Child, when: &When) -> Vec<Markup> {
    let standings = register.standings(child.id);
    let given: Vec<&str> = Purpose::ALL
        .iter()
        .filter(|purpose| {
            standings.get(*purpose).is_some_and(|standing| {
                standing.state == ConsentState::Given
                    && standing
                        .valid_until
                        .is_none_or(|until| until >= when.today())
            })
        })
        .map(|purpose| words::purpose(*purpose))
        .collect();
    let rooms: Vec<&str> = child.entry.rooms.iter().map(RoomName::as_str).collect();
    vec![
        html! { a href={ "/children/" (child.id) } { (name(child)) } " " span.soft { (child.reference) } },
        html! { (rooms.join(", ")) },
        html! { @if given.is_empty() { span.soft { "nothing" } } @else { (given.join(", ")) } },
        notes(register, child),
    ]
}

/// What stands out about a child.
pub(super) fn notes(register: &Register, child: &Child) -> Markup {
    let standings = register.standings(child.id);
    let any = |state| standings.values().any(|standing| standing.state == state);
    html! {
        @match child.entry.restriction {
            Restriction::None => {},
            Restriction::NoExternal => { (badge(Tone::Bad, "Nothing outside the setting")) " " },
            Restriction::DoNotPhotograph => { (badge(Tone::Bad, "Do not photograph")) " " },
        }
        @if any(ConsentState::Conflicted) { (badge(Tone::Bad, "Parents disagree")) " " }
        @if any(ConsentState::Withdrawn) { (badge(Tone::Open, "Withdrawn")) " " }
        @if child.entry.missing_since.is_some() { (badge(Tone::Bad, "Missing from the last file")) " " }
        @if child.entry.leaves.is_some() { (badge(Tone::Open, "Leaving, or left")) " " }
    }
}
