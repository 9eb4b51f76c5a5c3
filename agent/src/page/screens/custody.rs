//! Who has the tablet: somebody signs it out with their PIN, and somebody signs it in. Nothing else on the page waits for it.

use super::super::answer::{self, Answer, Trouble};
use super::super::router::Ask;
use super::super::{Desk, layout, texts};
use crate::custody::{CustodyError, Holder, Somebody, Standing, Taking};
use crate::photos::PhotosError;
use hyper::StatusCode;
use jiff::civil::Time;
use maud::{Markup, html};
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::StaffId;
use nestwarden_policy_schema::pin::{LONGEST_PIN, Pin, SHORTEST_PIN};
use nestwarden_policy_schema::roster::AupNotice;
use std::collections::BTreeSet;
use std::sync::Arc;
use zeroize::Zeroizing;

async fn standing(desk: &Desk) -> Result<Standing, Trouble> {
    let custody = desk.custody.clone();
    let read = tokio::task::spawn_blocking(move || custody.standing());
    let read = read.await.map_err(|_| PhotosError::TaskEnded)?;
    Ok(read?.ok_or(PhotosError::NoBundle)?)
}

/// For the first screen: who has it, or the way to take it. Nothing where the office signs tablets out, and never a reason not
/// to show the rest.
pub(super) async fn banner(desk: &Desk) -> Markup {
    let standing = match standing(desk).await {
        Ok(standing) => standing,
        Err(Trouble::Photos(PhotosError::NoBundle)) => return html! {},
        Err(_) => return html! { p.notice role="alert" { (texts::CUSTODY_UNKNOWN) } },
    };
    match &standing.open {
        Some(holder) => held(holder, standing.people.iter().any(|one| one.may_bring_back)),
        None if standing.is_offered() => html! {
            nav { a.button.wide href="/custody" { (texts::CUSTODY_TAKE) } }
        },
        None => html! {},
    }
}

/// Whether somebody could sign it out, and nobody did.
pub(super) async fn is_nobodys(desk: &Desk) -> bool {
    let standing = standing(desk).await;
    standing.is_ok_and(|standing| standing.open.is_none() && standing.is_offered())
}

/// Before the names of a session are shown.
pub(super) fn before_session(rooms: &BTreeSet<RoomName>) -> Markup {
    let content = html! {
        p { (texts::CUSTODY_BEFORE_SESSION) }
        nav { a.button.main.wide href="/custody" { (texts::CUSTODY_TAKE) } }
        form method="post" action="/start" {
            @for room in rooms { input type="hidden" name="room" value=(room.as_str()); }
            input type="hidden" name="unsigned" value="1";
            button.quiet { (texts::CUSTODY_START_ANYWAY) }
        }
        (home())
    };
    layout::screen(texts::START, &content)
}

fn held(holder: &Holder, here: bool) -> Markup {
    html! {
        section.camera.stop[holder.is_overdue || holder.may_not] aria-labelledby="custody" {
            h2 id="custody" { (texts::custody_with(&holder.name)) }
            p { (texts::custody_since(holder)) }
            @if holder.is_overdue { p { strong { (texts::CUSTODY_OVERDUE) } } }
            @if holder.may_not { p { strong { (texts::CUSTODY_MAY_NOT) } } }
            @if here { a.button href="/custody" { (texts::CUSTODY_BRING_BACK) } }
        }
    }
}

pub(in super::super) async fn show(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let standing = standing(&desk).await?;
    let staff: Option<StaffId> = ask.query.value("staff")?;
    Ok(answer::page(screen(&standing, staff, None)))
}

/// What somebody filled in, but never their PIN, and what was wrong.
struct Sent<'a> {
    room: Option<&'a RoomName>,
    due: Option<Time>,
    problem: &'a str,
}

