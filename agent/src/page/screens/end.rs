//! The end of a session: what is left to sort, and what becomes of it.

use super::super::answer::{self, Answer, Trouble};
use super::super::{Desk, layout, texts};
use crate::photos::PhotosError;
use crate::photos::viewing::MOST_COUNTED;
use maud::html;
use std::sync::Arc;

pub(in super::super) async fn show(desk: Arc<Desk>) -> Result<Answer, Trouble> {
    if desk.photos.roll().await?.session.is_none() {
        return Err(PhotosError::NoSession.into());
    }
    // The last photo taken counts too.
    desk.photos.rescan().await?;
    let left = desk.photos.to_sort(MOST_COUNTED).await?;
    let deadlines = left
        .photos
        .iter()
        .filter_map(|photo| photo.deadline.as_ref());
    let first = deadlines.min_by_key(|deadline| deadline.at);
    let content = html! {
        p.big { (texts::left(left.count)) }
        @if left.count == 0 {
            p { (texts::END_DONE_LEAD) }
        } @else {
            p { (texts::END_LEFT_LEAD) }
            @if let Some(first) = first { p { (texts::first_goes(first)) } }
            nav { a.button.main href="/sort" { (texts::SORT_FIRST) } }
        }
        form method="post" action="/end" {
            button.wide.main[left.count == 0] { (texts::END_ANYWAY) }
        }
        (layout::back())
    };
    Ok(answer::page(layout::screen(texts::END, &content)))
}

pub(in super::super) async fn save(desk: Arc<Desk>) -> Result<Answer, Trouble> {
    desk.photos.session_end().await?;
    desk.keep_only(None);
    Ok(answer::see("/?ended=1"))
}
