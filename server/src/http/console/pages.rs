//! Long lists, a page at a time.

use maud::{Markup, html};

/// Which part of a list is shown, and the way to the others.
pub(super) struct Pages {
    path: &'static str,
    /// What else the address says, as it is written there.
    query: String,
    page: usize,
    last: usize,
    of: usize,
    on_one: usize,
}

impl Pages {
    /// `asked`: the page as the address says it, from 1; what is no page there is counts as the nearest. `kept` goes along
    /// with every link.
    pub(super) fn new(
        path: &'static str,
        kept: &[(&str, &str)],
        asked: &str,
        of: usize,
        on_one: usize,
    ) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept.iter().filter(|(_, value)| !value.is_empty()));
        let last = of.div_ceil(on_one).max(1);
        Self {
            path,
            query: query.finish(),
            page: asked.parse().unwrap_or(1).clamp(1, last),
            last,
            of,
            on_one,
        }
    }

    fn begins(&self) -> usize {
        (self.page - 1) * self.on_one
    }

    /// What is on this page of `all`.
    pub(super) fn of<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let ends = self.of.min(self.begins() + self.on_one);
        all.get(self.begins()..ends).unwrap_or_default()
    }

    pub(super) fn caption(&self, what: &str) -> String {
        match (self.of, self.last) {
            (1, _) => format!("1 {what}."),
            (of, 1) => format!("{of} {what}s."),
            (of, _) => {
                let (from, to) = (self.begins() + 1, of.min(self.begins() + self.on_one));
                format!("{from} to {to} of {of} {what}s.")
            }
        }
    }

    /// Nothing where one page holds all.
    pub(super) fn links(&self) -> Markup {
        let to = |page: usize| format!("{}?{}{}page={page}", self.path, self.query, self.and());
        html! {
            @if self.last > 1 {
                nav.actions aria-label="Pages" {
                    @if self.page > 1 { a.button rel="prev" href=(to(self.page - 1)) { "Previous" } }
                    span.soft { "Page " (self.page) " of " (self.last) }
                    @if self.page < self.last { a.button rel="next" href=(to(self.page + 1)) { "Next" } }
                }
            }
        }
    }

    fn and(&self) -> &'static str {
        if self.query.is_empty() { "" } else { "&" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(asked: &str) -> Pages {
        Pages::new(
            "/tablets",
            &[("search", "a&b"), ("room", "")],
            asked,
            101,
            50,
        )
    }

    #[test]
    fn every_entry_is_on_exactly_one_page() {
        let all: Vec<usize> = (0..101).collect();
        let shown: Vec<usize> = ["1", "2", "3"]
            .iter()
            .flat_map(|page| pages(page).of(&all).to_vec())
            .collect();
        assert_eq!(shown, all);
        assert_eq!(pages("3").caption("tablet"), "101 to 101 of 101 tablets.");
    }

    #[test]
    fn a_page_that_is_not_there_is_the_nearest() {
        for (asked, page) in [("0", 1), ("-3", 1), ("x", 1), ("", 1), ("9", 3)] {
            assert_eq!(pages(asked).page, page, "{asked}");
        }
        let none = Pages::new("/", &[], "2", 0, 50);
        assert!(none.of::<u8>(&[]).is_empty());
    }

    #[test]
    fn links_keep_what_was_asked_for_and_are_not_torn_by_it() {
        let links = pages("2").links().into_string();
        assert!(
            links.contains("/tablets?search=a%26b&amp;page=1"),
            "{links}"
        );
        assert!(
            links.contains("/tablets?search=a%26b&amp;page=3"),
            "{links}"
        );
    }
}
