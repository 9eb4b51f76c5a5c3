//! Raising a concern, which everybody may, and the list of those somebody may read.

use super::filled::{Filled, Need};
use super::parts::{Filter, again, failed};
use super::{hand, registers};
use crate::domain::registers::concern::{Concern, Raised, State as Standing, raise};
use crate::domain::registers::words::Words;
use crate::domain::registers::{self, Kept, Refused, RegisterError};
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, empty, notice, page, table, token};
use crate::http::console::page::{Page, see};
use crate::http::console::when::When;
use crate::http::console::words;
use crate::http::error::ApiError;
use crate::settings::OutsideHelp;
use crate::storage::{Operator, Which};
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::id::{EntryId, OperatorId};
use serde::Deserialize;
use std::collections::BTreeSet;

/// In the menu.
pub(super) const PLACE: &str = "/concerns";
/// Of one's own that are listed.
const OWN_SHOWN: usize = 20;

#[derive(Deserialize, Default)]
pub(in crate::http) struct Asked {
    #[serde(flatten)]
    filter: Filter,
    #[serde(default)]
    done: String,
}

pub(super) fn path_of(id: EntryId) -> String {
    format!("{PLACE}/{id}")
}

/// Those this person may read. Their role alone lets nobody read one.
pub(in crate::http) async fn readable(
    app: &App,
    visitor: &Visitor,
    which: Which,
) -> Result<Vec<Kept<Concern>>, ApiError> {
    if !visitor.may(Area::Register) {
        return Ok(Vec::new());
    }
    let mut all = every(app, which).await?;
    all.retain(|kept| registers(app).may_read(kept, &visitor.operator));
    Ok(all)
}

