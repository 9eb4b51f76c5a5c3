//! Approved videos: the list, to look something up and to print, and proposing one.

use super::filled::{Filled, Need, day};
use super::parts::answered;
use super::search::Asked;
use super::{PLACE, hand, registers, when};
use crate::domain::registers::asking::decides;
use crate::domain::registers::video::address::VideoId;
use crate::domain::registers::video::{
    self, GOOD_FOR_DAYS, Standing, Video, Watched, last_day, watched_by,
};
use crate::domain::registers::words::{Read, Words};
use crate::domain::registers::{Kept, Refused, RegisterError, list as kept_in};
use crate::http::app::App;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, empty, page, table, token};
use crate::http::console::page::Page;
use crate::http::console::when::{When, day as shown_day};
use crate::http::error::ApiError;
use crate::storage::Which;
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use jiff::civil::Date;
use maud::{Markup, html};
use nestwarden_policy_schema::id::EntryId;
use std::collections::BTreeSet;

/// On paper a list that goes on on another page is no list.
const ON_ONE_PAGE: usize = 200;
/// The end is put before whoever reads the list so many days ahead.
const SOON_DAYS: i32 = 14;

const SHOWS: [(&str, &str); 5] = [
    ("", "Approved, proposed and expired"),
    ("approved", "Approved"),
    ("proposed", "Proposed"),
    ("expired", "Expired"),
    ("withdrawn", "Taken off"),
];

pub(super) fn path_of(id: EntryId) -> String {
    format!("/videos/{id}")
}

pub(super) fn said(app: &App, kept: &Kept<Video>, field: &str) -> String {
    match video::said(&registers(app), kept, field) {
        Some(Read::Words(words)) => words.of(field).to_owned(),
        Some(Read::Unreadable) => "Cannot be opened".to_owned(),
        Some(Read::Erased { .. }) => "Erased".to_owned(),
        None => String::new(),
    }
}

