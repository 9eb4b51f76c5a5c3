//! A tablet's passcode, where the manager sets it: how far the last one got, and the form for the next. What was set is shown
//! once, to be told to staff in person.

use super::form::{Form, no_such_page, parsed, refused};
use super::gate::Visitor;
use super::layout::{field, notice, page, token};
use super::page::Page;
use super::when::When;
use crate::domain::passcode::{self, Chosen, PasscodeError, PasscodeSet};
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::{CommandRow, Device};
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use maud::{Markup, html};
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::code::{CodeReason, LONGEST};
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::policy::PasscodePolicy;

/// Of those that are over.
const SHOWN: usize = 3;

const fn words(reason: CodeReason) -> &'static str {
    match reason {
        CodeReason::Due => "It is due",
        CodeReason::Leaver => "Somebody left who knows it",
        CodeReason::Loss => "The tablet was lost",
        CodeReason::Suspicion => "Somebody may know it who should not",
    }
}

/// `None`: staff choose it on the tablet.
pub(super) async fn section(
    app: &App,
    visitor: &Visitor,
    device: &Device,
    when: &When,
) -> Result<Option<Markup>, ApiError> {
    let profile = passcode::profile_of(&app.storage, device).await;
    let Some(profile) = profile.map_err(ApiError::internal)? else {
        return Ok(None);
    };
    let policy = passcode::is_managers(&profile, device);
    let rows = app.storage.command_list(device.id).await;
    let rows = rows.map_err(ApiError::internal)?;
    let last = passcode::last_set(&rows).map(|(_, at)| at);
    let rows = rows.iter().rev().filter(|row| passcode::is_passcode(row));
    let (waiting, over): (Vec<&CommandRow>, Vec<&CommandRow>) =
        rows.partition(|row| passcode::waits(row, when.now));
    // What waits can be taken back also where the profile has changed since.
    if policy.is_none() && waiting.is_empty() {
        return Ok(None);
    }
    let may = visitor.may(Area::Enrol);
    Ok(Some(html! {
        @match last {
            Some(at) => p { "The tablet last took one that was set here: " (when.at(at)) "." },
            None => p { "The tablet has taken none yet that was set here." },
        }
        ul.todo {
            @for row in waiting {
                li { (says(row, &profile.calendar, when))
                    @if may {
                        form.actions method="post" action={ "/tablets/" (device.id) "/commands/" (row.command.command.id) "/cancel" } {
                            (token(visitor)) button { "Take back" }
                        }
                    }
                }
            }
            @for row in over.into_iter().take(SHOWN) {
                li.soft { (says(row, &profile.calendar, when)) }
            }
        }
        @if let Some(policy) = policy.filter(|_| device.revoked.is_none()) {
            @if may { (form(visitor, device, &policy)) }
            @else { p.soft { "IT admins and managers set it." } }
        }
    }))
}

fn says(row: &CommandRow, calendar: &Calendar, when: &When) -> Markup {
    let command = &row.command.command;
    let why = command.kind.passcode_reason().map_or("", words);
    html! {
        "Set by " (row.ordered_by) " " (when.at(command.issued_at)) " (" (why) "): "
        (passcode::progress(row, &when.local, Some(calendar), when.now)) "."
    }
}

fn form(visitor: &Visitor, device: &Device, policy: &PasscodePolicy) -> Markup {
    let act = format!("/tablets/{}/passcode", device.id);
    html! {
        details {
            summary { "Set a new passcode" }
            p { "It is shown once, on the next page: tell it to the staff of this tablet in person, never on paper or by e-mail. One that is due is taken over outside contact hours; after a loss or on suspicion at once. Until the tablet took it the one before stays in use." }
            form method="post" action=(act) {
                (token(visitor))
                (why())
                div.actions { button.main name="chosen" value="suggested" { "Set a suggested one" } }
            }
            // A form of its own: Enter in it must not take a suggestion.
            details {
                summary { "Choose it yourself" }
                form method="post" action=(act) {
                    (token(visitor))
                    (why())
                    (field("Passcode", &rules(policy), &html! {
                        input type="password" name="code" maxlength=(LONGEST) required autocomplete="new-password";
                    }))
                    (field("The same again", "", &html! {
                        input type="password" name="again" maxlength=(LONGEST) required autocomplete="new-password";
                    }))
                    div.actions { button name="chosen" value="typed" { "Set this one" } }
                }
            }
        }
    }
}

fn why() -> Markup {
    field(
        "Why",
        "",
        &html! {
            select name="why" required {
                @for reason in CodeReason::ALL { option value=(reason.as_str()) { (words(reason)) } }
            }
        },
    )
}

fn rules(policy: &PasscodePolicy) -> String {
    let mut text = format!("{} characters or more", policy.min_length);
    if policy.alphanumeric {
        text += ", letters and digits";
    }
    if policy.refuse_simple {
        text += ", no date, nothing like 1234 or 111, no word";
    }
    if policy.history > 0 {
        text += ", none that was used lately";
    }
    text + "."
}

pub(in crate::http) async fn set(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(device): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Page, ApiError> {
    let id: DeviceId = parsed(&device)?;
    let device = app.storage.device_find(id).await;
    let device = device
        .map_err(ApiError::internal)?
        .ok_or_else(no_such_page)?;
    let reason: CodeReason = parsed(form.text("why"))?;
    let chosen = match form.text("chosen") {
        "suggested" => Chosen::Suggested,
        "typed" => {
            let code = form.secret("code");
            if code != form.secret("again") {
                return Err(refused(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "The two were not the same, so nothing was changed. Go back and type it twice.",
                ));
            }
            Chosen::By(code)
        }
        _ => return Err(no_such_page()),
    };
    let (storage, who) = (&app.storage, &visitor.operator.name);
    let recipient = &app.keys.public.release_recipient;
    let set = passcode::set(
        storage,
        recipient,
        &device,
        (chosen, reason),
        app.console.commands,
        who,
        app.now(),
    )
    .await;
    let set = set.map_err(failed)?;
    app.nudge.now();
    shown(&app, &visitor, &device, &set).await
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    device: &Device,
    set: &PasscodeSet,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let content = html! {
        (notice(&html! { "A new passcode is set for " (device.name) ". It counts once the tablet took it." }))
        section.card {
            h2 { "The passcode" }
            p { code.once { (set.code.expose()) } }
            p { "This page shows it once. Tell it to the staff of this tablet in person, never on paper or by e-mail. Leave this page when you have." }
            p.soft { "The server keeps it sealed until the tablet took it, until " (when.at(set.command.expires_at)) " at the latest, and shows it to nobody." }
        }
        p { a.button href={ "/tablets/" (device.id) } { "How far it got" } }
    };
    Ok(page(visitor, "/tablets", "A new passcode", &content))
}

fn failed(error: PasscodeError) -> ApiError {
    match error {
        PasscodeError::Code(why) => refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("Nothing was changed: {why}. Go back and think of another one."),
        ),
        error @ (PasscodeError::NotManagers(_)
        | PasscodeError::OnlyWatched(_)
        | PasscodeError::Profile(_)
        | PasscodeError::Revoked(_)
        | PasscodeError::Frozen(_)) => refused(StatusCode::CONFLICT, format!("{error}.")),
        error @ PasscodeError::TooMany { .. } => {
            refused(StatusCode::TOO_MANY_REQUESTS, format!("{error}."))
        }
        error @ (PasscodeError::Random | PasscodeError::Seal | PasscodeError::Storage(_)) => {
            ApiError::internal(error)
        }
    }
}
