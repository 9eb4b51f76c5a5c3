//! What becomes of each photo: which go when, and why.

use super::super::answer::{self, Answer, Trouble};
use super::super::names::Sheet;
use super::super::{Desk, layout, texts};
use crate::photos::listing::Listing;
use maud::{Markup, html};
use nestwarden_policy_schema::consent::{Stage, Tagging};
use std::sync::Arc;

/// Photos on one page; older ones have gone or are about to.
const MOST: usize = 60;

pub(in super::super) async fn show(desk: Arc<Desk>) -> Result<Answer, Trouble> {
    let (roll, sheet) = super::roll(&desk).await?;
    let newest = desk.photos.newest(MOST).await?;
    let content = html! {
        @if newest.photos.is_empty() { p { (texts::PHOTOS_NONE) } }
        @if roll.session.is_none() && !newest.photos.is_empty() { p { (texts::NAMES_IN_SESSION) } }
        @if newest.count == MOST { p { (texts::newest(MOST)) } }
        ul.photos {
            @for photo in &newest.photos {
                li {
                    p.count { (texts::taken(photo.captured_local)) }
                    p { (who(photo, &sheet)) }
                    p { (texts::standing(photo)) }
                    @if roll.session.is_some() && photo.stage <= Stage::Withheld && !photo.frozen {
                        a.button.quiet href=(format!("/sort?photo={}", photo.id)) {
                            @if is_sorted(photo) { (texts::ADD_NAME) } @else { (texts::SORT_THIS) }
                        }
                    }
                }
            }
        }
        (layout::back())
    };
    Ok(answer::page(layout::screen(texts::PHOTOS, &content)))
}

pub(super) fn is_sorted(photo: &Listing) -> bool {
    matches!(photo.tagging, Tagging::Complete | Tagging::NoChild)
}

fn who(photo: &Listing, sheet: &Sheet) -> Markup {
    let mut names: Vec<String> = photo.confirmed.iter().map(|id| sheet.name(*id)).collect();
    names.sort();
    if photo.unregistered_person {
        names.push(texts::AND_SOMEONE.to_owned());
    }
    html! {
        @if photo.tagging == Tagging::NoChild { (texts::NO_CHILD_IN_IT) }
        @else if names.is_empty() { (texts::NOBODY_SAID) }
        @else { (names.join(", ")) }
    }
}
