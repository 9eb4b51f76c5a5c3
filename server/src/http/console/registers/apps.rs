//! Apps: what a profile allows although nobody decided, what was asked for and decided, and asking.

use super::filled::{Filled, Need, chosen, to_choose};
use super::parts::answered;
use super::search::Asked;
use super::{PLACE, hand, registers};
use crate::domain::registers::app::allowed::{In, LiveProfiles, Unapproved, Why, unapproved};
use crate::domain::registers::app::{self, App, Audience, Standing, named};
use crate::domain::registers::words::Words;
use crate::domain::registers::{Kept, Refused, RegisterError, every};
use crate::domain::role::Area;
use crate::http::app::App as Server;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, empty, page, table, token};
use crate::http::console::page::Page;
use crate::http::console::when::{When, day};
use crate::http::error::ApiError;
use crate::storage::Which;
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use jiff::civil::Date;
use maud::{Markup, html};
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::policy::AppId;

const ON_ONE_PAGE: usize = 100;

const SHOWS: [(&str, &str); 6] = [
    ("", "All"),
    ("waits", "To decide"),
    ("approved", "Approved"),
    ("refused", "Refused"),
    ("withdrawn", "Withdrawn"),
    ("asked", "Asked for"),
];

pub(super) const AUDIENCES: [Audience; 3] = [
    Audience::Staff,
    Audience::Children,
    Audience::StaffAndChildren,
];

pub(super) const fn audience(audience: Audience) -> &'static str {
    match audience {
        Audience::Staff => "Staff",
        Audience::Children => "Children, with staff",
        Audience::StaffAndChildren => "Staff and children",
    }
}

pub(super) fn path_of(id: EntryId) -> String {
    format!("/apps/{id}")
}

/// Every app somebody asked for.
pub(in crate::http::console) async fn everything(
    server: &Server,
) -> Result<Vec<Kept<App>>, ApiError> {
    let all = every::<App>(&server.storage, Which::All).await;
    all.map_err(ApiError::internal)
}

pub(super) async fn live(server: &Server) -> Result<LiveProfiles, ApiError> {
    let live = LiveProfiles::load(&server.storage).await;
    live.map_err(ApiError::internal)
}

/// How it stands, in words and with what there is to decide.
pub(super) fn state(app: &App, today: Date) -> Markup {
    let review = app.approval().map(|approval| day(approval.terms.review));
    let review = review.unwrap_or_default();
    html! {
        @match app.standing(today) {
            Standing::Asked => (badge(Tone::Watched, "Asked for")),
            Standing::Approved => { (badge(Tone::Good, "Approved")) " review by " (review) }
            Standing::ReviewDue => { (badge(Tone::Watched, "Review due")) " by " (review) }
            Standing::ReviewOver => { (badge(Tone::Bad, "Review overdue")) " since " (review) }
            Standing::Reopened => { (badge(Tone::Bad, "Decide again")) (why_again(app)) }
            Standing::Refused => (badge(Tone::Open, "Refused")),
            Standing::Withdrawn => (badge(Tone::Open, "Withdrawn")),
        }
    }
}

fn why_again(app: &App) -> Markup {
    let again = app
        .approval()
        .and_then(|approval| approval.reopened.as_ref());
    html! {
        @if let Some(again) = again {
            @if !again.permissions.is_empty() {
                " new permission: " (app::listed(&again.permissions))
            }
            @if let Some(asked) = again.audience { " asked for: " (audience(asked).to_lowercase()) }
        }
    }
}

