//! A report as PDF: the sections and words of the page, tagged, with its own fonts, for printing and keeping (PDF/A-2a and
//! PDF/UA-1). A week is one sheet of A4 where that can still be read. Nothing is said by colour: there is none.

mod face;
mod figures;
mod sheet;

use super::{as_one, days, is_unfinished, names_of, title};
use crate::domain::reports::Report;
use crate::domain::reports::lines::{Level, Line, Section, sections, tablets, thresholds, when};
use crate::domain::reports::period::zone;
use face::{Faces, Weight};
use krilla::metadata::DateTime;
use krilla::tagging::{TableHeaderScope, Tag};
use sheet::{Column, EDGE, INK, LEFT, Mark, Part, SOFT, Sheet, WIDTH};

pub use sheet::PdfError;

/// Letters of a week that fits a page are no smaller than the last of these, and those of everything else as the first.
const SIZES: [f32; 5] = [7.4, 7.0, 6.6, 6.3, 6.0];
const WEEK_DAYS: usize = 7;

pub fn pdf(report: &Report) -> Result<Vec<u8>, PdfError> {
    let faces = Faces::load().ok_or(PdfError::Fonts)?;
    let is_week = report.period.days().count() <= WEEK_DAYS;
    let [first, smaller @ ..] = SIZES;
    let mut laid = lay_out(report, &faces, first);
    for size in smaller.into_iter().filter(|_| is_week) {
        if laid.0.pages() == 1 {
            break;
        }
        let small = lay_out(report, &faces, size);
        if small.0.pages() == 1 {
            laid = small;
        }
    }
    let (sheet, parts) = laid;
    let called = format!(
        "{}, {}, {}",
        title(report),
        report.setting_name,
        days(report.period)
    );
    sheet.written(&called, made_at(report), parts)
}

