//! What waits for somebody, photos, and the consent register.

use super::{Held, Level, Line, Section, Seen, Source, plain, span, unknown, when};
use crate::domain::reports::figures::{OpenTasks, Report, TabletCounts};
use crate::domain::reports::period::zone;
use crate::domain::reports::thresholds::{AmberRed, Thresholds};
use crate::domain::words;
use crate::storage::TaskKind;
use nestwarden_policy_schema::consent::Cause;
use std::collections::BTreeMap;

pub(super) fn needs_you(report: &Report) -> Section {
    let mut lines: Vec<Line> = report.server.tasks.iter().map(task).collect();
    if lines.is_empty() {
        let name = "Open decisions";
        lines.push(if report.server.closed_days.is_some() {
            Line {
                level: Level::Good,
                ..plain(name, "none", "", Source::Server)
            }
        } else {
            unknown(
                name,
                "not known",
                "Without a profile nobody looks for them.",
            )
        });
    }
    Section {
        title: "Needs you".to_owned(),
        lines,
    }
}

fn task(open: &OpenTasks) -> Line {
    let due = open.first_due.strftime("%-d %b %Y");
    let late = match open.overdue {
        0 => String::new(),
        overdue => format!(", {overdue} overdue"),
    };
    let line = plain(
        decision(open.kind),
        open.tasks.to_string(),
        &format!("{}, first due {due}{late}.", words::role(open.owner)),
        Source::Server,
    );
    let level = match (open.overdue, open.kind) {
        (0, _) => Level::Plain,
        (_, TaskKind::HoldReview) => Level::Red,
        (_, _) => Level::Amber,
    };
    Line { level, ..line }
}

const fn decision(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::TakeDown => "Take photos down where no tablet reaches",
        TaskKind::Withdrawal => "Look whether photos of a withdrawal must be held",
        TaskKind::ConsentConflicted => "Settle where parents disagree",
        TaskKind::ConsentExpiring => "Ask again before consent ends",
        TaskKind::ChildDied => "Decide with a family what becomes of photos",
        TaskKind::ChildMissing => "Find out about a child missing from the file",
        TaskKind::LeaversPack => "Offer the leaver's pack",
        TaskKind::HoldReview => "Review a hold",
        TaskKind::PhotoIncomplete => "Look at a tablet that could not put photos away",
        TaskKind::UnregisteredPerson => "Say who the unregistered person in a photo is",
        TaskKind::PhotosUntagged => "Say who is in photos before they are sealed",
        TaskKind::ImportWaits => "Look at a register file that waits",
        TaskKind::SetPasscode => "Set a tablet's passcode",
        TaskKind::AskPasscode => "Ask a tablet for a new passcode",
        TaskKind::CourseEnds => "Book a course again before it runs out",
        TaskKind::AupOutstanding => "Have the acceptable use policy acknowledged",
        TaskKind::CustodyOverdue => "Get a tablet back that is overdue",
        TaskKind::PinOnTwoTablets => "Look why one PIN signed out two tablets",
        TaskKind::EndAccess => "End the access of somebody suspended or gone",
        TaskKind::TabletLost => "Find a tablet that is marked as lost, or report its loss",
        TaskKind::RolloutStopped => "Look at a tablet in trouble with a new version of its profile",
        TaskKind::TabletMissing => "Look for a tablet that was missing at closing",
        TaskKind::AppsUnapproved => "Decide on apps that a profile allows without an approval",
        TaskKind::AppDecision => "Decide on an app",
        TaskKind::AppReview => "Review the approval of an app",
    }
}

