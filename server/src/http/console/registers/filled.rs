//! One form as somebody filled it in: what they typed stays, and what is wrong is said by its field.

use crate::domain::local_time::LocalTime;
use crate::domain::registers::Refused;
use crate::domain::registers::words::{LINE_CHARS, TEXT_CHARS};
use crate::http::console::form::Form;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use maud::{Markup, html};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    May,
}

/// `act`: which of a page's forms it is. Only that which was sent shows again what was sent.
pub(super) struct Filled<'a> {
    act: &'a str,
    sent: Option<(&'a Form, &'a Refused)>,
}

impl<'a> Filled<'a> {
    pub(super) fn new(act: &'a str, sent: Option<(&'a Form, &'a Refused)>) -> Self {
        let sent = sent.filter(|(form, _)| form.text("act") == act || !form.has("act"));
        Self { act, sent }
    }

    /// Whether it came back, so that it has to be shown open.
    pub(super) const fn came_back(&self) -> bool {
        self.sent.is_some()
    }

    pub(super) fn typed(&self, name: &str, before: &str) -> String {
        let sent = self.sent.map(|(form, _)| form.text(name));
        sent.unwrap_or(before).to_owned()
    }

    /// What is wrong with the whole form, above its fields.
    pub(super) fn problem(&self) -> Markup {
        let whole = self.sent.map(|(_, refused)| refused);
        html! {
            @if let Some(refused) = whole {
                p.notice.bad role="alert" {
                    @if refused.field.is_empty() { (refused.says) } @else { "Nothing was written. Look at the field that is marked." }
                }
            }
        }
    }

    fn wrong(&self, name: &str) -> Option<&'a str> {
        let (_, refused) = self.sent?;
        (refused.field == name).then_some(refused.says.as_str())
    }

    /// A label, a hint, and what is wrong, around an input that is given the id of what describes it.
    fn around(
        &self,
        (name, label, hint): (&str, &str, &str),
        input: impl FnOnce(Option<&str>) -> Markup,
    ) -> Markup {
        let wrong = self.wrong(name);
        let id = wrong.map(|_| format!("{}-{name}-wrong", self.act));
        html! {
            label.field {
                span.label { (label) }
                @if !hint.is_empty() { span.hint { (hint) } }
                @if let (Some(id), Some(says)) = (&id, wrong) { span.wrong id=(id) { (says) } }
                (input(id.as_deref()))
            }
        }
    }

    pub(super) fn line(&self, name: &str, label: &str, hint: &str, need: Need) -> Markup {
        self.line_of(name, label, hint, (need, ""))
    }

    /// Likewise, with what stands.
    pub(super) fn line_of(
        &self,
        name: &str,
        label: &str,
        hint: &str,
        (need, before): (Need, &str),
    ) -> Markup {
        let typed = self.typed(name, before);
        self.around((name, label, hint), |wrong| {
            html! {
                input name=(name) value=(typed) maxlength=(LINE_CHARS) autocomplete="off" required[need == Need::Must]
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong];
            }
        })
    }

    /// Digits that nobody reads along, and that do not come back.
    pub(super) fn digits(&self, name: &str, label: &str, hint: &str, most: usize) -> Markup {
        self.around((name, label, hint), |wrong| {
            html! {
                input type="password" inputmode="numeric" name=(name) maxlength=(most) autocomplete="new-password" required
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong];
            }
        })
    }

    pub(super) fn text(&self, name: &str, label: &str, hint: &str, need: Need) -> Markup {
        let typed = self.typed(name, "");
        self.around((name, label, hint), |wrong| {
            html! {
                textarea name=(name) rows="4" maxlength=(TEXT_CHARS) required[need == Need::Must]
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong] { (typed) }
            }
        })
    }

    /// One of several; `before` is the one that stands.
    pub(super) fn choice(
        &self,
        name: &str,
        label: &str,
        hint: &str,
        options: &[(String, String)],
        before: &str,
    ) -> Markup {
        let typed = self.typed(name, before);
        self.around((name, label, hint), |wrong| {
            html! {
                select name=(name) aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong] {
                    @for (value, says) in options { option value=(value) selected[*value == typed] { (says) } }
                }
            }
        })
    }

    /// Any of several; `before`: those that stand.
    pub(super) fn ticks(
        &self,
        name: &str,
        legend: &str,
        hint: &str,
        options: &[(String, String)],
        before: &BTreeSet<String>,
    ) -> Markup {
        let sent = self.sent.map(|(form, _)| form);
        let is_ticked = |value: &str| match sent {
            Some(form) => form.fields().any(|field| field == (name, value)),
            None => before.contains(value),
        };
        html! {
            fieldset {
                legend { (legend) }
                @if !hint.is_empty() { p.hint { (hint) } }
                @if let Some(says) = self.wrong(name) { p.wrong { (says) } }
                @for (value, says) in options {
                    label.choice { input type="checkbox" name=(name) value=(value) checked[is_ticked(value)]; (says) }
                }
            }
        }
    }

    /// A time on the wall clock of the setting.
    pub(super) fn moment(
        &self,
        name: &str,
        label: &str,
        hint: &str,
        (local, before): (&LocalTime, Timestamp),
    ) -> Markup {
        let before = local.local(before).strftime("%Y-%m-%dT%H:%M").to_string();
        let typed = self.typed(name, &before);
        self.around((name, label, hint), |wrong| {
            html! {
                input type="datetime-local" name=(name) value=(typed) required
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong];
            }
        })
    }

    pub(super) fn day(
        &self,
        name: &str,
        label: &str,
        hint: &str,
        (need, before): (Need, Option<Date>),
    ) -> Markup {
        let before = before.map(|day| day.to_string()).unwrap_or_default();
        let typed = self.typed(name, &before);
        self.around((name, label, hint), |wrong| {
            html! {
                input type="date" name=(name) value=(typed) required[need == Need::Must]
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong];
            }
        })
    }
}

