//! One photo, and who is in it. Ticks stay in the page until one of the two last buttons says that it is everyone.

use super::super::answer::{self, Answer, Trouble};
use super::super::names::Sheet;
use super::super::router::Ask;
use super::super::{Desk, layout, texts};
use super::picture::Shown;
use super::{Ticked, chip, photos::is_sorted, roll_in_session};
use crate::photos::listing::{Listing, Tags};
use crate::photos::roll::{Camera, OnRoll, Roll};
use crate::photos::viewing::MOST_COUNTED;
use hyper::StatusCode;
use maud::{Markup, html};
use nestwarden_policy_schema::consent::{Stage, Tagging};
use nestwarden_policy_schema::id::{ChildId, PhotoId};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(in super::super) async fn show(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let asked = ask.query.value::<PhotoId>("photo")?;
    let after = ask.query.value::<PhotoId>("after")?;
    let done = ask.query.value::<PhotoId>("done")?;
    let left = desk.photos.to_sort(MOST_COUNTED).await?;
    let photo = match asked {
        Some(id) => Some(desk.photos.photo(id).await?),
        None => next(&left.photos, after).cloned(),
    };
    let notice = done.map(|id| {
        html! {
            p.line role="status" {
                (texts::SORTED)
                a href=(format!("/sort?photo={id}")) { (texts::ADD_TO_IT) }
            }
        }
    });
    let Some(photo) = photo else {
        let content = html! {
            @if let Some(notice) = notice { (notice) }
            p { (texts::END_DONE_LEAD) }
            nav { a.button.main.wide href="/end" { (texts::END) } }
            (layout::back())
        };
        return Ok(answer::page(layout::screen(&texts::left(0), &content)));
    };
    let ticked = Ticks {
        children: photo.confirmed.clone(),
        unregistered: photo.unregistered_person,
    };
    let position = left.photos.iter().position(|p| p.id == photo.id);
    let following = position
        .and_then(|at| left.photos.get(at + 1))
        .map(|p| p.id);
    let view = View {
        photo,
        left: left.count,
        following,
        ticked,
        notice,
    };
    Ok(answer::page(view.render(&desk).await?))
}

pub(in super::super) async fn save(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let id: PhotoId = ask.form.value("photo")?.ok_or(Trouble::Request)?;
    let ticked = Ticks {
        children: ask.form.values("child")?,
        unregistered: ask.form.has("unregistered"),
    };
    let photo = desk.photos.photo(id).await?;
    let session = desk.photos.open_session().borrow().as_ref().copied();
    let somebody = !ticked.children.is_empty() || ticked.unregistered;
    let tags = match ask.form.get("say") {
        Some("everyone") if somebody => Ok(Tags {
            tagging: Tagging::Complete,
            confirmed: ticked.children.clone(),
            unregistered_person: ticked.unregistered,
            care_record: photo.care_record,
        }),
        Some("everyone") => Err(texts::NOBODY_TICKED),
        Some("nobody") if somebody => Err(texts::TICKED_AND_NO_CHILD),
        Some("nobody") => Ok(Tags {
            tagging: Tagging::NoChild,
            confirmed: BTreeSet::new(),
            unregistered_person: false,
            care_record: photo.care_record,
        }),
        Some(_) | None => return Err(Trouble::Request),
    };
    match tags {
        Ok(tags) => {
            desk.photos.tag(id, tags.clone()).await?;
            *desk.said() = session.map(|session| (session, tags));
            let on = if is_sorted(&photo) { "&added=1" } else { "" };
            Ok(answer::see(&format!("/sort?done={id}{on}")))
        }
        Err(problem) => {
            let view = View {
                left: desk.photos.to_sort(0).await?.count,
                following: None,
                notice: Some(html! { p.notice role="alert" { (problem) } }),
                photo,
                ticked,
            };
            let markup = view.render(&desk).await?;
            Ok(answer::page_with(StatusCode::CONFLICT, markup))
        }
    }
}

/// The first after `after`, or the first of all.
fn next(photos: &[Listing], after: Option<PhotoId>) -> Option<&Listing> {
    let at = after.and_then(|after| photos.iter().position(|photo| photo.id == after));
    at.and_then(|at| photos.get(at + 1)).or(photos.first())
}

struct Ticks {
    children: BTreeSet<ChildId>,
    unregistered: bool,
}

struct View {
    photo: Listing,
    left: usize,
    following: Option<PhotoId>,
    ticked: Ticks,
    notice: Option<Markup>,
}

