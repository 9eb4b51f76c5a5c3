//! Who has tablets, and whether staff acknowledged what they work by.

use super::{Held, Level, Line, Section, Source, plain, span, unknown};
use crate::domain::reports::figures::Report;
use crate::domain::reports::thresholds::Thresholds;

pub(super) fn people(report: &Report, held_to: &Thresholds) -> Section {
    Section {
        title: "People and custody".to_owned(),
        lines: vec![
            custody(report, held_to.custody_overdue_minutes).held(Held::Custody),
            aup(report, held_to).held(Held::Aup),
        ],
    }
}

fn custody(report: &Report, late_minutes: u64) -> Line {
    let name = "Overdue and not back at the end";
    let Some(found) = report.server.custody else {
        let note = "No tablet was signed out.";
        return unknown(name, "not known", note);
    };
    let level = match (found.past_close, found.overdue) {
        (1.., _) => Level::Red,
        (0, 0) => Level::Good,
        (0, _) if found.longest_minutes > late_minutes => Level::Amber,
        (0, _) => Level::Plain,
    };
    let late = match found.overdue {
        0 => String::new(),
        _ => format!(" The longest for {}.", span(found.longest_minutes)),
    };
    let note = format!(
        "Of {} that were signed out then, as the office wrote down and tablets told.{late}",
        found.out
    );
    Line {
        level,
        ..plain(name, found.overdue.to_string(), &note, Source::Server)
    }
}

fn aup(report: &Report, held_to: &Thresholds) -> Line {
    let name = "Acceptable use policy acknowledged";
    let Some(found) = report.server.aup.filter(|found| found.staff > 0) else {
        let note = "No policy was in force, or nobody is on the staff register.";
        return unknown(name, "not known", note);
    };
    let percent = found.acknowledged.saturating_mul(100) / found.staff;
    let value = format!("{percent} % ({} of {})", found.acknowledged, found.staff);
    let note =
        "The version in force, or for its first days an earlier one; as people wrote it down.";
    Line {
        level: held_to.aup_percent.below(percent),
        ..plain(name, value, note, Source::Server)
    }
}
