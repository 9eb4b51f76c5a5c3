//! What a tablet can be asked for, each with what it means.

use super::gate::Visitor;
use super::layout::token;
use crate::domain::loss::Loss;
use crate::domain::role::Area;
use crate::storage::Device;
use maud::{Markup, html};
use nestwarden_policy_schema::command::MESSAGE_CHARS;

pub(super) const REASON_CHARS: usize = 400;

const AT_SIGN_IN: &str = "Somebody left who knows it, or it may be known to others. It has to be changed at the next sign-in, in contact hours too; until then it reads overdue.";
const BY_MANAGER: &str = "Somebody left who knows it, or it may be known to others. It reads overdue until somebody sets a new one under Passcode; managers are asked to.";
const LOCK: &str = "Whoever works with it unlocks it again with the passcode. It is locked at its next contact within the hour, or not at all; what was seen then is said here.";
const MESSAGE: &str = "It stands on the tablet's own page until somebody there taps \"Read\". One line, no names of children: whoever holds the tablet can read it.";
const LOST: &str = "From when it hears of this the tablet is locked and stays so, its camera is off, every photo on it is out of sight, and a new passcode is due; also without a network, until you say here that it was found. Nothing is destroyed for it, and photos come back afterwards. Its page asks whoever finds it to hand it to the setting. A task reminds managers to find it or to report the loss.";
const FOUND: &str = "Say so once it is in your hands. From when it hears of this it is held to its profile again, and what was out of sight only for the loss comes back. A new passcode stays due.";
const BACK: &str = "At its next contact it gives every control back and is shut out: nothing is held there any more. Photos that are withheld or sealed on it stay so, and nobody can open them: decide about them first. Until its next contact this can be taken back.";

/// Who sets the passcode of the tablet.
#[derive(Clone, Copy)]
pub(super) enum PasscodeOf {
    Staff,
    Manager,
}

pub(super) fn forms(
    visitor: &Visitor,
    device: &Device,
    passcode: PasscodeOf,
    loss: Option<&Loss>,
) -> Markup {
    let with_reason = Asking { visitor, device };
    let new_passcode = match passcode {
        PasscodeOf::Staff => AT_SIGN_IN,
        PasscodeOf::Manager => BY_MANAGER,
    };
    html! {
        form.actions method="post" action=(with_reason.path()) {
            (token(visitor))
            button name="ask" value="refresh" { "Measure everything now" }
        }
        @if loss.is_some() { (with_reason.form("It was found", "found", FOUND)) }
        (with_reason.plain("Lock it now", "lock", LOCK))
        (with_reason.message())
        (with_reason.form("Ask for a new passcode", "new_passcode", new_passcode))
        @if loss.is_none_or(|loss| !loss.stands()) {
            (with_reason.form("Mark it as lost", "lost", LOST))
        }
        (with_reason.form("Ask for this tablet back", "unenrol", BACK))
    }
}

/// Where a lost tablet is written down: the person decides whether, and as what.
pub(super) fn incident(visitor: &Visitor, device: &Device, loss: &Loss) -> Markup {
    let link = |kind: &str| format!("/incidents?begin={kind}&tablet={}", device.id);
    html! {
        @if loss.is_missing() && visitor.may(Area::Register) {
            p.notice {
                "If it does not turn up, write it down: " a href=(link("lost_tablet")) { "the loss" }
                ", or, where others may read photos of children or names, "
                a href=(link("personal_data")) { "a personal-data breach" }
                ", which may have to be reported within 72 hours. Nothing is written before you say so there."
            }
        }
    }
}

struct Asking<'a> {
    visitor: &'a Visitor,
    device: &'a Device,
}

impl Asking<'_> {
    fn path(&self) -> String {
        format!("/tablets/{}/commands", self.device.id)
    }

    fn plain(&self, words: &str, ask: &str, means: &str) -> Markup {
        self.folded(words, ask, means, &html! {})
    }

    fn form(&self, words: &str, ask: &str, means: &str) -> Markup {
        let why = format!("why-{ask}");
        let reason = html! {
            label for=(why) { "Why; no names of children" }
            input id=(why) name="reason" maxlength=(REASON_CHARS) required autocomplete="off";
        };
        self.folded(words, ask, means, &reason)
    }

    fn message(&self) -> Markup {
        let text = html! {
            label for="message-text" { "Message" }
            input id="message-text" name="text" maxlength=(MESSAGE_CHARS) required autocomplete="off";
        };
        self.folded("Send a message", "message", MESSAGE, &text)
    }

    fn folded(&self, words: &str, ask: &str, means: &str, fields: &Markup) -> Markup {
        html! {
            details {
                summary { (words) }
                form method="post" action=(self.path()) {
                    (token(self.visitor))
                    p { (means) }
                    (fields)
                    button.stop[matches!(ask, "unenrol" | "lost")] name="ask" value=(ask) { (words) }
                }
            }
        }
    }
}
