//! Reports as pages: what stands in one, for the console and for a file of its own that prints.

mod flow;
pub mod pdf;
mod strip;
mod trend;

use crate::domain::reports::lines::{Level, Line, Section, named, sections, thresholds, when};
use crate::domain::reports::period::zone;
use crate::domain::reports::{Period, Report};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What a page by itself needs besides [`REPORT_STYLE`].
const PAGE_STYLE: &str = include_str!("page.css");
/// Uses the colours that pages of the console and [`PAGE_STYLE`] name.
pub(crate) const REPORT_STYLE: &str = include_str!("report.css");

/// Needs nothing beside it: no script, no style, picture or font from anywhere.
pub fn page(report: &Report) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title(report)) ", " (report.setting_name) ", " (days(report.period)) }
                style { (PreEscaped(PAGE_STYLE)) (PreEscaped(REPORT_STYLE)) }
            }
            body {
                main {
                    h1 { (title(report)) }
                    (content(report))
                }
            }
        }
    }
}

/// What it is called.
pub fn title(report: &Report) -> &'static str {
    if report.inspection {
        "How tablets stood on one day"
    } else {
        "Safeguarding report"
    }
}

/// What stands under the heading.
pub fn content(report: &Report) -> Markup {
    let sections = sections(report);
    let (coverage, others) = match sections.split_first() {
        Some((first, others)) => (Some(first), others),
        None => (None, &[][..]),
    };
    let zone = zone(Some(&report.time_zone));
    html! {
        div.report {
            p.about {
                strong { (report.setting_name) } " · " strong { (days(report.period)) } br;
                "Made " (when(report.made_at, &zone)) " (" (report.time_zone) ")"
                @if is_unfinished(report) { ". The period is not over: nothing after that counts" }
                "."
            }
            (summary(report, &sections))
            @if let Some(coverage) = coverage { (section(coverage, &html! { (strip::figure(report)) (trend::figure(report)) })) }
            @for one in others {
                @let plot = if one.title == "Photos" { flow::figure(&report.events.setting) } else { html! {} };
                (section(one, &plot))
            }
            (sign_off())
            (held_to(report))
            (evidence(report))
        }
    }
}

/// `2–8 Mar 2026`.
pub fn days(period: Period) -> String {
    let (first, last) = (period.first, period.last);
    let end = last.strftime("%-d %b %Y");
    if first == last {
        end.to_string()
    } else if (first.year(), first.month()) == (last.year(), last.month()) {
        format!("{}–{end}", first.day())
    } else if first.year() == last.year() {
        format!("{} – {end}", first.strftime("%-d %b"))
    } else {
        format!("{} – {end}", first.strftime("%-d %b %Y"))
    }
}

/// Whether it was made before its last day was over.
fn is_unfinished(report: &Report) -> bool {
    report.ends < end_of_last(report)
}

fn end_of_last(report: &Report) -> jiff::Timestamp {
    let next = report.period.last.tomorrow().ok();
    let midnight = next.and_then(|day| day.to_zoned(zone(Some(&report.time_zone))).ok());
    midnight.map_or(report.ends, |midnight| midnight.timestamp())
}

fn summary(report: &Report, sections: &[Section]) -> Markup {
    let of = |level| names_of(report, sections, level);
    let names = |level| of(level).join("; ");
    let count = |level| of(level).len();
    html! {
        ul.summary {
            li { (judged(Level::Red)) " " strong { (count(Level::Red)) } @if count(Level::Red) > 0 { ": " (names(Level::Red)) } }
            li { (judged(Level::Amber)) " " strong { (count(Level::Amber)) } @if count(Level::Amber) > 0 { ": " (names(Level::Amber)) } }
            li { (judged(Level::NotKnown)) " " strong { (count(Level::NotKnown)) } " figures, each with why" }
        }
    }
}