fn screen(standing: &Standing, staff: Option<StaffId>, sent: Option<&Sent<'_>>) -> Markup {
    let somebody = staff.and_then(|staff| standing.somebody(staff));
    match (&standing.open, somebody) {
        (Some(holder), one) => {
            let one = one.or_else(|| standing.somebody(holder.staff));
            bring_back(standing, holder, one.filter(|one| one.may_bring_back), sent)
        }
        (None, Some(one)) if one.may_take.is_ok() => take(standing, one, sent),
        (None, _) => choose(standing, sent),
    }
}

fn around(standing: &Standing, sent: Option<&Sent<'_>>) -> Markup {
    html! {
        @if let Some(sent) = sent { p.notice role="alert" { (sent.problem) } }
        @if let Some(at) = standing.expired_at { p.notice { (texts::custody_old(at)) } }
    }
}

fn choose(standing: &Standing, sent: Option<&Sent<'_>>) -> Markup {
    let (may, not): (Vec<&Somebody>, Vec<&Somebody>) =
        standing.people.iter().partition(|one| one.may_take.is_ok());
    let content = html! {
        (around(standing, sent))
        p { (texts::CUSTODY_WHO) }
        nav.chips aria-label=(texts::CUSTODY_WHO) {
            @for one in may { a.button href=(format!("/custody?staff={}", one.staff)) { (one.name) } }
        }
        @if !not.is_empty() {
            details {
                summary { (texts::CUSTODY_NOT_LISTED) }
                ul.photos {
                    @for one in not { @if let Err(why) = &one.may_take { li { strong { (one.name) } p { (why) } } } }
                }
            }
        }
        (home())
    };
    layout::screen(texts::CUSTODY_TAKE, &content)
}

fn take(standing: &Standing, one: &Somebody, sent: Option<&Sent<'_>>) -> Markup {
    let due = sent.and_then(|sent| sent.due).unwrap_or(standing.due);
    let room = sent.and_then(|sent| sent.room);
    let only = standing.rooms.len() == 1;
    let content = html! {
        (around(standing, sent))
        form method="post" action="/custody/out" {
            input type="hidden" name="staff" value=(one.staff);
            @if let Some(aup) = standing.aup.as_ref().filter(|_| one.must_agree) { (agree(aup)) }
            @else { details { summary { (texts::CUSTODY_NOTICE) } (notice(standing.aup.as_ref())) } }
            (pin())
            @if !standing.rooms.is_empty() {
                label.field for="room" { (texts::CUSTODY_ROOM) }
                select.typed id="room" name="room" {
                    @if !only { option value="" { (texts::CUSTODY_NO_ROOM) } }
                    @for of in &standing.rooms { option value=(of.as_str()) selected[only || Some(of) == room] { (of.as_str()) } }
                }
            }
            label.field for="due" { (texts::CUSTODY_DUE) }
            input.typed id="due" name="due" type="time" required value=(due.strftime("%H:%M").to_string());
            button.main.wide { (texts::CUSTODY_TAKE) }
        }
        nav { a.button.quiet href="/custody" { (texts::CUSTODY_SOMEBODY_ELSE) } }
        (home())
    };
    layout::screen(&one.name, &content)
}

fn agree(aup: &AupNotice) -> Markup {
    html! {
        section.camera aria-labelledby="notice" {
            h2 id="notice" { (texts::CUSTODY_NOTICE) }
            (notice(Some(aup)))
            label.chip {
                input type="checkbox" name="agreed" value=(aup.version) required;
                span { (texts::custody_agree(&aup.name)) }
            }
        }
    }
}

/// What the tablet observes, and what the setting says of it.
fn notice(aup: Option<&AupNotice>) -> Markup {
    let own = aup.map_or("", |aup| aup.notice.as_str());
    html! {
        p { (texts::CUSTODY_OBSERVES) }
        @for part in own.lines().filter(|part| !part.trim().is_empty()) { p { (part) } }
    }
}

