//! A subject access request: somebody looks at each photo before it goes to the family, and says which do.
//!
//! It opens with the fingerprint from the DSL's sheet and not otherwise: the page never shows it. Nothing is sent from here;
//! the last button lets the agent send what was included.

use super::super::answer::{self, Answer, Trouble};
use super::super::names::Sheet;
use super::super::router::Ask;
use super::super::{Desk, layout, texts};
use super::picture::{self, Shown};
use crate::photos::PhotosError;
use crate::photos::review::{Compared, Content, Offer, Progress, ToReview};
use hyper::StatusCode;
use maud::{Markup, html};
use nestwarden_policy_schema::access::Reviewed;
use nestwarden_policy_schema::id::{AccessRequestId, PhotoId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Left alone for so long, it closes.
const IDLE: Duration = Duration::from_mins(15);
/// Fingerprints typed wrong before the page waits.
const TRIES: u32 = 5;
const TRIES_WITHIN: Duration = Duration::from_mins(10);
/// A sealed picture beyond this is not opened in memory; it can be sent without being looked at here.
const MOST_PREVIEW_BYTES: u64 = 24 * 1024 * 1024;

/// Which request somebody typed the fingerprint of.
#[derive(Default)]
pub(in super::super) struct Unlocked {
    open: Option<(AccessRequestId, String, Instant)>,
    wrong: Vec<Instant>,
}

impl Unlocked {
    fn unlock(&mut self, offer: &Offer) {
        let recipient = offer.request.recipient.clone();
        self.open = Some((offer.request.id, recipient, Instant::now()));
        self.wrong.clear();
    }

    /// Whether this very request is open; looking at it keeps it so.
    fn is_open(&mut self, offer: &Offer) -> bool {
        let now = Instant::now();
        let request = &offer.request;
        let is_it = |open: &(AccessRequestId, String, Instant)| {
            let (id, recipient, used) = open;
            *id == request.id && *recipient == request.recipient && now.duration_since(*used) < IDLE
        };
        let Some(open) = self.open.as_mut().filter(|open| is_it(open)) else {
            return false;
        };
        open.2 = now;
        true
    }

    fn may_try(&mut self) -> bool {
        let now = Instant::now();
        self.wrong
            .retain(|at| now.duration_since(*at) < TRIES_WITHIN);
        self.wrong.len() < TRIES as usize
    }
}

pub(in super::super) async fn show(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let Some(id) = ask.query.value("request")? else {
        return Ok(answer::page(list(&desk).await?));
    };
    let offer = desk.photos.offer(id).await?;
    let markup = if desk.unlocked().is_open(&offer) {
        opened(&desk, offer, ask.query.value("photo")?).await?
    } else {
        closed(&offer, None)
    };
    Ok(answer::page(markup))
}

pub(in super::super) async fn begin(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let id: AccessRequestId = ask.form.value("request")?.ok_or(Trouble::Request)?;
    let typed = ask.form.get("fingerprint").unwrap_or_default().to_owned();
    let offer = desk.photos.offer(id).await?;
    if !desk.unlocked().may_try() {
        let markup = closed(&offer, Some(texts::REVIEW_WAIT));
        return Ok(answer::page_with(StatusCode::TOO_MANY_REQUESTS, markup));
    }
    match desk.photos.review_begin(id, typed).await? {
        Compared::Same => {
            desk.unlocked().unlock(&offer);
            Ok(answer::see(&format!("/review?request={id}")))
        }
        Compared::Differs => {
            desk.unlocked().wrong.push(Instant::now());
            let markup = closed(&offer, Some(texts::REVIEW_DIFFERS));
            Ok(answer::page_with(StatusCode::CONFLICT, markup))
        }
    }
}

pub(in super::super) async fn say(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let id: AccessRequestId = ask.form.value("request")?.ok_or(Trouble::Request)?;
    let photo: PhotoId = ask.form.value("photo")?.ok_or(Trouble::Request)?;
    must_be_open(&desk, id).await?;
    let reviewed = match ask.form.get("say") {
        Some("include") => Reviewed::Include,
        Some("others") => Reviewed::OthersInIt,
        Some("not") => Reviewed::NotThisChild,
        Some(_) | None => return Err(Trouble::Request),
    };
    desk.photos.review_say(id, photo, reviewed).await?;
    Ok(answer::see(&format!("/review?request={id}")))
}

pub(in super::super) async fn finish(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let id: AccessRequestId = ask.form.value("request")?.ok_or(Trouble::Request)?;
    must_be_open(&desk, id).await?;
    desk.photos.review_finish(id).await?;
    Ok(answer::see(&format!("/review?request={id}")))
}

/// One photo's bytes, for whoever reviews it. A sealed one is opened in memory and nowhere else.
pub(in super::super) async fn picture(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let id: AccessRequestId = ask.query.value("request")?.ok_or(Trouble::Request)?;
    let photo: PhotoId = ask.query.value("id")?.ok_or(Trouble::Request)?;
    must_be_open(&desk, id).await?;
    match desk.photos.review_view(id, photo).await? {
        Content::Plain(viewed) => picture::answer(photo, viewed, ask.range.as_deref()),
        Content::Sealed(sealed) => {
            if Shown::of(&sealed.media) != Shown::Picture || sealed.bytes > MOST_PREVIEW_BYTES {
                return Err(PhotosError::NotShown(photo).into());
            }
            // One at a time: each is whole in memory.
            let _one = desk.previews.lock().await;
            let media = sealed.media.clone();
            let key = (desk.unsealer)(sealed.request.clone()).await;
            let key = key.map_err(|refusal| {
                tracing::info!(%refusal, "a sealed photo could not be opened for review");
                PhotosError::NotShown(photo)
            })?;
            let plain = desk.photos.preview(sealed, key, MOST_PREVIEW_BYTES).await?;
            Ok(answer::bytes(plain, &media))
        }
    }
}

async fn must_be_open(desk: &Desk, id: AccessRequestId) -> Result<(), Trouble> {
    let offer = desk.photos.offer(id).await?;
    if desk.unlocked().is_open(&offer) {
        Ok(())
    } else {
        Err(PhotosError::ReviewNotBegun.into())
    }
}

async fn list(desk: &Desk) -> Result<Markup, Trouble> {
    let offers = desk.photos.offers().await?;
    let content = html! {
        @if offers.is_empty() { p { (texts::REVIEW_NONE) } }
        @for offer in &offers { (ticket(offer)) }
        (layout::back())
    };
    Ok(layout::screen(texts::REVIEW, &content))
}

fn ticket(offer: &Offer) -> Markup {
    let child = nameless(offer);
    html! {
        section.camera {
            h2 { (child) }
            p { (texts::review_people(&offer.request.asked_by, &offer.request.agreed_by)) }
            p.count { (texts::review_until(offer.photos.len(), offer.until_local)) }
            a.button href=(format!("/review?request={}", offer.request.id)) { (texts::REVIEW_OPEN) }
        }
    }
}

/// Which child it is about is nobody's business who does not have the sheet.
fn nameless(offer: &Offer) -> String {
    Sheet::empty().name(offer.request.child)
}

/// The child's name where a session's names have it, else the end of the id, which the DSL's list has too.
async fn child(desk: &Desk, offer: &Offer) -> Result<String, Trouble> {
    let (_, sheet) = super::roll(desk).await?;
    Ok(sheet.name(offer.request.child))
}

fn closed(offer: &Offer, problem: Option<&str>) -> Markup {
    let child = nameless(offer);
    let content = html! {
        @if let Some(problem) = problem { p.notice role="alert" { (problem) } }
        h2 { (child) }
        p { (texts::review_people(&offer.request.asked_by, &offer.request.agreed_by)) }
        p.count { (texts::review_until(offer.photos.len(), offer.until_local)) }
        form method="post" action="/review/begin" {
            input type="hidden" name="request" value=(offer.request.id);
            label.field for="fingerprint" { (texts::REVIEW_TYPE) }
            p id="why" { (texts::REVIEW_TYPE_WHY) }
            input.typed id="fingerprint" name="fingerprint" type="text" maxlength="40" autocomplete="off"
                autocapitalize="none" spellcheck="false" required aria-describedby="why";
            button.main.wide { (texts::REVIEW_BEGIN) }
        }
        (layout::back())
    };
    layout::screen(texts::REVIEW, &content)
}

async fn opened(desk: &Desk, offer: Offer, asked: Option<PhotoId>) -> Result<Markup, Trouble> {
    let child = child(desk, &offer).await?;
    if offer.progress == Progress::Finished {
        return Ok(sent(&offer, &child));
    }
    let found = match asked {
        Some(id) => offer.photos.iter().find(|photo| photo.id == id),
        None => offer.photos.iter().find(|photo| photo.reviewed.is_none()),
    };
    Ok(match found {
        Some(photo) => one(&offer, photo, &child),
        None => summary(&offer, &child),
    })
}

fn one(offer: &Offer, photo: &ToReview, child: &str) -> Markup {
    let request = offer.request.id;
    let address = format!("/review/photo?request={request}&id={}", photo.id);
    let words = texts::taken(photo.captured_local);
    let shown = Shown::of(&photo.media);
    let may_be_seen = shown != Shown::Not
        && (!photo.sealed || (shown == Shown::Picture && photo.bytes <= MOST_PREVIEW_BYTES));
    let content = html! {
        p.count { (words) }
        @if !may_be_seen {
            p.photo.none { (texts::REVIEW_UNSEEN) }
        } @else if shown == Shown::Picture {
            div.photo.clear { img src=(address) alt=(words); }
        } @else {
            div.photo.clear { video src=(address) aria-label=(words) controls preload="metadata" playsinline {} }
        }
        p.big-line { (texts::review_others(photo.others, photo.perhaps_more)) }
        @if let Some(said) = photo.reviewed { p { (texts::reviewed(said)) } }
        form method="post" action="/review" {
            input type="hidden" name="request" value=(request);
            input type="hidden" name="photo" value=(photo.id);
            div.bar.tall {
                button name="say" value="others" { (texts::REVIEW_OTHERS) }
                button name="say" value="not" { (texts::REVIEW_NOT) }
                button.main name="say" value="include" { (texts::REVIEW_INCLUDE) }
            }
        }
        (layout::back())
    };
    layout::screen(&texts::review_left(child, offer.left()), &content)
}

/// Everything that was said, with a way back to each; only here can it be finished.
fn summary(offer: &Offer, child: &str) -> Markup {
    let request = offer.request.id;
    let included = offer.said(Reviewed::Include);
    let content = html! {
        p { (texts::review_sum(included, offer.said(Reviewed::OthersInIt), offer.said(Reviewed::NotThisChild))) }
        ul.photos {
            @for photo in &offer.photos {
                li {
                    p.line {
                        span { (texts::taken(photo.captured_local)) ": "
                            @if let Some(said) = photo.reviewed { (texts::reviewed(said)) } }
                        a href=(format!("/review?request={request}&photo={}", photo.id)) { (texts::REVIEW_AGAIN) }
                    }
                }
            }
        }
        p.notice { (texts::REVIEW_FINISH_LEAD) }
        form method="post" action="/review/finish" {
            input type="hidden" name="request" value=(request);
            button.main.wide { (texts::review_finish(included)) }
        }
        (layout::back())
    };
    layout::screen(child, &content)
}

fn sent(offer: &Offer, child: &str) -> Markup {
    let included = offer.said(Reviewed::Include);
    let content = html! {
        p.big { (texts::review_sent(offer.sent, included)) }
        p { (texts::REVIEW_SENT_LEAD) }
        (layout::back())
    };
    layout::screen(child, &content)
}
