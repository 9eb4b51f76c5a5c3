//! What a page shows as pictures. Each is a table here, so that its numbers and words stand in it and not behind it.

use super::face::Weight;
use super::sheet::{Column, EDGE, INK, LEFT, Mark, PAPER, Part, SOFT, Sheet, WIDTH};
use crate::domain::reports::Report;
use crate::domain::reports::coverage::{Cell, rows};
use crate::domain::reports::figures::TabletCounts;
use crate::domain::reports::trend::{COLUMNS, Step, steps, stretches, worst};
use crate::paper::days;
use crate::paper::strip::{head, short};
use crate::paper::trend::{capital, step_name};
use krilla::tagging::{TableHeaderScope, Tag};

const LABEL: f32 = 92.0;
const MOST_STEP: f32 = 58.0;

/// Each tablet on each day.
pub(super) fn strip(report: &Report, sheet: &mut Sheet<'_>) -> Vec<Part> {
    let rows = rows(report);
    let stretches = stretches(report.period);
    let count = stretches.len();
    if rows.is_empty() {
        return Vec::new();
    }
    let size = sheet.size;
    let height = size * 1.6;
    #[expect(clippy::cast_precision_loss, reason = "at most a month of days")]
    let step = ((WIDTH - LABEL) / count as f32).min(MOST_STEP);
    sheet.need(height * 3.0);
    let mut table = Vec::new();
    let heads = vec![("Tablet".to_owned(), LEFT, Weight::Plain)];
    let days = stretches.iter().zip(places(step));
    let wide = if step >= 30.0 { 48 } else { 0 };
    let days = days.map(|(day, x)| (head(*day, wide), x + 2.0, Weight::Plain));
    let mut cells = Vec::new();
    for (text, x, weight) in heads.into_iter().chain(days) {
        let mark = sheet.text((x, sheet.y), size * 0.9, weight, SOFT, &text);
        let part = sheet.part(None, vec![mark]);
        let kind = Tag::TH(TableHeaderScope::Column);
        cells.push(Part::group(kind, vec![part]));
    }
    table.push(Part::group(Tag::THead, vec![Part::group(Tag::TR, cells)]));
    sheet.y += size * 1.3;
    let mut body = Vec::new();
    for row in &rows {
        sheet.need(height);
        let name = short(&row.server.name);
        let at = (LEFT, sheet.y + size * 0.2);
        let mark = sheet.text(at, size, Weight::Plain, INK, &name);
        let part = sheet.part(Some(row.server.name.clone()), vec![mark]);
        let mut cells = vec![Part::group(Tag::TH(TableHeaderScope::Row), vec![part])];
        for (stretch, x) in stretches.iter().zip(places(step)) {
            let cell = worst(row, *stretch);
            cells.push(day(cell, (x, sheet.y), (step - 1.5, height - 1.5), sheet));
        }
        body.push(Part::group(Tag::TR, cells));
        sheet.y += height;
    }
    table.push(Part::group(Tag::TBody, body));
    let table = Part::group(Tag::Table, table);
    let shown = [
        Cell::AsWanted,
        Cell::Watched,
        Cell::Attention,
        Cell::NotMeasured,
        Cell::NoReport,
        Cell::NotRecorded,
    ];
    // A sign stays on the line of what it says.
    let legend: Vec<String> = shown
        .into_iter()
        .map(|cell| format!("{}\u{a0}{}", cell.mark(), cell.says()))
        .collect();
    let legend = format!("{}; blank: closed, or not in use.", legend.join("; "));
    let legend = sheet.paragraph((LEFT, WIDTH), size * 0.9, SOFT, &legend);
    sheet.y += size * 0.4;
    vec![table, legend]
}

fn places(step: f32) -> impl Iterator<Item = f32> {
    std::iter::successors(Some(LEFT + LABEL), move |x| Some(x + step))
}