fn bring_back(
    standing: &Standing,
    holder: &Holder,
    one: Option<&Somebody>,
    sent: Option<&Sent<'_>>,
) -> Markup {
    let others = standing
        .people
        .iter()
        .filter(|other| other.may_bring_back && one.is_none_or(|one| one.staff != other.staff));
    let content = html! {
        (around(standing, sent))
        p { (texts::custody_since(holder)) }
        @if holder.may_not { p.notice role="status" { (texts::CUSTODY_MAY_NOT) } }
        @if let Some(one) = one {
            form method="post" action="/custody/in" {
                input type="hidden" name="staff" value=(one.staff);
                p.big-line { (texts::custody_pin_of(&one.name)) }
                (pin())
                button.main.wide { (texts::CUSTODY_BRING_BACK) }
            }
        }
        details open[one.is_none()] {
            summary { (texts::CUSTODY_BACK_BY_ANOTHER) }
            div.chips { @for other in others { a.button href=(format!("/custody?staff={}", other.staff)) { (other.name) } } }
            p { (texts::CUSTODY_BACK_BY_OFFICE) }
        }
        (home())
    };
    layout::screen(&texts::custody_with(&holder.name), &content)
}

fn pin() -> Markup {
    html! {
        label.field for="pin" { (texts::CUSTODY_PIN) }
        input.typed id="pin" name="pin" type="password" inputmode="numeric" pattern="[0-9]*" required
            minlength=(SHORTEST_PIN) maxlength=(LONGEST_PIN) autocomplete="off";
    }
}

fn home() -> Markup {
    html! { nav { a.button.quiet href="/" { (texts::CUSTODY_HOME) } } }
}

fn typed(ask: &Ask) -> Option<Pin> {
    let text = ask.form.get("pin").unwrap_or_default();
    Pin::typed(Zeroizing::new(text.to_owned()))
}

pub(in super::super) async fn sign_out(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let staff: StaffId = ask.form.value("staff")?.ok_or(Trouble::Request)?;
    let room = ask.form.get("room").filter(|room| !room.is_empty());
    let room: Option<RoomName> = room
        .map(str::parse)
        .transpose()
        .map_err(|_| Trouble::Request)?;
    let due: Time = ask.form.value("due")?.ok_or(Trouble::Request)?;
    let taking = Taking {
        staff,
        pin: typed(&ask),
        agreed: ask.form.value("agreed")?,
        room: room.clone(),
        due,
    };
    let done = desk.custody.take(taking).await;
    let sent = (room.as_ref(), Some(due));
    answered(&desk, staff, done, (texts::TAKEN_PATH, sent)).await
}

pub(in super::super) async fn sign_in(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let staff: StaffId = ask.form.value("staff")?.ok_or(Trouble::Request)?;
    let done = desk.custody.give_back(staff, typed(&ask)).await;
    answered(&desk, staff, done, (texts::BACK_PATH, (None, None))).await
}

async fn answered(
    desk: &Desk,
    staff: StaffId,
    done: Result<(), CustodyError>,
    (path, (room, due)): (&str, (Option<&RoomName>, Option<Time>)),
) -> Result<Answer, Trouble> {
    let error = match done {
        Ok(()) => return Ok(answer::see(path)),
        Err(error) => error,
    };
    let status = match &error {
        CustodyError::Wrong { .. } => StatusCode::FORBIDDEN,
        CustodyError::Wait { .. } => StatusCode::TOO_MANY_REQUESTS,
        CustodyError::Taken
        | CustodyError::NotTaken
        | CustodyError::MayNot(_)
        | CustodyError::MustAgree
        | CustodyError::DueBefore
        | CustodyError::Room => StatusCode::CONFLICT,
        CustodyError::NoBundle | CustodyError::Ended | CustodyError::Ledger(_) => {
            return Err(error.into());
        }
    };
    let standing = standing(desk).await?;
    let problem = texts::custody_problem(&error, standing.open.as_ref());
    let sent = Sent {
        room,
        due,
        problem: &problem,
    };
    Ok(answer::page_with(
        status,
        screen(&standing, Some(staff), Some(&sent)),
    ))
}
