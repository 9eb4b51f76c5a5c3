//! `verify FILE`: whether a report is as it was made, and whether the events come to what it says.

use super::evidence::each_line;
use super::reply::Reply;
use crate::domain::reports::check::{Opened, Recount, Recounted, open, report_days};
use crate::domain::reports::print::{OpenedPrint, open_print};
use crate::domain::reports::{Period, Report};
use crate::domain::verify::{Problem, Verified, Verifier};
use crate::paper;
use crate::settings::DataDir;
use crate::signing::keys::public_keys;
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::trust::KeyId;
use serde_json::json;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Far larger than a report on a thousand tablets.
const MAX_REPORT_BYTES: u64 = 64 * 1024 * 1024;

/// `None`: the file is no report.
pub(super) fn run(
    path: &Path,
    evidence: Option<&Path>,
    expected_key: Option<Digest>,
    data: &DataDir,
) -> anyhow::Result<Option<Reply>> {
    let named = || format!("failed to read `{}`", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .with_context(named)?
        .take(MAX_REPORT_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(named)?;
    if bytes.len() as u64 > MAX_REPORT_BYTES {
        return Ok(None);
    }
    let ours = public_keys(&data.keys_dir())
        .ok()
        .map(|public| public.signing);
    let is_ours = ours.is_some();
    if let Some(print) = open_print(&bytes, ours.clone()) {
        if evidence.is_some() {
            bail!(
                "`{}` is a PDF, whose figures are words; give the JSON of the same report to have them worked out again",
                path.display()
            );
        }
        return Ok(Some(answer_of_print(print, expected_key, is_ours)));
    }
    let Some(mut opened) = open(&bytes, ours) else {
        return Ok(None);
    };
    if let Some(expected) = expected_key.map(KeyId).filter(|key| *key != opened.key) {
        opened.problems.push(format!(
            "it is signed by key {}, and not by {expected}",
            opened.key
        ));
    }
    let checked = match (&opened.report, evidence) {
        (Some(report), Some(evidence)) if opened.problems.is_empty() => {
            Some(recounted(report, evidence)?)
        }
        (Some(_) | None, Some(_) | None) => None,
    };
    Ok(Some(answer(
        &opened,
        checked.as_ref(),
        is_ours || expected_key.is_some(),
    )))
}

fn answer_of_print(mut opened: OpenedPrint, expected_key: Option<Digest>, is_ours: bool) -> Reply {
    let key = opened.key.map(|key| key.to_string()).unwrap_or_default();
    if let Some(expected) = expected_key
        .map(KeyId)
        .filter(|expected| opened.key != Some(*expected))
    {
        let problem = format!("it is signed by key {key}, and not by {expected}");
        opened.problems.push(problem);
    }
    let (holds, key_known) = (
        opened.problems.is_empty(),
        is_ours || expected_key.is_some(),
    );
    let manifest = opened.manifest.as_ref().map(|print| &print.0);
    let json = json!({
        "holds": holds,
        "print": manifest.map(|manifest| json!({
            "setting": manifest.setting, "first": manifest.first, "last": manifest.last,
            "made_at": manifest.made_at, "events_root": manifest.events_root,
        })),
        "key": opened.key,
        "key_known": key_known,
        "problems": opened.problems,
    });
    let mut said = opened.problems.clone();
    let about = manifest
        .and_then(|manifest| Period::new(manifest.first, manifest.last).ok())
        .map_or_else(String::new, |period| format!("{}: ", paper::days(period)));
    said.push(if holds {
        format!(
            "{about}every byte as it was made, {}. Its figures are worked out again from the JSON of the same report.",
            signed_by(&key, key_known)
        )
    } else {
        "The report does NOT hold.".to_owned()
    });
    let reply = Reply::new(json, said.join("\n"));
    if holds { reply } else { reply.negative() }
}

fn signed_by(key: &str, key_known: bool) -> String {
    if key_known {
        return "signed by the key it has to be".to_owned();
    }
    format!(
        "signed by key {key}; compare it with the one `nestwarden-server status` shows, because this machine does not know the setting"
    )
}

struct Checked {
    evidence: Verified,
    recounted: Recounted,
}

impl Checked {
    fn holds(&self) -> bool {
        self.evidence.holds() && self.recounted.problems.is_empty()
    }
}

fn recounted(report: &Report, evidence: &Path) -> anyhow::Result<Checked> {
    let days = report_days(report);
    let mut recount = Recount::of(report, &days);
    let mut verifier = Verifier::default();
    let mut setting = None;
    each_line(evidence, |number, line| match line {
        Some(line) => {
            if let crate::domain::export::Line::Export { setting: of, .. } = &line {
                setting = Some(*of);
            }
            recount.take(&line);
            verifier.take(line);
        }
        None => verifier.unreadable(number),
    })?;
    match setting {
        Some(setting) if setting == report.setting => {}
        Some(setting) => bail!(
            "`{}` is of setting {setting}, and the report of {}; give the events of the same setting",
            evidence.display(),
            report.setting
        ),
        None => bail!(
            "`{}` is no export of events; `nestwarden-server events export` makes one",
            evidence.display()
        ),
    }
    Ok(Checked {
        evidence: verifier.finish(),
        recounted: recount.finish(),
    })
}

fn answer(opened: &Opened, checked: Option<&Checked>, key_known: bool) -> Reply {
    let holds = opened.problems.is_empty() && checked.is_none_or(Checked::holds);
    let mut said = opened.problems.clone();
    if let Some(checked) = checked {
        said.extend(checked.recounted.problems.iter().cloned());
        said.extend(checked.evidence.problems.iter().map(Problem::to_string));
        let notes = checked.recounted.notes.iter();
        said.extend(notes.map(|note| format!("noted: {note}")));
        let notes = checked.evidence.notes.iter();
        said.extend(notes.map(|note| format!("noted: {note}")));
    }
    let json = json!({
        "holds": holds,
        "report": opened.report.as_ref().map(|report| json!({
            "setting": report.setting, "period": report.period, "made_at": report.made_at,
            "fingerprint": report.fingerprint(),
        })),
        "key": opened.key,
        "key_known": key_known,
        "problems": opened.problems,
        "figures_checked": checked.is_some(),
        "figure_problems": checked.map(|c| &c.recounted.problems),
        "figure_notes": checked.map(|c| &c.recounted.notes),
        "evidence_problems": checked.map(|c| &c.evidence.problems),
    });
    let key = signed_by(&opened.key.to_string(), key_known);
    let about = opened.report.as_ref().map_or_else(String::new, |report| {
        format!("{}, {}: ", report.setting_name, paper::days(report.period))
    });
    said.push(match (holds, checked) {
        (false, _) => "The report does NOT hold.".to_owned(),
        (true, Some(checked)) if checked.recounted.notes.is_empty() => format!(
            "{about}as it was made, {key}. {} events were worked out again, and come to every figure that rests on events.",
            checked.recounted.events
        ),
        (true, Some(_)) => format!(
            "{about}as it was made, {key}. What is noted above cannot be worked out any more; everything else comes to what it says."
        ),
        (true, None) => format!(
            "{about}as it was made, {key}. Its figures were not worked out again: give the events with --evidence (`nestwarden-server events export` makes the file)."
        ),
    });
    if holds {
        said.push("Figures that rest on what only the server has on record (coverage by hour, register, tasks, holds) are as they were signed; no event says them.".to_owned());
    }
    let reply = Reply::new(json, said.join("\n"));
    if holds { reply } else { reply.negative() }
}