fn day(cell: Cell, at: (f32, f32), size: (f32, f32), sheet: &mut Sheet<'_>) -> Part {
    let (fill, edge, ink) = match cell {
        Cell::Attention => (Some(INK), Some(INK), PAPER),
        Cell::AsWanted | Cell::Watched | Cell::NotMeasured | Cell::NoReport | Cell::NotRecorded => {
            (None, Some(EDGE), INK)
        }
        Cell::Closed => (None, Some(215), INK),
        Cell::NotInUse | Cell::Ahead => (None, None, INK),
    };
    let mut ground = vec![Mark::Box {
        at,
        size,
        fill,
        edge,
    }];
    if cell.is_missing() {
        ground.extend(hatch(at, size));
    }
    let (sign, letters) = (cell.mark(), sheet.size * 0.95);
    let width = sheet.width(sign, Weight::Bold, letters);
    let (x, y) = (
        at.0 + (size.0 - width) / 2.0,
        at.1 + (size.1 - letters * 1.2) / 2.0,
    );
    if cell.is_missing() {
        // The sign stands on paper, not on the hatching.
        ground.push(Mark::Box {
            at: (x - 1.2, at.1 + 0.9),
            size: (width + 2.4, size.1 - 1.8),
            fill: Some(PAPER),
            edge: None,
        });
    }
    sheet.decorate(ground);
    let shown = if sign.is_empty() { " " } else { sign };
    let mark = sheet.text((x, y), letters, Weight::Bold, ink, shown);
    let part = sheet.part(Some(cell.says().to_owned()), vec![mark]);
    Part::group(Tag::TD, vec![part])
}

/// Lines from the lower left to the upper right, within a box.
fn hatch((x, y): (f32, f32), (width, height): (f32, f32)) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut along = 3.0;
    while along < width + height {
        let from = (x + (along - height).max(0.0), y + along.min(height));
        let to = (x + along.min(width), y + (along - width).max(0.0));
        marks.push(Mark::Rule { from, to, ink: 165 });
        along += 3.0;
    }
    marks
}

/// The way of photos through the period: a bar for each step, with its number.
pub(super) fn flow(counts: &TabletCounts, sheet: &mut Sheet<'_>) -> Vec<Part> {
    let steps = crate::paper::flow::steps(counts);
    let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return Vec::new();
    }
    let size = sheet.size;
    let height = size * 1.3;
    sheet.need(height * 4.0);
    let mut body = Vec::new();
    for (name, count) in steps {
        let top = sheet.y;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a bar is as long as the eye can tell"
        )]
        let width = ((count as f32 / most as f32) * WIDTH * 0.5).max(0.8);
        sheet.decorate(vec![Mark::Box {
            at: (LEFT + LABEL, top + 1.0),
            size: (width, height - 2.0),
            fill: Some(EDGE),
            edge: None,
        }]);
        let label = sheet.text((LEFT, top), size, Weight::Plain, INK, name);
        let label = sheet.part(None, vec![label]);
        let at = (LEFT + LABEL + width + 4.0, top);
        let number = sheet.text(at, size, Weight::Plain, INK, &count.to_string());
        let number = sheet.part(None, vec![number]);
        body.push(Part::group(
            Tag::TR,
            vec![
                Part::group(Tag::TH(TableHeaderScope::Row), vec![label]),
                Part::group(Tag::TD, vec![number]),
            ],
        ));
        sheet.y += height;
    }
    sheet.y += size * 0.4;
    vec![Part::group(Tag::Table, vec![Part::group(Tag::TBody, body)])]
}

/// A long period, a row for each week or month.
pub(super) fn trend(report: &Report, sheet: &mut Sheet<'_>) -> Option<Part> {
    let steps = steps(report);
    if steps.is_empty() {
        return None;
    }
    let heads = COLUMNS.map(str::to_owned);
    let head = trend_row(capital(step_name(report)), &heads, true, sheet);
    let body = steps
        .iter()
        .map(|step: &Step| trend_row(&days(step.period), &step.says(), false, sheet));
    let body = body.collect();
    sheet.y += sheet.size * 0.4;
    let parts = vec![
        Part::group(Tag::THead, vec![head]),
        Part::group(Tag::TBody, body),
    ];
    Some(Part::group(Tag::Table, parts))
}

fn trend_row(name: &str, texts: &[String], is_head: bool, sheet: &mut Sheet<'_>) -> Part {
    let first = WIDTH * 0.17;
    #[expect(clippy::cast_precision_loss, reason = "a handful of columns")]
    let step = (WIDTH - first) / texts.len() as f32;
    let places = std::iter::successors(Some(LEFT + first), |x| Some(x + step));
    let scope = if is_head {
        TableHeaderScope::Column
    } else {
        TableHeaderScope::Row
    };
    let ink = if is_head { SOFT } else { INK };
    let column = |x: f32, width: f32, text| Column {
        x,
        width: width - 4.0,
        kind: if is_head {
            Tag::TH(TableHeaderScope::Column).into()
        } else {
            Tag::TD.into()
        },
        sign: "",
        text,
        weight: Weight::Plain,
        ink,
    };
    let mut columns = vec![Column {
        kind: Tag::TH(scope).into(),
        ..column(LEFT, first, name)
    }];
    columns.extend(places.zip(texts).map(|(x, text)| column(x, step, text)));
    sheet.row(&columns)
}
