//! A new version of a profile that some tablets have before the others, on the page of that profile.

use super::form::{Form, parsed, refused};
use super::gate::Visitor;
use super::layout::{Tone, badge, table, token};
use super::order_forms::REASON_CHARS;
use super::page::see;
use super::profiles;
use super::when::When;
use super::words;
use crate::domain::profile::ProfileChange;
use crate::domain::role::Area;
use crate::domain::rollout::progress::Progress;
use crate::domain::rollout::{self, Look, RolloutError, Trying};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::Device;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::DeviceId;
use std::collections::BTreeSet;

const FIRST: &str = "It takes the new version over at its next contact; the others keep what they have. Once it reported that everything holds you give it to a room, then to all. If it gets into trouble the new version goes no further, and you are told.";
const TAKE_BACK: &str = "The tablets that have it get the live version again at their next contact. What it held tighter is loose again from then on.";
const GO_ON: &str = "Tablets that are in trouble now are not waited for any more, and stop nothing any more. They keep the new version.";

/// What is tried of this profile; nothing where nothing is.
pub(super) async fn section(
    app: &App,
    visitor: &Visitor,
    profile: &str,
    when: &When,
) -> Result<Markup, ApiError> {
    let look = rollout::look(&app.storage, profile, when.now).await;
    let look = look.map_err(ApiError::internal)?;
    Ok(html! { @if let Some(look) = look { (shown(visitor, &look, when)) } })
}

fn shown(visitor: &Visitor, look: &Look, when: &When) -> Markup {
    let profile = &look.rollout.profile;
    let rows: Vec<Vec<Markup>> = look
        .tablets
        .iter()
        .map(|trying| {
            let device = trying.tablet.device();
            vec![
                html! { a href={ "/tablets/" (device.id) } { (device.name) } },
                when.at(trying.since),
                says(trying),
            ]
        })
        .collect();
    let stopped = look.stopped();
    let may_go_further = stopped.is_none() && look.not_yet().is_none();
    html! {
        section.card {
            h2 id="early" { "A new version that some tablets have" }
            p { "Begun by " (look.rollout.begun_by) " " (when.at(look.rollout.begun_at)) ", compared with version " (look.rollout.on_version) "." }
            @if let Some((tablet, stopped)) = &stopped {
                div.notice.bad role="alert" {
                    p { "Stopped " (when.at(stopped.at)) ": " (tablet) ": " (stopped.why) ". It goes to no more tablets until somebody looked." }
                }
            }
            (table("Measured means read back on the tablet since it has the new version.", &["Tablet", "Has it since", "How it is"], &rows))
            @if !look.others.is_empty() {
                p.soft { (count(look.others.len())) " with this profile " (if look.others.len() == 1 { "keeps" } else { "keep" }) " the live version." }
            }
            @if visitor.may(Area::Enrol) {
                @if stopped.is_some() {
                    (with_reason(visitor, &format!("/profiles/{profile}/try/go-on"), "Let it go on all the same", GO_ON))
                } @else if may_go_further {
                    (further(visitor, look))
                } @else {
                    p { "It goes further once every tablet that has it reported that everything holds. Load this page again to see how far they are." }
                }
                (with_reason(visitor, &format!("/profiles/{profile}/try/take-back"), "Take it back", TAKE_BACK))
            }
            details { summary { "The text of the new version" } pre { (look.rollout.source) } }
        }
    }
}

fn count(tablets: usize) -> String {
    match tablets {
        1 => "1 tablet".to_owned(),
        more => format!("{more} tablets"),
    }
}

fn says(trying: &Trying) -> Markup {
    match &trying.progress {
        Progress::Waits => html! { (badge(Tone::Open, "Not heard since")) },
        Progress::OnItsWay => {
            html! { (badge(Tone::Open, "On its way")) " Everything has to be measured under it first." }
        }
        Progress::Holds { but_for } if but_for.is_empty() => {
            html! { (badge(Tone::Good, "Holds")) " Everything was measured since." }
        }
        Progress::Holds { but_for } => {
            let names: Vec<&str> = but_for
                .iter()
                .map(|control| words::control(*control))
                .collect();
            html! { (badge(Tone::Watched, "Holds in part")) " Not known, or not so before either: " (names.join(", ")) "." }
        }
        Progress::Trouble(why) => html! {
            (badge(Tone::Bad, "In trouble")) " " (why) "."
            @if trying.excused { " Somebody said that it goes on all the same; the audit log says who, and why." }
        },
        Progress::ShutOut => html! { (badge(Tone::Open, "Takes no part any more")) },
    }
}

/// To one tablet, a room, or all.
fn further(visitor: &Visitor, look: &Look) -> Markup {
    let profile = &look.rollout.profile;
    let rooms: BTreeSet<&RoomName> = look.others.iter().flat_map(|d| &d.rooms).collect();
    html! {
        @if look.tablets.iter().any(|trying| trying.excused) { p { "Every tablet that has it holds it, or was let pass." } }
        @else { p { "Every tablet that has it holds it." } }
        @if !look.others.is_empty() {
            form method="post" action={ "/profiles/" (profile) "/try/more" } {
                (token(visitor))
                label for="try-which" { "Give it to" }
                select id="try-which" name="which" required {
                    @for room in &rooms { option value={ "room:" (room.as_str()) } { "every tablet of " (room.as_str()) } }
                    @for device in &look.others { option value={ "tablet:" (device.id) } { (device.name) } }
                }
                button { "Give it to them" }
            }
        }
        form.actions method="post" action={ "/profiles/" (profile) "/try/live" } {
            (token(visitor))
            button.main { "Make it live for every tablet" }
        }
    }
}

