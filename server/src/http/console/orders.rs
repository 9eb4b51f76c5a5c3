//! What a tablet is asked for from its page, and how far that got.

use super::form::{Form, no_such_page, parsed, refused};
use super::gate::Visitor;
use super::layout::token;
use super::page::see;
use super::when::When;
use crate::domain::command::{self, CommandError};
use crate::domain::passcode;
use crate::domain::role::Area;
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
const REASON_CHARS: usize = 400;

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
    let means = if is_managers { BY_MANAGER } else { AT_SIGN_IN };
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
        @if may && device.revoked.is_none() { (forms(visitor, device, means)) }
        @else if device.revoked.is_none() { p.soft { "IT admins and managers ask for these." } }
    })
}

const AT_SIGN_IN: &str = "Somebody left who knows it, or it may be known to others. It has to be changed at the next sign-in, in contact hours too; until then it reads overdue.";
const BY_MANAGER: &str = "Somebody left who knows it, or it may be known to others. It reads overdue until somebody sets a new one under Passcode; managers are asked to.";

fn forms(visitor: &Visitor, device: &Device, means: &str) -> Markup {
    let act = format!("/tablets/{}/commands", device.id);
    let asking = |words: &str, ask: &str, means: &str| {
        let why = format!("why-{ask}");
        html! {
            details {
                summary { (words) }
                form method="post" action=(act) {
                    (token(visitor))
                    p { (means) }
                    label for=(why) { "Why; no names of children" }
                    input id=(why) name="reason" maxlength=(REASON_CHARS) required autocomplete="off";
                    button.stop[ask == "unenrol"] name="ask" value=(ask) { (words) }
                }
            }
        }
    };
    html! {
        form.actions method="post" action=(act) {
            (token(visitor))
            button name="ask" value="refresh" { "Measure everything now" }
        }
        (asking("Ask for a new passcode", "new_passcode", means))
        (asking("Ask for this tablet back", "unenrol", "At its next contact it gives every control back and is shut out: nothing is held there any more. Photos that are withheld or sealed on it stay so, and nobody can open them: decide about them first. Until its next contact this can be taken back."))
    }
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
    if ask != "refresh" && (length == 0 || length > REASON_CHARS) {
        return Err(refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Write why in a line, so that it can be understood later. Go back and add it.",
        ));
    }
    let asked = match ask {
        "refresh" => command::refresh(storage, &device, &audit("device.refresh"), now).await,
        "new_passcode" => {
            command::new_passcode(storage, &device, &audit("device.new_passcode"), now).await
        }
        "unenrol" => command::unenrol(storage, &device, &audit("device.unenrol"), now).await,
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
        error @ (CommandError::Revoked(_) | CommandError::Over(_)) => {
            refused(StatusCode::CONFLICT, error)
        }
    }
}