/// Options of a choice, from the domain's own words for them.
pub(super) fn options<T: serde::Serialize + Copy>(
    all: &[T],
    says: impl Fn(T) -> &'static str,
) -> Vec<(String, String)> {
    all.iter()
        .map(|one| (code(one), says(*one).to_owned()))
        .collect()
}

/// Likewise, with nothing chosen at first: what is not known is not to be guessed.
pub(super) fn to_choose<T: serde::Serialize + Copy>(
    all: &[T],
    says: impl Fn(T) -> &'static str,
) -> Vec<(String, String)> {
    let mut found = vec![(String::new(), "Choose".to_owned())];
    found.extend(options(all, says));
    found
}

/// By which a choice is sent.
pub(super) fn code<T: serde::Serialize>(one: &T) -> String {
    let value = serde_json::to_value(one).ok();
    value
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn chosen<T: DeserializeOwned>(form: &Form, name: &'static str) -> Result<T, Refused> {
    let value = Value::String(form.text(name).to_owned());
    serde_json::from_value(value).map_err(|_| Refused::at(name, "Choose one of these."))
}

pub(super) fn moment(
    form: &Form,
    name: &'static str,
    local: &LocalTime,
) -> Result<Timestamp, Refused> {
    let wall: Option<DateTime> = form.text(name).parse().ok();
    wall.and_then(|wall| local.instant(wall)).ok_or_else(|| {
        Refused::at(
            name,
            "Write the day and the time, such as 2026-03-09 08:05.",
        )
    })
}

pub(super) fn day(form: &Form, name: &'static str) -> Result<Date, Refused> {
    day_if_any(form, name)?.ok_or_else(|| Refused::at(name, "Write a day, such as 2026-03-09."))
}

/// `None`: it was left empty.
pub(super) fn day_if_any(form: &Form, name: &'static str) -> Result<Option<Date>, Refused> {
    let typed = form.text(name);
    if typed.is_empty() {
        return Ok(None);
    }
    let day = typed.parse().map(Some);
    day.map_err(|_| Refused::at(name, "Write a day, such as 2026-03-09."))
}