pub(super) fn photos(report: &Report, seen: &Seen, held_to: &Thresholds) -> Section {
    let counts = &report.events.setting;
    let destruction = &report.events.destruction;
    let mut lines = vec![
        seen.count("Taken", counts.captured, String::new()),
        tagged(counts),
        untagged(counts, seen, held_to).held(Held::Untagged),
        lapsed(counts, seen),
    ];
    if !counts.would_lapse.is_empty() {
        let sum = counts.would_lapse.values().sum::<u64>().to_string();
        let note = format!(
            "Watched only, nothing was stopped. {}",
            causes(&counts.would_lapse)
        );
        lines.push(plain(
            "Would have been taken out of use",
            sum,
            &note,
            Source::Events,
        ));
    }
    lines.extend([
        seen.judge_at_end(
            "Lapsed and still readable at the end",
            counts.readable,
            held_to
                .readable_hours
                .older(counts.oldest_readable_minutes, 60),
            over_a_day(counts.readable_24_hours),
        )
        .held(Held::Readable),
        seen.judge_at_end(
            "Could not be put away at the end",
            counts.incomplete,
            held_to
                .incomplete_hours
                .older(counts.oldest_incomplete_minutes, 60),
            over_a_day(counts.incomplete_24_hours),
        )
        .held(Held::Incomplete),
        seen.count("Sealed", counts.sealed, String::new()),
        seen.count("Brought back into use", counts.brought_back, String::new()),
        seen.count(
            "Deleted and not found on re-scan",
            counts.destroyed - counts.destroyed_unproven,
            "On tablets we manage.".to_owned(),
        ),
    ]);
    if counts.destroyed_unproven > 0 {
        let count = counts.destroyed_unproven.to_string();
        let note = "A second look still found something, or a file could not be deleted.";
        let line = plain("Deletion not proven", count, note, Source::Events);
        lines.push(Line {
            level: Level::Amber,
            ..line
        });
    }
    lines.push(
        match (destruction.median_minutes, destruction.longest_minutes) {
            (Some(median), Some(longest)) => plain(
                "From sealed to destroyed",
                format!("median {}, longest {}", span(median), span(longest)),
                &format!("Of {} photos.", destruction.photos),
                Source::Events,
            ),
            _ => unknown(
                "From sealed to destroyed",
                "not known",
                "No photo was destroyed.",
            ),
        },
    );
    lines.extend([
        withdrawal(report),
        holds(report, held_to.holds_past_review).held(Held::HoldReview),
        take_downs(report),
    ]);
    Section {
        title: "Photos".to_owned(),
        lines,
    }
}

fn over_a_day(count: u64) -> String {
    match count {
        0 => String::new(),
        count => format!("{count} for more than 24 hours."),
    }
}

fn tagged(counts: &TabletCounts) -> Line {
    let name = "Tagged";
    match counts.captured {
        0 => unknown(name, "not known", "Tablets told of no photo taken."),
        captured => plain(
            name,
            format!(
                "{} % ({} of {captured})",
                counts.tagged * 100 / captured,
                counts.tagged
            ),
            "Somebody said who is in them, or that nobody is.",
            Source::Events,
        ),
    }
}

fn untagged(counts: &TabletCounts, seen: &Seen, held_to: &Thresholds) -> Line {
    let many = counts.untagged > held_to.untagged_photos;
    let of_age = held_to
        .untagged_days
        .older(counts.oldest_untagged_minutes, 24 * 60);
    let worst = of_age.max(if many { Level::Amber } else { Level::Plain });
    let note = match counts.oldest_untagged_minutes {
        Some(oldest) => format!(
            "{} for more than 3 days, {} for more than 7; the oldest for {}.",
            counts.untagged_3_days,
            counts.untagged_7_days,
            span(oldest)
        ),
        None => "Nobody said who is in them.".to_owned(),
    };
    seen.judge_at_end("Untagged at the end", counts.untagged, worst, note)
}

fn lapsed(counts: &TabletCounts, seen: &Seen) -> Line {
    let known: u64 = counts.lapsed.values().sum();
    let mut note = causes(&counts.lapsed);
    if counts.lapsed_no_cause > 0 {
        note = format!("{note} {} without a reason told.", counts.lapsed_no_cause);
    }
    seen.count("Taken out of use", known + counts.lapsed_no_cause, note)
}

