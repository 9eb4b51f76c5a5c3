//! One video: who watched it when, who approved it until when, and what may be done now.

use super::filled::{Filled, Need, day};
use super::parts::{Telling, act, answered, erase, history, is_erasing};
use super::videos::{path_of, said, state, watched, watched_of};
use super::{PLACE, found, hand, registers, when};
use crate::domain::registers::asking::decides;
use crate::domain::registers::video::{self, Act, Standing, Video, last_day, watched_by};
use crate::domain::registers::words::Words;
use crate::domain::registers::{Kept, Refused, RegisterError};
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::page;
use crate::http::console::page::Page;
use crate::http::console::when::{When, day as shown_day};
use crate::http::error::ApiError;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use jiff::civil::Date;
use maud::{Markup, html};

const LABELS: [(&str, &str); 4] = [
    ("title", "Title"),
    ("audience", "For whom"),
    ("why", "Why"),
    ("note", "Note"),
];

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Page, ApiError> {
    let kept = found(&app, &visitor, &id).await?;
    shown(&app, &visitor, &kept, None).await
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Video>,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let (path, title) = (path_of(kept.id), said(app, kept, "title"));
    let video = &kept.now;
    let forms = forms(app, visitor, (&path, video), (&when, sent)).await?;
    let telling = Telling {
        says: &says,
        hides: &|_| false,
        labels: &LABELS,
    };
    let content = html! {
        section.card {
            p { (state(video, when.today())) }
            dl {
                dt { "Address" } dd { code { (video.video.address()) } }
                dt { "For" } dd { (said(app, kept, "audience")) }
                dt { "Watched in full by" } dd { (watched_by(kept)) ", " (shown_day(video.watched_on)) }
            }
            p.soft { "This is a record: tablets are not held to it yet." }
        }
        @if !video.is_withdrawn && visitor.may(Area::Register) {
            section.card.screen aria-labelledby="next" {
                h2 id="next" { "Write on" }
                (forms)
            }
        } @else if !video.is_withdrawn {
            p.soft { "If you watched it in full again, propose it again on the page " a href="/videos" { "Approved videos" } "." }
        }
        (history((app, visitor, &when), (&path, kept), sent, &telling))
    };
    let title = if title.is_empty() {
        video.video.to_string()
    } else {
        title
    };
    Ok(page(visitor, PLACE, &title, &content))
}

async fn forms(
    app: &App,
    visitor: &Visitor,
    (path, video): (&str, &Video),
    (when, sent): (&When, Option<(&Form, &Refused)>),
) -> Result<Markup, ApiError> {
    let of = |name| Filled::new(name, sent);
    let (approve, watch, withdraw) = (of("approve"), of("watch"), of("withdraw"));
    let decides = decides(&app.storage, &visitor.operator, when.today())
        .await
        .map_err(ApiError::internal)?;
    let again = watched(app, visitor, when, &watch).await?;
    Ok(html! {
        @if decides && may_be_approved(video, when.today()) {
            (act(visitor, (path, &approve), ("approve", "Approve it", "Approve it"), &html! {
                (approve.day("until", "The last day it may be shown", "90 days after it was watched at most.", (Need::Must, Some(last_day(video.watched_on)))))
                (approve.line("note", "Note", "May be left out.", Need::May))
            }))
        } @else if video.standing(when.today()) == Standing::Proposed {
            p.soft { "A manager or the DSL approves it." }
        }
        (act(visitor, (path, &watch), ("watch", "I watched it in full again", "Write it down"), &again))
        (act(visitor, (path, &withdraw), ("withdraw", "Take it off the list", "Take it off"),
            &withdraw.text("why", "Why", "", Need::Must)))
    })
}

/// Watched since it was approved last, and not too long ago.
fn may_be_approved(video: &Video, today: Date) -> bool {
    video.watched_since && today <= last_day(video.watched_on)
}

fn says(line: &Act) -> Markup {
    html! {
        @match line {
            Act::Propose { watched_on, approved_until, .. } => { "Proposed. Watched in full on " (shown_day(*watched_on)) "." (until(*approved_until)) }
            Act::Watch { watched_on, approved_until } => { "Watched in full again on " (shown_day(*watched_on)) "." (until(*approved_until)) }
            Act::Approve { until: day } => (until(Some(*day))),
            Act::Withdraw => "Taken off the list.",
        }
    }
}

fn until(day: Option<Date>) -> Markup {
    html! { @if let Some(day) = day { " Approved until " (shown_day(day)) "." } }
}

pub(in crate::http) async fn write(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let kept = found(&app, &visitor, &id).await?;
    let done = written(&app, &visitor, &kept, &form).await;
    let again = async |refused| shown(&app, &visitor, &kept, Some((&form, &refused))).await;
    answered(done.map(|()| path_of(kept.id)), again).await
}

async fn written(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Video>,
    form: &Form,
) -> Result<(), RegisterError> {
    let words = Words::default();
    let (line, words) = match form.text("act") {
        _ if is_erasing(form) => return erase(app, visitor, kept, form).await,
        "watch" => {
            let watched = watched_of(form)?;
            let line = Act::Watch {
                watched_on: watched.on,
                approved_until: watched.approved_until,
            };
            (line, words)
        }
        "approve" => {
            let until = day(form, "until")?;
            (
                Act::Approve { until },
                words.line_if_any("note", form.text("note"))?,
            )
        }
        "withdraw" => (Act::Withdraw, words.text("why", form.text("why"))?),
        _ => return Err(Refused::whole("Choose what to write.").into()),
    };
    let today = when(app).await?.today();
    let hand = hand(app, visitor);
    video::write(&registers(app), kept.id, (&line, &words), today, hand).await
}
