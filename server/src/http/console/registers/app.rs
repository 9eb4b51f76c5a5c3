//! One app: what was asked, decided and found out, and in which profiles it is allowed.

use super::apps::{AUDIENCES, audience, live, path_of, state};
use super::filled::{Filled, Need, chosen, code, day, options, to_choose};
use super::parts::{Telling, act, answered, erase, history, is_erasing};
use super::{PLACE, found, hand, registers, when};
use crate::domain::registers::app::allowed::{In, LiveProfile, LiveProfiles, Since, since};
use crate::domain::registers::app::{
    self, Act, App, Check, CheckOutcome, Has, Standing, Terms, last_review, listed, permissions,
    rated_from,
};
use crate::domain::registers::asking::decides;
use crate::domain::registers::words::Words;
use crate::domain::registers::{Kept, Refused, RegisterError};
use crate::domain::role::Area;
use crate::http::app::App as Server;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, page, table, token};
use crate::http::console::page::Page;
use crate::http::console::when::{When, day as shown_day};
use crate::http::error::ApiError;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::policy::{AppId, Mode};
use std::collections::BTreeSet;

const LABELS: [(&str, &str); 6] = [
    ("publisher", "Publisher"),
    ("purpose", "What it is for"),
    ("content", "Content"),
    ("checked_by", "Data protection checked by"),
    ("why", "Why"),
    ("note", "Note"),
];

const OUTCOMES: [CheckOutcome; 4] = [
    CheckOutcome::NoPersonalData,
    CheckOutcome::Passed,
    CheckOutcome::PassedWithConditions,
    CheckOutcome::Failed,
];

const HAS: [Has; 2] = [Has::No, Has::Yes];

/// As shops write it.
const RATINGS: [(&str, &str); 11] = [
    ("", "Choose"),
    ("unrated", "Nobody rates it"),
    ("0", "Everyone"),
    ("3", "3 and over"),
    ("4", "4 and over"),
    ("7", "7 and over"),
    ("9", "9 and over"),
    ("12", "12 and over"),
    ("16", "16 and over"),
    ("17", "17 and over"),
    ("18", "18 and over"),
];

/// What is asked for most; whatever else is written beside.
const PERMISSIONS: [&str; 10] = [
    "camera",
    "microphone",
    "location",
    "photos and files",
    "contacts",
    "calendar",
    "bluetooth and nearby devices",
    "network",
    "notifications",
    "runs in the background",
];

const fn has(has: Has) -> &'static str {
    match has {
        Has::Yes => "Yes",
        Has::No => "No",
    }
}

const fn outcome(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::NoPersonalData => "It handles no personal data",
        CheckOutcome::Passed => "Passed",
        CheckOutcome::PassedWithConditions => "Passed, with conditions",
        CheckOutcome::Failed => "Not passed",
    }
}

fn rating(rated_from: Option<u8>) -> String {
    match rated_from {
        None => "nobody rates it".to_owned(),
        Some(0) => "everyone".to_owned(),
        Some(years) => format!("{years} and over"),
    }
}