pub(in crate::http) async fn list(
    State(server): State<Server>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Page, ApiError> {
    listed(&server, &visitor, &asked, None).await
}

async fn listed(
    server: &Server,
    visitor: &Visitor,
    asked: &Asked,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let today = When::of(server).await?.today();
    let all = everything(server).await?;
    let live = live(server).await?;
    let words = asked.words();
    let found: Vec<&Kept<App>> = all
        .iter()
        .filter(|kept| admits(asked.show(), kept.now.standing(today)))
        .filter(|kept| kept.now.app.to_string().to_lowercase().contains(&words))
        .collect();
    let pages = asked.pages("/apps", found.len(), ON_ONE_PAGE);
    let rows: Vec<Vec<Markup>> = pages
        .of(&found)
        .iter()
        .map(|kept| row(kept, &live, today))
        .collect();
    let content = html! {
        p { "On tablets whose profile enforces apps, only those run that the profile allows, beside the tablet's own base system. Here stands who asked for an app, and what a manager or the DSL decided. The one does not change the other by itself: an app's page says in which profiles it is allowed." }
        (nobody_decided(&live, &unapproved(&live, &all), visitor))
        (asked.form("/apps", "Part of the package's name", &SHOWS))
        @if rows.is_empty() && asked.is_plain() {
            (empty(&html! { p { "Nobody asked for an app yet. Ask for the first below; a manager or the DSL then decides on it, for twelve months at most." } }))
        } @else if rows.is_empty() {
            (empty(&html! { p { "No app is like that. " a href="/apps" { "Show all" } "." } }))
        } @else {
            (table(&pages.caption("app"), &["App", "For", "State", "Allowed by"], &rows))
        }
        (pages.links())
        (form(visitor, asked, sent))
        p { "Videos have a list of their own: " a href="/videos" { "approved videos" } "." }
    };
    Ok(page(visitor, PLACE, "Apps", &content))
}

fn admits(show: &str, standing: Standing) -> bool {
    match show {
        "waits" => standing.waits(),
        "asked" => standing == Standing::Asked,
        "approved" => matches!(
            standing,
            Standing::Approved | Standing::ReviewDue | Standing::ReviewOver | Standing::Reopened
        ),
        "refused" => standing == Standing::Refused,
        "withdrawn" => standing == Standing::Withdrawn,
        _ => true,
    }
}

fn row(kept: &Kept<App>, live: &LiveProfiles, today: Date) -> Vec<Markup> {
    let app = &kept.now;
    let allowing: Vec<&str> = live
        .readable
        .iter()
        .filter(|profile| matches!(profile.says(&app.app), In::Allowed(_) | In::Essential(_)))
        .map(|profile| profile.name.as_str())
        .collect();
    vec![
        html! { a href=(path_of(kept.id)) { (app.app) } },
        html! { (audience(app.approval().map_or(app.audience, |approval| approval.terms.audience))) },
        state(app, today),
        html! {
            @if !allowing.is_empty() { (allowing.join(", ")) }
            @else if live.unreadable.is_empty() { "No profile" }
            @else { "Not known of every profile" }
        },
    ]
}

/// What runs, or would, and should not without a decision. Before everything else.
fn nobody_decided(live: &LiveProfiles, found: &[Unapproved<'_>], visitor: &Visitor) -> Markup {
    let rows: Vec<Vec<Markup>> = found
        .iter()
        .map(|one| {
            let tablets: usize = one.profiles.iter().map(|profile| profile.devices).sum();
            vec![
                html! { (one.app) },
                html! {
                    @match one.why {
                        Why::NeverDecided => (badge(Tone::Bad, "Nobody decided")),
                        Why::Refused => (badge(Tone::Bad, "Refused, and allowed")),
                        Why::Withdrawn => (badge(Tone::Bad, "Withdrawn, and allowed")),
                    }
                },
                html! {
                    @for (index, profile) in one.profiles.iter().enumerate() {
                        @if index > 0 { ", " }
                        a href={ "/profiles/" (profile.name) } { (profile.name) }
                    }
                    " (" (tablets) @if tablets == 1 { " tablet)" } @else { " tablets)" }
                },
                html! {
                    @if let Some(entry) = one.entry { a href=(path_of(entry)) { "Decide" } }
                    @else { a href=(to_ask(one.app)) { "Write down what it is for" } }
                },
            ]
        })
        .collect();
    html! {
        @for profile in &live.unreadable {
            p.notice.bad { "The live version of profile " a href={ "/profiles/" (profile) } { (profile) } " cannot be read by this version of the server: what it allows is not known." }
        }
        @if !rows.is_empty() {
            section aria-labelledby="undecided" {
                h2 id="undecided" { "Allowed, nobody decided" }
                p { "A live profile allows these, and no approval is on record. "
                    @if visitor.may(Area::Register) { "Decide on each, or have it taken out of the profile." } @else { "A manager or the DSL decides on each." } }
                (table(&format!("{} apps. Apps that a profile calls essential need no decision.", rows.len()), &["App", "State", "Allowed by", "What to do"], &rows))
            }
        }
    }
}

/// With the package filled in.
fn to_ask(app: &AppId) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("app", &app.to_string());
    format!("/apps?{}#ask", query.finish())
}

fn form(visitor: &Visitor, asked: &Asked, sent: Option<(&Form, &Refused)>) -> Markup {
    let filled = Filled::new("ask", sent);
    html! {
        section.card.screen id="ask" {
            h2 { "Ask for an app" }
            form method="post" action="/apps" {
                (token(visitor))
                (filled.problem())
                (filled.line_of("app", "Package", "With where it comes from, as profiles write it: dpkg:firefox-esr, flatpak:org.mozilla.firefox, apple:com.apple.camera.", (Need::Must, asked.app())))
                (filled.line("publisher", "Publisher", "Who makes it.", Need::Must))
                (filled.text("purpose", "What it is for", "Without names of children or staff. IT admins and auditors read it, too.", Need::Must))
                (filled.choice("audience", "Who uses it", "", &to_choose(&AUDIENCES, audience), ""))
                button.main { "Ask for it" }
            }
        }
    }
}

pub(in crate::http) async fn ask(
    State(server): State<Server>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let done = asked_for(&server, &visitor, &form).await;
    let again = async |refused| {
        listed(
            &server,
            &visitor,
            &Asked::default(),
            Some((&form, &refused)),
        )
        .await
    };
    answered(done.map(path_of), again).await
}

async fn asked_for(
    server: &Server,
    visitor: &Visitor,
    form: &Form,
) -> Result<EntryId, RegisterError> {
    let wanted = (named(form.text("app"))?, chosen(form, "audience")?);
    let words = Words::default()
        .line("publisher", form.text("publisher"))?
        .text("purpose", form.text("purpose"))?;
    app::ask(&registers(server), wanted, &words, hand(server, visitor)).await
}
