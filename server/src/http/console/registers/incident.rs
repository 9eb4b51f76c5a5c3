//! One incident: how it stands, what may be written next, and its history.

use super::filled::{Filled, Need, chosen, day_if_any, moment, options};
use super::incidents::{facts, facts_of, kind, path_of, severity, state, tablets};
use super::parts::{Telling, act, answered, erase, history, is_erasing};
use super::{PLACE, found, hand, illegal, registers, when};
use crate::domain::registers::incident::{Act, Breach, Decided, Incident, OutcomeCode};
use crate::domain::registers::words::Words;
use crate::domain::registers::{Kept, Refused, RegisterError};
use crate::http::app::App;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, page};
use crate::http::console::page::Page;
use crate::http::console::when::{When, day};
use crate::http::error::ApiError;
use crate::storage::Device;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use maud::{Markup, html};

/// What the words of its lines are called.
const LABELS: [(&str, &str); 10] = [
    ("clause", "Clause of the policy"),
    ("facts", "What happened"),
    ("action", "What was done"),
    ("reference", "Reference"),
    ("reason", "Reason"),
    ("note", "Note"),
    ("happened", "What went wrong, and what went well"),
    ("lesson", "What was learnt"),
    ("change", "What changes"),
    ("owner", "Who sees to it"),
];

const OUTCOMES: [OutcomeCode; 8] = [
    OutcomeCode::NoFurtherAction,
    OutcomeCode::Advice,
    OutcomeCode::Training,
    OutcomeCode::Disciplinary,
    OutcomeCode::RuleChanged,
    OutcomeCode::ReferredLado,
    OutcomeCode::ReferredPolice,
    OutcomeCode::NotSubstantiated,
];

const fn outcome(outcome: OutcomeCode) -> &'static str {
    match outcome {
        OutcomeCode::NoFurtherAction => "No further action",
        OutcomeCode::Advice => "Advice given",
        OutcomeCode::Training => "Training given",
        OutcomeCode::Disciplinary => "Disciplinary procedure",
        OutcomeCode::RuleChanged => "A rule or setting was changed",
        OutcomeCode::ReferredLado => "Referred to the LADO",
        OutcomeCode::ReferredPolice => "Referred to the police",
        OutcomeCode::NotSubstantiated => "Not substantiated",
    }
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Page, ApiError> {
    let kept = found(&app, &visitor, &id).await?;
    shown(&app, &visitor, &kept, None).await
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Incident>,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let devices = tablets(app).await?;
    let path = path_of(kept.id);
    let incident = &kept.now;
    let hold = match incident.hold {
        Some(id) => app.storage.hold_find(id).await,
        None => Ok(None),
    };
    let hold = hold.map_err(ApiError::internal)?;
    let forms = if incident.outcome.is_none() {
        open_forms(visitor, &path, incident, (&when, &devices), sent)
    } else {
        let filled = Filled::new("reopen", sent);
        let fields = filled.text("reason", "Why it is opened again", "", Need::Must);
        act(
            visitor,
            (&path, &filled),
            ("reopen", "Open it again", "Open it again"),
            &fields,
        )
    };
    let telling = Telling {
        says: &|line| says(line, &when),
        hides: &|_| false,
        labels: &LABELS,
    };
    let content = html! {
        (standing(incident, &when, &devices))
        @if let Some(breach) = &incident.breach { (clock(visitor, &path, breach, &when, sent, incident.outcome.is_none())) }
        (illegal::steps(visitor, &path, (incident, hold.as_ref()), &when, sent))
        section.card aria-labelledby="next" {
            h2 id="next" { "Write on" }
            (forms)
        }
        (history((app, visitor, &when), (&path, kept), sent, &telling))
    };
    let title = format!("Incident: {}", kind(incident.kind).to_lowercase());
    Ok(page(visitor, PLACE, &title, &content))
}

