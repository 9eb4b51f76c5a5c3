//! Tablets by day: a row for each tablet, a cell for each day, with a sign in each.

use crate::domain::reports::Report;
use crate::domain::reports::coverage::{Cell, Row, rows};
use crate::domain::reports::period::Period;
use crate::domain::reports::trend::{MOST_DAYS, stretches, worst};
use crate::paper::trend::step_name;
use maud::{Markup, html};

const LABEL_WIDTH: usize = 150;
const DAYS_WIDTH: usize = 600;
const HEIGHT: usize = 22;
const HEAD: usize = 20;
const NAME_CHARS: usize = 20;

pub(super) fn figure(report: &Report) -> Markup {
    let rows = rows(report);
    let days = stretches(report.period);
    if rows.is_empty() {
        return html! {};
    }
    html! {
        figure.strip {
            figcaption { (caption(report)) }
            (drawn(&rows, &days, caption(report)))
            (legend())
            details {
                summary { "The same as a table" }
                (table(&rows, &days))
            }
        }
    }
}

/// The worst of each step, where days are not shown one by one.
pub(super) fn caption(report: &Report) -> &'static str {
    if report.period.days().count() <= MOST_DAYS {
        return "Each tablet on each day";
    }
    match step_name(report) {
        "week" => "Each tablet in each week: the worst that was seen, or not seen, of it",
        _ => "Each tablet in each month: the worst that was seen, or not seen, of it",
    }
}

fn drawn(rows: &[Row<'_>], days: &[Period], caption: &str) -> Markup {
    let step = (DAYS_WIDTH / days.len()).min(64);
    let (width, height) = (
        LABEL_WIDTH + step * days.len() + 2,
        HEAD + HEIGHT * rows.len() + 2,
    );
    let at = |index: usize| LABEL_WIDTH + step * index;
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="group" aria-label=(caption) {
            defs {
                pattern id="no-report" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.ground width="6" height="6" {}
                    rect.hatch width="2" height="6" {}
                }
            }
            g aria-hidden="true" {
                @for (index, day) in days.iter().enumerate() {
                    text.head x=(at(index) + step / 2) y="13" text-anchor="middle" { (head(*day, step)) }
                }
            }
            @for (number, row) in rows.iter().enumerate() {
                @let y = HEAD + HEIGHT * number;
                text.name aria-hidden="true" x="0" y=(y + 15) { (short(&row.server.name)) }
                @for (index, day) in days.iter().enumerate() {
                    @let cell = worst(row, *day);
                    g role="img" aria-label={ (row.server.name) ", " (named(*day)) ": " (cell.says()) } {
                        title { (row.server.name) ", " (named(*day)) ": " (cell.says()) }
                        (box_of(cell, at(index), y, step))
                    }
                }
            }
        }
    }
}

fn box_of(cell: Cell, x: usize, y: usize, step: usize) -> Markup {
    let fill = matches!(cell, Cell::NoReport | Cell::NotRecorded).then_some("url(#no-report)");
    html! {
        rect class={ "cell " (class(cell)) } fill=[fill] x=(x + 1) y=(y + 1) width=(step - 2) height=(HEIGHT - 2) {}
        text class={ "sign " (class(cell)) } x=(x + step / 2) y=(y + 15) text-anchor="middle" { (cell.mark()) }
    }
}

const fn class(cell: Cell) -> &'static str {
    match cell {
        Cell::AsWanted => "wanted",
        Cell::Watched => "watched",
        Cell::Attention => "attention",
        Cell::NotMeasured => "not-measured",
        Cell::NoReport => "no-report",
        Cell::NotRecorded => "not-recorded",
        Cell::Closed => "closed",
        Cell::NotInUse | Cell::Ahead => "none",
    }
}

pub(super) fn head(of: Period, step: usize) -> String {
    let form = match (of.first == of.last, of.days().count() > 7) {
        (true, _) if step >= 48 => "%a %-d",
        (true, _) => "%-d",
        (false, false) => "%-d %b",
        (false, true) => "%b",
    };
    of.first.strftime(form).to_string()
}

fn named(of: Period) -> String {
    if of.first == of.last {
        of.first.strftime("%a %-d %b").to_string()
    } else {
        super::days(of)
    }
}

pub(super) fn short(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS {
        return name.to_owned();
    }
    let begin: String = name.chars().take(NAME_CHARS - 1).collect();
    begin + "…"
}

fn legend() -> Markup {
    html! {
        ul.legend {
            @for cell in [Cell::AsWanted, Cell::Watched, Cell::Attention, Cell::NotMeasured, Cell::NoReport, Cell::NotRecorded] {
                li { span aria-hidden="true" { (cell.mark()) } " " (cell.says()) }
            }
            li { "blank: closed, or not in use" }
        }
    }
}

fn table(rows: &[Row<'_>], days: &[Period]) -> Markup {
    html! {
        table.days {
            thead { tr { th scope="col" { "Tablet" } @for day in days { th scope="col" { (named(*day)) } } } }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { (row.server.name) }
                        @for day in days {
                            td data-label=(named(*day)) { div { (worst(row, *day).says()) } }
                        }
                    }
                }
            }
        }
    }
}
