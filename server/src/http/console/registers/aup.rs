//! Versions of the acceptable use policy.

use super::filled::{Filled, Need, chosen, day, options};
use super::parts::{answered, failed};
use super::staff::{everybody, versions};
use super::{PLACE, hand, registers};
use crate::domain::registers::aup::{Act, Audience, AupVersion, current, version_name};
use crate::domain::registers::words::Words;
use crate::domain::registers::{Kept, Refused, RegisterError, find};
use crate::domain::roster::NOTICE;
use crate::http::app::App;
use crate::http::console::form::{Form, parsed};
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, empty, page, table, token};
use crate::http::console::page::{Page, see};
use crate::http::console::when::{When, day as shown_day};
use crate::http::error::ApiError;
use crate::storage::Storage;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::roster::NOTICE_CHARS;

const AUDIENCES: [Audience; 4] = [
    Audience::Staff,
    Audience::Visitor,
    Audience::Parent,
    Audience::Child,
];

const fn audience(audience: Audience) -> &'static str {
    match audience {
        Audience::Staff => "Staff",
        Audience::Visitor => "Visitors and volunteers",
        Audience::Parent => "Parents and carers",
        Audience::Child => "Children",
    }
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    listed(&app, &visitor, None).await
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let all = versions(app).await?;
    let staff = everybody(app).await?;
    let here: Vec<_> = staff
        .iter()
        .filter(|kept| kept.now.is_here(when.today()))
        .collect();
    let rows: Vec<Vec<Markup>> = all
        .iter()
        .map(|kept| {
            let by = here
                .iter()
                .filter(|one| one.now.acknowledged.contains_key(&kept.id));
            row(visitor, &all, kept, (by.count(), here.len()), &when)
        })
        .collect();
    let filled = Filled::new("publish", sent);
    let content = html! {
        p { "A new version takes the place of the one before from its first day. Staff who acknowledged an earlier one may have tablets for 14 days more." }
        @if rows.is_empty() {
            (empty(&html! { p { "No version yet. Publish the one for staff first: without it nobody can be handed a tablet." } }))
        } @else {
            (table(&format!("{} versions.", rows.len()), &["Version", "For", "From", "State", "Acknowledged"], &rows))
        }
        section.card {
            h2 { "Publish a version" }
            form method="post" action="/aup" {
                (token(visitor))
                (filled.problem())
                (filled.choice("audience", "For", "", &options(&AUDIENCES, audience), ""))
                (filled.line("version", "What it is called", "As on the paper, such as 2026-1.", Need::Must))
                (filled.day("from", "In force from", "", (Need::Must, Some(when.today()))))
                (filled.text(NOTICE, "Notice on tablets", "Shown to staff before they use a tablet: what you observe, and what for. May be left out; what the tablet itself observes is always said.", Need::May))
                (filled.text("note", "What changed", "May be left out.", Need::May))
                button.main { "Publish" }
            }
        }
    };
    Ok(page(visitor, PLACE, "Acceptable use policy", &content))
}

fn row(
    visitor: &Visitor,
    all: &[Kept<AupVersion>],
    kept: &Kept<AupVersion>,
    (by, of): (usize, usize),
    when: &When,
) -> Vec<Markup> {
    let version = &kept.now;
    let is_current = current(all, version.audience, when.today()).is_some_and(|c| c.id == kept.id);
    let is_to_come = version.from > when.today();
    vec![
        html! { (version.version) },
        html! { (audience(version.audience)) },
        html! { (shown_day(version.from)) },
        html! {
            @if is_current { (badge(Tone::Good, "In force")) } @else if is_to_come { (badge(Tone::Watched, "To come")) } @else { "Before" }
            form method="post" action={ "/aup/" (kept.id) "/withdraw" } { (token(visitor)) button.quiet { "Take it back" } }
        },
        html! { @if version.audience == Audience::Staff { (by) " of " (of) " staff" } },
    ]
}

/// One that people can acknowledge.
pub(super) async fn version_of(storage: &Storage, id: &str) -> Result<EntryId, RegisterError> {
    let wrong = || Refused::at("version", "Choose one of these.");
    let id: EntryId = id.parse().map_err(|_| wrong())?;
    let found = find::<AupVersion>(storage, id).await?;
    let found = found
        .filter(|version| !version.now.is_withdrawn && version.now.audience == Audience::Staff);
    Ok(found.ok_or_else(wrong)?.id)
}

pub(in crate::http) async fn publish(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let done = published(&app, &visitor, &form).await;
    let again = async |refused| listed(&app, &visitor, Some((&form, &refused))).await;
    answered(done.map(|_| "/aup".to_owned()), again).await
}

async fn published(app: &App, visitor: &Visitor, form: &Form) -> Result<EntryId, RegisterError> {
    let act = Act::Publish {
        audience: chosen(form, "audience")?,
        version: version_name(form.text("version"))?,
        from: day(form, "from")?,
    };
    let words = Words::default()
        .text_if_any("note", form.text("note"))?
        .text_if_any(NOTICE, form.text(NOTICE))?;
    if words.of(NOTICE).chars().count() > NOTICE_CHARS {
        let says = format!("Shorten this to {NOTICE_CHARS} characters.");
        return Err(Refused::at(NOTICE, says).into());
    }
    registers(app)
        .begin::<AupVersion>(&act, &words, None, hand(app, visitor))
        .await
}

pub(in crate::http) async fn withdraw(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(_): Extension<Form>,
) -> Result<Response, ApiError> {
    let id = parsed(&id)?;
    registers(&app)
        .add::<AupVersion>(id, &Act::Withdraw, &Words::default(), hand(&app, &visitor))
        .await
        .map_err(failed)?;
    Ok(see("/aup"))
}
