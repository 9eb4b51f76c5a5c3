//! One tablet with each of its controls.

use super::form::{no_such_page, parsed};
use super::gate::Visitor;
use super::layout::{badge, page, table};
use super::page::Page;
use super::when::When;
use super::{order_forms, orders, passcode, words};
use crate::domain::compliance::{Compliance, Standing};
use crate::domain::fleet;
use crate::domain::local_time::LocalTime;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::Device;
use axum::extract::{Extension, Path, State};
use jiff::Timestamp;
use maud::{Markup, html};
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::DeviceId;

const EVENTS: u32 = 60;
const EVENTS_SHOWN: usize = 20;

pub(super) fn path(device: DeviceId) -> String {
    format!("/tablets/{device}")
}

/// One sentence, of the worst.
pub(super) fn what_to_do(compliance: &Compliance, local: &LocalTime) -> String {
    if let Some(finding) = compliance.findings(local).into_iter().next() {
        return finding;
    }
    if compliance.reported_at.is_none() {
        return "It has not reported yet. Switch it on where it reaches the nursery's network."
            .to_owned();
    }
    let worst = compliance
        .controls
        .iter()
        .filter(|control| control.mode.is_some())
        .max_by_key(|control| control.standing);
    match (compliance.standing, worst) {
        (_, None) => "Its profile holds it to nothing.".to_owned(),
        (Standing::NotChecked, Some(_)) => {
            "It has not been heard from lately. Switch it on where it reaches the nursery's network.".to_owned()
        }
        (_, Some(control)) => format!(
            "{}: {}",
            words::control(control.control),
            words::finding(control)
        ),
    }
}

pub(super) fn badge_of(standing: Standing) -> Markup {
    let (tone, says) = words::standing(standing);
    badge(tone, says)
}

pub(super) fn rooms(device: &Device) -> String {
    if device.rooms.is_empty() {
        return "Whole setting".to_owned();
    }
    let rooms: Vec<&str> = device.rooms.iter().map(RoomName::as_str).collect();
    rooms.join(", ")
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(device): Path<String>,
) -> Result<Page, ApiError> {
    let id: DeviceId = parsed(&device)?;
    let when = When::of(&app).await?;
    let tablet = fleet::one(&app.storage, id, when.now)
        .await
        .map_err(ApiError::internal)?
        .ok_or_else(no_such_page)?;
    let (device, compliance) = (tablet.device(), tablet.compliance(when.now));
    let findings = compliance.findings(&when.local);
    let under_way = app
        .storage
        .rollout_list()
        .await
        .map_err(ApiError::internal)?;
    let has_early = under_way
        .iter()
        .any(|one| one.profile == device.profile && one.tablets.contains_key(&id));
    let content = html! {
        p { (badge_of(compliance.standing)) " " span.soft { "last heard " (when.or_never(device.last_seen_at)) } }
        @if let Some(revoked) = &device.revoked {
            p.notice.bad { "Shut out " (when.at(revoked.at)) ": " (revoked.reason) }
        }
        @for finding in &findings { p.notice.bad { (finding) } }
        @if let Some(loss) = tablet.loss() { (order_forms::incident(&visitor, device, loss)) }
        h2 { "What it is held to" }
        (controls(&compliance, &when))
        p { a href={ (path(id)) "/held-to" } { "Every setting it is held to, and where each comes from" } }
        div.two {
            section.card {
                h2 { "This tablet" }
                dl {
                    dt { "Rooms" } dd { (rooms(device)) }
                    dt { "Profile" } dd { a href={ "/profiles/" (device.profile) } { (device.profile) } @if has_early { ", in a version that others do not have yet" } }
                    dt { "Bundle" } dd { (compliance.generation_applied) " in force, " (compliance.generation_issued) " issued" }
                    dt { "Platform" } dd { (device.platform) }
                    dt { "Agent" } dd { (device.agent_version) }
                    dt { "Enrolled" } dd { (when.at(device.enrolled_at)) }
                }
            }
            section.card { h2 { "Newest events" } (events(&app, id, &when).await?) p { a href={ (path(id)) "/timeline" } { "Everything it told" } } }
            @if let Some(passcode) = passcode::section(&app, &visitor, device, &when).await? {
                section.card { h2 { "Passcode" } (passcode) }
            }
            section.card { h2 { "Asked of it" } (orders::section(&app, &visitor, device, &when).await?) }
        }
    };
    Ok(page(&visitor, "/tablets", &device.name, &content))
}

fn controls(compliance: &Compliance, when: &When) -> Markup {
    let rows: Vec<Vec<Markup>> = compliance
        .controls
        .iter()
        .map(|control| {
            let measured = control.report.as_ref().map(|report| report.measured_at);
            vec![
                html! { (words::control(control.control)) },
                if control.mode.is_some() {
                    badge_of(control.standing)
                } else {
                    html! { span.soft { "not asked for" } }
                },
                html! { (words::finding(control)) },
                when.or_never(measured),
            ]
        })
        .collect();
    table(
        "Measured means read back on the tablet after the last change.",
        &["Control", "How it stands", "What to do", "Measured"],
        &rows,
    )
}

/// The newest first, without what people need not read.
async fn events(app: &App, device: DeviceId, when: &When) -> Result<Markup, ApiError> {
    let storage = &app.storage;
    let last = storage
        .event_position(device)
        .await
        .map_err(ApiError::internal)?;
    let after = last.seq.saturating_sub(EVENTS.into());
    let events = storage
        .event_list(device, after, EVENTS)
        .await
        .map_err(ApiError::internal)?;
    let said: Vec<(Timestamp, String)> = events
        .iter()
        .rev()
        .filter_map(|stored| {
            let body: EventBody = serde_json::from_str(stored.event.body.as_deref()?).ok()?;
            Some((stored.event.at, words::event(&body)?))
        })
        .take(EVENTS_SHOWN)
        .collect();
    Ok(html! {
        @if said.is_empty() { p { "It told nothing yet." } }
        ul.todo { @for (at, says) in &said { li { span.soft { (when.at(*at)) } " " (says) } } }
    })
}
