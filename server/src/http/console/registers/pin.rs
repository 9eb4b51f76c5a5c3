//! The PIN by which somebody signs tablets out themselves. Whoever it is for types it here; it is shown to nobody.

use super::filled::{Filled, Need};
use super::parts::act;
use super::registers;
use crate::domain::registers::pin::{self, SHOWN, Typed, short};
use crate::domain::registers::{Hand, Refused, RegisterError};
use crate::http::app::App;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use maud::{Markup, html};
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::pin::LONGEST_PIN;

pub(super) fn forms(
    visitor: &Visitor,
    (path, name, has_pin): (&str, &str, bool),
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let (setting, removing) = (
        Filled::new("set_pin", sent),
        Filled::new("remove_pin", sent),
    );
    let summary = if has_pin {
        "Set another PIN for tablets"
    } else {
        "Set a PIN for tablets"
    };
    html! {
        (act(visitor, (path, &setting), ("set_pin", summary, "Set the PIN"), &html! {
            p { "They type it themselves, and nobody else needs to know it. With it they sign a tablet out and in on the tablet. The one before stops counting." }
            (setting.line_of(SHOWN, "How tablets name them", "Short, such as Kim M.; everybody who holds a tablet sees it.", (Need::Must, &short(name))))
            (setting.digits("pin", "PIN", "6 to 8 digits: no date, nothing like 1234 or 111, five different digits or more.", LONGEST_PIN))
            (setting.digits("again", "The same again", "", LONGEST_PIN))
        }))
        @if has_pin {
            (act(visitor, (path, &removing), ("remove_pin", "Remove their PIN for tablets", "Remove the PIN"),
                &html! { p { "From then on the office signs tablets out to them. What they have signed out stays signed out." } }))
        }
    }
}

pub(super) async fn set(
    app: &App,
    id: EntryId,
    form: &Form,
    hand: Hand<'_>,
) -> Result<(), RegisterError> {
    let typed = Typed {
        shown: form.text(SHOWN),
        pin: form.secret("pin"),
        again: form.secret("again"),
    };
    pin::set(&registers(app), id, typed, hand).await
}
