//! One concern, for those who may read it. To everybody else there is none of this address.

use super::concerns::{PLACE, path_of, state};
use super::filled::{Filled, Need, chosen, options};
use super::incidents::{self, facts, facts_of, tablets};
use super::parts::{Telling, act, answered, erase, history, is_erasing};
use super::{found, hand, registers, when};
use crate::domain::registers::concern::{
    Act, Concern, Decision, Readers, State as Standing, become_incident,
};
use crate::domain::registers::words::Words;
use crate::domain::registers::{Kept, Refused, RegisterError};
use crate::http::app::App;
use crate::http::console::consents::viewed;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::page;
use crate::http::console::page::Page;
use crate::http::console::when::When;
use crate::http::error::ApiError;
use crate::storage::{Device, Role};
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use maud::{Markup, html};

const LABELS: [(&str, &str); 5] = [
    ("body", "What was said"),
    ("note", "Note"),
    ("decision", "Decision"),
    ("why", "Why"),
    ("reason", "Reason"),
];

const DECISIONS: [Decision; 5] = [
    Decision::LowLevel,
    Decision::Allegation,
    Decision::ReferredLado,
    Decision::ReferredChildrensServices,
    Decision::NotSafeguarding,
];

const fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::LowLevel => "Low-level concern: dealt with here",
        Decision::Allegation => "Allegation that may meet the harm threshold",
        Decision::ReferredLado => "Referred to the LADO",
        Decision::ReferredChildrensServices => "Referred to children's services",
        Decision::NotSafeguarding => "No safeguarding matter",
    }
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Page, ApiError> {
    let kept = found(&app, &visitor, &id).await?;
    viewed(&app, &visitor, "concern.view", kept.id.to_string()).await?;
    shown(&app, &visitor, &kept, None).await
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Concern>,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let path = path_of(kept.id);
    let concern = &kept.now;
    let devices = tablets(app).await?;
    let (left_out, has_managers) = circle(app, kept).await?;
    let telling = Telling {
        says: &says,
        hides: &|_| false,
        labels: &LABELS,
    };
    let content = html! {
        section.card {
            p { (state(concern, &when)) }
            dl {
                dt { "Raised by" } dd { (kept.begun_by()) ", " (when.local.at(kept.begun_at)) }
                @if !left_out.is_empty() { dt { "Does not read it" } dd { (left_out.join(", ")) } }
                @if let Some(due) = concern.due() {
                    dt { @if concern.acknowledged_at.is_none() { "Acknowledge by" } @else { "Decide by" } } dd { (when.local.at(due)) }
                }
                @if let Standing::BecameIncident(id) = concern.state { dt { "Became" } dd { a href=(incidents::path_of(id)) { "an incident" } } }
            }
            p.soft { "That you opened this page is on record." }
        }
        section.card aria-labelledby="next" {
            h2 id="next" { "Write on" }
            (forms(visitor, (&path, concern), (&when, &devices), has_managers, sent))
        }
        (history((app, visitor, &when), (&path, kept), sent, &telling))
    };
    Ok(page(visitor, PLACE, "Concern", &content))
}

/// Who is left out, by name, and whether managers read it.
async fn circle(app: &App, kept: &Kept<Concern>) -> Result<(Vec<String>, bool), ApiError> {
    let circle = registers(app).circle(kept).unwrap_or_default();
    let people = app.storage.operator_list().await;
    let people = people.map_err(ApiError::internal)?.into_iter();
    let left_out = people.filter(|person| circle.left_out().contains(&person.id));
    let names = left_out.map(|person| person.name).collect();
    Ok((names, circle.has(Role::Manager)))
}

