//! A report as CSV: a row for each line, and for each tablet and day. No cell is a formula to whatever opens it.

use super::coverage;
use super::figures::Report;
use super::lines::{Level, sections, thresholds};
use super::trend;

const HEAD: [&str; 8] = [
    "section", "figure", "tablet", "day", "value", "judged", "rests_on", "note",
];
/// Office programs read the file as UTF-8 by it.
const MARK: &[u8] = "\u{feff}".as_bytes();

pub fn csv(report: &Report) -> Result<Vec<u8>, csv::Error> {
    let mut out = csv::Writer::from_writer(MARK.to_vec());
    let mut row = |cells: [&str; 8]| out.write_record(cells.map(safe));
    row(HEAD)?;
    let period = report.period.to_string();
    row([
        "Report",
        &report.setting_name,
        "",
        &period,
        &report.made_at.to_string(),
        "",
        "",
        "",
    ])?;
    for section in sections(report) {
        for line in &section.lines {
            let (level, source) = (line.level.as_str(), line.source.as_str());
            row([
                &section.title,
                &line.name,
                "",
                "",
                &line.value,
                level,
                source,
                &line.note,
            ])?;
        }
    }
    let plain = Level::Plain.as_str();
    for (figure, held_to) in thresholds(report).says() {
        row(["Held to", figure, "", "", &held_to, plain, "server", ""])?;
    }
    for step in trend::steps(report) {
        let (of, says) = (step.period.to_string(), step.says());
        for (figure, value) in trend::COLUMNS.into_iter().zip(&says) {
            row(["Trend", figure, "", &of, value, plain, "events", ""])?;
        }
    }
    for tablet in coverage::rows(report) {
        for (day, cell) in &tablet.cells {
            let level = if cell.is_missing() {
                Level::NotKnown
            } else {
                Level::Plain
            };
            let (day, name) = (day.to_string(), &tablet.server.name);
            row([
                "Tablets by day",
                "status",
                name,
                &day,
                cell.says(),
                level.as_str(),
                "server",
                "",
            ])?;
        }
    }
    out.into_inner().map_err(|error| error.into_error().into())
}

/// A spreadsheet takes a cell for a formula by how it begins.
fn safe(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_like_a_formula() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(safe(cell), format!("'{cell}"));
        }
        assert_eq!(safe("1 = 1"), "1 = 1");
        assert_eq!(safe(""), "");
    }
}
