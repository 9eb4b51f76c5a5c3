//! What every screen has around it.

use super::names::Sheet;
use super::screens::assets;
use super::texts;
use maud::{DOCTYPE, Markup, html};

/// A screen: its title is its heading too.
pub(super) fn screen(title: &str, content: &Markup) -> Markup {
    document(
        title,
        &html! {
            main id="main" tabindex="-1" {
                h1 { (title) }
                (content)
            }
        },
    )
}

/// A screen with one thing to say, and the way back.
pub(super) fn message(title: &str, text: &str) -> Markup {
    screen(
        title,
        &html! {
            p.notice role="alert" { (text) }
            (back())
        },
    )
}

/// For whoever gets no screen: no style, no way on.
pub(super) fn bare(text: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(texts::LANGUAGE) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (texts::PRODUCT) }
            }
            body { main { p role="alert" { (text) } } }
        }
    }
}

pub(super) fn back() -> Markup {
    html! { nav { a.button.quiet href="/" { (texts::HOME) } } }
}

/// Something that was done, or needs doing, said aloud by screen readers.
pub(super) fn notice(text: &str) -> Markup {
    html! { p.notice role="status" { (text) } }
}

/// Says so where names are missing, and offers to ask again.
pub(super) fn missing_names(
    sheet: &Sheet,
    children: &[nestwarden_policy_schema::id::ChildId],
    back_to: &str,
) -> Markup {
    let missing = children.iter().filter(|id| !sheet.is_known(**id)).count();
    if missing == 0 {
        return html! {};
    }
    let text = if missing == children.len() {
        texts::NO_NAMES
    } else {
        texts::SOME_NAMES
    };
    html! {
        form.notice method="post" action="/names" {
            p { (text) }
            input type="hidden" name="back" value=(back_to);
            button.quiet { (texts::ASK_AGAIN) }
        }
    }
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(texts::LANGUAGE) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – " (texts::PRODUCT) }
                link rel="icon" href=(assets::address("/icon.svg"));
                link rel="stylesheet" href=(assets::address("/style.css"));
                script src=(assets::address("/page.js")) defer {}
            }
            body { (body) }
        }
    }
}
