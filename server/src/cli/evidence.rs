//! `events export` and `verify`.

use super::export as export_of_child;
use super::reply::Reply;
use super::session::{Session, open_storage};
use super::verify_report;
use crate::domain::export::{self, Line};
use crate::domain::verify::{End, Expected, Problem, TabletKey, Verified, Verifier};
use crate::door::Doors;
use crate::settings::DataDir;
use crate::storage::StorageError;
use anyhow::Context as _;
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Longer than any line an export has.
const MAX_LINE_BYTES: u64 = 4 * 1024 * 1024;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Write every event, with all that is needed to check it elsewhere
    Export {
        /// A new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(clap::Args)]
pub(super) struct VerifyArgs {
    /// A report as JSON, or an export of events [default: the live database]
    #[arg(value_name = "FILE", conflicts_with_all = ["export", "archive"])]
    file: Option<PathBuf>,
    /// Work the figures of the report out again from this export of events
    #[arg(long, value_name = "EXPORT", requires = "file")]
    evidence: Option<PathBuf>,
    /// The key it has to be signed with, as `status` shows it at the server
    #[arg(long = "expect-key", value_name = "KEY", requires = "file")]
    expected_key: Option<Digest>,
    /// Check an export, without any database [default: the live database]
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Check an archive that `child export` made
    #[arg(long, value_name = "DIR", conflicts_with = "export")]
    archive: Option<PathBuf>,
    /// A place that an earlier check printed; the record must still have it. Repeat for several
    #[arg(
        long = "expect-head",
        value_name = "TABLET:NUMBER:HASH",
        conflicts_with = "archive"
    )]
    expected: Vec<Expected>,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    let Action::Export { out } = action;
    let named = || format!("failed to write `{}`", out.display());
    let mut lines: u64 = 0;
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&out)
        .with_context(named)?;
    let mut file = BufWriter::new(file);
    export::each(
        &session.storage,
        session.now(),
        |line| -> anyhow::Result<()> {
            serde_json::to_writer(&mut file, &line)?;
            file.write_all(b"\n").with_context(named)?;
            lines += 1;
            Ok(())
        },
    )
    .await?;
    file.into_inner()
        .context("failed to write the end of the export")?
        .sync_all()
        .with_context(named)?;
    let audit = session.audit("events.export", out.display().to_string(), json!({}));
    session.storage.audit_add(&audit).await?;
    let text = format!("{lines} lines are in `{}`.", out.display());
    Ok(Reply::new(json!({ "out": out, "lines": lines }), text))
}

pub(super) async fn verify(
    args: VerifyArgs,
    data: &DataDir,
    doors: &Doors,
) -> anyhow::Result<Reply> {
    if let Some(archive) = &args.archive {
        return export_of_child::verify(archive, data);
    }
    if let Some(file) = &args.file {
        let evidence = args.evidence.as_deref();
        if let Some(answer) = verify_report::run(file, evidence, args.expected_key, data)? {
            return Ok(answer);
        }
        if evidence.is_some() || args.expected_key.is_some() || !is_export(file)? {
            anyhow::bail!(
                "`{}` is no report and no export of events; `report --format json` or `pdf` makes the one, `events export` the other",
                file.display()
            );
        }
    }
    let verified = match args.export.as_ref().or(args.file.as_ref()) {
        Some(path) => of_export(path, args.expected)?,
        None => of_database(data, args.expected, doors.clock.now()).await?,
    };
    let json = json!({
        "holds": verified.holds(),
        "devices": verified.devices,
        "events": verified.events,
        "heads": verified.heads,
        "receipts_verified": verified.receipts,
        "erased": verified.erased,
        "problems": verified.problems,
        "problems_not_listed": verified.problems_not_listed,
        "keys": verified.keys,
        "ends": verified.ends.iter().map(End::to_string).collect::<Vec<_>>(),
        "generation_gaps": verified.generation_gaps,
        "notes": verified.notes,
    });
    let counts = format!(
        "{} tablets, {} events ({} erased), {} signed heads, {} receipts",
        verified.devices, verified.events, verified.erased, verified.heads, verified.receipts
    );
    let noted: Vec<String> = verified
        .notes
        .iter()
        .map(|n| format!("noted: {n}"))
        .collect();
    if verified.holds() {
        let judged = if verified.events == 0 {
            "there is nothing to check yet."
        } else {
            "every link holds."
        };
        let said = noted
            .into_iter()
            .chain([format!("{counts}: {judged}{}", unseen(&verified))]);
        return Ok(Reply::new(json, said.collect::<Vec<_>>().join("\n")));
    }
    let mut text: Vec<String> = verified.problems.iter().map(Problem::to_string).collect();
    text.extend(noted);
    if verified.problems_not_listed > 0 {
        text.push(format!("and {} more", verified.problems_not_listed));
    }
    text.push(format!("{counts}: the evidence does NOT hold."));
    Ok(Reply::new(json, text.join("\n")).negative())
}