pub(super) fn state(video: &Video, today: Date) -> Markup {
    let left = |until: Date| today.until(until).map_or(0, |span| span.get_days());
    html! {
        @match (video.standing(today), video.approved_until) {
            (Standing::Approved, Some(until)) => {
                (badge(Tone::Good, "Approved")) " until " (shown_day(until))
                @if left(until) <= SOON_DAYS { " " (badge(Tone::Watched, "Ends soon")) }
            }
            (Standing::Expired, Some(until)) => { (badge(Tone::Bad, "Expired")) " " (shown_day(until)) }
            (Standing::Withdrawn, _) => (badge(Tone::Open, "Taken off")),
            (Standing::Proposed | Standing::Approved | Standing::Expired, _) => (badge(Tone::Watched, "Proposed, not approved")),
        }
    }
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Page, ApiError> {
    listed(&app, &visitor, &asked, None).await
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    asked: &Asked,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let today = when.today();
    let which = if asked.show() == "withdrawn" {
        Which::All
    } else {
        Which::Open
    };
    let mut found = kept_in::<Video>(&app.storage, which)
        .await
        .map_err(ApiError::internal)?;
    found.retain(|kept| admits(asked.show(), kept.now.standing(today)));
    let words = asked.words();
    if !words.is_empty() {
        found.retain(|kept| {
            let is_in = |field| said(app, kept, field).to_lowercase().contains(&words);
            let id = kept.now.video.to_string().to_lowercase();
            is_in("title") || is_in("audience") || id == words
        });
    }
    let pages = asked.pages("/videos", found.len(), ON_ONE_PAGE);
    let rows: Vec<Vec<Markup>> = pages
        .of(&found)
        .iter()
        .map(|kept| row(app, kept, today))
        .collect();
    let heads = ["Title", "Address", "For", "Watched in full by", "State"];
    let content = html! {
        p.notice { "This is a record of what was decided. " strong { "Tablets are not held to it yet:" } " what plays on them is what their apps and filters let through." }
        p { "Somebody watches a video in full and says so here. A manager or the DSL approves it, for " (GOOD_FOR_DAYS) " days after that at most. To show it for longer, somebody watches it again." }
        (asked.form("/videos", "Part of the title, room or age; or the video's id", &SHOWS))
        @if rows.is_empty() && asked.is_plain() {
            (empty(&html! { p { "No video is on the list yet. Watch one in full, then propose it below." } }))
        } @else if rows.is_empty() {
            (empty(&html! { p { "No video is like that. " a href="/videos" { "Show all" } "." } }))
        } @else {
            (table(&format!("{} As of {}.", pages.caption("video"), today.strftime("%-d %b %Y")), &heads, &rows))
        }
        (pages.links())
        (form(app, visitor, &when, sent).await?)
    };
    Ok(page(visitor, PLACE, "Approved videos", &content))
}

fn admits(show: &str, standing: Standing) -> bool {
    match show {
        "approved" => standing == Standing::Approved,
        "proposed" => standing == Standing::Proposed,
        "expired" => standing == Standing::Expired,
        "withdrawn" => standing == Standing::Withdrawn,
        _ => standing != Standing::Withdrawn,
    }
}

fn row(app: &App, kept: &Kept<Video>, today: Date) -> Vec<Markup> {
    let title = said(app, kept, "title");
    vec![
        html! { a href=(path_of(kept.id)) { @if title.is_empty() { (kept.now.video) } @else { (title) } } },
        html! { code { (kept.now.video.address()) } },
        html! { (said(app, kept, "audience")) },
        html! { (watched_by(kept)) ", " (shown_day(kept.now.watched_on)) },
        state(&kept.now, today),
    ]
}

async fn form(
    app: &App,
    visitor: &Visitor,
    when: &When,
    sent: Option<(&Form, &Refused)>,
) -> Result<Markup, ApiError> {
    let filled = Filled::new("propose", sent);
    Ok(html! {
        section.card.screen id="propose" {
            h2 { "Propose a video" }
            form method="post" action="/videos" {
                (token(visitor))
                (filled.problem())
                (filled.line("address", "Address", "Typed or pasted, of the one video: https://www.youtube.com/watch?v=…", Need::Must))
                (filled.line("title", "Title", "", Need::Must))
                (filled.line("audience", "For whom", "The room or the age.", Need::Must))
                (watched(app, visitor, when, &filled).await?)
                button.main { "Propose it" }
            }
        }
    })
}

/// What only who watched it says, and their approval where they are one of those who decide.
pub(super) async fn watched(
    app: &App,
    visitor: &Visitor,
    when: &When,
    filled: &Filled<'_>,
) -> Result<Markup, ApiError> {
    let today = when.today();
    let decides = decides(&app.storage, &visitor.operator, today)
        .await
        .map_err(ApiError::internal)?;
    let approves = [(
        "yes".to_owned(),
        "I approve it for children to see".to_owned(),
    )];
    let name = &visitor.operator.name;
    let signs = [(
        "yes".to_owned(),
        format!("I, {name}, watched it from beginning to end"),
    )];
    Ok(html! {
        (filled.ticks("in_full", "Watched in full", "Nobody else can say this for you.", &signs, &BTreeSet::new()))
        (filled.day("watched_on", "Watched on", "", (Need::Must, Some(today))))
        @if decides {
            (filled.ticks("approve", "Your decision", "Leave this empty if somebody else is to decide.", &approves, &BTreeSet::new()))
            (filled.day("until", "Approved until", "Counts only with your approval. 90 days after it was watched at most.", (Need::May, Some(last_day(today)))))
        } @else {
            p.soft { "A manager or the DSL approves it afterwards." }
        }
    })
}

/// What somebody signed for. Nobody says that somebody else watched a video: who sends the form did.
pub(super) fn watched_of(form: &Form) -> Result<Watched, Refused> {
    if form.text("in_full") != "yes" {
        let says =
            "Watch it from beginning to end, then tick this. Whoever watched it sends this form.";
        return Err(Refused::at("in_full", says));
    }
    let approved_until = match form.text("approve") {
        "yes" => Some(day(form, "until")?),
        _ => None,
    };
    Ok(Watched {
        on: day(form, "watched_on")?,
        approved_until,
    })
}

pub(in crate::http) async fn propose(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let done = proposed(&app, &visitor, &form).await;
    let again =
        async |refused| listed(&app, &visitor, &Asked::default(), Some((&form, &refused))).await;
    answered(done.map(path_of), again).await
}

async fn proposed(app: &App, visitor: &Visitor, form: &Form) -> Result<EntryId, RegisterError> {
    let video = VideoId::of_address(form.text("address"))
        .map_err(|error| Refused::at("address", error.to_string()))?;
    let words = Words::default()
        .line("title", form.text("title"))?
        .line("audience", form.text("audience"))?;
    let wanted = (video, watched_of(form)?);
    let today = when(app).await?.today();
    video::propose(&registers(app), wanted, &words, today, hand(app, visitor)).await
}
