//! `consent import`.

use super::consent::state;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::import::{
    self, By, ChildChange, Consent, Kind, MAX_FILE_BYTES, Outcome, Plan, Reading,
};
use anyhow::{Context as _, bail};
use jiff::civil::Date;
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// More children than this are counted and not listed; `--json` has them all.
const MOST_LISTED: usize = 200;

#[derive(clap::Args)]
pub(super) struct ImportArgs {
    /// The exported file; `-` reads the standard input
    #[arg(required_unless_present = "pending")]
    file: Option<PathBuf>,
    /// Read the file by this mapping
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Go ahead although much would change (a manager, the DSL or a deputy)
    #[arg(long)]
    confirm: bool,
    /// Agree to what the mapping reads (a manager, the DSL or a deputy)
    #[arg(long, requires = "mapping")]
    accept_mapping: bool,
    /// List the files in the watched folder that wait for a person
    #[arg(long, conflicts_with_all = ["file", "mapping", "dry_run", "confirm", "accept_mapping"])]
    pending: bool,
}

pub(super) async fn run(args: ImportArgs, session: &Session) -> anyhow::Result<Reply> {
    let Some(file) = &args.file else {
        return pending(session).await;
    };
    let bytes = read(file)?;
    let who = session.who();
    let by = By {
        who: &who,
        operator: session.operator().ok(),
    };
    let consent = Consent {
        confirmed: args.confirm,
        mapping_accepted: args.accept_mapping,
        dry_run: args.dry_run,
        seen: None,
    };
    let mapping = args.mapping.as_deref();
    let outcome = import::run(
        &session.storage,
        &bytes,
        mapping,
        consent,
        by,
        session.now(),
    )
    .await?;
    if outcome.imported {
        session.nudge();
    }
    let mut command = format!("consent import {}", quoted(&file.to_string_lossy()));
    if let Some(mapping) = mapping {
        let _ = write!(command, " --mapping {}", quoted(mapping));
    }
    Ok(reply(&outcome, args.dry_run, &command))
}

/// A register's file, or `-` for the standard input. Never more of either than a register may have.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let named = || format!("failed to read `{}`", path.display());
    let mut bytes = Vec::new();
    let most = MAX_FILE_BYTES as u64 + 1;
    if path == Path::new("-") {
        let input = std::io::stdin().lock();
        input
            .take(most)
            .read_to_end(&mut bytes)
            .with_context(named)?;
    } else {
        // What is a pipe is found out without waiting for somebody to write into it.
        let file = File::options()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
            .with_context(named)?;
        if !file.metadata().with_context(named)?.is_file() {
            bail!(
                "`{}` is no file but a folder, a pipe or a device; name the exported file, or write `-` and give it on the standard input",
                path.display()
            );
        }
        file.take(most)
            .read_to_end(&mut bytes)
            .with_context(named)?;
    }
    if bytes.len() > MAX_FILE_BYTES {
        bail!(
            "`{}` has more than {MAX_FILE_BYTES} bytes; export the register only",
            path.display()
        );
    }
    Ok(bytes)
}