impl View {
    async fn render(self, desk: &Desk) -> Result<Markup, Trouble> {
        let (roll, session, sheet) = roll_in_session(desk).await?;
        let photo = &self.photo;
        let same = desk.said().clone().filter(|(of, _)| *of == session.id);
        let same = same
            .filter(|_| !is_sorted(photo))
            .map(|(_, tags)| (same_words(&tags, &sheet), tags));
        let (first, more) = self.choices(roll, &sheet);
        let children: Vec<ChildId> = first.iter().chain(&more).map(|entry| entry.child).collect();
        let more_open = more
            .iter()
            .any(|entry| self.ticked.children.contains(&entry.child));
        let following = self.following.map(|id| format!("/photo?id={id}"));
        let content = html! {
            @if let Some(notice) = &self.notice { (notice) }
            form.sort method="post" action="/sort" data-next=[following] {
                input type="hidden" name="photo" value=(photo.id);
                div.upper {
                    p.count { (texts::taken(photo.captured_local)) }
                    (self.picture())
                }
                div.lower {
                    @if let Some((words, tags)) = &same {
                        button.wide form="same" name="say" value=(word(tags)) { (words) }
                    }
                    @if is_sorted(photo) { p { (texts::ADDING) } }
                    (layout_of_chips(&self, &first, &sheet))
                    @if !more.is_empty() {
                        details open[more_open] {
                            summary { (texts::MORE_CHILDREN) }
                            div.chips { @for entry in &more { (self.chip(entry, &sheet)) } }
                        }
                    }
                    div.bar {
                        // First, because the Enter key presses the first.
                        button.main name="say" value="everyone" { (texts::EVERYONE_NAMED) }
                        button name="say" value="nobody" { (texts::NO_CHILD) }
                        a.button href=(format!("/sort?after={}", photo.id)) { (texts::LATER) }
                    }
                }
            }
            // With everything the button says: by the time it is pressed, something else may have been said elsewhere.
            @if let Some((_, tags)) = &same {
                form id="same" method="post" action="/sort" {
                    input type="hidden" name="photo" value=(photo.id);
                    @for child in &tags.confirmed { input type="hidden" name="child" value=(child); }
                    @if tags.unregistered_person { input type="hidden" name="unregistered" value="1"; }
                }
            }
            (layout::missing_names(&sheet, &children, "/sort"))
            (layout::back())
        };
        Ok(layout::screen(&texts::left(self.left), &content))
    }

    /// Blurred until somebody presses it, or has said who is in it.
    fn picture(&self) -> Markup {
        let address = format!("/photo?id={}", self.photo.id);
        let words = texts::picture(self.left, self.photo.captured_local);
        let shown = Shown::of(&self.photo.media);
        html! {
            @if self.photo.stage >= Stage::Sealed {
                p.photo.none { (texts::LOCKED_AWAY) }
            } @else if shown == Shown::Not {
                p.photo.none { (texts::NOT_SHOWN) }
            } @else {
                div.photo {
                    input.look type="checkbox" id="look" aria-label=(texts::LOOK_AGAIN) autocomplete="off";
                    @if shown == Shown::Picture {
                        img src=(address) alt=(words);
                    } @else {
                        video src=(address) aria-label=(words) controls preload="metadata" playsinline {}
                    }
                    label.veil for="look" { span { (texts::LOOK) } }
                }
            }
        }
    }

    /// Those who are ticked as here, or booked where nobody is; then everybody else who may be meant.
    fn choices(&self, roll: Roll, sheet: &Sheet) -> (Vec<OnRoll>, Vec<OnRoll>) {
        let anybody = roll.children.iter().any(|entry| entry.present);
        let on_roll: BTreeSet<ChildId> = roll.children.iter().map(|entry| entry.child).collect();
        let known = self.photo.subjects.union(&self.ticked.children);
        let strangers: Vec<ChildId> = known.filter(|id| !on_roll.contains(id)).copied().collect();
        let strangers = strangers.into_iter().map(|child| OnRoll {
            child,
            rooms: BTreeSet::new(),
            booked_today: false,
            present: false,
            camera: Camera::May,
        });
        let (first, mut more): (Vec<_>, Vec<_>) = roll
            .children
            .into_iter()
            .chain(strangers)
            .partition(|entry| {
                let is_first = if anybody {
                    entry.present
                } else {
                    entry.booked_today
                };
                is_first || self.photo.confirmed.contains(&entry.child)
            });
        sheet.sort(&mut more, |entry| entry.child);
        (first, more)
    }

    fn chip(&self, entry: &OnRoll, sheet: &Sheet) -> Markup {
        let ticked = if self.photo.confirmed.contains(&entry.child) {
            Ticked::ForGood
        } else {
            self.ticked.children.contains(&entry.child).into()
        };
        chip(entry, sheet, "child", ticked)
    }
}

fn layout_of_chips(view: &View, first: &[OnRoll], sheet: &Sheet) -> Markup {
    let locked = view.photo.unregistered_person;
    html! {
        fieldset {
            legend { (texts::WHO) }
            div.chips {
                @for entry in first { (view.chip(entry, sheet)) }
                label.chip.other {
                    input type="checkbox" name="unregistered" value="1"
                        checked[view.ticked.unregistered] disabled[locked];
                    @if locked { input type="hidden" name="unregistered" value="1"; }
                    span { (texts::UNREGISTERED) }
                }
            }
        }
    }
}

const fn word(tags: &Tags) -> &'static str {
    match tags.tagging {
        Tagging::NoChild => "nobody",
        Tagging::Untagged | Tagging::Partial | Tagging::Complete => "everyone",
    }
}

fn same_words(tags: &Tags, sheet: &Sheet) -> String {
    let mut names: Vec<String> = tags.confirmed.iter().map(|id| sheet.name(*id)).collect();
    names.sort();
    if tags.unregistered_person {
        names.push(texts::AND_SOMEONE.to_owned());
    }
    if tags.tagging == Tagging::NoChild {
        names.push(texts::NO_CHILD.to_lowercase());
    }
    texts::same(&names)
}
