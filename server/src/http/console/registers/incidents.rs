//! The list of incidents, and the form that begins one.

use super::concerns::{part, part_of};
use super::filled::{Filled, Need, chosen, moment, options};
use super::parts::{Filter, answered};
use super::{PLACE, hand, registers, when};
use crate::domain::registers::incident::{Act, Facts, Incident, Kind, Severity};
use crate::domain::registers::words::Words;
use crate::domain::registers::{self, Kept, Refused, RegisterError};
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, empty, page, table, token};
use crate::http::console::page::Page;
use crate::http::console::when::When;
use crate::http::error::ApiError;
use crate::storage::{Device, Operator, Which};
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::id::{DeviceId, EntryId};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(in crate::http) fn path_of(id: EntryId) -> String {
    format!("/incidents/{id}")
}

/// Those this person may read.
pub(in crate::http) async fn readable(
    app: &App,
    visitor: &Visitor,
    which: Which,
) -> Result<Vec<Kept<Incident>>, ApiError> {
    let all = registers::list::<Incident>(&app.storage, which).await;
    let all = all.map_err(ApiError::internal)?.into_iter();
    let may = |kept: &Kept<Incident>| registers(app).may_read(kept, &visitor.operator);
    Ok(all.filter(may).collect())
}

pub(super) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Misuse => "Work tablet used against the policy",
        Kind::PersonalDevice => "Personal phone or camera used",
        Kind::LostTablet => "Tablet lost or stolen",
        Kind::PersonalData => "Personal-data breach",
        Kind::Safeguarding => "Safeguarding",
        Kind::IllegalContent => "Illegal content",
        Kind::Other => "Something else",
    }
}

pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Minor => "Minor",
        Severity::Serious => "Serious",
        Severity::Critical => "Critical",
    }
}

pub(super) async fn tablets(app: &App) -> Result<Vec<Device>, ApiError> {
    app.storage.device_list().await.map_err(ApiError::internal)
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(filter): Query<Filter>,
    Query(begin): Query<Begin>,
) -> Result<Page, ApiError> {
    listed(&app, &visitor, &filter, &begin, None).await
}

/// What the form that begins an incident has in it when a tablet's page led there. A word that is not known counts as none.
#[derive(Deserialize, Default)]
pub(in crate::http) struct Begin {
    #[serde(default, rename = "begin")]
    kind: String,
    #[serde(default)]
    tablet: String,
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    filter: &Filter,
    begin: &Begin,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let found = readable(app, visitor, filter.which()).await?;
    let devices = tablets(app).await?;
    let people = app.storage.operator_list().await;
    let people = people.map_err(ApiError::internal)?;
    let names: BTreeMap<DeviceId, &str> = devices.iter().map(|d| (d.id, d.name.as_str())).collect();
    let rows: Vec<Vec<Markup>> = found.iter().map(|kept| row(kept, &names, &when)).collect();
    let content = html! {
        div.actions {
            @if visitor.may(Area::Safeguarding) { a.button.stop href="/incidents/illegal-content" { "Illegal content on a tablet" } }
        }
        (filter.form("/incidents", "Open ones", "All"))
        @if rows.is_empty() {
            (empty(&html! { p { "No incident here. Write down what happens when it happens, also what looks small: begin below with what is known, and add to it later." } }))
        } @else {
            (table(&format!("{} incidents.", rows.len()), &["What", "Happened", "Tablet", "State"], &rows))
        }
        section.card {
            h2 { "Begin an incident" }
            (form(visitor, (&when, &devices, &people), begin, sent))
        }
    };
    Ok(page(visitor, PLACE, "Incidents", &content))
}

fn row(kept: &Kept<Incident>, names: &BTreeMap<DeviceId, &str>, when: &When) -> Vec<Markup> {
    let incident = &kept.now;
    let tablet = incident
        .facts
        .device
        .map(|id| names.get(&id).copied().unwrap_or("one that is gone"));
    vec![
        html! { a href=(path_of(kept.id)) { (kind(incident.kind)) } ", " (severity(incident.facts.severity).to_lowercase()) },
        html! { (when.at(incident.facts.happened_at)) },
        html! { (tablet.unwrap_or_default()) },
        state(incident, when),
    ]
}

