//! The overview: coverage first, then what needs somebody, then how things stand.

use super::gate::Visitor;
use super::layout::{Tone, badge, empty, page};
use super::page::Page;
use super::registers::{hidden_holds, matters};
use super::when::When;
use super::{alerts, fleet as all, tablets, tasks, words};
use crate::domain::compliance::Standing;
use crate::domain::fleet::Tablet;
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::people::Health;
use axum::extract::{Extension, State};
use maud::{Markup, html};

/// Of each list; the rest is a press away.
const SHOWN: usize = 8;

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    let tablets = all::in_use(&app, when.now).await?;
    let work = if visitor.may(Area::Register) {
        Some(work(&app, &visitor, &when).await?)
    } else {
        None
    };
    let no_mail = alerts::trouble(&app, &visitor, &when).await?;
    let obstacle = Health::of(&app).await.obstacle();
    let content = html! {
        @if let Some(obstacle) = obstacle {
            section.card {
                p { (badge(Tone::Bad, "Server")) " " strong { (obstacle) } " Tablets go on with what they were told last, and hear nothing new. Tell whoever runs the server now." }
            }
        }
        @if let Some(no_mail) = &no_mail { (no_mail) }
        (coverage(&visitor, &tablets, &when))
        @if let Some(work) = &work { (work) }
        (status(&app, &visitor, &tablets).await?)
    };
    Ok(page(&visitor, "/", &app.console.setting_name, &content))
}

fn coverage(visitor: &Visitor, tablets: &[Tablet], when: &When) -> Markup {
    if tablets.is_empty() {
        return empty(&html! {
            h2 { "No tablet yet" }
            @if visitor.may(Area::Enrol) {
                p { "Begin with one: its page shows a code for the tablet to scan, and says when it has arrived." }
                p { a.button.main href="/enrol" { "Add the first tablet" } }
            } @else {
                p { "A manager or an IT admin adds the first one." }
            }
        });
    }
    let with = |standing| {
        tablets
            .iter()
            .filter(move |tablet| tablet.standing == standing)
    };
    let ready = with(Standing::Fine).count();
    let watched = with(Standing::Observing).count();
    let others: Vec<_> = tablets
        .iter()
        .filter(|tablet| !matches!(tablet.standing, Standing::Fine | Standing::Observing))
        .collect();
    html! {
        section.card aria-labelledby="coverage" {
            h2 id="coverage" { "At " (when.clock()) }
            p.cover {
                strong { (ready) " of " (tablets.len()) }
                span { @if tablets.len() == 1 { "tablet ready" } @else { "tablets ready" } }
                @if watched > 0 { (badge(Tone::Watched, &format!("{watched} watched only"))) }
            }
            @if others.is_empty() && watched == 0 {
                p { "Each was measured within minutes and is as its profile wants it." }
            }
            @if watched > 0 {
                p.soft { "What is watched only is not held: the profile says what it would do. Enforce one control at a time." }
            }
            @if !others.is_empty() {
                ul.todo {
                    @for tablet in others.iter().take(SHOWN) {
                        li {
                            (tablets::badge_of(tablet.standing)) " "
                            a href=(tablets::path(tablet.device().id)) { (tablet.device().name) } ": "
                            (tablets::what_to_do(&tablet.compliance(when.now), &when.local))
                        }
                    }
                }
                @if others.len() > SHOWN { p { a href="/tablets" { "And " (others.len() - SHOWN) " more" } } }
            }
        }
    }
}

async fn work(app: &App, visitor: &Visitor, when: &When) -> Result<Markup, ApiError> {
    let open = tasks::open(app, visitor, when).await?;
    let matters = matters::of(app, visitor).await?;
    let (my_matters, other_matters): (Vec<_>, Vec<_>) = matters
        .iter()
        .partition(|matter| matter.is_for(&visitor.operator));
    let (mine, others): (Vec<_>, Vec<_>) =
        open.iter().partition(|task| task.is_for(&visitor.operator));
    let others = others.len() + other_matters.len();
    Ok(html! {
        section.card aria-labelledby="work" {
            h2 id="work" { "What needs you" }
            @if mine.is_empty() && my_matters.is_empty() { p { "Nothing waits for you." } }
            ul.todo {
                @for matter in my_matters.iter().take(SHOWN) { (matter.item(when)) }
                @for task in mine.iter().take(SHOWN) { (tasks::item(task, when)) }
            }
            @if mine.len() > SHOWN || my_matters.len() > SHOWN || others > 0 {
                p { a href="/tasks" { "All tasks" } span.soft { " (" (open.len() + matters.len()) ", " (others) " of them for others)" } }
            }
        }
    })
}

async fn status(app: &App, visitor: &Visitor, tablets: &[Tablet]) -> Result<Markup, ApiError> {
    let photos: u64 = tablets.iter().map(Tablet::photos_in_use).sum();
    let mut holds = app.storage.hold_list().await.map_err(ApiError::internal)?;
    let hidden = hidden_holds(app, visitor).await?;
    holds.retain(|row| row.released.is_none() && !hidden.contains(&row.hold.id));
    let children = app
        .storage
        .child_list()
        .await
        .map_err(ApiError::internal)?
        .len();
    let roles: Vec<&str> = visitor
        .operator
        .roles
        .iter()
        .map(|r| words::role(*r))
        .collect();
    Ok(html! {
        section.card aria-labelledby="status" {
            h2 id="status" { "Status" }
            dl {
                dt { "You" } dd { (visitor.operator.name) ", " (roles.join(", ")) }
                dt { "Tablets in use" } dd { (tablets.len()) }
                dt { "Photos in use" } dd { (photos) " on the tablets that reported" }
                @if visitor.may(Area::Register) {
                    dt { "Children on the register" }
                    dd {
                        (children)
                        @if children == 0 { " – import the register: " code { "nestwarden-server consent import FILE" } }
                    }
                    dt { "Open holds" } dd { (holds.len()) }
                }
            }
        }
    })
}