fn causes(by_cause: &BTreeMap<Cause, u64>) -> String {
    let said: Vec<String> = by_cause
        .iter()
        .map(|(cause, count)| format!("{}: {count}", words::cause(*cause)))
        .collect();
    if said.is_empty() {
        return String::new();
    }
    said.join("; ") + "."
}

fn withdrawal(report: &Report) -> Line {
    let name = "From a parent's withdrawal to sealed";
    let found = &report.server.withdrawal;
    let (Some(median), Some(longest)) = (found.median_minutes, found.longest_minutes) else {
        let note = "No photo was destroyed for a withdrawal; it is worked out from receipts.";
        return unknown(name, "not known", note);
    };
    let waited = found.longest_to_record_minutes.unwrap_or(0);
    plain(
        name,
        format!("median {}, longest {}", span(median), span(longest)),
        &format!(
            "Of {} photos destroyed in this period; up to {} of it was the wait until the withdrawal was recorded here.",
            found.photos,
            span(waited)
        ),
        Source::Server,
    )
}

fn holds(report: &Report, red: u64) -> Line {
    let server = &report.server;
    let note = match server.holds_past_review {
        0 => "How many photos each covers is on the page Holds.".to_owned(),
        count => format!("{count} past their review."),
    };
    let line = plain(
        "Holds open at the end",
        server.holds_open.to_string(),
        &note,
        Source::Server,
    );
    Line {
        level: if server.holds_past_review >= red {
            Level::Red
        } else {
            Level::Plain
        },
        ..line
    }
}

fn take_downs(report: &Report) -> Line {
    let tasks = report.server.tasks.iter();
    let open = tasks.filter(|open| open.kind == TaskKind::TakeDown);
    let (tasks, photos) = open.fold((0, 0), |(tasks, photos), open| {
        (tasks + open.tasks, photos + open.photos)
    });
    let note = "Copies where no tablet reaches: not deleted by us.";
    let value = match tasks {
        0 => "none".to_owned(),
        tasks => format!("{tasks}, about {photos} photos"),
    };
    plain("Take-downs open at the end", value, note, Source::Server)
}

pub(super) fn register(report: &Report, held_to: &Thresholds) -> Section {
    let register = &report.server.register;
    let of_today =
        "Of the children on the register when this was made; answers as they were at the end.";
    let answered = match register.answers_possible {
        0 => unknown(
            "Answered",
            "not known",
            "Nobody was asked for consent on record yet.",
        ),
        possible => plain(
            "Answered",
            format!(
                "{} % ({} of {possible})",
                register.answers * 100 / possible,
                register.answers
            ),
            of_today,
            Source::Server,
        ),
    };
    let zone = zone(Some(&report.time_zone));
    let import = match (register.last_import_at, register.import_age_days) {
        (Some(at), Some(age)) => Line {
            level: import_level(age, held_to.import_age_days),
            ..plain(
                "Last import",
                format!("{age} days before the end"),
                &format!(
                    "On {}; {} in this period.",
                    when(at, &zone),
                    register.imports
                ),
                Source::Server,
            )
        },
        _ => unknown(
            "Last import",
            "not known",
            "No import is on record before the end.",
        ),
    };
    let refused = plain(
        "Rows refused",
        register.rows_refused.to_string(),
        "By imports of this period.",
        Source::Server,
    );
    Section {
        title: "Consent register".to_owned(),
        lines: vec![
            plain(
                "Children",
                register.children.to_string(),
                "",
                Source::Server,
            ),
            answered,
            plain(
                "Consents that end within 30 days",
                register.expiring_30_days.to_string(),
                "",
                Source::Server,
            ),
            import.held(Held::ImportAge),
            Line {
                level: if register.rows_refused > 0 {
                    Level::Amber
                } else {
                    Level::Plain
                },
                ..refused
            },
        ],
    }
}

/// Below both thresholds a known age is good.
fn import_level(age: u64, held_to: AmberRed) -> Level {
    match held_to.from(age) {
        Level::Plain => Level::Good,
        level @ (Level::Good | Level::NotKnown | Level::Amber | Level::Red) => level,
    }
}