/// What most needs somebody.
pub(super) fn state(incident: &Incident, when: &When) -> Markup {
    let late = incident
        .breach
        .is_some_and(|b| b.decided.is_none() && b.due() <= when.now)
        || incident
            .steps_left()
            .any(|step| step.due(&incident.facts) <= when.now);
    html! {
        @if incident.outcome.is_some() { (badge(Tone::Good, "Closed")) }
        @else if late { (badge(Tone::Bad, "Overdue")) }
        @else if incident.breach.is_some_and(|b| b.decided.is_none()) { (badge(Tone::Watched, "Clock runs")) }
        @else { (badge(Tone::Open, "Open")) }
    }
}

fn form(
    visitor: &Visitor,
    (when, devices, people): (&When, &[Device], &[Operator]),
    begin: &Begin,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let filled = Filled::new("open", sent);
    html! {
        form method="post" action="/incidents" {
            (token(visitor))
            (filled.problem())
            (filled.choice("kind", "What it is", "A personal-data breach is any loss, disclosure or change of data about people that should not have happened.", &options(&Kind::OFFERED, kind), &begin.kind))
            (facts(&filled, when, (devices, &begin.tablet), None))
            (filled.line("clause", "Clause of the policy", "Such as B54. May be left out.", Need::May))
            (filled.text("facts", "What happened", "What was seen and heard, by whom; no guesses. It is kept sealed.", Need::Must))
            (part(people, sent, "The other managers, deputies and the DSL do."))
            button.main { "Begin" }
        }
    }
}

/// The fields that a correction has, too.
pub(super) fn facts(
    filled: &Filled<'_>,
    when: &When,
    (devices, asked): (&[Device], &str),
    before: Option<&Facts>,
) -> Markup {
    let all = [Severity::Minor, Severity::Serious, Severity::Critical];
    let severity_before = before.map(|facts| super::filled::code(&facts.severity));
    let device = before.and_then(|facts| facts.device);
    let device = device.map_or_else(|| asked.to_owned(), |id| id.to_string());
    html! {
        (filled.choice("severity", "How bad", "", &options(&all, severity), severity_before.as_deref().unwrap_or("")))
        (filled.moment("happened_at", "When it happened", "As near as is known, in the setting's time.", (&when.local, before.map_or(when.now, |f| f.happened_at))))
        (filled.moment("noticed_at", "When you came to know", "", (&when.local, before.map_or(when.now, |f| f.noticed_at))))
        (tablet(filled, devices, &device, "None of the setting's"))
    }
}

pub(super) fn tablet(filled: &Filled<'_>, devices: &[Device], before: &str, none: &str) -> Markup {
    let mut all = vec![(String::new(), none.to_owned())];
    all.extend(devices.iter().map(|d| (d.id.to_string(), d.name.clone())));
    filled.choice("device", "Tablet", "", &all, before)
}

/// `None`: none was chosen.
pub(super) fn device_of<'d>(
    form: &Form,
    devices: &'d [Device],
) -> Result<Option<&'d Device>, Refused> {
    let typed = form.text("device");
    if typed.is_empty() {
        return Ok(None);
    }
    let found = devices.iter().find(|device| device.id.to_string() == typed);
    found
        .map(Some)
        .ok_or_else(|| Refused::at("device", "Choose one of these."))
}

pub(super) fn facts_of(form: &Form, when: &When, devices: &[Device]) -> Result<Facts, Refused> {
    Ok(Facts {
        happened_at: moment(form, "happened_at", &when.local)?,
        noticed_at: moment(form, "noticed_at", &when.local)?,
        severity: chosen(form, "severity")?,
        device: device_of(form, devices)?.map(|device| device.id),
    })
}

pub(in crate::http) async fn begin(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let done = begun(&app, &visitor, &form).await;
    let again = async |refused| {
        let (filter, begin) = (Filter::default(), Begin::default());
        listed(&app, &visitor, &filter, &begin, Some((&form, &refused))).await
    };
    answered(done.map(path_of), again).await
}

async fn begun(app: &App, visitor: &Visitor, form: &Form) -> Result<EntryId, RegisterError> {
    let when = when(app).await?;
    let devices = app.storage.device_list().await?;
    let kind: Kind = chosen(form, "kind")?;
    if !Kind::OFFERED.contains(&kind) {
        return Err(Refused::at("kind", "Choose one of these.").into());
    }
    let part = part_of(form, &app.storage.operator_list().await?)?;
    let words = Words::default()
        .line_if_any("clause", form.text("clause"))?
        .text("facts", form.text("facts"))?;
    let act = Act::Open {
        kind,
        facts: facts_of(form, &when, &devices)?,
        concern: None,
        hold: None,
    };
    registers(app)
        .begin::<Incident>(
            &act,
            &words,
            Some(&Incident::circle(&part)),
            hand(app, visitor),
        )
        .await
}