pub(in crate::http) async fn show(
    State(server): State<Server>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Page, ApiError> {
    let kept = found(&server, &visitor, &id).await?;
    shown(&server, &visitor, &kept, None).await
}

async fn shown(
    server: &Server,
    visitor: &Visitor,
    kept: &Kept<App>,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(server).await?;
    let (path, app) = (path_of(kept.id), &kept.now);
    let live = live(server).await?;
    let decides = decides(&server.storage, &visitor.operator, when.today())
        .await
        .map_err(ApiError::internal)?;
    let allowed = where_allowed(server, visitor, app, (&live, &when)).await?;
    let telling = Telling {
        says: &says,
        hides: &|_| false,
        labels: &LABELS,
    };
    let content = html! {
        section.card {
            p { (state(app, when.today())) }
            (facts(server, kept))
        }
        (allowed)
        @if visitor.may(Area::Register) {
            section.card.screen aria-labelledby="next" {
                h2 id="next" { "Write on" }
                @if decides { (deciding(visitor, &path, app, (&when, sent))) }
                @else { p.soft { "A manager or the DSL decides." } }
                (learning(visitor, &path, app, sent))
            }
        } @else {
            p.soft { "A manager or the DSL decides. What more there is to say, ask for it again on the page " a href="/apps" { "Apps" } "." }
        }
        (history((server, visitor, &when), (&path, kept), sent, &telling))
    };
    Ok(page(visitor, PLACE, &app.app.to_string(), &content))
}

/// What whoever asked said last, and on what it was approved.
fn facts(server: &Server, kept: &Kept<App>) -> Markup {
    let mut lines = kept.lines.iter().rev();
    let last = lines.find(|line| matches!(line.act, Act::Ask { .. }));
    let read = last.map(|line| registers(server).read(line));
    let of = |field: &str| read.as_ref().map_or("", |read| read.of(field)).to_owned();
    let app = &kept.now;
    html! {
        dl {
            dt { "Publisher" } dd { @if of("publisher").is_empty() { "Not known: the words were erased, or cannot be opened" } @else { (of("publisher")) } }
            dt { "What for" } dd { (of("purpose")) }
            dt { "Asked for by" } dd { (last.map_or("", |line| line.by.as_str())) ", for " (audience(app.audience).to_lowercase()) }
            dt { "Asks the tablet for" } dd {
                @match &app.permissions {
                    None => "Nobody wrote it down yet",
                    Some(known) if known.is_empty() => "Nothing",
                    Some(known) => (listed(known)),
                }
            }
            @if let Some(approval) = app.approval() {
                @let terms = &approval.terms;
                dt { "Approved for" } dd { (audience(terms.audience)) }
                dt { "Rated for" } dd { (rating(terms.rated_from)) }
                dt { "Ads" } dd { (has(terms.ads)) }
                dt { "Purchases" } dd { (has(terms.purchases)) }
                dt { "Links out" } dd { (has(terms.links_out)) }
                dt { "Data protection" } dd { (outcome(terms.check.outcome)) ", " (shown_day(terms.check.on)) }
                dt { "Review by" } dd { (shown_day(terms.review)) }
            }
        }
    }
}

async fn where_allowed(
    server: &Server,
    visitor: &Visitor,
    app: &App,
    (live, when): (&LiveProfiles, &When),
) -> Result<Markup, ApiError> {
    let standing = app.standing(when.today());
    let mut rows = Vec::with_capacity(live.readable.len());
    for profile in &live.readable {
        let since = since(&server.storage, &profile.name, &app.app).await;
        let since = since.map_err(ApiError::internal)?;
        rows.push(vec![
            html! { a href={ "/profiles/" (profile.name) } { (profile.name) } },
            allowed(profile, &app.app),
            html! {
                @match since {
                    None => "",
                    Some(Since::Version { version, at }) => { "Version " (version) ", " (when.at(at)) }
                    Some(Since::AtLeast { version, at }) => { "Version " (version) " or before, " (when.at(at)) }
                }
            },
            html! { (profile.devices) },
            change(visitor, profile, (app, standing)),
        ]);
    }
    Ok(html! {
        section aria-labelledby="allowed" {
            h2 id="allowed" { "Where it is allowed" }
            @for name in &live.unreadable {
                p.notice.bad { "Whether profile " a href={ "/profiles/" (name) } { (name) } " allows it is not known: this version of the server cannot read it." }
            }
            @if rows.is_empty() {
                p { "There is no profile that can be read." }
            } @else {
                (table("Each live profile. Overrides hold single tablets tighter.", &["Profile", "This app", "Since", "Tablets", "Change"], &rows))
            }
        }
    })
}

fn allowed(profile: &LiveProfile, app: &AppId) -> Markup {
    let watched = |mode| html! { @if mode == Mode::Observe { " " span.soft { "(watched only: nothing is refused yet)" } } };
    html! {
        @match profile.says(app) {
            In::LeftAlone => { (badge(Tone::Open, "Apps left alone")) " whatever is installed runs" }
            In::Essential(mode) => { (badge(Tone::Good, "Essential")) (watched(mode)) }
            In::Allowed(mode) => { (badge(Tone::Watched, "Allowed")) (watched(mode)) }
            In::NotAllowed(mode) => { (badge(Tone::Open, "Not allowed")) (watched(mode)) }
        }
        @for exception in profile.exceptions_for(app) {
            " " span.soft { "By an exception from " (shown_day(exception.from)) " to " (shown_day(exception.until)) ", approved by " (exception.approved_by) "." }
        }
    }
}

/// On to what the profile's own page shows before anything is live.
fn change(visitor: &Visitor, profile: &LiveProfile, (app, standing): (&App, Standing)) -> Markup {
    let is_approved = matches!(standing, Standing::Approved | Standing::ReviewDue);
    let wanted = match profile.says(&app.app) {
        In::NotAllowed(_) if is_approved => Some(("allow", "Add it")),
        In::Allowed(_) => Some(("take_out", "Take it out")),
        In::LeftAlone | In::Essential(_) | In::NotAllowed(_) => None,
    };
    html! {
        @if let Some((field, says)) = wanted {
            @if visitor.may(Area::Enrol) {
                form method="post" action={ "/profiles/" (profile.name) "/preview" } {
                    (token(visitor))
                    input type="hidden" name=(field) value=(app.app);
                    button { (says) }
                }
            } @else { span.soft { "IT admins and managers change it" } }
        }
    }
}

fn deciding(
    visitor: &Visitor,
    path: &str,
    app: &App,
    (when, sent): (&When, Option<(&Form, &Refused)>),
) -> Markup {
    let of = |name| Filled::new(name, sent);
    let (approve, refuse, withdraw) = (of("approve"), of("refuse"), of("withdraw"));
    let is_approved = app.approval().is_some();
    let label = if is_approved {
        "Decide again, and approve it"
    } else {
        "Approve it"
    };
    html! {
        (act(visitor, (path, &approve), ("approve", label, "Approve it"), &terms(&approve, app, when)))
        @if is_approved {
            (act(visitor, (path, &withdraw), ("withdraw", "Withdraw the approval", "Withdraw it"), &html! {
                p { "Profiles that allow it are not changed by this: take it out of each above, afterwards." }
                (withdraw.text("why", "Why", "", Need::Must))
            }))
        } @else {
            (act(visitor, (path, &refuse), ("refuse", "Refuse it", "Refuse it"),
                &refuse.text("why", "Why", "Whoever asked reads it.", Need::Must)))
        }
    }
}

fn terms(filled: &Filled<'_>, app: &App, when: &When) -> Markup {
    let today = when.today();
    let before = app.approval().map(|approval| &approval.terms);
    let stands = |of: fn(&Terms) -> String| before.map(of).unwrap_or_default();
    let ratings: Vec<(String, String)> = RATINGS
        .iter()
        .map(|(value, says)| ((*value).to_owned(), (*says).to_owned()))
        .collect();
    let rated = stands(|terms| {
        terms
            .rated_from
            .map_or_else(|| "unrated".to_owned(), |years| years.to_string())
    });
    let for_whom = code(&app.audience);
    html! {
        (filled.choice("audience", "For whom", "", &options(&AUDIENCES, audience), &for_whom))
        (filled.choice("rated_from", "Age rating", "As its shop says.", &ratings, &rated))
        (filled.text("content", "Content", "What children or staff meet in it. May be left out.", Need::May))
        (filled.choice("ads", "Does it show ads?", "", &to_choose(&HAS, has), &stands(|terms| code(&terms.ads))))
        (filled.choice("purchases", "Can anything be bought in it?", "", &to_choose(&HAS, has), &stands(|terms| code(&terms.purchases))))
        (filled.choice("links_out", "Does it lead out, to web pages or other apps?", "", &to_choose(&HAS, has), &stands(|terms| code(&terms.links_out))))
        (asks_for(filled, app))
        (filled.line("checked_by", "Who checked data protection", "", Need::Must))
        (filled.day("check_on", "Checked on", "", (Need::Must, None)))
        (filled.choice("check_outcome", "What came of it", "", &to_choose(&OUTCOMES, outcome), ""))
        (filled.text("note", "Conditions, or a note", "Has to be filled in where it passed with conditions.", Need::May))
        (filled.day("review", "Review by", "Twelve months at most.", (Need::Must, Some(last_review(today)))))
    }
}

/// Ticked as they stand on record.
fn asks_for(filled: &Filled<'_>, app: &App) -> Markup {
    let known: BTreeSet<String> = app
        .permissions
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let usual = PERMISSIONS.iter().map(|name| (*name).to_owned());
    let others = known
        .iter()
        .filter(|name| !PERMISSIONS.contains(&name.as_str()));
    let all: Vec<(String, String)> = usual
        .chain(others.cloned())
        .map(|name| (name.clone(), name))
        .collect();
    html! {
        (filled.ticks("permissions", "What it asks the tablet for", "As its shop or its package says. Tick none where it asks for none.", &all, &known))
        (filled.line("other_permissions", "Anything else", "With commas between, as its shop calls it. May be left out.", Need::May))
    }
}

fn learning(visitor: &Visitor, path: &str, app: &App, sent: Option<(&Form, &Refused)>) -> Markup {
    let filled = Filled::new("permissions", sent);
    let fields = html! {
        p { "All that it asks for now. What was not known when it was approved has it decided again." }
        (asks_for(&filled, app))
        (filled.line("note", "Note", "Where you read it, and of which version. May be left out.", Need::May))
    };
    let says = (
        "permissions",
        "It asks for other permissions now",
        "Write it down",
    );
    act(visitor, (path, &filled), says, &fields)
}

fn says(line: &Act) -> Markup {
    html! {
        @match line {
            Act::Ask { audience: asked, .. } => { "Asked for, for " (audience(*asked).to_lowercase()) "." }
            Act::Permissions { permissions } => { "It asks the tablet for: " (listed(permissions)) "." }
            Act::Approve { terms } => {
                "Approved for " (audience(terms.audience).to_lowercase()) ", to be reviewed by " (shown_day(terms.review)) "."
                p.soft {
                    "Rated: " (rating(terms.rated_from)) ". Ads: " (has(terms.ads)) ". Purchases: " (has(terms.purchases)) ". Links out: " (has(terms.links_out))
                    ". Data protection: " (outcome(terms.check.outcome)) ", " (shown_day(terms.check.on)) ". Asks for: " (listed(&terms.permissions)) "."
                }
            }
            Act::Refuse => "Refused.",
            Act::Withdraw => "The approval was withdrawn.",
        }
    }
}

pub(in crate::http) async fn write(
    State(server): State<Server>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let kept = found(&server, &visitor, &id).await?;
    let done = written(&server, &visitor, &kept, &form).await;
    let again = async |refused| shown(&server, &visitor, &kept, Some((&form, &refused))).await;
    answered(done.map(|()| path_of(kept.id)), again).await
}

async fn written(
    server: &Server,
    visitor: &Visitor,
    kept: &Kept<App>,
    form: &Form,
) -> Result<(), RegisterError> {
    let (registers, hand) = (registers(server), hand(server, visitor));
    let (text, words) = (|field: &'static str| form.text(field), Words::default());
    let (line, words) = match text("act") {
        _ if is_erasing(form) => return erase(server, visitor, kept, form).await,
        "permissions" => {
            let line = Act::Permissions {
                permissions: asked_for(form)?,
            };
            let words = words.line_if_any("note", text("note"))?;
            registers.add::<App>(kept.id, &line, &words, hand).await?;
            return Ok(());
        }
        "approve" => {
            let terms = terms_of(form)?;
            let words = words
                .text_if_any("content", text("content"))?
                .line("checked_by", text("checked_by"))?;
            let words = if terms.check.outcome == CheckOutcome::PassedWithConditions {
                words.text("note", text("note"))?
            } else {
                words.text_if_any("note", text("note"))?
            };
            (Act::Approve { terms }, words)
        }
        "refuse" => (Act::Refuse, words.text("why", text("why"))?),
        "withdraw" => (Act::Withdraw, words.text("why", text("why"))?),
        _ => return Err(Refused::whole("Choose what to write.").into()),
    };
    let today = when(server).await?.today();
    app::decide(&registers, kept.id, (&line, &words), today, hand).await
}

fn asked_for(form: &Form) -> Result<BTreeSet<app::Permission>, Refused> {
    let ticked = form.fields().filter(|(name, _)| *name == "permissions");
    permissions(
        ticked.map(|(_, value)| value),
        form.text("other_permissions"),
    )
}

fn terms_of(form: &Form) -> Result<Terms, Refused> {
    Ok(Terms {
        audience: chosen(form, "audience")?,
        rated_from: rated_from(form.text("rated_from"))?,
        ads: chosen(form, "ads")?,
        purchases: chosen(form, "purchases")?,
        links_out: chosen(form, "links_out")?,
        check: Check {
            on: day(form, "check_on")?,
            outcome: chosen(form, "check_outcome")?,
        },
        permissions: asked_for(form)?,
        review: day(form, "review")?,
    })
}