async fn pending(session: &Session) -> anyhow::Result<Reply> {
    let waiting = session.storage.waiting_list().await?;
    let mut rows = vec![row!["file", "since", "why"]];
    for file in &waiting {
        let why: Vec<&str> = file.why.lines().collect();
        rows.push(row![file.name, file.since, why.join(" ")]);
    }
    let text = if waiting.is_empty() {
        "No file waits.".to_owned()
    } else {
        table(&rows)
    };
    Ok(Reply::new(json!({ "waiting": waiting }), text))
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// `command`: what was run, without the guards.
fn reply(outcome: &Outcome, dry_run: bool, command: &str) -> Reply {
    let plan = &outcome.plan;
    let mut narration = outcome.reading.as_ref().map(read_as).unwrap_or_default();
    narration.push_str(&described(plan));
    let mut next = Vec::new();
    if outcome.stopped && outcome.reading.is_some() {
        next.push("--accept-mapping");
    }
    if outcome.stopped && !plan.concerns.is_empty() {
        next.push("--confirm");
    }
    let text = if outcome.imported {
        "Imported."
    } else if outcome.stopped && !dry_run {
        let _ = writeln!(narration, "{}", again(command, &next));
        "Stopped: the register stays as it was."
    } else {
        "Nothing was changed."
    };
    let reply = Reply::new(outcome.to_json(), text).narrate(narration.trim_end());
    if outcome.stopped && !dry_run {
        reply.negative()
    } else {
        reply
    }
}

/// Which of the guards a person lets pass. It is a person's act, and goes on record as theirs.
fn again(command: &str, next: &[&str]) -> String {
    format!(
        "If this is right, a manager runs it again: `nestwarden-server --as NAME {command} {}`.",
        next.join(" ")
    )
}

/// What the words mean, and some children.
fn read_as(reading: &Reading) -> String {
    let mut text = if reading.changed {
        format!(
            "The headings of this file are not those that were agreed to for the mapping \"{}\".\n",
            reading.mapping
        )
    } else {
        format!(
            "Nobody has agreed yet to what the mapping \"{}\" reads.\n",
            reading.mapping
        )
    };
    for purpose in &reading.purposes {
        let _ = writeln!(text, "{}, from \"{}\":", purpose.purpose, purpose.column);
        for (meaning, words) in &purpose.words {
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            let _ = writeln!(
                text,
                "  {}: {}",
                meaning.replace('_', " "),
                words.join(", ")
            );
        }
        let _ = writeln!(text, "  not given: nothing, and every other word");
    }
    if !reading.unasked.is_empty() {
        let names: Vec<&str> = reading.unasked.iter().map(|p| p.as_str()).collect();
        let _ = writeln!(
            text,
            "Not asked in this file, so never given by it: {}.",
            names.join(", ")
        );
    }
    if !reading.ignored.is_empty() {
        let _ = writeln!(text, "Not looked at: {}.", reading.ignored.join(", "));
    }
    text.push_str("Three children as they would be read:\n");
    for sample in &reading.samples {
        let answers: Vec<String> = sample
            .answers
            .iter()
            .map(|(p, said)| format!("{p} {}", said.replace('_', " ")))
            .collect();
        let leave = sample
            .leave
            .map(|date| format!(", leaves {date}"))
            .unwrap_or_default();
        let room = if sample.rooms.is_empty() {
            String::new()
        } else {
            format!(", {}", sample.rooms)
        };
        let refused = if sample.refused {
            " (the row was refused)"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  {} ({}{room}{leave}): {}{refused}",
            sample.reference,
            sample.initials,
            answers.join(", ")
        );
    }
    text
}

fn described(plan: &Plan) -> String {
    let counts = &plan.counts;
    let mut text = String::new();
    for change in plan.changes.iter().take(MOST_LISTED) {
        let _ = writeln!(text, "{}", line(change));
    }
    if plan.changes.len() > MOST_LISTED {
        let _ = writeln!(
            text,
            "… and {} more children; --json lists all",
            plan.changes.len() - MOST_LISTED
        );
    }
    for refusal in &plan.refused {
        let _ = writeln!(text, "{refusal}");
    }
    if !plan.in_no_room.is_empty() {
        let listed = plan.in_no_room.iter().take(MOST_LISTED);
        let listed: Vec<&str> = listed.map(String::as_str).collect();
        let more = match plan.in_no_room.len().saturating_sub(MOST_LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = writeln!(
            text,
            "In no room, and therefore possibly in every photo of any room that nobody tagged: {}{more}.",
            listed.join(", ")
        );
    }
    for kept in &plan.not_restored {
        let _ = writeln!(
            text,
            "{}, {}: the file says Yes, but an earlier answer stands ({}); a Yes restores only with the day it was answered, in the column `answered`",
            kept.reference,
            kept.purpose,
            state(kept.state)
        );
    }
    for returning in &plan.returning {
        let _ = writeln!(text, "{returning}.");
    }
    let _ = writeln!(
        text,
        "{} children: {} new, {} changed, {} missing from the file, {} rows refused. {} new answers, {} consents lapse; {} photos withheld and {} sealed, on {} tablets.",
        counts.children,
        counts.new_children,
        counts.changed_children,
        counts.newly_missing,
        counts.refused_rows,
        counts.answers_added,
        counts.lapsing,
        counts.photos_withheld,
        counts.photos_sealed,
        plan.photos.devices.len(),
    );
    for concern in &plan.concerns {
        let _ = writeln!(text, "{concern}.");
    }
    text
}

/// One child in one line.
fn line(change: &ChildChange) -> String {
    let mut said = Vec::new();
    match change.kind {
        Kind::New => said.push("new".to_owned()),
        Kind::Missing => said.push(
            "missing from the file: no new photos now, and after 72 hours theirs are withheld"
                .to_owned(),
        ),
        Kind::Back => said.push("listed again".to_owned()),
        Kind::Changed => {}
    }
    let shown = |text: &str| {
        if text.is_empty() {
            "–".to_owned()
        } else {
            text.to_owned()
        }
    };
    for field in &change.fields {
        said.push(match (field.from.as_str(), field.to.as_str()) {
            ("", "") => field.field.to_owned(),
            ("", to) if change.kind == Kind::New => format!("{} {to}", field.field),
            (from, to) => format!("{} {} → {}", field.field, shown(from), shown(to)),
        });
    }
    let answered = |said, until: Option<Date>| match until {
        Some(until) => format!("{} until {until}", state(said)),
        None => state(said).to_owned(),
    };
    for answer in &change.answers {
        let to = answered(answer.to, answer.to_until);
        said.push(if change.kind == Kind::New {
            format!("{} {to}", answer.purpose)
        } else {
            let from = answered(answer.from, answer.from_until);
            format!("{} {from} → {to}", answer.purpose)
        });
    }
    for field in &change.kept {
        said.push(format!("{field} as set here, not as in the file"));
    }
    if change.photos_withheld + change.photos_sealed > 0 {
        said.push(format!(
            "{} photos withheld, {} sealed",
            change.photos_withheld, change.photos_sealed
        ));
    }
    format!("{}: {}", change.reference, said.join("; "))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    #[test]
    fn who_lets_a_stopped_import_pass_is_asked_for_their_name() {
        let command = format!("consent import {}", quoted("Ann's list.csv"));
        let says = again(&command, &["--accept-mapping", "--confirm"]);
        let expected = r"--as NAME consent import 'Ann'\''s list.csv' --accept-mapping --confirm`";
        assert!(says.contains(expected), "{says}");
    }

    #[test]
    fn only_a_file_of_a_registers_size_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("register.csv");
        std::fs::write(&file, "reference\n").unwrap();
        assert_eq!(read(&file).unwrap(), b"reference\n");
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for other in [dir.path(), &pipe, Path::new("/dev/zero")] {
            let refused = read(other).unwrap_err().to_string();
            assert!(refused.contains("no file but"), "{refused}");
        }
        let long = dir.path().join("long");
        File::create(&long)
            .unwrap()
            .set_len(MAX_FILE_BYTES as u64 + 1)
            .unwrap();
        let refused = read(&long).unwrap_err().to_string();
        assert!(refused.contains("more than"), "{refused}");
    }
}