/// What is judged so, in the order it is read in.
fn names_of(report: &Report, sections: &[Section], level: Level) -> Vec<String> {
    let of_section = |section: &Section| {
        let lines = section.lines.iter().filter(|line| line.level == level);
        lines
            .map(|line| named(report, section, line))
            .collect::<Vec<_>>()
    };
    sections.iter().flat_map(of_section).collect()
}

fn section(section: &Section, plot: &Markup) -> Markup {
    html! {
        section {
            h2 { (section.title) }
            (plot)
            table.lines {
                thead { tr { th scope="col" { "Judged" } th scope="col" { "Figure" } th scope="col" { "Value" } th scope="col" { "Which, and why" } } }
                tbody {
                    @if let Some(line) = as_one(section) { (row(&line)) }
                    @else { @for line in &section.lines { (row(line)) } }
                }
            }
        }
    }
}

/// Lines that all say the same, as one.
fn as_one(section: &Section) -> Option<Line> {
    let (first, others) = section.lines.split_first()?;
    let same = |line: &Line| {
        line.note.is_empty() && line.level == first.level && line.value == first.value
    };
    if others.is_empty() || !section.lines.iter().all(same) {
        return None;
    }
    let names: Vec<&str> = section
        .lines
        .iter()
        .map(|line| line.name.as_str())
        .collect();
    Some(Line {
        name: names.join("; "),
        ..first.clone()
    })
}

fn row(line: &Line) -> Markup {
    html! {
        tr {
            td data-label="Judged" { div { (judged(line.level)) } }
            th scope="row" { (line.name) }
            td data-label="Value" { div { (line.value) } }
            td.note data-label="Which, and why" { div { (line.note) } }
        }
    }
}

/// By words and a sign, never by colour alone.
fn judged(level: Level) -> Markup {
    html! {
        @if level != Level::Plain {
            span class={ "judged " (level.as_str()) } { span aria-hidden="true" { (level.mark()) } " " (level.says()) }
        }
    }
}

fn sign_off() -> Markup {
    html! {
        section.sign-off {
            h2 { "Read and signed" }
            div.blanks {
                p { "Name" span.blank {} }
                p { "Role" span.blank {} }
                p { "Date" span.blank {} }
                p { "Signature" span.blank {} }
            }
            p { "What will be done, and by whom:" }
            p.blank {}
            p.blank {}
        }
    }
}

fn held_to(report: &Report) -> Markup {
    html! {
        p.soft.evidence {
            "Held to"
            @for (number, (figure, says)) in thresholds(report).says().into_iter().enumerate() {
                @if number == 0 { ": " } @else { ". " }
                strong { (figure) } ": " (says)
            }
            "."
        }
    }
}

fn evidence(report: &Report) -> Markup {
    let events = &report.events;
    html! {
        p.soft.evidence {
            "Rests on " (events.setting.events) " events of the period, told by " (crate::domain::reports::lines::tablets(events.tablets.len() as u64)) "; "
            "photos means photos on tablets we manage. Nestwarden " (report.program) ". "
            "Fingerprint of the figures that anybody with the events can work out again: " code { (report.fingerprint()) } "."
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::domain::reports::make;
    use crate::domain::reports::tests::month::Month;

    #[tokio::test]
    async fn a_report_as_a_page_needs_nothing_beside_it() {
        let month = Month::told(7).await;
        let week = "2026-03-09..2026-03-15".parse().unwrap();
        let made = "2026-03-16T08:00:00Z".parse().unwrap();
        let storage = &month.test.storage;
        let report = make(storage, "Little Acorns", week, None, made)
            .await
            .unwrap();
        let html = page(&report).into_string();
        for wrong in [
            "<script", "http://", "https://", "src=", "@import", "url(http", "style=",
        ] {
            assert!(!html.contains(wrong), "{wrong}");
        }
        let shown = html
            .replace(&report.fingerprint().to_string(), "FINGERPRINT")
            .replace("><", ">\n<");
        insta::assert_snapshot!("week", shown);
    }
}
