//! Tablets by day: a row for each tablet, a cell for each day, with a sign in each.

use crate::domain::reports::Report;
use crate::domain::reports::coverage::{Cell, Row, rows};
use jiff::civil::Date;
use maud::{Markup, html};

const LABEL_WIDTH: usize = 150;
const DAYS_WIDTH: usize = 600;
const HEIGHT: usize = 22;
const HEAD: usize = 20;
/// More days than this have a cell too narrow for its sign.
pub(super) const MOST_DAYS: usize = 35;
const NAME_CHARS: usize = 20;

pub(super) fn figure(report: &Report) -> Markup {
    let rows = rows(report);
    let days: Vec<Date> = report.period.days().collect();
    if rows.is_empty() || days.len() > MOST_DAYS {
        return html! {};
    }
    html! {
        figure.strip {
            figcaption { "Each tablet on each day" }
            (drawn(&rows, &days))
            (legend())
            details {
                summary { "The same as a table" }
                (table(&rows, &days))
            }
        }
    }
}

fn drawn(rows: &[Row<'_>], days: &[Date]) -> Markup {
    let step = (DAYS_WIDTH / days.len()).min(64);
    let (width, height) = (
        LABEL_WIDTH + step * days.len() + 2,
        HEAD + HEIGHT * rows.len() + 2,
    );
    let at = |index: usize| LABEL_WIDTH + step * index;
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="group" aria-label="Each tablet on each day" {
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
                @for (index, (day, cell)) in row.cells.iter().enumerate() {
                    g role="img" aria-label={ (row.server.name) ", " (day.strftime("%a %-d %b")) ": " (cell.says()) } {
                        title { (row.server.name) ", " (day.strftime("%a %-d %b")) ": " (cell.says()) }
                        (box_of(*cell, at(index), y, step))
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

pub(super) fn head(day: Date, step: usize) -> String {
    let form = if step >= 48 { "%a %-d" } else { "%-d" };
    day.strftime(form).to_string()
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

fn table(rows: &[Row<'_>], days: &[Date]) -> Markup {
    html! {
        table.days {
            thead { tr { th scope="col" { "Tablet" } @for day in days { th scope="col" { (day.strftime("%a %-d %b")) } } } }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { (row.server.name) }
                        @for (day, cell) in &row.cells {
                            td data-label=(day.strftime("%a %-d %b")) { div { (cell.says()) } }
                        }
                    }
                }
            }
        }
    }
}