fn standing(incident: &Incident, when: &When, devices: &[Device]) -> Markup {
    let facts = &incident.facts;
    let device = facts.device;
    let name = |id| {
        devices
            .iter()
            .find(|d| d.id == id)
            .map_or("a tablet that is gone", |d| d.name.as_str())
    };
    let lacks = incident.lacks();
    html! {
        section.card {
            p { (state(incident, when)) }
            dl {
                dt { "How bad" } dd { (severity(facts.severity)) }
                dt { "Happened" } dd { (when.local.at(facts.happened_at)) }
                dt { "Known since" } dd { (when.local.at(facts.noticed_at)) }
                @if let Some(id) = device { dt { "Tablet" } dd { a href={ "/tablets/" (id) } { (name(id)) } } }
                @if let Some(concern) = incident.concern { dt { "Came of" } dd { a href={ "/concerns/" (concern) } { "a concern" } } }
                @if let Some(code) = incident.outcome { dt { "Outcome" } dd { (outcome(code)) } }
            }
            @if incident.outcome.is_none() && !lacks.is_empty() {
                p { "Before it can be closed:" }
                ul { @for lack in lacks { li { (lack) } } }
            }
        }
    }
}

/// The 72 hours.
fn clock(
    visitor: &Visitor,
    path: &str,
    breach: &Breach,
    when: &When,
    sent: Option<(&Form, &Refused)>,
    is_open: bool,
) -> Markup {
    let due = breach.due();
    let left = due.duration_since(when.now).as_hours();
    html! {
        section.card aria-labelledby="clock" {
            h2 id="clock" { "Personal-data breach" }
            @match breach.decided {
                None => {
                    p.cover {
                        strong { (when.local.at(due)) }
                        @if due <= when.now { (badge(Tone::Bad, &format!("{} hours over", -left))) }
                        @else { (badge(Tone::Watched, &format!("{left} hours left"))) }
                    }
                    p { "Until then the regulator for data protection (in the UK the ICO) has to be told, unless nobody is likely to come to harm by it. The 72 hours count from when the setting knew: " (when.local.at(breach.aware_at)) ". Weekends and closed days count." }
                    ol {
                        li { "Stop it: take the tablet out of use, take the file down, ask for it back." }
                        li { "Write down whose data, how many people, and what could come of it." }
                        li { "Tell the regulator what is known, also where not everything is; the rest may follow." }
                        li { "Where people are likely to come to serious harm, tell them too, without delay." }
                    }
                    @if due <= when.now { p { "It is late: report it all the same, and say why it is late." } }
                }
                Some(Decided::Reported { at }) => {
                    p { "Reported " (when.local.at(at)) ". "
                        @if at <= due { (badge(Tone::Good, "Within 72 hours")) } @else { (badge(Tone::Bad, "After 72 hours")) } }
                }
                Some(Decided::NotReportable) => { p { "Not reported; the reason is in the history. Whoever finds out more may still report it." } }
            }
            @if is_open && !matches!(breach.decided, Some(Decided::Reported { .. })) {
                (reported(visitor, path, when, sent))
            }
            @if is_open && breach.decided.is_none() { (not_reportable(visitor, path, sent)) }
        }
    }
}

fn reported(visitor: &Visitor, path: &str, when: &When, sent: Option<(&Form, &Refused)>) -> Markup {
    let filled = Filled::new("reported", sent);
    let fields = html! {
        (filled.moment("at", "When", "", (&when.local, when.now)))
        (filled.line("reference", "The regulator's reference", "May be left out.", Need::May))
        (filled.text("note", "What was told, and if late, why", "", Need::Must))
    };
    act(
        visitor,
        (path, &filled),
        ("reported", "It was reported", "Write down the report"),
        &fields,
    )
}

fn not_reportable(visitor: &Visitor, path: &str, sent: Option<(&Form, &Refused)>) -> Markup {
    let filled = Filled::new("not_reportable", sent);
    let fields = filled.text(
        "reason",
        "Why nobody is likely to come to harm by it",
        "The regulator may ask for this reason years later.",
        Need::Must,
    );
    act(
        visitor,
        (path, &filled),
        (
            "not_reportable",
            "It need not be reported",
            "Write down the reason",
        ),
        &fields,
    )
}