/// What nobody can see from here, and what helps.
fn unseen(verified: &Verified) -> String {
    let mut text = String::new();
    for gap in &verified.generation_gaps {
        let (after, before) = (gap.after, gap.before);
        let _ = write!(
            text,
            "\nTablet {}: bundle generations between {after} and {before} are not here: signed and not kept, as after a rollback, or removed since.",
            gap.device
        );
    }
    if verified.events > 0 {
        text.push_str(
            "\nA record cut off exactly at a signed head looks whole from here. Keep these places elsewhere, and give them to the next check with --expect-head; `nestwarden-agent doctor` says how many events a tablet has.",
        );
    }
    for end in verified.ends.iter().filter(|end| end.position.seq > 0) {
        let _ = write!(text, "\n  {end}");
    }
    if !verified.keys.is_empty() {
        text.push_str(
            "\nNo tablet signs its name, when it was enrolled, or when and of which setting an export was made: those are not checked. The keys that tablets signed with are these; away from the server, compare them with what `verify` says there.",
        );
    }
    for TabletKey { device, key } in &verified.keys {
        let _ = write!(text, "\n  {device}: {key}");
    }
    text
}

async fn of_database(
    data: &DataDir,
    expected: Vec<Expected>,
    now: Timestamp,
) -> anyhow::Result<Verified> {
    let storage = open_storage(data).await?;
    let mut verifier = Verifier::expecting(expected);
    export::each(&storage, now, |line| {
        verifier.take(line);
        Ok::<(), StorageError>(())
    })
    .await?;
    let mut found = verifier.finish();
    for problem in storage.problems().await? {
        found.problems.push(Problem {
            device: None,
            seq: None,
            problem: format!("the database file is damaged: {problem}"),
        });
    }
    Ok(found)
}

fn of_export(path: &Path, expected: Vec<Expected>) -> anyhow::Result<Verified> {
    let mut verifier = Verifier::expecting(expected);
    each_line(path, |number, line| match line {
        Some(line) => verifier.take(line),
        None => verifier.unreadable(number),
    })?;
    Ok(verifier.finish())
}

fn is_export(path: &Path) -> anyhow::Result<bool> {
    let named = || format!("failed to read `{}`", path.display());
    let mut first = Vec::new();
    BufReader::new(File::open(path).with_context(named)?)
        .take(MAX_LINE_BYTES)
        .read_until(b'\n', &mut first)
        .with_context(named)?;
    Ok(matches!(
        serde_json::from_slice(&first),
        Ok(Line::Export { .. })
    ))
}

/// Gives the lines of an export to `take`, counted from 1; `None`: it cannot be read.
pub(super) fn each_line(
    path: &Path,
    mut take: impl FnMut(u64, Option<Line>),
) -> anyhow::Result<()> {
    let named = || format!("failed to read `{}`", path.display());
    let mut reader = BufReader::new(File::open(path).with_context(named)?);
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        // Bytes, not text: what is no text is a damaged line, and not the end of the check.
        let read = reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut text)
            .with_context(named)?;
        if read == 0 {
            break;
        }
        take(number, serde_json::from_slice::<Line>(&text).ok());
        if text.last() != Some(&b'\n') {
            skip_line(&mut reader).with_context(named)?;
        }
    }
    Ok(())
}

/// Reads on to the end of a line that is longer than any.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let bytes = reader.fill_buf()?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let read = end.map_or(bytes.len(), |end| end + 1);
        reader.consume(read);
        if end.is_some() || read == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
