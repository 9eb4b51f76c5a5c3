//! The way of photos through the period: taken, tagged, sealed, destroyed.

use crate::domain::reports::figures::TabletCounts;
use maud::{Markup, html};

const LABEL_WIDTH: u64 = 150;
const BAR_WIDTH: u64 = 500;
const HEIGHT: u64 = 24;

pub(super) const fn steps(counts: &TabletCounts) -> [(&'static str, u64); 4] {
    [
        ("Taken", counts.captured),
        ("Tagged, of these", counts.tagged),
        ("Sealed", counts.sealed),
        ("Destroyed", counts.destroyed),
    ]
}

pub(super) fn figure(counts: &TabletCounts) -> Markup {
    let steps = steps(counts);
    let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return html! {};
    }
    let says: Vec<String> = steps
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let height = HEIGHT * steps.len() as u64;
    html! {
        figure.flow {
            figcaption { "The way of photos in this period" }
            svg viewBox={ "0 0 " (LABEL_WIDTH + BAR_WIDTH + 60) " " (height) } role="img" aria-label={ (says.join(", ")) } {
                @for (number, (name, count)) in (0_u64..).zip(&steps) {
                    @let y = HEIGHT * number;
                    @let width = u128::from(*count) * u128::from(BAR_WIDTH) / u128::from(most);
                    text.name x="0" y=(y + 16) { (name) }
                    rect.bar x=(LABEL_WIDTH) y=(y + 3) width=(width.max(1)) height=(HEIGHT - 6) {}
                    text.count x=(u128::from(LABEL_WIDTH) + width + 6) y=(y + 16) { (count) }
                }
            }
            details {
                summary { "The same as a table" }
                table.days {
                    thead { tr { th scope="col" { "Step" } th scope="col" { "Photos" } } }
                    tbody { @for (name, count) in &steps { tr { th scope="row" { (name) } td data-label="Photos" { div { (count) } } } } }
                }
            }
        }
    }
}
