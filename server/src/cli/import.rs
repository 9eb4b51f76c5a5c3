//! `consent import`.

use super::consent::state;
use super::reply::Reply;
use super::session::Session;
use crate::domain::import::{self, MAX_FILE_BYTES, Plan};
use anyhow::{Context as _, bail};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

pub(super) async fn run(
    path: &Path,
    dry_run: bool,
    confirm: bool,
    session: &Session,
) -> anyhow::Result<Reply> {
    let named = || format!("failed to read `{}`", path.display());
    let size = std::fs::metadata(path).with_context(named)?.len();
    if size > MAX_FILE_BYTES as u64 {
        bail!(
            "`{}` has {size} bytes; export the register only, at most {MAX_FILE_BYTES}",
            path.display()
        );
    }
    let bytes = std::fs::read(path).with_context(named)?;
    let now = session.now();
    let plan = import::plan(&session.storage, &bytes, now).await?;
    let stopped = !plan.concerns.is_empty() && !confirm;
    let apply = !dry_run && !stopped;
    if apply {
        import::apply(&session.storage, &plan, &bytes, &session.who(), now).await?;
        session.nudge();
    }
    let mut narration = described(&plan);
    let text = if apply {
        "Imported."
    } else if stopped && !dry_run {
        narration.push_str("If this is right, run it again with --confirm.\n");
        "Stopped: the register stays as it was."
    } else {
        "Nothing was changed."
    };
    let json = json!({
        "imported": apply,
        "needs_confirmation": stopped,
        "counts": plan.counts,
        "concerns": plan.concerns,
        "unreadable": plan.unreadable,
        "not_restored": plan.not_restored,
        "missing": plan.missing,
    });
    let reply = Reply::new(json, text).narrate(narration.trim_end());
    Ok(if stopped && !dry_run {
        reply.negative()
    } else {
        reply
    })
}

fn described(plan: &Plan) -> String {
    let counts = &plan.counts;
    let mut text = format!(
        "{} children: {} new, {} changed, {} missing from the file. {} new answers, {} consents lapse.\n",
        counts.children,
        counts.new_children,
        counts.changed_children,
        counts.newly_missing,
        counts.answers_added,
        counts.lapsing,
    );
    for unreadable in &plan.unreadable {
        let _ = writeln!(
            text,
            "row {}, column `{}`: \"{}\" is not a value we know, so it counts as not given; write Yes or No",
            unreadable.row, unreadable.purpose, unreadable.value
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
    for reference in &plan.missing {
        let _ = writeln!(
            text,
            "{reference} is missing from the file: no new photos now, and after 72 hours theirs are withheld"
        );
    }
    for concern in &plan.concerns {
        let _ = writeln!(text, "{concern}.");
    }
    text
}
