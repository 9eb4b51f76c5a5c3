//! Illegal content: what to do first, and the steps with the time by which each is due.

use super::concerns::{part, part_of};
use super::filled::{Filled, Need, code};
use super::incidents::{self, facts, facts_of, path_of, tablets};
use super::parts::{act, again, failed};
use super::{PLACE, hand, registers, when};
use crate::domain::command::CommandError;
use crate::domain::registers::incident::Incident;
use crate::domain::registers::incident::illegal::{IllegalError, Step, begin as begin_illegal};
use crate::domain::registers::words::Words;
use crate::domain::registers::{Refused, RegisterError};
use crate::http::app::App;
use crate::http::console::form::{Form, refused};
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, page, token};
use crate::http::console::page::{Page, see};
use crate::http::console::when::When;
use crate::http::error::ApiError;
use crate::storage::HoldRow;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::id::EntryId;

/// What to do, as an order.
const fn what(step: Step) -> &'static str {
    match step {
        Step::Isolate => {
            "Isolate the tablet: leave it as it is, close its cover, and lock it away where only you have the key. Leave it switched on; do not unlock it."
        }
        Step::HandsOff => {
            "Tell everybody who knows: do not look at it again, do not copy, send on, print, photograph or delete anything, and do not ask the child about it."
        }
        Step::Police => {
            "Call the police: 999 if a child is in danger now, 101 otherwise. Ask them to collect the tablet, and write down the log number."
        }
        Step::Lado => {
            "Tell the local authority's designated officer (LADO) within one working day, before you speak to whoever it is about."
        }
        Step::Regulator => {
            "Tell the regulator (in England Ofsted) as soon as you can, within 14 days at the latest."
        }
    }
}

pub(super) const fn done(step: Step) -> &'static str {
    match step {
        Step::Isolate => "The tablet was isolated",
        Step::HandsOff => "Everybody was told to keep their hands off",
        Step::Police => "The police were told",
        Step::Lado => "The LADO was told",
        Step::Regulator => "The regulator was told",
    }
}

/// Nothing where an incident is of another kind. `hold`: what freezes the tablet, or did.
pub(super) fn steps(
    visitor: &Visitor,
    path: &str,
    (incident, hold): (&Incident, Option<&HoldRow>),
    when: &When,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let filled = Filled::new("step", sent);
    let next = incident.steps_left().next();
    html! {
        @if incident.is_illegal() {
            section.card aria-labelledby="steps" {
                h2 id="steps" { "Illegal content, step by step" }
                @if let Some(act) = hold.and_then(|row| row.released.as_ref()) {
                    p { (badge(Tone::Open, "Released")) " The hold was released by " (act.by) " " (when.at(act.at)) ": the tablet is frozen no longer." }
                } @else if hold.is_some() {
                    p { (badge(Tone::Bad, "Held")) " The tablet is frozen: nothing on it is sealed, scanned, opened or deleted, and commands that would change it are refused, until this incident is closed and two people release " a href="/holds" { "the hold" } ". A tablet that is switched off or out of reach hears of it at its next contact." }
                }
                ol.steps {
                    @for step in Step::ALL {
                        @let due = step.due(&incident.facts);
                        li aria-current=[(next == Some(step)).then_some("step")] {
                            p { (what(step)) }
                            @match incident.steps.get(&step) {
                                Some(at) => p { (badge(Tone::Good, "Done")) " " (when.local.at(*at)) @if *at > due { " (it was due " (when.local.at(due)) ")" } }
                                None => {
                                    p { @if due <= when.now { (badge(Tone::Bad, "Overdue")) } @else { (badge(Tone::Open, "To do")) }
                                        " by " (when.local.at(due)) }
                                    (form_of(visitor, path, step, when, &filled, sent))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn form_of(
    visitor: &Visitor,
    path: &str,
    step: Step,
    when: &When,
    all: &Filled<'_>,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let is_this = sent.is_some_and(|(form, _)| form.text("step") == code(&step));
    let fresh = Filled::new("step", None);
    let filled = if is_this { all } else { &fresh };
    let fields = html! {
        input type="hidden" name="step" value=(code(&step));
        (filled.moment("at", "When", "", (&when.local, when.now)))
        (filled.text("note", "Who did it, whom they spoke to, any reference", "May be left out.", Need::May))
    };
    act(
        visitor,
        (path, filled),
        ("step", "It was done", "Write it down"),
        &fields,
    )
}

pub(in crate::http) async fn ask(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    asked(&app, &visitor, None).await
}

async fn asked(
    app: &App,
    visitor: &Visitor,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let devices = tablets(app).await?;
    let people = app.storage.operator_list().await;
    let people = people.map_err(ApiError::internal)?;
    let filled = Filled::new("open", sent);
    let content = html! {
        p.notice.bad { strong { "Do not look at it, copy it, send it to anybody or delete it" } ", not even to show what it was. Looking at it again may be an offence, and deleting it destroys evidence." }
        p { "As soon as this is sent the tablet is put under a legal hold that freezes it. Then the steps follow, one after the other, with the time by which each is due. If a child is in danger now, call 999 first." }
        form method="post" action="/incidents/illegal-content" {
            (token(visitor))
            (filled.problem())
            (facts(&filled, &when, (&devices, ""), None))
            (filled.text("facts", "How it came to be known", "Who saw it, where on the tablet and when. Do not describe the content more closely than is needed.", Need::Must))
            (part(&people, sent, "The other deputies and the DSL do. The hold itself stands on the page Holds, for managers, deputies and the DSL but for those you tick."))
            button.main.stop { "Freeze the tablet and begin" }
        }
    };
    Ok(page(
        visitor,
        PLACE,
        "Illegal content on a tablet",
        &content,
    ))
}

pub(in crate::http) async fn begin(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    match begun(&app, &visitor, &form).await {
        Ok(id) => {
            app.nudge.now();
            Ok(see(&path_of(id)))
        }
        Err(IllegalError::Register(RegisterError::Refused(problem))) => {
            Ok(again(asked(&app, &visitor, Some((&form, &problem))).await?))
        }
        Err(IllegalError::Register(error)) => Err(failed(error)),
        Err(IllegalError::NotDsl) => Err(refused(
            StatusCode::FORBIDDEN,
            "Illegal content is for the DSL and deputies, and for none of them whom it is about. Nothing was written: somebody else does it, or call the police yourself.",
        )),
        Err(IllegalError::Hold(error)) => Err(ApiError::internal(error)),
        Err(IllegalError::Command(CommandError::Storage(error))) => Err(ApiError::internal(error)),
        Err(IllegalError::Command(error)) => Err(refused(StatusCode::CONFLICT, error)),
    }
}

async fn begun(app: &App, visitor: &Visitor, form: &Form) -> Result<EntryId, IllegalError> {
    let when = when(app).await?;
    let devices = app.storage.device_list().await?;
    let facts = facts_of(form, &when, &devices).map_err(RegisterError::from)?;
    let device = incidents::device_of(form, &devices).map_err(RegisterError::from)?;
    let words = Words::default()
        .text("facts", form.text("facts"))
        .map_err(RegisterError::from)?;
    let people = app.storage.operator_list().await?;
    let part = part_of(form, &people).map_err(RegisterError::from)?;
    let more = (&words, None, &part);
    begin_illegal(&registers(app), device, facts, more, hand(app, visitor)).await
}