fn made_at(report: &Report) -> DateTime {
    let at = report.made_at.to_zoned(jiff::tz::TimeZone::UTC);
    let part = |number: i8| number.unsigned_abs();
    DateTime::new(at.year().unsigned_abs())
        .month(part(at.month()))
        .day(part(at.day()))
        .hour(part(at.hour()))
        .minute(part(at.minute()))
        .second(part(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

fn lay_out<'a>(report: &Report, faces: &'a Faces, size: f32) -> (Sheet<'a>, Vec<Part>) {
    let mut sheet = Sheet::new(faces, size);
    let sections = sections(report);
    let mut parts = vec![sheet.heading(1, title(report), size * 1.9)];
    parts.push(about(report, &mut sheet));
    parts.extend(summary(report, &sections, &mut sheet));
    for (number, section) in sections.iter().enumerate() {
        sheet.y += size * 0.45;
        let mut of_section = vec![sheet.heading(2, &section.title, size * 1.25)];
        if number == 0 {
            of_section.extend(figures::strip(report, &mut sheet));
            of_section.extend(figures::trend(report, &mut sheet));
        }
        if section.title == "Photos" {
            of_section.extend(figures::flow(&report.events.setting, &mut sheet));
        }
        of_section.push(lines(section, &mut sheet));
        parts.push(Part::group(Tag::Section, of_section));
    }
    parts.push(sign_off(&mut sheet));
    parts.push(held_to(report, &mut sheet));
    parts.push(evidence(report, &mut sheet));
    (sheet, parts)
}

fn about(report: &Report, sheet: &mut Sheet<'_>) -> Part {
    let zone = zone(Some(&report.time_zone));
    let open = if is_unfinished(report) {
        ". The period is not over: nothing after that counts"
    } else {
        ""
    };
    let size = sheet.size;
    let text = format!(
        "{} · {}. Made {} ({}){open}.",
        report.setting_name,
        days(report.period),
        when(report.made_at, &zone),
        report.time_zone
    );
    sheet.paragraph((LEFT, WIDTH), size, INK, &text)
}

/// What there is to do, before anything else.
fn summary(report: &Report, sections: &[Section], sheet: &mut Sheet<'_>) -> Vec<Part> {
    sheet.y += sheet.size * 0.3;
    let mut rows = Vec::new();
    for level in [Level::Red, Level::Amber, Level::NotKnown] {
        let names = names_of(report, sections, level);
        let said = match (level, names.as_slice()) {
            (Level::NotKnown, names) => format!("{} figures, each with why", names.len()),
            (_, []) => "0".to_owned(),
            (_, names) => format!("{}: {}", names.len(), names.join("; ")),
        };
        let weight = Weight::Bold;
        rows.push(sheet.row(&[
            Column {
                kind: Tag::TH(TableHeaderScope::Row).into(),
                sign: level.mark(),
                ..cell(LEFT, WIDTH * 0.11, level.says(), weight)
            },
            cell(LEFT + WIDTH * 0.11, WIDTH * 0.89, &said, weight),
        ]));
    }
    vec![Part::group(Tag::Table, vec![Part::group(Tag::TBody, rows)])]
}

fn cell(x: f32, width: f32, text: &str, weight: Weight) -> Column<'_> {
    Column {
        x,
        width: width - 4.0,
        kind: Tag::TD.into(),
        sign: "",
        text,
        weight,
        ink: INK,
    }
}

fn lines(section: &Section, sheet: &mut Sheet<'_>) -> Part {
    let one = as_one(section);
    let lines = one
        .as_ref()
        .map_or(section.lines.as_slice(), std::slice::from_ref);
    let rows = lines.iter().map(|line| row(line, sheet)).collect();
    Part::group(Tag::Table, vec![Part::group(Tag::TBody, rows)])
}

fn row(line: &Line, sheet: &mut Sheet<'_>) -> Part {
    let at = |share: f32| LEFT + WIDTH * share;
    let weight = match line.level {
        Level::Amber | Level::Red => Weight::Bold,
        Level::Plain | Level::Good | Level::NotKnown => Weight::Plain,
    };
    sheet.row(&[
        Column {
            sign: line.level.mark(),
            ..cell(at(0.0), WIDTH * 0.11, line.level.says(), weight)
        },
        Column {
            kind: Tag::TH(TableHeaderScope::Row).into(),
            ..cell(at(0.11), WIDTH * 0.25, &line.name, Weight::Plain)
        },
        cell(at(0.36), WIDTH * 0.22, &line.value, weight),
        Column {
            ink: SOFT,
            ..cell(at(0.58), WIDTH * 0.42, &line.note, Weight::Plain)
        },
    ])
}

fn sign_off(sheet: &mut Sheet<'_>) -> Part {
    let size = sheet.size;
    let blank = size * 2.1;
    let height = size * 2.0 + blank * 4.0;
    sheet.y += size * 0.9;
    sheet.need(height);
    let top = sheet.y;
    sheet.decorate(vec![Mark::Box {
        at: (LEFT, top),
        size: (WIDTH, height),
        fill: None,
        edge: Some(EDGE),
    }]);
    sheet.y += size * 0.4;
    let inner = LEFT + 6.0;
    let mark = sheet.text(
        (inner, sheet.y),
        size * 1.25,
        Weight::Bold,
        INK,
        "Read and signed",
    );
    let mut parts = vec![Part::group(Tag::P, vec![sheet.part(None, vec![mark])])];
    sheet.y += size * 1.6;
    let half = (WIDTH - 12.0) / 2.0;
    for pair in [["Name", "Role"], ["Date", "Signature"]] {
        for (number, label) in pair.into_iter().enumerate() {
            let x = if number == 0 { inner } else { inner + half };
            let mark = sheet.text((x, sheet.y + size * 0.7), size, Weight::Plain, INK, label);
            parts.push(Part::group(Tag::P, vec![sheet.part(None, vec![mark])]));
            let begin = x + sheet.width(label, Weight::Plain, size) + 6.0;
            rule(sheet, begin, x + half - 10.0, sheet.y + size * 1.75);
        }
        sheet.y += blank;
    }
    let label = "What will be done, and by whom:";
    let mark = sheet.text(
        (inner, sheet.y + size * 0.7),
        size,
        Weight::Plain,
        INK,
        label,
    );
    parts.push(Part::group(Tag::P, vec![sheet.part(None, vec![mark])]));
    let begin = inner + sheet.width(label, Weight::Plain, size) + 6.0;
    rule(sheet, begin, LEFT + WIDTH - 10.0, sheet.y + size * 1.75);
    sheet.y += blank;
    rule(sheet, inner, LEFT + WIDTH - 10.0, sheet.y + size * 1.75);
    sheet.y = top + height + size * 0.6;
    Part::group(Tag::Section, parts)
}

fn rule(sheet: &mut Sheet<'_>, from: f32, to: f32, y: f32) {
    sheet.decorate(vec![Mark::Rule {
        from: (from, y),
        to: (to, y),
        ink: INK,
    }]);
}

fn held_to(report: &Report, sheet: &mut Sheet<'_>) -> Part {
    let each = thresholds(report).says().into_iter();
    let said: Vec<String> = each
        .map(|(figure, says)| format!("{figure}: {says}"))
        .collect();
    let size = sheet.size * 0.92;
    let text = format!("Held to: {}.", said.join(". "));
    sheet.paragraph((LEFT, WIDTH), size, SOFT, &text)
}

fn evidence(report: &Report, sheet: &mut Sheet<'_>) -> Part {
    let events = &report.events;
    let size = sheet.size * 0.92;
    let text = format!(
        "Rests on {} events of the period, told by {}; photos means photos on tablets we manage. Nestwarden {}. Fingerprint of the figures that anybody with the events can work out again: {}.",
        events.setting.events,
        tablets(events.tablets.len() as u64),
        report.program,
        report.fingerprint()
    );
    sheet.paragraph((LEFT, WIDTH), size, SOFT, &text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests;
