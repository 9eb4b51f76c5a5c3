//! Where everything begins: a session is started, or what can be done in the one that is open.

use super::super::answer::{self, Answer, Trouble};
use super::super::router::Ask;
use super::super::{Desk, layout, texts};
use super::do_not_photograph;
use crate::photos::roll::Roll;
use hyper::StatusCode;
use maud::{Markup, html};
use nestwarden_policy_schema::consent::RoomName;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(in super::super) async fn show(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    if desk.notices.is_lost() {
        return super::notices::lost(&desk).await;
    }
    let messages = super::notices::messages(&desk).await?;
    let messages = html! { (messages) (super::custody::banner(&desk).await) };
    let (roll, sheet) = super::roll(&desk).await?;
    let left = desk.photos.to_sort(0).await?.count;
    let requests = desk.photos.offers().await?.len();
    let said = if ask.query.has("saved") {
        Some(texts::HERE_SAVED)
    } else if ask.query.has("taken") {
        Some(texts::CUSTODY_TAKEN)
    } else if ask.query.has("back") {
        Some(texts::CUSTODY_BACK)
    } else if ask.query.has("ended") {
        Some(texts::SESSION_ENDED)
    } else {
        None
    };
    let Some(session) = &roll.session else {
        return Ok(answer::page(closed(
            &roll,
            left,
            (said, &messages),
            requests,
        )));
    };
    let children: Vec<_> = roll.children.iter().map(|entry| entry.child).collect();
    let ticked = roll.children.iter().filter(|c| c.present).count();
    let booked = roll.children.iter().filter(|c| c.booked_today).count();
    let content = html! {
        @if let Some(said) = said { (layout::notice(said)) }
        (messages)
        (do_not_photograph(&roll, &sheet))
        (layout::missing_names(&sheet, &children, "/"))
        nav.tiles {
            a.button.main[left > 0] href="/sort" {
                span { (texts::SORT) }
                span.count { (texts::left(left)) }
            }
            a.button href="/here" {
                span { (texts::HERE) }
                span.count { (texts::here_count(ticked, booked)) }
            }
            a.button href="/photos" { span { (texts::PHOTOS) } }
            a.button href="/end" { span { (texts::END) } }
        }
        (asked_for(requests))
    };
    Ok(answer::page(layout::screen(
        &texts::rooms(&session.rooms),
        &content,
    )))
}

pub(in super::super) async fn start(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let rooms: BTreeSet<RoomName> = ask.form.values("room")?;
    // The children's names are for whoever has the tablet. It is asked for, and keeps nobody from their work.
    if !ask.form.has("unsigned") && super::custody::is_nobodys(&desk).await {
        let screen = super::custody::before_session(&rooms);
        return Ok(answer::page_with(StatusCode::CONFLICT, screen));
    }
    desk.photos.session_start(rooms).await?;
    Ok(answer::see("/here"))
}

fn asked_for(requests: usize) -> Markup {
    html! {
        @if requests > 0 {
            nav { a.button.quiet href="/review" { (texts::review_waits(requests)) } }
        }
    }
}

fn closed(
    roll: &Roll,
    left: usize,
    (said, messages): (Option<&str>, &Markup),
    requests: usize,
) -> Markup {
    let content = html! {
        @if let Some(said) = said { (layout::notice(said)) }
        (messages)
        p { (texts::HOME_CLOSED_LEAD) }
        form method="post" action="/start" {
            @if roll.rooms.len() > 1 {
                fieldset {
                    legend { (texts::ROOMS) }
                    div.chips {
                        @for room in &roll.rooms {
                            label.chip {
                                input type="checkbox" name="room" value=(room.as_str());
                                span { (room.as_str()) }
                            }
                        }
                    }
                }
            } @else if let Some(room) = roll.rooms.first() {
                input type="hidden" name="room" value=(room.as_str());
                p.count { (room.as_str()) }
            }
            button.main.wide { (texts::START) }
        }
        @if left > 0 { p { (texts::left(left)) ". " (texts::SORT_NEEDS_SESSION) } }
        nav { a.button.quiet href="/photos" { (texts::PHOTOS) } }
        (asked_for(requests))
    };
    layout::screen(texts::HOME_CLOSED, &content)
}