fn with_reason(visitor: &Visitor, path: &str, words: &str, means: &str) -> Markup {
    let why = format!("why-{}", path.rsplit('/').next().unwrap_or_default());
    html! {
        details {
            summary { (words) }
            form method="post" action=(path) {
                (token(visitor))
                p { (means) }
                label for=(why) { "Why; no names of children" }
                input id=(why) name="reason" maxlength=(REASON_CHARS) required autocomplete="off";
                button.stop { (words) }
            }
        }
    }
}

/// Beside "Make it live": one tablet first. Nothing where no tablet could.
pub(super) async fn offer(
    app: &App,
    visitor: &Visitor,
    source: &str,
    change: &ProfileChange,
) -> Result<Markup, ApiError> {
    let devices = app.storage.device_list().await;
    let mut devices: Vec<Device> = devices.map_err(ApiError::internal)?;
    devices.retain(|device| device.profile == change.name && device.revoked.is_none());
    Ok(html! {
        @if change.ends_rollout {
            p.notice { "Some tablets have another new version already. Making this one live ends that: every tablet gets this one." }
        } @else if let (Some(live), false) = (change.live, devices.is_empty()) {
            section.card { h2 { "Or let one tablet have it first" }
            form method="post" action={ "/profiles/" (change.name) "/try" } {
                (token(visitor))
                input type="hidden" name="source" value=(source);
                input type="hidden" name="live" value=(live);
                label for="try-first" { "Tablet" }
                select id="try-first" name="tablet" required { @for device in &devices { option value=(device.id) { (device.name) } } }
                p.soft { (FIRST) }
                button { "Give it to this tablet" }
            } }
        }
    })
}

pub(in crate::http) async fn begin(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(sent): Extension<Form>,
) -> Result<Response, ApiError> {
    let looked_at: u64 = parsed(sent.text("live"))?;
    let device: DeviceId = parsed(sent.text("tablet"))?;
    let source = profiles::source(&sent);
    let by = (visitor.operator.name.as_str(), app.now());
    let begun = rollout::begin(&app.storage, (&source, Some(looked_at)), device, by).await;
    let look = begun.map_err(failed)?;
    app.nudge.now();
    // The text says which profile it is, and not the address it was sent to.
    Ok(see(&page_of(&look.rollout.profile)))
}

fn page_of(profile: &str) -> String {
    format!("/profiles/{profile}#early")
}

pub(in crate::http) async fn more(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(sent): Extension<Form>,
) -> Result<Response, ApiError> {
    let by = (visitor.operator.name.as_str(), app.now());
    let which = sent.text("which");
    let added = if let Some(room) = which.strip_prefix("room:") {
        let room: RoomName = parsed(room)?;
        let is_of_room = |device: &Device| device.rooms.contains(&room);
        rollout::add(&app.storage, &name, is_of_room, by).await
    } else {
        let chosen: DeviceId = parsed(which.strip_prefix("tablet:").unwrap_or_default())?;
        rollout::add(&app.storage, &name, |device| device.id == chosen, by).await
    };
    added.map_err(failed)?;
    app.nudge.now();
    Ok(see(&page_of(&name)))
}

pub(in crate::http) async fn live(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let by = (visitor.operator.name.as_str(), app.now());
    let made = rollout::make_live(&app.storage, &name, by).await;
    made.map_err(failed)?;
    app.nudge.now();
    Ok(see(&format!("/profiles/{name}")))
}

pub(in crate::http) async fn go_on(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(sent): Extension<Form>,
) -> Result<Response, ApiError> {
    let by = (visitor.operator.name.as_str(), app.now());
    let went = rollout::go_on(&app.storage, &name, sent.text("reason"), by).await;
    went.map_err(failed)?;
    Ok(see(&page_of(&name)))
}

pub(in crate::http) async fn take_back(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Extension(sent): Extension<Form>,
) -> Result<Response, ApiError> {
    let by = (visitor.operator.name.as_str(), app.now());
    let taken = rollout::take_back(&app.storage, &name, sent.text("reason"), by).await;
    taken.map_err(failed)?;
    app.nudge.now();
    Ok(see(&format!("/profiles/{name}")))
}

fn failed(error: RolloutError) -> ApiError {
    match error {
        RolloutError::Storage(error) => ApiError::internal(error),
        RolloutError::Profile(error) => profiles::failed(error),
        error @ (RolloutError::UnderWay(_)
        | RolloutError::None(_)
        | RolloutError::Stopped { .. }
        | RolloutError::Nobody
        | RolloutError::NotStopped
        | RolloutError::NotYet(_)) => refused(StatusCode::CONFLICT, error),
        error @ (RolloutError::Same
        | RolloutError::New(_)
        | RolloutError::NoTablet(_)
        | RolloutError::NotHeard(_)
        | RolloutError::Reason) => refused(StatusCode::UNPROCESSABLE_ENTITY, error),
    }
}