async fn every(app: &App, which: Which) -> Result<Vec<Kept<Concern>>, ApiError> {
    let all = registers::list::<Concern>(&app.storage, which).await;
    all.map_err(ApiError::internal)
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Page, ApiError> {
    let first = html! {
        @if asked.done == "raised" {
            (notice(&html! { p { strong { "It was taken." } " Whoever reads it is told that a concern waits, and nothing else. Below you see when they have." } }))
        }
    };
    listed(&app, &visitor, &asked.filter, (&first, None)).await
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    filter: &Filter,
    (first, sent): (&Markup, Option<(&Form, &Refused)>),
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let people = app.storage.operator_list().await;
    let people = people.map_err(ApiError::internal)?;
    let found = readable(app, visitor, filter.which()).await?;
    let own = own(app, visitor, &when).await?;
    let content = html! {
        (first)
        @if visitor.may(Area::Register) {
            section aria-labelledby="to-read" {
                h2 id="to-read" { "For you to read" }
                (filter.form(PLACE, "Open ones", "All"))
                @if found.is_empty() {
                    (empty(&html! { p { "No concern is for you to read." } }))
                } @else {
                    (table(&format!("{} concerns. You are one of those who may read them.", found.len()), &["Raised", "By", "State"], &rows(&found, &when)))
                }
            }
        }
        section.card {
            h2 { "Raise a concern" }
            p { "About a child, a colleague, or how tablets are used. Say it also where you are not sure. If a child is in danger now, call 999 first." }
            (form(visitor, &people, sent))
        }
        (outside(&app.console.help))
        (own)
    };
    Ok(page(visitor, PLACE, "Concerns", &content))
}

fn rows(found: &[Kept<Concern>], when: &When) -> Vec<Vec<Markup>> {
    let row = |kept: &Kept<Concern>| {
        vec![
            html! { a href=(path_of(kept.id)) { (when.at(kept.begun_at)) } },
            html! { (kept.begun_by()) },
            state(&kept.now, when),
        ]
    };
    found.iter().map(row).collect()
}

pub(super) fn state(concern: &Concern, when: &When) -> Markup {
    html! {
        @if concern.due().is_some_and(|due| due <= when.now) { (badge(Tone::Bad, "Overdue")) " " }
        @match (concern.state, concern.acknowledged_at) {
            (Standing::Closed, _) => (badge(Tone::Good, "Closed")),
            (Standing::BecameIncident(_), _) => (badge(Tone::Good, "Became an incident")),
            (Standing::Open, None) => (badge(Tone::Watched, "Not acknowledged")),
            (Standing::Open, Some(_)) => (badge(Tone::Open, "Acknowledged")),
        }
    }
}

fn form(visitor: &Visitor, people: &[Operator], sent: Option<(&Form, &Refused)>) -> Markup {
    let filled = Filled::new("raise", sent);
    html! {
        form method="post" action=(PLACE) {
            (token(visitor))
            (filled.problem())
            (filled.text("body", "What you saw, heard or were told", "In the words that were used. It is kept sealed; IT admins and auditors cannot read it.", Need::Must))
            (part(people, sent, "If it is about the DSL, deputies and managers do."))
            button.main { "Send" }
        }
    }
}

/// Who of the setting's people plays a part in it, and so does not read it.
pub(super) fn part(
    people: &[Operator],
    sent: Option<(&Form, &Refused)>,
    who_reads: &str,
) -> Markup {
    let is_ticked = |id: OperatorId| {
        sent.is_some_and(|(form, _)| {
            form.fields()
                .any(|f| f == ("part", id.to_string().as_str()))
        })
    };
    let roles = |person: &Operator| {
        let roles: Vec<_> = person.roles.iter().map(|role| words::role(*role)).collect();
        roles.join(", ")
    };
    html! {
        fieldset {
            legend { "Is it about one of these people?" }
            p.hint { "Whoever you tick does not read it. " (who_reads) }
            @for person in people {
                label.choice {
                    input type="checkbox" name="part" value=(person.id) checked[is_ticked(person.id)];
                    span { (person.name) " (" (roles(person)) ")" }
                }
            }
        }
    }
}

/// Whom somebody ticked. A person it is about must never be lost on the way.
pub(super) fn part_of(form: &Form, people: &[Operator]) -> Result<BTreeSet<OperatorId>, Refused> {
    let ticked = form.fields().filter(|(name, _)| *name == "part");
    let mut part = BTreeSet::new();
    for (_, id) in ticked {
        let person = people.iter().find(|person| person.id.to_string() == id);
        let person = person.ok_or_else(|| {
            Refused::whole(
                "People changed since this page was opened. Tick again whom it is about.",
            )
        })?;
        part.insert(person.id);
    }
    Ok(part)
}

/// Whom to call who is not of this setting.
pub(super) fn outside(help: &OutsideHelp) -> Markup {
    let unknown = "Not entered here. Whoever runs the server writes it into the settings; until then ask your local authority.";
    html! {
        section.card aria-labelledby="outside" {
            h2 id="outside" { "Outside this setting" }
            p { "You may call these at any time, also without telling anybody here." }
            dl {
                dt { "A child is in danger now" } dd { "999" }
                dt { "The local authority's designated officer (LADO)" } dd { (help.lado.as_deref().unwrap_or(unknown)) }
                dt { "The regulator" } dd { (help.regulator.as_deref().unwrap_or(unknown)) }
                @if let Some(advice) = &help.advice { dt { "Advice, if you want to stay unnamed" } dd { (advice) } }
            }
        }
    }
}

/// When it was sent and whether it was read; what it said is for those who read it.
async fn own(app: &App, visitor: &Visitor, when: &When) -> Result<Markup, ApiError> {
    let mut own = every(app, Which::All).await?;
    own.retain(|kept| kept.begun_by() == visitor.operator.name);
    Ok(html! {
        @if !own.is_empty() {
            section aria-labelledby="own" {
                h2 id="own" { "Those you raised" }
                ul.todo {
                    @for kept in own.iter().take(OWN_SHOWN) {
                        li { (when.at(kept.begun_at)) ": "
                            @match (kept.now.acknowledged_at, kept.now.state) {
                                (_, Standing::Closed | Standing::BecameIncident(_)) => "seen to.",
                                (Some(at), Standing::Open) => { "read " (when.at(at)) "." }
                                (None, Standing::Open) => "not read yet. If it cannot wait, call one of the numbers above.",
                            }
                        }
                    }
                }
            }
        }
    })
}

pub(in crate::http) async fn send(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    match sent(&app, &visitor, &form).await {
        Ok(Raised::Kept(_)) => Ok(see(&format!("{PLACE}?done=raised"))),
        Ok(Raised::NobodyToRead) => Ok(again(nobody_reads(&app, &visitor))),
        Err(RegisterError::Refused(refused)) => {
            let sent = (&html! {}, Some((&form, &refused)));
            Ok(again(
                listed(&app, &visitor, &Filter::default(), sent).await?,
            ))
        }
        Err(error) => Err(failed(error)),
    }
}

fn nobody_reads(app: &App, visitor: &Visitor) -> Page {
    let content = html! {
        p.notice.bad role="alert" { strong { "Nothing was kept." } " Everybody who could read this here is somebody it is about. Please call one of these numbers; what you typed is not stored anywhere." }
        (outside(&app.console.help))
    };
    page(visitor, PLACE, "Please call somebody outside", &content)
}

async fn sent(app: &App, visitor: &Visitor, form: &Form) -> Result<Raised, RegisterError> {
    let people = app.storage.operator_list().await?;
    let part = part_of(form, &people)?;
    let words = Words::default().text("body", form.text("body"))?;
    raise(&registers(app), &words, &part, hand(app, visitor)).await
}
