//! How a long register is asked for: words, a state, a page.

use crate::http::console::layout::field;
use crate::http::console::pages::Pages;
use maud::{Markup, html};
use serde::Deserialize;

/// A word that is not known counts as none.
#[derive(Deserialize, Default)]
pub(in crate::http) struct Asked {
    #[serde(default)]
    search: String,
    #[serde(default)]
    show: String,
    #[serde(default)]
    page: String,
    /// A package somebody is to ask for.
    #[serde(default)]
    app: String,
}

impl Asked {
    /// In small letters; empty: nothing was looked for.
    pub(super) fn words(&self) -> String {
        self.search.trim().to_lowercase()
    }

    pub(super) fn show(&self) -> &str {
        &self.show
    }

    pub(super) fn app(&self) -> &str {
        &self.app
    }

    pub(super) fn is_plain(&self) -> bool {
        self.search.trim().is_empty() && self.show.is_empty()
    }

    /// `shows`: what may be shown, the first where nothing is chosen.
    pub(super) fn form(&self, place: &str, looks_in: &str, shows: &[(&str, &str)]) -> Markup {
        html! {
            form.filter.screen method="get" action=(place) {
                (field("Search", looks_in, &html! { input type="search" name="search" value=(self.search) maxlength="80"; }))
                (field("Show", "", &html! {
                    select name="show" {
                        @for (value, says) in shows { option value=(value) selected[self.show == *value] { (says) } }
                    }
                }))
                button { "Show" }
            }
        }
    }

    pub(super) fn pages(&self, place: &'static str, of: usize, on_one: usize) -> Pages {
        let kept = [("search", self.search.as_str()), ("show", &self.show)];
        Pages::new(place, &kept, &self.page, of, on_one)
    }
}