fn open_forms(
    visitor: &Visitor,
    path: &str,
    incident: &Incident,
    (when, devices): (&When, &[Device]),
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let (action, correct, breach, debrief, close) = (
        Filled::new("action", sent),
        Filled::new("correct", sent),
        Filled::new("data_breach", sent),
        Filled::new("debrief", sent),
        Filled::new("close", sent),
    );
    html! {
        (act(visitor, (path, &action), ("action", "Something was done", "Write it down"),
            &action.text("action", "What was done, and by whom", "", Need::Must)))
        (act(visitor, (path, &correct), ("correct", "Correct or add facts", "Write the correction"), &html! {
            p { "What was written before stays in the history." }
            (facts(&correct, when, (devices, ""), Some(&incident.facts)))
            (correct.text("facts", "What is so instead, or besides", "", Need::Must))
        }))
        @if incident.breach.is_none() {
            (act(visitor, (path, &breach), ("data_breach", "It is a personal-data breach, too", "Start the clock"), &html! {
                p { "Data about people was lost, disclosed or changed, also by accident: a tablet lost unlocked, a photo sent to the wrong family." }
                (breach.moment("aware_at", "When the setting knew", "The 72 hours count from then.", (&when.local, when.now)))
                (breach.text("note", "Whose data, and what", "", Need::Must))
            }))
        }
        (act(visitor, (path, &debrief), ("debrief", "Debrief", "Write down the debrief"), &html! {
            (debrief.text("happened", "What went wrong, and what went well", "", Need::Must))
            (debrief.text("lesson", "What was learnt", "", Need::Must))
            (debrief.text("change", "What changes", "Write so where nothing does.", Need::Must))
            (debrief.line("owner", "Who sees to it", "May be left out.", Need::May))
            (debrief.day("due", "By when", "May be left out.", (Need::May, None)))
        }))
        (act(visitor, (path, &close), ("close", "Close it", "Close the incident"), &html! {
            (close.choice("outcome", "Outcome", "", &options(&OUTCOMES, outcome), ""))
            (close.text("note", "Note", "May be left out.", Need::May))
        }))
    }
}

fn says(line: &Act, when: &When) -> Markup {
    html! {
        @match line {
            Act::Open { .. } => "Began it.",
            Act::Correct { facts } => { "Corrected it: " (severity(facts.severity).to_lowercase()) ", happened " (when.local.at(facts.happened_at)) ", known since " (when.local.at(facts.noticed_at)) "." }
            Act::Action => "Something was done.",
            Act::DataBreach { aware_at } => { "A personal-data breach, too; known since " (when.local.at(*aware_at)) "." }
            Act::Reported { at } => { "Reported to the regulator " (when.local.at(*at)) "." }
            Act::NotReportable => "Need not be reported.",
            Act::Step { step, at } => { (illegal::done(*step)) " " (when.local.at(*at)) "." }
            Act::Debrief { due } => { "Debrief." @if let Some(due) = due { " By " (day(*due)) "." } }
            Act::Close { outcome: code } => { "Closed: " (outcome(*code).to_lowercase()) "." }
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
    answered(done.map(|()| path_of(kept.id)), again).await
}

async fn written(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Incident>,
    form: &Form,
) -> Result<(), RegisterError> {
    let when = when(app).await?;
    let words = Words::default();
    let text = |field: &'static str| form.text(field);
    let (line, words) = match form.text("act") {
        _ if is_erasing(form) => return erase(app, visitor, kept, form).await,
        "action" => (Act::Action, words.text("action", text("action"))?),
        "correct" => {
            let devices = app.storage.device_list().await?;
            let facts = facts_of(form, &when, &devices)?;
            (Act::Correct { facts }, words.text("facts", text("facts"))?)
        }
        "data_breach" => {
            let aware_at = moment(form, "aware_at", &when.local)?;
            (
                Act::DataBreach { aware_at },
                words.text("note", text("note"))?,
            )
        }
        "reported" => {
            let at = moment(form, "at", &when.local)?;
            let words = words.line_if_any("reference", text("reference"))?;
            (Act::Reported { at }, words.text("note", text("note"))?)
        }
        "not_reportable" => (Act::NotReportable, words.text("reason", text("reason"))?),
        "step" => {
            let at = moment(form, "at", &when.local)?;
            let step = chosen(form, "step")?;
            (
                Act::Step { step, at },
                words.text_if_any("note", text("note"))?,
            )
        }
        "debrief" => {
            let words = words
                .text("happened", text("happened"))?
                .text("lesson", text("lesson"))?
                .text("change", text("change"))?
                .line_if_any("owner", text("owner"))?;
            let due = day_if_any(form, "due")?;
            (Act::Debrief { due }, words)
        }
        "close" => {
            let outcome = chosen(form, "outcome")?;
            (
                Act::Close { outcome },
                words.text_if_any("note", text("note"))?,
            )
        }
        "reopen" => (Act::Reopen, words.text("reason", text("reason"))?),
        _ => return Err(Refused::whole("Choose what to write.").into()),
    };
    registers(app)
        .add::<Incident>(kept.id, &line, &words, hand(app, visitor))
        .await?;
    Ok(())
}
