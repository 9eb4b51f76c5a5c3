//! How one tablet stood at the end of a day: what was enforced, what was read back, and what nobody knows.

use super::{Level, Line, Section, Source, plain, unknown, when};
use crate::domain::reports::coverage::{Cell, Row};
use crate::domain::reports::figures::{Encryption, Passcode, Report, Told};
use crate::domain::reports::period::zone;
use crate::domain::words;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::control::ControlName;

pub(super) fn tablet(report: &Report, row: &Row<'_>) -> Section {
    let zone = zone(Some(&report.time_zone));
    let mut lines = vec![on_day(row), in_force(row, &zone)];
    lines.extend(
        ControlName::ALL
            .into_iter()
            .map(|name| control(name, row, &zone)),
    );
    lines.extend([passcode(row, &zone), encryption(row), photos(row)]);
    lines.extend(not_seen(row, &zone));
    Section {
        title: row.server.name.clone(),
        lines,
    }
}

fn on_day(row: &Row<'_>) -> Line {
    let name = "Seen that day";
    let Some((_, cell)) = row.cells.last() else {
        return unknown(name, "not known", "");
    };
    let level = match cell {
        // What was never told of is not as wanted.
        Cell::AsWanted if row.events.controls.len() == ControlName::ALL.len() => Level::Good,
        Cell::Attention => Level::Amber,
        Cell::AsWanted
        | Cell::Watched
        | Cell::NotMeasured
        | Cell::NoReport
        | Cell::NotRecorded
        | Cell::Ahead => Level::NotKnown,
        Cell::Closed | Cell::NotInUse => Level::Plain,
    };
    Line {
        level,
        ..plain(name, cell.says(), "", Source::Server)
    }
}

fn in_force(row: &Row<'_>, zone: &TimeZone) -> Line {
    let name = "Policy in force";
    let profile = row.server.profile.as_ref().map_or_else(
        || "No profile was applied by then.".to_owned(),
        |then| {
            let applied = when(then.applied_at, zone);
            let (name, version) = (&then.name, then.version);
            let early = then.early_since.map_or_else(String::new, |since| {
                let since = when(since, zone);
                format!(" It had a newer version before the other tablets, from {since}.")
            });
            format!("The profile {name} was at version {version}, applied {applied}.{early}")
        },
    );
    let Some(found) = row.events.in_force else {
        return unknown(
            name,
            "not known",
            &format!("It told of none by then. {profile}"),
        );
    };
    let value = format!(
        "generation {}, since {}",
        found.generation,
        when(found.since, zone)
    );
    let Some(expired_at) = found.expired_at else {
        return plain(name, value, &profile, Source::Events);
    };
    let note = format!(
        "It ran out {} without another, and its rules held on. {profile}",
        when(expired_at, zone)
    );
    Line {
        level: Level::Amber,
        ..plain(name, value, &note, Source::Events)
    }
}

fn control(name: ControlName, row: &Row<'_>, zone: &TimeZone) -> Line {
    let Some(Told { outcome, since }) = row.events.controls.get(&name) else {
        return unknown(
            words::control(name),
            "not known",
            "It told nothing of it by then.",
        );
    };
    let measured = measured(row.server.measured_at, zone);
    let (value, level) = match outcome.as_str() {
        "compliant" | "corrected" if row.is_measured() => ("as wanted", Level::Good),
        "compliant" | "corrected" => (
            "as wanted when last told, not measured that day",
            Level::NotKnown,
        ),
        "observed" => ("watched only", Level::NotKnown),
        "drifted" => ("not as wanted", Level::Amber),
        "unmanaged" => ("not managed", Level::NotKnown),
        "unsupported" => ("not possible on this tablet", Level::NotKnown),
        _ => ("could not be read", Level::NotKnown),
    };
    let note = format!("So since {}; {measured}.", when(*since, zone));
    Line {
        level,
        ..plain(words::control(name), value, &note, Source::Events)
    }
}

fn measured(at: Option<Timestamp>, zone: &TimeZone) -> String {
    at.map_or_else(
        || "when it was measured last is not on record".to_owned(),
        |at| format!("last measured {}", when(at, zone)),
    )
}

fn passcode(row: &Row<'_>, zone: &TimeZone) -> Line {
    let name = "Age of the passcode";
    match row.events.passcode {
        Passcode::Overdue { accounts, since } => {
            let note = format!("Since {}.", when(since, zone));
            let value = format!("overdue on {accounts} accounts");
            Line {
                level: Level::Amber,
                ..plain(name, value, &note, Source::Events)
            }
        }
        Passcode::InTime if row.is_measured() => Line {
            level: Level::Good,
            ..plain(name, "in time", "", Source::Events)
        },
        Passcode::InTime => unknown(name, "not known", "Not measured that day."),
        Passcode::NotKnown => unknown(name, "not known", "It was not told, or not managed."),
    }
}

fn encryption(row: &Row<'_>) -> Line {
    let name = "Disk encryption";
    match (row.events.encryption, row.server.encryption_asked) {
        (Encryption::Unencrypted, _) => Line {
            level: Level::Red,
            ..plain(name, "not encrypted", "", Source::Events)
        },
        (Encryption::NothingMissing, Some(true)) if row.is_measured() => Line {
            level: Level::Good,
            ..plain(name, "encrypted", "", Source::Events)
        },
        (Encryption::NothingMissing | Encryption::NotKnown, _) => unknown(
            name,
            "not known",
            "Known where the profile asks for it and the tablet was measured.",
        ),
    }
}

fn photos(row: &Row<'_>) -> Line {
    let name = "Photos at the end of the day";
    let stages = &row.events.photos_by_stage;
    if stages.is_empty() {
        return unknown(name, "none told", "");
    }
    let of = |stage| stages.get(&stage).copied().unwrap_or(0);
    let value = format!(
        "{} in use, {} out of sight, {} sealed",
        of(Stage::Live),
        of(Stage::Withheld),
        of(Stage::Sealed)
    );
    let note = format!("{} were destroyed by then.", of(Stage::Destroyed));
    plain(name, value, &note, Source::Events)
}

fn not_seen(row: &Row<'_>, zone: &TimeZone) -> Vec<Line> {
    let (range, server) = (&row.events.range, row.server);
    let mut lines = Vec::new();
    let mut say = |name: &str, value: String, note: &str| lines.push(unknown(name, &value, note));
    if row.events.clock_doubtful {
        say(
            "Clock",
            "in doubt".to_owned(),
            "The days of its events may be others.",
        );
    }
    if !range.gaps.is_empty() {
        say(
            "Gaps in its record",
            range.gaps.len().to_string(),
            "Events are missing.",
        );
    }
    if server.came_late > 0 {
        let note = "They count here, and were not known that day.";
        say("Events that came later", server.came_late.to_string(), note);
    }
    if let Some(since) = server.refused_since {
        let value = format!("since {}", when(since, zone));
        say("Events refused", value, "They do not continue its record.");
    }
    let erased = row.events.counts.erased + row.events.counts.erased_before;
    if erased > 0 {
        say(
            "Event bodies erased",
            erased.to_string(),
            "What they told is not in this.",
        );
    }
    lines
}
