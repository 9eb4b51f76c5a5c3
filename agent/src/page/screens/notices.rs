//! Messages from the setting, and the one screen of a lost tablet.

use super::super::answer::{self, Answer, Trouble};
use super::super::router::Ask;
use super::super::{Desk, layout, texts};
use crate::reconcile::messages::Message;
use maud::{Markup, html};
use std::sync::Arc;

/// Each with the button that ends it; nothing where there are none.
pub(super) async fn messages(desk: &Desk) -> Result<Markup, Trouble> {
    let unread = desk.notices.show().await?;
    Ok(html! { @for message in &unread { (of(message)) } })
}

/// For whoever found it: where it belongs, and nothing of what is on it.
pub(super) async fn lost(desk: &Desk) -> Result<Answer, Trouble> {
    let content = html! {
        p.big role="alert" { (texts::lost(desk.notices.setting_name().as_deref())) }
        (messages(desk).await?)
    };
    Ok(answer::page(layout::screen(texts::LOST, &content)))
}

pub(in super::super) async fn read(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let message = ask.form.value("message")?.ok_or(Trouble::Request)?;
    desk.notices.note_read(message).await?;
    Ok(answer::see("/"))
}

fn of(message: &Message) -> Markup {
    html! {
        form.notice method="post" action="/read" role="status" {
            strong { (texts::MESSAGE) }
            p { (message.text) }
            input type="hidden" name="message" value=(message.command);
            button { (texts::MESSAGE_READ) }
        }
    }
}
