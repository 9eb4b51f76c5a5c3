//! A long period, a row for each week or month.

use crate::domain::reports::Report;
use crate::domain::reports::trend::{COLUMNS, steps, stretches};
use maud::{Markup, html};

pub(super) fn figure(report: &Report) -> Markup {
    let steps = steps(report);
    if steps.is_empty() {
        return html! {};
    }
    html! {
        figure.trend {
            figcaption { "From one " (step_name(report)) " to the next" }
            table.days {
                thead { tr { th scope="col" { (capital(step_name(report))) } @for column in COLUMNS { th scope="col" { (column) } } } }
                tbody {
                    @for step in &steps {
                        tr {
                            th scope="row" { (super::days(step.period)) }
                            @for (column, value) in COLUMNS.into_iter().zip(step.says()) {
                                td data-label=(column) { div { (value) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What a step of this report is.
pub(super) fn step_name(report: &Report) -> &'static str {
    let first = stretches(report.period).into_iter().next();
    let is_week = first.is_some_and(|first| first.days().count() == 7);
    if is_week { "week" } else { "month" }
}

pub(super) fn capital(name: &'static str) -> &'static str {
    match name {
        "week" => "Week",
        _ => "Month",
    }
}
