//! Which tablets were seen, how they stood, and what was not seen.

use super::{Held, Level, Line, Section, Seen, Source, plain, span, tablets as count_of, unknown};
use crate::domain::reports::coverage::{Cell, Row, stretches};
use crate::domain::reports::figures::{Encryption, Passcode, Report};
use crate::domain::reports::photos::minutes_begun;
use crate::domain::reports::thresholds::{AmberRed, Thresholds};
use crate::domain::words;
use jiff::SignedDuration;
use nestwarden_policy_schema::control::ControlName;

/// Of a list of tablets; the table has them all.
const NAMED: usize = 6;

pub(super) fn coverage(report: &Report, rows: &[Row<'_>], held_to: &Thresholds) -> Section {
    let expected = |cell: Cell| cell.is_covered() || cell.is_missing();
    let days: u64 = rows.iter().map(|row| row.count(expected)).sum();
    let covered: u64 = rows.iter().map(|row| row.count(Cell::is_covered)).sum();
    let missing = rows.iter().filter_map(|row| {
        let days = stretches(row.missing());
        (!days.is_empty()).then(|| format!("{}: {days}", row.server.name))
    });
    let not_covered = named(missing);
    let mut lines = vec![plain(
        "Tablets in use",
        rows.len().to_string(),
        "",
        Source::Server,
    )];
    lines.push(if days == 0 {
        unknown(
            "Tablet days covered",
            "not known",
            "No day has come to its end yet, or no tablet was in use.",
        )
    } else {
        Line {
            level: if covered == days {
                Level::Good
            } else {
                Level::NotKnown
            },
            ..plain(
                "Tablet days covered",
                format!("{covered} of {days}"),
                "Days on which a tablet told something, and opening days on which it did not.",
                Source::Server,
            )
        }
    });
    if !not_covered.is_empty() {
        lines.push(Line {
            level: Level::NotKnown,
            ..plain("Not covered", "see note", &not_covered, Source::Server)
        });
    }
    lines.push(silent(rows, held_to.silent_contact_hours).held(Held::Silent));
    if report
        .server
        .hours_since
        .is_none_or(|since| since > report.begins)
    {
        lines.push(unknown(
            "Days before hours were noted",
            "not on record",
            "This server notes since a later day when tablets tell how they stand; of earlier days only events are known.",
        ));
    }
    Section {
        title: "Coverage".to_owned(),
        lines,
    }
}

fn silent(rows: &[Row<'_>], held_to: AmberRed) -> Line {
    let name = &format!(
        "Without a report for {} hours of contact time",
        held_to.amber
    );
    let known: Vec<(&Row<'_>, u64)> = rows
        .iter()
        .filter_map(|row| Some((row, row.server.silent_contact_minutes?)))
        .collect();
    let in_use = rows
        .iter()
        .filter(|row| row.server.revoked_at.is_none())
        .count();
    let is_silent = |minutes: u64| minutes / 60 >= held_to.amber;
    let silent: Vec<_> = known
        .iter()
        .filter(|(_, minutes)| is_silent(*minutes))
        .collect();
    if known.len() < in_use && silent.is_empty() {
        return unknown(
            name,
            "not known",
            "Hours were not noted yet, or there is no calendar.",
        );
    }
    let level = match silent.iter().map(|(_, minutes)| *minutes).max() {
        Some(minutes) => held_to.from(minutes / 60),
        None if rows.is_empty() => Level::NotKnown,
        None => Level::Good,
    };
    let note = named(
        silent
            .iter()
            .map(|(row, minutes)| format!("{}: {}", row.server.name, span(*minutes))),
    );
    Line {
        level,
        ..plain(name, count_of(silent.len() as u64), &note, Source::Server)
    }
}

pub(super) fn tablets(
    report: &Report,
    rows: &[Row<'_>],
    seen: &Seen,
    held_to: &Thresholds,
) -> Section {
    let mut lines: Vec<Line> = ControlName::ALL
        .into_iter()
        .map(|name| control(name, rows))
        .collect();
    lines.push(passcode(report, rows, held_to.passcode_overdue_days).held(Held::Passcode));
    lines.push(drift(rows, seen, held_to.radio_drift_a_week).held(Held::RadioDrift));
    lines.push(encryption(rows));
    let counts = &report.events.setting;
    lines.push(seen.count(
        "Wrong passcodes until a pause",
        counts.passcode_lock_outs,
        String::new(),
    ));
    Section {
        title: "Tablets".to_owned(),
        lines,
    }
}

/// How it stood at the end, of the tablets that measured anything in the period.
fn control(name: ControlName, rows: &[Row<'_>]) -> Line {
    let (mut wanted, mut watched, mut drifted, mut unread) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut not_checked, mut unmanaged) = (0_u64, 0_u64);
    let mut which = Vec::new();
    for row in rows {
        let told = row.events.controls.get(&name).filter(|_| row.is_measured());
        match told.map(|told| told.outcome.as_str()) {
            Some("compliant" | "corrected") => wanted += 1,
            Some("observed") => watched += 1,
            Some("unmanaged") => unmanaged += 1,
            Some("drifted") => {
                drifted += 1;
                which.push(row.server.name.clone());
            }
            Some(_) => {
                unread += 1;
                which.push(row.server.name.clone());
            }
            None => not_checked += 1,
        }
    }
    let said: Vec<String> = [
        (wanted, "as wanted"),
        (watched, "watched only"),
        (drifted, "not as wanted"),
        (unread, "unsupported or unknown"),
        (unmanaged, "not managed"),
        (not_checked, "not checked"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let level = if drifted > 0 {
        Level::Amber
    } else if wanted == 0 || watched + unread + unmanaged + not_checked > 0 {
        Level::NotKnown
    } else {
        Level::Good
    };
    let value = if said.is_empty() {
        "not checked".to_owned()
    } else {
        said.join(", ")
    };
    let line = plain(words::control(name), value, &named(which), Source::Events);
    Line { level, ..line }
}

fn passcode(report: &Report, rows: &[Row<'_>], held_to: AmberRed) -> Line {
    let name = "Passcode overdue at the end";
    let (mut overdue, mut longest, mut unknowns) = (Vec::new(), SignedDuration::ZERO, 0);
    for row in rows {
        match row.events.passcode {
            Passcode::Overdue { since, .. } => {
                overdue.push(row.server.name.clone());
                longest = longest.max(report.ends.duration_since(since));
            }
            Passcode::InTime if row.is_measured() => {}
            Passcode::InTime | Passcode::NotKnown => unknowns += 1,
        }
    }
    let level = match (overdue.len(), unknowns) {
        (0, 0) if !rows.is_empty() => Level::Good,
        (0, _) => Level::NotKnown,
        (_, _) => held_to.older(Some(minutes_begun(longest)), 24 * 60),
    };
    let mut note = named(overdue.iter().cloned());
    if unknowns > 0 {
        note = format!("{note} Of {} it is not known.", count_of(unknowns));
    }
    let value = if level == Level::NotKnown {
        "none told".to_owned()
    } else {
        count_of(overdue.len() as u64)
    };
    let line = plain(name, value, note.trim(), Source::Events);
    Line { level, ..line }
}

fn drift(rows: &[Row<'_>], seen: &Seen, held_to: AmberRed) -> Line {
    let is_drifted = |row: &&Row<'_>| {
        let told = row.events.controls.get(&ControlName::Radios);
        told.is_some_and(|told| told.outcome == "drifted")
    };
    let left = rows.iter().filter(is_drifted).count() as u64;
    let mut total: u64 = 0;
    let mut worst_week: u64 = 0;
    let mut which = Vec::new();
    for row in rows {
        let by_day: Vec<u64> = row.events.days.iter().map(|day| day.radio_drift).collect();
        let sum = by_day
            .iter()
            .fold(0_u64, |sum, day| sum.saturating_add(*day));
        let of_week = |week: &[u64]| week.iter().fold(0_u64, |sum, day| sum.saturating_add(*day));
        let worst = by_day
            .windows(7.min(by_day.len()).max(1))
            .map(of_week)
            .max();
        worst_week = worst_week.max(worst.unwrap_or(0));
        total = total.saturating_add(sum);
        if sum > 0 {
            which.push(format!("{}: {sum}", row.server.name));
        }
    }
    let mut note = named(which);
    if left > 0 {
        note = format!(
            "{note} On {} it was not put back at the end.",
            count_of(left)
        );
    }
    let line = seen.judge(
        "Bluetooth or sharing switched on and put back",
        total,
        held_to.from(worst_week),
        note.trim().to_owned(),
    );
    let line = known_where_read(line, total, rows, ControlName::Radios);
    if left > 0 {
        let level = Level::Red;
        if total > 0 {
            return Line { level, ..line };
        }
        return Line {
            level,
            note: note.trim().to_owned(),
            value: format!("not put back on {}", count_of(left)),
            ..line
        };
    }
    line
}

fn encryption(rows: &[Row<'_>]) -> Line {
    let (mut open, mut sound, mut unknowns) = (Vec::new(), 0, 0);
    for row in rows {
        match (row.events.encryption, row.server.encryption_asked) {
            (Encryption::Unencrypted, _) => open.push(row.server.name.clone()),
            (Encryption::NothingMissing, Some(true)) if row.is_measured() => sound += 1,
            (Encryption::NothingMissing | Encryption::NotKnown, _) => unknowns += 1,
        }
    }
    let level = match (open.len(), unknowns) {
        (0, 0) if sound > 0 => Level::Good,
        (0, _) => Level::NotKnown,
        (_, _) => Level::Red,
    };
    let mut said = Vec::new();
    for (count, what) in [
        (open.len() as u64, "not encrypted"),
        (sound, "encrypted"),
        (unknowns, "not known"),
    ] {
        if count > 0 {
            said.push(format!("{count} {what}"));
        }
    }
    let value = if said.is_empty() {
        "not known".to_owned()
    } else {
        said.join(", ")
    };
    let note = if unknowns > 0 && open.is_empty() {
        "Known where the profile asks for it and the tablet was measured.".to_owned()
    } else {
        named(open)
    };
    let line = plain("Disk encryption", value, &note, Source::Events);
    Line { level, ..line }
}

/// None told is good only where every tablet reads the control from which it would be told.
fn known_where_read(line: Line, count: u64, rows: &[Row<'_>], control: ControlName) -> Line {
    let reads = |row: &&Row<'_>| {
        let told = row.events.controls.get(&control);
        let outcome = told.map(|told| told.outcome.as_str());
        matches!(
            outcome,
            Some("compliant" | "corrected" | "observed" | "drifted")
        )
    };
    let blind = rows.len() - rows.iter().filter(reads).count();
    if count > 0 || blind == 0 {
        return line;
    }
    let note = format!("{} {} could not tell.", line.note, count_of(blind as u64));
    Line {
        level: Level::NotKnown,
        note: note.trim().to_owned(),
        ..line
    }
}

pub(super) fn apps(
    report: &Report,
    rows: &[Row<'_>],
    seen: &Seen,
    held_to: &Thresholds,
) -> Section {
    let counts = &report.events.setting;
    let from = |count: u64, least: u64, level| {
        if count >= least { level } else { Level::Plain }
    };
    let blocked = from(counts.apps_blocked, held_to.apps_refused, Level::Amber);
    let ran = from(counts.apps_ran, held_to.apps_ran, Level::Red);
    let read = |line, count| known_where_read(line, count, rows, ControlName::Apps);
    Section {
        title: "Apps".to_owned(),
        lines: vec![
            read(
                seen.judge(
                    "Starts of unapproved programs refused",
                    counts.apps_blocked,
                    blocked,
                    String::new(),
                ),
                counts.apps_blocked,
            )
            .held(Held::AppsRefused),
            read(
                seen.judge(
                    "Unapproved programs that ran, watched only",
                    counts.apps_ran,
                    ran,
                    "Where the profile only watches, nothing is stopped.".to_owned(),
                ),
                counts.apps_ran,
            )
            .held(Held::AppsRan),
        ],
    }
}

pub(super) fn limits(report: &Report, rows: &[Row<'_>]) -> Section {
    let counts = &report.events.setting;
    let mut lines = Vec::new();
    let mut say = |name: &str, value: String, note: &str, source| {
        lines.push(Line {
            level: Level::NotKnown,
            ..plain(name, value, note, source)
        });
    };
    for (name, count, note) in [
        (
            "Event bodies erased",
            counts.erased,
            "What they told is not in these figures.",
        ),
        (
            "Event bodies of before erased",
            counts.erased_before,
            "How things stood when the period began may lack something.",
        ),
        (
            "Events this program cannot read",
            counts.unread,
            "A newer agent told them.",
        ),
        (
            "Times a tablet doubted its clock",
            counts.clock_doubts,
            "The days of its events may be others.",
        ),
        (
            "Times a tablet's record was put back",
            counts.put_back,
            "It went on from the server's record.",
        ),
        (
            "Alarms told by tablets",
            counts.alarms,
            "Their pages say which.",
        ),
    ] {
        if count > 0 {
            say(name, count.to_string(), note, Source::Events);
        }
    }
    let gaps: u64 = rows
        .iter()
        .map(|row| row.events.range.gaps.len() as u64)
        .sum();
    if gaps > 0 {
        say(
            "Gaps in the record",
            gaps.to_string(),
            "Events are missing.",
            Source::Events,
        );
    }
    let doubtful = rows.iter().filter(|row| row.events.clock_doubtful);
    let doubtful = named(doubtful.map(|row| row.server.name.clone()));
    if !doubtful.is_empty() {
        say(
            "Clock in doubt at the end",
            "see note".to_owned(),
            &doubtful,
            Source::Events,
        );
    }
    let late: u64 = rows.iter().map(|row| row.server.came_late).sum();
    if late > 0 {
        let note = "They count here, and were not known at the end.";
        say(
            "Events that came after the end",
            late.to_string(),
            note,
            Source::Server,
        );
    }
    let refused = rows.iter().filter(|row| row.server.refused_since.is_some());
    let refused = named(refused.map(|row| row.server.name.clone()));
    if !refused.is_empty() {
        say(
            "Events refused",
            "see note".to_owned(),
            &refused,
            Source::Server,
        );
    }
    let silent = rows
        .iter()
        .filter(|row| row.missing().next().is_some())
        .count();
    if silent > 0 {
        let note = "What happened on them on those days is not known; a tablet tells it once it reports again.";
        say(
            "Tablets with days nobody heard of",
            silent.to_string(),
            note,
            Source::Server,
        );
    }
    if report.server.closed_days.is_none() {
        say(
            "Calendar",
            "not known".to_owned(),
            "No profile is applied, so every day counts as open.",
            Source::Server,
        );
    }
    lines.push(plain(
        "As they are when this is made",
        "names, calendar, children",
        "Names of tablets, opening days and who is on the register are those of the day this was made. A re-encoded copy of a photo is another photo. In a small setting a small number may still point at somebody: keep this with care.",
        Source::Server,
    ));
    Section {
        title: "Limits: what was not seen".to_owned(),
        lines,
    }
}

/// The first of them.
fn named(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    let more = names.len().saturating_sub(NAMED);
    let mut text = names.into_iter().take(NAMED).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text = format!("{text}; and {more} more");
    }
    if !text.is_empty() {
        text.push('.');
    }
    text
}
