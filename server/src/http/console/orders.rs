//! What a tablet is asked for from its page, and how far that got.

use super::form::{Form, no_such_page, parsed, refused};
use super::gate::Visitor;
use super::layout::token;
use super::order_forms::{PasscodeOf, REASON_CHARS, forms};
use super::page::see;
use super::when::When;
use crate::domain::command::{self, CommandError};
use crate::domain::role::Area;
use crate::domain::{loss, passcode};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::{AuditEntry, CommandRow, Device};
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::id::{CommandId, DeviceId};

/// Of those that are over.
const SHOWN: usize = 5;

/// Everything that waits, the newest of the rest, and the forms for whoever may ask.
pub(super) async fn section(
    app: &App,
    visitor: &Visitor,
    device: &Device,
    when: &When,
) -> Result<Markup, ApiError> {
    let rows = app.storage.command_list(device.id).await;
    let rows = rows.map_err(ApiError::internal)?;
    // Passcodes have a place of their own.
    let others = rows.iter().rev().filter(|row| !passcode::is_passcode(row));
    let (waiting, over): (Vec<&CommandRow>, Vec<&CommandRow>) =
        others.partition(|row| command::waits(row, when.now));
    let may = Area::Enrol.admits(&visitor.operator.roles);
    let says = |row: &CommandRow| {
        let asked = &row.command.command;
        html! { "Asked " (command::asked(&asked.kind)) " by " (row.ordered_by) " " (when.at(asked.issued_at)) ": "
        (command::progress(row, &when.local, when.now)) "." }
    };
    let profile = passcode::profile_of(&app.storage, device).await;
    let profile = profile.map_err(ApiError::internal)?;
    let is_managers = profile.is_some_and(|known| passcode::is_managers(&known, device).is_some());
    let passcode = if is_managers {
        PasscodeOf::Manager
    } else {
        PasscodeOf::Staff
    };
    let loss = loss::of(&rows, when.now);
    Ok(html! {
        @if waiting.is_empty() && over.is_empty() { p.soft { "Nothing was asked of it yet." } }
        ul.todo {
            @for row in &waiting {
                li { (says(row))
                    @if may {
                        form.actions method="post" action={ "/tablets/" (device.id) "/commands/" (row.command.command.id) "/cancel" } {
                            (token(visitor)) button { "Take back" }
                        }
                    }
                }
            }
            @for row in over.iter().take(SHOWN) { li.soft { (says(row)) } }
        }
        @if may && device.revoked.is_none() { (forms(visitor, device, passcode, loss.as_ref())) }
        @else if device.revoked.is_none() { p.soft { "IT admins and managers ask for these." } }
    })
}

pub(in crate::http) async fn order(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(device): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let device = find(&app, &device).await?;
    let (storage, now) = (&app.storage, app.now());
    let reason = form.text("reason").trim();
    let audit = |act: &str| AuditEntry {
        at: now,
        who: visitor.operator.name.clone(),
        act: act.to_owned(),
        subject: device.id.to_string(),
        detail: serde_json::json!({ "reason": reason }),
    };
    let ask = form.text("ask");
    let length = reason.chars().count();
    let needs_reason = !matches!(ask, "refresh" | "lock" | "message");
    if needs_reason && (length == 0 || length > REASON_CHARS) {
        return Err(refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Write why in a line, so that it can be understood later. Go back and add it.",
        ));
    }
    let limit = app.console.commands;
    let asked = match ask {
        "refresh" => command::refresh(storage, &device, &audit("device.refresh"), now).await,
        "lock" => command::lock(storage, &device, limit, &audit("device.lock"), now).await,
        "message" => {
            let text = form.text("text").trim();
            let by = AuditEntry {
                detail: serde_json::json!({ "characters": text.chars().count() }),
                ..audit("device.message")
            };
            command::message(storage, &device, text, &by, now).await
        }
        "lost" => command::lost(storage, &device, limit, &audit("device.lost"), now).await,
        "found" => command::found(storage, &device, &audit("device.found"), now).await,
        "new_passcode" => {
            let by = audit("device.new_passcode");
            command::new_passcode(storage, &device, limit, &by, now).await
        }
        "unenrol" => command::unenrol(storage, &device, limit, &audit("device.unenrol"), now).await,
        _ => return Err(no_such_page()),
    };
    asked.map_err(failed)?;
    app.nudge.now();
    Ok(see(&format!("/tablets/{}", device.id)))
}

pub(in crate::http) async fn cancel(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path((device, id)): Path<(String, String)>,
    Extension(_): Extension<Form>,
) -> Result<Response, ApiError> {
    let device = find(&app, &device).await?;
    let id: CommandId = parsed(&id)?;
    let audit = AuditEntry {
        at: app.now(),
        who: visitor.operator.name.clone(),
        act: "device.cancel".to_owned(),
        subject: device.id.to_string(),
        detail: serde_json::json!({ "command": id }),
    };
    command::cancel(&app.storage, &device, id, &audit)
        .await
        .map_err(failed)?;
    app.nudge.now();
    Ok(see(&format!("/tablets/{}", device.id)))
}

async fn find(app: &App, device: &str) -> Result<Device, ApiError> {
    let id: DeviceId = parsed(device)?;
    let found = app.storage.device_find(id).await;
    found.map_err(ApiError::internal)?.ok_or_else(no_such_page)
}

fn failed(error: CommandError) -> ApiError {
    match error {
        CommandError::Storage(error) => ApiError::internal(error),
        CommandError::NotAsked(_) => no_such_page(),
        CommandError::AskedAlready(name) => refused(
            StatusCode::CONFLICT,
            format!(
                "\"{name}\" was asked for that already and has not answered yet. Its page says until when it may; take that back first to ask anew."
            ),
        ),
        CommandError::Frozen(name) => refused(
            StatusCode::CONFLICT,
            format!(
                "A hold for illegal content is open, and nothing on \"{name}\" may change. Two people release the hold first, on the page Holds."
            ),
        ),
        CommandError::Message(why) => refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("Nothing was sent: {why}. Go back and change it."),
        ),
        CommandError::LostAlready(name) => refused(
            StatusCode::CONFLICT,
            format!("\"{name}\" is marked as lost already. Its page says how far that got."),
        ),
        CommandError::NotLost(name) => refused(
            StatusCode::CONFLICT,
            format!("\"{name}\" is not marked as lost, so there is nothing to end."),
        ),
        CommandError::TooMany { name, minutes } => refused(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "Nothing was asked of \"{name}\": this setting asked tablets so often within the hour that its limit is reached. One more is taken in {minutes} minutes. If you did not ask for the others, tell your IT admin now."
            ),
        ),
        error @ (CommandError::Revoked(_) | CommandError::Over(_)) => {
            refused(StatusCode::CONFLICT, error)
        }
    }
}