fn forms(
    visitor: &Visitor,
    (path, concern): (&str, &Concern),
    (when, devices): (&When, &[Device]),
    has_managers: bool,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let of = |name| Filled::new(name, sent);
    if concern.state != Standing::Open {
        let filled = of("reopen");
        let fields = filled.text("reason", "Why it is opened again", "", Need::Must);
        return act(
            visitor,
            (path, &filled),
            ("reopen", "Open it again", "Open it again"),
            &fields,
        );
    }
    let (acknowledge, note, decide, incident, close) = (
        of("acknowledge"),
        of("note"),
        of("decide"),
        of("incident"),
        of("close"),
    );
    html! {
        @if concern.acknowledged_at.is_none() {
            (act(visitor, (path, &acknowledge), ("acknowledge", "Acknowledge it", "I have read it"), &html! {
                p { "Whoever raised it then sees that it was read, and not by whom." }
            }))
        }
        (act(visitor, (path, &note), ("note", "Add a note", "Write it down"), &note.text("note", "Note", "", Need::Must)))
        (act(visitor, (path, &decide), ("decide", "Decide", "Write down the decision"), &html! {
            (decide.choice("decision", "Decision", "", &options(&DECISIONS, decision), ""))
            (decide.text("why", "Why", "Also what was considered and not done.", Need::Must))
        }))
        @if concern.decided_at.is_some() {
            (act(visitor, (path, &incident), ("incident", "Make it an incident", "Begin the incident"), &html! {
                p { "What is written here does not go along. Whoever does not read this concern does not read the incident either." }
                (facts(&incident, when, (devices, ""), None))
                (incident.text("facts", "What happened", "", Need::Must))
                @if !has_managers {
                    label.choice { input type="checkbox" name="managers" value="yes"; "Managers read the incident, too" }
                }
            }))
            (act(visitor, (path, &close), ("close", "Close it without an incident", "Close the concern"),
                &close.text("reason", "Why nothing more is to be done", "", Need::Must)))
        } @else {
            p.soft { "Once it was decided, it is made an incident or closed." }
        }
    }
}

fn says(line: &Act) -> Markup {
    html! {
        @match line {
            Act::Raise => "Raised it.",
            Act::Acknowledge => "Has read it.",
            Act::Note => "Wrote a note.",
            Act::Decide => "Decided.",
            Act::Close { incident: None } => "Closed it.",
            Act::Close { incident: Some(_) } => "Made it an incident.",
            Act::Reopen => "Opened it again.",
        }
    }
}

pub(in crate::http) async fn write(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let kept = found(&app, &visitor, &id).await?;
    let done = written(&app, &visitor, &kept, &form).await;
    let again = async |refused| shown(&app, &visitor, &kept, Some((&form, &refused))).await;
    answered(done, again).await
}

async fn written(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Concern>,
    form: &Form,
) -> Result<String, RegisterError> {
    let words = Words::default();
    let text = |field: &'static str| form.text(field);
    let path = path_of(kept.id);
    let (line, words) = match form.text("act") {
        _ if is_erasing(form) => {
            erase(app, visitor, kept, form).await?;
            return Ok(path);
        }
        "incident" => {
            let id = incident(app, visitor, kept, form).await?;
            return Ok(incidents::path_of(id));
        }
        "acknowledge" => (Act::Acknowledge, words),
        "note" => (Act::Note, words.text("note", text("note"))?),
        "decide" => {
            let code = chosen::<Decision>(form, "decision")?;
            let words = words.line("decision", decision(code))?;
            (Act::Decide, words.text("why", text("why"))?)
        }
        "close" => (
            Act::Close { incident: None },
            words.text("reason", text("reason"))?,
        ),
        "reopen" => (Act::Reopen, words.text("reason", text("reason"))?),
        _ => return Err(Refused::whole("Choose what to write.").into()),
    };
    registers(app)
        .add::<Concern>(kept.id, &line, &words, hand(app, visitor))
        .await?;
    Ok(path)
}

async fn incident(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Concern>,
    form: &Form,
) -> Result<nestwarden_policy_schema::id::EntryId, RegisterError> {
    let when = when(app).await?;
    let devices = app.storage.device_list().await?;
    let facts = facts_of(form, &when, &devices)?;
    let words = Words::default().text("facts", form.text("facts"))?;
    let readers = if form.has("managers") {
        Readers::AndManagers
    } else {
        Readers::AsTheConcern
    };
    let hand = hand(app, visitor);
    become_incident(&registers(app), kept, facts, (&words, readers), hand).await
}
